"""The command line. A verb that makes something prints one line on stdout, the id; talk goes to stderr.

Exit codes: 0 done, 1 refused or found wrong (the message says why), 2 not understood.
What a verb needs is imported inside it, so that `--help` answers at once.
"""

import io
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup, TyperOption

from prefline.data.errors import PreflineError
from prefline.pipeline.feedback import Feedback


class _Verbs(TyperGroup):
    """The group of all verbs."""

    def get_params(self, ctx: Any) -> Any:
        """Give flags that were not typed the value False rather than None.

        For None, typer builds a validator and imports pydantic, which takes longer than all the rest.
        """
        params = super().get_params(ctx)
        for param in params:
            if isinstance(param, TyperOption) and param.is_flag and param.default is None:
                param.default = False
        return params


app = typer.Typer(
    cls=_Verbs,
    help="Preferences in, a tuned language model out, one verifiable stage at a time.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _complete_artifact(incomplete: str) -> list[str]:
    """Offer the names in the store, and ids when an id has been begun."""
    import os

    from prefline.pipeline.store import Store

    try:
        store = Store.open(os.environ.get("PREFLINE_STORE") or ".prefline")
        short_names = {full.partition("/")[2] for full in store.names()}
        ids = [
            name
            for name in store.ids()
            if len(incomplete) >= 2 and name.startswith(("sha256:" + incomplete, incomplete))
        ]
    except PreflineError:
        return []  # nothing to offer, and a terminal that is being typed on is no place to say why
    return sorted(name for name in short_names if name.startswith(incomplete)) + ids


StoreOption = Annotated[
    Path,
    typer.Option("--store", metavar="FOLDER", envvar="PREFLINE_STORE", help="Where artifacts are kept."),
]
ArtifactArgument = Annotated[
    str,
    typer.Argument(
        metavar="ARTIFACT",
        help="An id, the first digits of one, or a name.",
        autocompletion=_complete_artifact,
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
AloneOption = Annotated[bool, typer.Option("--alone", help="Leave out what the artifact was made from.")]
_STORE = Path(".prefline")


@app.command()
def ingest(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", show_default=False, help='JSON lines: {"prompt", "responses", "best"}.'),
    ],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Call the artifact this, and keep it.")] = None,
    feedback: Annotated[Feedback, typer.Option(help="Who chose the best response.")] = "human",
    store: StoreOption = _STORE,
) -> None:
    """Check a file of comparisons, row by row, and make it an artifact."""
    from prefline.pipeline.ingest import INGEST
    from prefline.pipeline.stages import SourceFile, make
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import count, say

    source = SourceFile.read(file)
    made = make(
        Store.create(store),
        INGEST,
        params={"feedback": feedback},
        inputs={"source": source},
        name=name,
    )
    if made.damage:
        say(f"{made.damage}\nIt was made again from {file}.")
    rows = count(made.artifact.manifest.data["comparisons"], "comparison", "comparisons")
    say(f"{rows} from {file}, {'made before and reused' if made.reused else 'ingested'}")
    print(made.artifact.id)


@app.command("list")
def list_artifacts(store: StoreOption = _STORE, as_json: JsonOption = False) -> None:
    """List all artifacts, the latest first."""
    from dataclasses import asdict

    from prefline.pipeline.listing import summarize
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import format_list, say

    summaries = summarize(Store.open(store))
    if as_json:
        _print_json([asdict(summary) for summary in summaries])
    elif summaries:
        print(format_list(summaries), end="")
    else:
        say(f"No artifacts in {store}.")


@app.command()
def show(
    artifact: ArtifactArgument,
    store: StoreOption = _STORE,
    as_json: JsonOption = False,
    path: Annotated[bool, typer.Option("--path", help="Print only where its files are.")] = False,
) -> None:
    """Show what an artifact is, what it was made from, and where its files are."""
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import format_artifact

    opened = Store.open(store)
    found = opened.get(opened.resolve(artifact))
    names = [name for name, artifact_id in opened.names().items() if artifact_id == found.id]
    if path:
        print(found.path)
    elif as_json:
        extra = {"manifest_digest": found.manifest_digest, "names": names, "path": str(found.path)}
        _print_json(found.manifest.model_dump(mode="json") | extra)
    else:
        print(format_artifact(found, names), end="")


@app.command()
def why(
    first: ArtifactArgument,
    second: ArtifactArgument,
    store: StoreOption = _STORE,
    as_json: JsonOption = False,
) -> None:
    """Say why two artifacts are not the same one."""
    from dataclasses import asdict

    from prefline.pipeline.lineage import explain_difference
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import format_explanation

    opened = Store.open(store)
    explanation = explain_difference(opened, opened.resolve(first), opened.resolve(second))
    if as_json:
        _print_json(asdict(explanation))
    else:
        print(format_explanation(explanation), end="")


@app.command()
def graph(
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARTIFACT]...", help="Default: all.", autocompletion=_complete_artifact),
    ] = None,
    as_: Annotated[Literal["text", "dot", "svg"], typer.Option("--as", help="What to draw.")] = "text",
    store: StoreOption = _STORE,
) -> None:
    """Draw what artifacts were made from."""
    from prefline.pipeline import drawing
    from prefline.pipeline.lineage import trace
    from prefline.pipeline.store import Store

    opened = Store.open(store)
    lineage = trace(opened, [opened.resolve(text) for text in artifacts or ()] or list(opened.ids()))
    draw = {"text": drawing.draw_text, "dot": drawing.draw_dot, "svg": drawing.draw_svg}[as_]
    print(draw(lineage), end="")


