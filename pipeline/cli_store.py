"""The verbs that look at artifacts, name them, copy them and clear them away."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from prefline.data.errors import ConfigError
from prefline.pipeline.cli_options import (
    DEFAULT_STORE,
    ArtifactArgument,
    JsonOption,
    SetOption,
    StoreOption,
    complete_artifact,
    complete_name,
    complete_part,
)
from prefline.pipeline.cli_pipelines import explain_stage


def _complete_second(ctx: typer.Context, incomplete: str) -> list[str]:
    return complete_part(ctx, incomplete) or complete_artifact(ctx, incomplete)


FirstArgument = Annotated[
    str,
    typer.Argument(
        metavar="ARTIFACT|FILE",
        help="An artifact, or a pipeline file (.yaml).",
        autocompletion=complete_artifact,
        show_default=False,
    ),
]
SecondArgument = Annotated[
    str,
    typer.Argument(
        metavar="ARTIFACT|STAGE",
        help="Another artifact, or a stage of the file.",
        autocompletion=_complete_second,
        show_default=False,
    ),
]


def list_artifacts(store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """List all artifacts, the latest first."""
    from dataclasses import asdict

    from prefline.pipeline.listing import summarize
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import format_list, print_json, say

    summaries = summarize(Store.open(store))
    if as_json:
        print_json([asdict(summary) for summary in summaries])
    elif summaries:
        print(format_list(summaries), end="")
    else:
        say(f"No artifacts in {store}.")


def show(
    artifact: ArtifactArgument,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
    path: Annotated[bool, typer.Option("--path", help="Print only where its files are.")] = False,
) -> None:
    """Show what an artifact is and what it was made from."""
    from prefline.pipeline.lineage import find_other_recipes
    from prefline.pipeline.runs import METRICS, run_folder
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import format_artifact, print_json

    opened = Store.open(store)
    found = opened.get(opened.resolve(artifact))
    names = list(opened.names.by_id().get(found.id, ()))
    if path:
        print(found.path)
    elif as_json:
        extra = {
            "manifest_digest": found.manifest_digest,
            "names": names,
            "other_recipes": [other.recipe.model_dump() for other in find_other_recipes(opened, found)],
            "path": str(found.path),
        }
        print_json(found.manifest.model_dump(mode="json") | extra)
    else:
        log = run_folder(opened, found.manifest.key) / METRICS
        shown = log if log.is_file() else None
        print(format_artifact(found, names, find_other_recipes(opened, found), shown), end="")


def why(
    first: FirstArgument,
    second: SecondArgument,
    set_: SetOption = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Say why artifacts differ, or a stage would be made anew."""
    from dataclasses import asdict

    if first.endswith((".yaml", ".yml", ".json")):
        explain_stage(Path(first), second, set_, store, as_json=as_json)
        return
    if set_:
        raise typer.BadParameter("goes with a pipeline file", param_hint="--set")

    from prefline.pipeline.lineage import explain_difference
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import format_explanation, print_json

    opened = Store.open(store)
    explanation = explain_difference(opened, opened.resolve(first), opened.resolve(second))
    if as_json:
        print_json(asdict(explanation))
    else:
        print(format_explanation(explanation), end="")


def graph(
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARTIFACT", help="Default: all.", autocompletion=complete_artifact),
    ] = None,
    as_: Annotated[Literal["text", "dot", "svg"], typer.Option("--as", help="What to draw.")] = "text",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Draw what artifacts were made from."""
    from prefline.pipeline.drawing import draw_dot, draw_text
    from prefline.pipeline.drawing_svg import draw_svg
    from prefline.pipeline.lineage import trace
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import say

    opened = Store.open(store)
    lineage = trace(opened, [opened.resolve(text) for text in artifacts or ()] or list(opened.ids()))
    if not lineage.nodes:
        say(f"No artifacts in {store}.")
    draw = {"text": draw_text, "dot": draw_dot, "svg": draw_svg}[as_]
    print(draw(lineage), end="")


def verify(
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARTIFACT", help="Default: all.", autocompletion=complete_artifact),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Look at names and sizes, not at bytes.")] = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Check every byte of artifacts. Exit code 1: some are damaged."""
    from dataclasses import asdict

    from prefline.pipeline.inspection import Inspection, check_artifacts, inspect_store
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import format_checked, format_store, format_verdict, print_json, say

    opened = Store.open(store)
    ids = [opened.resolve(text) for text in artifacts or ()]
    checked = []
    for item in check_artifacts(opened, ids or opened.ids(), quick=quick):
        checked.append(item)
        if not as_json:
            print(format_checked(item), end="", flush=True)
    report = Inspection(tuple(checked)) if ids else inspect_store(opened, tuple(checked))
    if as_json:
        print_json({"sound": report.sound} | asdict(report))
    else:
        print(format_store(report), end="", flush=True)
        say(format_verdict(report))
    if not report.sound:
        raise typer.Exit(1)


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Do it; without this, only say what would go.")] = False,
    grace: Annotated[str, typer.Option(metavar="TIME", help="Spare what is younger: 90s, 15m, 12h, 7d.")] = "7d",
    bring_back: Annotated[
        str | None, typer.Option("--restore", metavar="ID", help="Bring an artifact back from the trash.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Take away what nothing leads to any more."""
    from prefline.pipeline import collection
    from prefline.pipeline.durations import parse_duration
    from prefline.pipeline.publishing import utc_now
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import say
    from prefline.pipeline.terminal_sweeps import format_sweep
    from prefline.pipeline.trash import restore

    opened = Store.open(store)
    if bring_back is not None:
        print(restore(opened, bring_back))
        return
    try:
        time_of_grace = parse_duration(grace)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="--grace") from None
    run = collection.sweep_store if delete else collection.preview_sweep
    sweep = run(opened, grace=time_of_grace, now=utc_now())
    print("".join(f"{artifact_id}\n" for artifact_id in sweep.artifacts), end="", flush=True)
    say(format_sweep(sweep, done=delete))


def name(
    artifact: ArtifactArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, '.', '_' and '-'.")],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Give an artifact a name, which keeps it from gc."""
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import describe_moved_names, say

    opened = Store.open(store)
    artifact_id = opened.resolve(artifact)
    names = opened.names.readable()
    opened.set_name(name, artifact_id)
    for moved in describe_moved_names(names, opened):
        say(moved)
    print(artifact_id)


def unname(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name.", autocompletion=complete_name)],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Forget a name, but not the artifact."""
    from prefline.pipeline.store import Store

    print(Store.open(store).names.remove(name))
