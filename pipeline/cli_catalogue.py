"""A verb for every stage of the catalogue: its inputs are arguments, and each of its settings is an option."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, cast, get_args, get_origin

import typer

from prefline.data.errors import ConfigError
from prefline.data.wording import plain
from prefline.pipeline.catalogue import STAGES, find_stage
from prefline.pipeline.cli_options import (
    DEFAULT_STORE,
    CheckpointEveryOption,
    DeviceOption,
    ForceOption,
    KeepCheckpointsOption,
    NameOption,
    StoreOption,
    TrackOption,
    build_runtime,
    complete_artifact,
    create_store,
)
from prefline.pipeline.cli_stages import tell_of_others
from prefline.pipeline.making import make
from prefline.pipeline.stages import FILE, RESERVED, Input, SourceFile, Stage
from prefline.pipeline.store import Store
from prefline.pipeline.strict_yaml import parse_scalar
from prefline.pipeline.terminal import results, say
from prefline.pipeline.terminal_runs import describe_made

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def build_command(name: str) -> Any:
    """Return the command that runs a stage."""
    stage = find_stage(name)
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command(name, help=STAGES[name].does)(_build_verb(stage))
    return typer.main.get_command(app)


def _build_verb(stage: Stage) -> Callable[..., None]:
    """Give a function the signature that tells typer what the stage takes."""

    def verb(**given: Any) -> None:
        common = {option: given.pop(option) for option in RESERVED if option in given}
        texts = {role: given.pop(role) for role in stage.takes}
        params = {_key(stage, field): _read(stage, field, text) for field, text in given.items() if text is not None}
        _run(stage, texts, params, **common)

    parameters = [*_inputs(stage), *_settings(stage), *_common(stage)]
    signature = inspect.Signature(parameters)
    cast("Any", verb).__signature__ = signature
    verb.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return verb


def _run(
    stage: Stage,
    texts: dict[str, str],
    params: dict[str, Any],
    *,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, metavar="SEED", help="What all chance follows from.")
    ] = None,
    name: NameOption = None,
    force: ForceOption = False,
    device: DeviceOption = "auto",
    checkpoint_every: CheckpointEveryOption = "10m",
    keep_checkpoints: KeepCheckpointsOption = 2,
    track: TrackOption = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Make the artifact of a stage; what is annotated here every stage has as an option."""
    runtime = build_runtime(device, checkpoint_every, keep_checkpoints, track)
    opened = create_store(store)
    inputs = {role: _find_input(opened, stage.takes[role], text) for role, text in texts.items()}
    names = opened.names.readable()
    with results() as show:
        made = make(opened, stage, params=params, inputs=inputs, seed=seed, name=name, force=force, runtime=runtime)
        show(made.artifact.id)
    say(describe_made(made))
    tell_of_others(opened, made, names)
    runtime.interruption.leave_if_requested("when all was done")


def _read(stage: Stage, field: str, text: str) -> Any:
    """Read a setting as a pipeline file would, but what can only be text needs no quotes."""
    if _is_text(stage.params.model_fields[field].annotation):
        return text
    try:
        return parse_scalar(text)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint=_option(stage, field)) from None


def _is_text(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return all(isinstance(choice, str) for choice in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return all(part is type(None) or _is_text(part) for part in get_args(annotation))
    return annotation is str


def _key(stage: Stage, field: str) -> str:
    """Return what a setting is called by people: `lambda` is no name in Python."""
    return stage.params.model_fields[field].alias or field


def _option(stage: Stage, field: str) -> str:
    return f"--{_key(stage, field).replace('_', '-')}"


def _find_input(store: Store, kind: str, text: str) -> Input:
    return SourceFile.read(Path(text)) if kind == FILE else store.get(store.resolve(text))


def _inputs(stage: Stage) -> Iterator[inspect.Parameter]:
    for role, kind in stage.takes.items():
        is_file = kind == FILE
        argument = typer.Argument(
            metavar=role.upper(),
            help="A file." if is_file else f"An artifact of the kind {kind}: an id, or a name.",
            autocompletion=None if is_file else complete_artifact,
            show_default=False,
        )
        yield _parameter(role, Annotated[str, argument], inspect.Parameter.empty)


def _settings(stage: Stage) -> Iterator[inspect.Parameter]:
    for field, about in stage.params.model_fields.items():
        option = typer.Option(_option(stage, field), metavar="VALUE", help=_describe(about))
        yield _parameter(field, Annotated[str | None, option], None)


def _common(stage: Stage) -> Iterator[inspect.Parameter]:
    for parameter in inspect.signature(_run).parameters.values():
        if parameter.kind == parameter.KEYWORD_ONLY and (stage.seeded or parameter.name != "seed"):
            yield parameter


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _describe(about: "FieldInfo") -> str:
    default = None if about.is_required() else about.get_default(call_default_factory=True)
    said = "" if default is None or default == "" else f" [default: {plain(default)}]"
    return f"{about.description or ''}{said}".strip()