@app.command()
def verify(
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARTIFACT]...", help="Default: all.", autocompletion=_complete_artifact),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Look at names and sizes, not at bytes.")] = False,
    store: StoreOption = _STORE,
    as_json: JsonOption = False,
) -> None:
    """Check that artifacts still hold the bytes that were published. Exit code 1: some do not."""
    from dataclasses import asdict

    from prefline.pipeline.inspection import inspect
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import format_inspection

    opened = Store.open(store)
    report = inspect(opened, [opened.resolve(text) for text in artifacts or ()], quick=quick)
    if as_json:
        _print_json(asdict(report))
    else:
        print(format_inspection(report), end="")
    if not report.sound:
        raise typer.Exit(1)


@app.command()
def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Do it; without this, only say what would go.")] = False,
    grace: Annotated[str, typer.Option(metavar="TIME", help="Spare what is younger: 90s, 15m, 12h, 7d.")] = "7d",
    bring_back: Annotated[
        str | None, typer.Option("--restore", metavar="ID", help="Bring an artifact back from the trash.")
    ] = None,
    store: StoreOption = _STORE,
) -> None:
    """Take away what no name, no running stage and nothing young leads to."""
    from prefline.pipeline import collection
    from prefline.pipeline.publishing import utc_now
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import format_sweep, say

    opened = Store.open(store)
    if bring_back is not None:
        print(collection.restore(opened, bring_back))
        return
    time_of_grace = collection.parse_grace(grace)
    run = collection.sweep_store if delete else collection.preview_sweep
    sweep = run(opened, grace=time_of_grace, now=utc_now())
    print("".join(f"{artifact_id}\n" for artifact_id in sweep.artifacts), end="")
    say(format_sweep(sweep, done=delete, grace=grace))


@app.command()
def name(artifact: ArtifactArgument, name: Annotated[str, typer.Argument()], store: StoreOption = _STORE) -> None:
    """Give an artifact a name, which also keeps it from gc. A name that exists moves."""
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import say

    opened = Store.open(store)
    artifact_id = opened.resolve(artifact)
    before = opened.set_name(name, artifact_id)
    if before not in (None, artifact_id):
        say(f"{name} was {before} before")
    print(artifact_id)


@app.command()
def unname(name: Annotated[str, typer.Argument()], store: StoreOption = _STORE) -> None:
    """Forget a name. The artifact stays until gc finds that nothing leads to it."""
    from prefline.pipeline.store import Store

    print(Store.open(store).remove_name(name))


@app.command()
def export(
    artifact: ArtifactArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False, help="A folder that is not there.")],
    store: StoreOption = _STORE,
) -> None:
    """Copy an artifact to a plain folder that `sha256sum -c SHA256SUMS` accepts."""
    from prefline.pipeline import exporting
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import say

    opened = Store.open(store)
    found = opened.get_sound(opened.resolve(artifact))
    exporting.export(found, folder)
    say(f"exported to {folder}; check it there with: sha256sum -c {exporting.CHECKSUMS}")
    print(found.id)


@app.command()
def push(
    artifact: ArtifactArgument,
    url: Annotated[str, typer.Argument(metavar="URL", show_default=False, help="Any that fsspec knows.")],
    alone: AloneOption = False,
    store: StoreOption = _STORE,
) -> None:
    """Copy an artifact, and what it was made from, to a remote."""
    from prefline.pipeline import remotes
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import say

    opened = Store.open(store)
    artifact_id = opened.resolve(artifact)
    name = opened.name_meant(artifact)
    remotes.push(opened, artifact_id, remotes.Remote(url), alone=alone, name=name, say=say)
    print(artifact_id)


@app.command()
def pull(
    url: Annotated[str, typer.Argument(metavar="URL", show_default=False, help="Any that fsspec knows.")],
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", show_default=False, help="An id or a name there.")],
    alone: AloneOption = False,
    store: StoreOption = _STORE,
) -> None:
    """Copy an artifact, and what it was made from, from a remote, and verify it."""
    from prefline.pipeline import remotes
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import say

    remote = remotes.Remote(url)
    artifact_id, name = remote.resolve(artifact)
    remotes.pull(Store.create(store), artifact_id, remote, alone=alone, name=name, say=say)
    print(artifact_id)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def main() -> None:
    """Run the command line; what went wrong on purpose ends in one message, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a test may have put something else there
            stream.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to fail
    try:
        app(prog_name="prefline")
    except PreflineError as error:
        print(f"prefline: {error}", file=sys.stderr)
        sys.exit(1)
