"""The verbs for pipeline files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prefline.data.errors import ConfigError
from prefline.data.wording import printable
from prefline.pipeline.cli_options import (
    DEFAULT_STORE,
    CheckpointEveryOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    KeepCheckpointsOption,
    SetOption,
    StoreOption,
    TrackOption,
    build_runtime,
    complete_part,
    create_store,
)

if TYPE_CHECKING:
    from prefline.pipeline.planning import Decision
    from prefline.pipeline.store import Store
    from prefline.pipeline.wiring import Part

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", show_default=False, readable=False, help="A pipeline file (YAML).")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="STAGE", help="Just this stage; may be repeated.", autocompletion=complete_part),
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="STAGE", help="This stage and all that depend on it.", autocompletion=complete_part),
]


def plan(
    file: FileArgument,
    set_: SetOption = None,
    only: OnlyOption = None,
    start: FromOption = None,
    force: ForceOption = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """Say what a pipeline file would make or reuse, and why."""
    from prefline.pipeline.planning import select

    opened, parts = load_parts(file, set_, store)
    _print_plan(store, opened, parts, select(parts, only or (), start), force=force, as_json=as_json)


def run(
    file: FileArgument,
    set_: SetOption = None,
    only: OnlyOption = None,
    start: FromOption = None,
    force: ForceOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be made and why, as `plan`.")] = False,
    device: DeviceOption = "auto",
    checkpoint_every: CheckpointEveryOption = "10m",
    keep_checkpoints: KeepCheckpointsOption = 2,
    track: TrackOption = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Make what a pipeline file describes."""
    from prefline.pipeline.planning import select
    from prefline.pipeline.running import Ended
    from prefline.pipeline.running import run as run_parts
    from prefline.pipeline.terminal import describe_moved_names, results, say
    from prefline.pipeline.terminal_runs import describe_decision, describe_made

    runtime = build_runtime(device, checkpoint_every, keep_checkpoints, track)
    opened, parts = load_parts(file, set_, store)
    selected = select(parts, only or (), start)
    if dry_run:
        _print_plan(store, opened, parts, selected, force=force, as_json=False)
        return
    opened = create_store(store)
    names = opened.names.readable()
    with results() as show:
        for event in run_parts(opened, parts, selected, force=force, runtime=runtime):
            if isinstance(event, Ended):
                say(f"{event.part.name}: {describe_made(event.made)}")
                show(event.made.artifact.id)
                runtime.interruption.leave_if_requested(f"after {event.part.name}: the same command goes on from there")
            elif event.reuse is None:
                say(describe_decision(event))
    for moved in describe_moved_names(names, opened):
        say(moved)


def schema() -> None:
    """Print a JSON Schema of pipeline files, for editors."""
    from prefline.pipeline.catalogue import STAGES, find_stage
    from prefline.pipeline.pipeline_file import json_schema
    from prefline.pipeline.terminal import print_json

    print_json(json_schema({name: find_stage(name) for name in STAGES}))


def explain_stage(file: Path, name: str, overrides: list[str] | None, store: Path, *, as_json: bool) -> None:
    """Say why a stage would be made anew, and why the stages that it waits for would be."""
    from dataclasses import asdict

    from prefline.pipeline.planning import Planner, upstream_of
    from prefline.pipeline.terminal import print_json
    from prefline.pipeline.terminal_runs import format_decision

    opened, parts = load_parts(file, overrides, store)
    planner = Planner(opened)
    wanted = upstream_of(name, parts)
    decisions = [decision for decision in planner.plan(parts) if decision.part.name in wanted]
    meant = [decision for decision in decisions if decision.reuse is None or decision.part.name == name]
    explained = [(decision, planner.explain(decision)) for decision in meant]
    if as_json:
        print_json(
            [_as_json(decision) | {"explanation": asdict(found) if found else None} for decision, found in explained]
        )
        return
    for decision, found in explained:
        print(format_decision(decision, found), end="")


def load_parts(file: Path, overrides: list[str] | None, store: Path) -> "tuple[Store | None, list[Part]]":
    """Read a pipeline file and check how it hangs together; there need not be a store yet."""
    from prefline.pipeline.pipeline_file import load_pipeline
    from prefline.pipeline.wiring import wire

    opened = _open_if_any(store)
    pipeline = load_pipeline(file, overrides or ())
    try:
        return opened, wire(pipeline, file.parent, opened)
    except ConfigError as error:
        raise ConfigError(f"{printable(file)}: {error}") from None


def _open_if_any(root: Path) -> "Store | None":
    """Open a store; None where there is none yet, or one that another process is making or has failed to make."""
    from prefline.pipeline.filesystem import list_folder
    from prefline.pipeline.places import local_folder
    from prefline.pipeline.store import OWN, Store

    root = local_folder(root)
    found = {entry.name for entry in list_folder(root)}
    begun = found <= OWN and "store.json" not in found and not list_folder(root / "objects")
    return None if begun and not root.is_file() else Store.open(root)


def _print_plan(
    root: Path, store: "Store | None", parts: "list[Part]", selected: set[str], *, force: bool, as_json: bool
) -> None:
    from prefline.pipeline.planning import Planner, require_made
    from prefline.pipeline.terminal import print_json, say
    from prefline.pipeline.terminal_runs import describe_plan, format_plan

    decisions = Planner(store).plan(parts, selected if force else ())
    require_made(decisions, selected)
    meant = [decision for decision in decisions if decision.part.name in selected]
    if as_json:
        print_json([_as_json(decision) for decision in meant])
        return
    print(format_plan(meant), end="", flush=True)
    say(describe_plan(meant))
    if store is None:
        say(f"there is no store at {root.expanduser().absolute()} yet")


def _as_json(decision: "Decision") -> dict[str, Any]:
    reuse, nearest = decision.reuse, decision.nearest
    return {
        "name": decision.part.name,
        "stage": decision.part.stage.name,
        "makes": decision.part.stage.makes,
        "action": decision.action,
        "why": decision.why if reuse is None else None,
        "id": None if reuse is None else reuse.id,
        "key": None if decision.recipe is None else decision.recipe.key,
        "nearest": None if nearest is None else nearest.id,
    }
