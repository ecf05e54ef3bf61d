"""A verb for every stage of the catalogue: its inputs are arguments, and each of its settings is an option."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, cast, get_args, get_origin

import typer

from prefline.data.errors import ConfigError, UnknownArtifactError
from prefline.data.wording import plain
from prefline.pipeline.catalogue import STAGES, find_stage
from prefline.pipeline.cli_options import (
    DEFAULT_STORE,
    CheckpointEveryOption,
    DeviceOption,
    ForceOption,
    KeepCheckpointsOption,
    NameOption,
    SeedOption,
    StoreOption,
    TrackOption,
    build_runtime,
    complete_artifact,
    create_store,
)
from prefline.pipeline.making import Made, make
from prefline.pipeline.provided import lies_outside, parse_place, read_source
from prefline.pipeline.sources import Outside
from prefline.pipeline.stages import MODEL, RESERVED, TEXTS, Stage, describe_kind, is_outside, lies_as
from prefline.pipeline.store import Artifact, Store
from prefline.pipeline.strict_yaml import parse_scalar
from prefline.pipeline.terminal import describe_moved_names, results, say
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
        run_verb(stage, given)

    parameters = [*_inputs(stage), *_settings(stage), *_common(stage)]
    signature = inspect.Signature(parameters)
    cast("Any", verb).__signature__ = signature
    verb.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return verb


def run_verb(stage: Stage, given: dict[str, Any]) -> None:
    """Run a stage with what was typed: its inputs, its settings, and what every stage has as an option."""
    given = {name: text for name, text in given.items() if text not in (None, [])}
    common = {option: given.pop(option) for option in RESERVED if option in given}
    texts = {role: given.pop(role) for role in stage.takes if role in given}
    _run(
        stage, texts, {_key(stage, field): read_setting(stage, field, text) for field, text in given.items()}, **common
    )


def _run(
    stage: Stage,
    texts: dict[str, str],
    params: dict[str, Any],
    *,
    seed: SeedOption = None,
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
    outside = {role: read for role, text in texts.items() if (read := _read_outside(stage.takes[role], text))}
    opened = create_store(store)  # only now: not for a file that is not there
    inputs = {role: outside.get(role) or find_artifact(opened, stage.takes[role], text) for role, text in texts.items()}
    names = opened.names.readable()
    with results() as show:
        made = make(opened, stage, params=params, inputs=inputs, seed=seed, name=name, force=force, runtime=runtime)
        show(made.artifact.id)
    say(describe_made(made))
    for file in made.artifact.manifest.files:
        if file.path.endswith(".html"):
            say(f"to be read: {made.artifact.path / file.path}")
    _tell_of_others(opened, made, names)
    runtime.interruption.leave_if_requested("when all was done")


def _tell_of_others(store: Store, made: Made, names: Mapping[str, str]) -> None:
    """Say what else a person should know of what was made; `names` is what was named before."""
    if store.get(made.artifact.id).manifest.key != made.artifact.manifest.key:
        say("another recipe led to the same artifact before; `prefline show` tells of both")
    for moved in describe_moved_names(names, store):
        say(moved)


def read_setting(stage: Stage, field: str, given: str | list[str]) -> Any:
    """Read a setting as a pipeline file would, but what can only be text needs no quotes."""
    if isinstance(given, list):
        if get_origin(stage.params.model_fields[field].annotation) is dict:
            return _read_pairs(stage, field, given)
        return given
    if _is_text(stage.params.model_fields[field].annotation):
        return given
    try:
        return parse_scalar(given)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint=_option(stage, field)) from None


def _read_pairs(stage: Stage, field: str, texts: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or key in pairs:
            found = f"{key!r} twice" if key in pairs else repr(text)
            raise typer.BadParameter(f"expected NAME=VALUE, found {found}", param_hint=_option(stage, field))
        pairs[key] = value
    return pairs


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


def _read_outside(kind: str, text: str) -> Outside | None:
    """Take the digests of what lies outside the store; None: it is an artifact."""
    place = parse_place(text, kind)
    if isinstance(place, Path) and not is_outside(kind) and not (lies_as(kind) and lies_outside(place, kind)):
        return None
    return read_source(place, kind)


def find_artifact(store: Store, kind: str, text: str) -> Artifact:
    """Return the artifact that a person named for an input, or say what else could have been meant."""
    try:
        return store.get(store.resolve(text))
    except UnknownArtifactError as error:
        if not lies_as(kind):
            if kind == "comparisons" and lies_outside(Path(text), TEXTS):
                remedy = f"take it in first, with `prefline ingest {text} --name NAME`"
                raise UnknownArtifactError(f"{error}; but there is a file of that name: {remedy}") from None
            if lies_outside(Path(text), MODEL) or not isinstance(parse_place(text, MODEL), Path):
                wanted = f"expected {describe_kind(kind)}, and nothing else will do"
                raise UnknownArtifactError(f"{text}: {wanted}: `prefline list` shows what there is") from None
            raise
        raise UnknownArtifactError(f"{error}; and there is no {' or '.join(lies_as(kind))} of that name") from None


def _inputs(stage: Stage) -> Iterator[inspect.Parameter]:
    for role, kind in stage.takes.items():
        about = describe_kind(kind).capitalize() + ("." if is_outside(kind) else ": an id, or a name.")
        complete = None if is_outside(kind) else complete_artifact
        if role in stage.optional:
            option = typer.Option(f"--{role.replace('_', '-')}", metavar="INPUT", help=about, autocompletion=complete)
            yield _parameter(role, Annotated[str | None, option], None)
        else:
            argument = typer.Argument(metavar=role.upper(), help=about, autocompletion=complete, show_default=False)
            yield _parameter(role, Annotated[str, argument], inspect.Parameter.empty)


def _settings(stage: Stage) -> Iterator[inspect.Parameter]:
    for field, about in stage.params.model_fields.items():
        if get_origin(about.annotation) in (tuple, dict):
            metavar = "NAME=VALUE" if get_origin(about.annotation) is dict else "VALUE"
            option = typer.Option(_option(stage, field), metavar=metavar, help=f"{about.description} May be repeated.")
            yield _parameter(field, Annotated[list[str] | None, option], None)
        else:
            option = typer.Option(_option(stage, field), metavar="VALUE", help=_describe(about))
            yield _parameter(field, Annotated[str | None, option], None)


def _common(stage: Stage) -> Iterator[inspect.Parameter]:
    for parameter in inspect.signature(_run).parameters.values():
        is_of_use = {
            "seed": stage.seeded is not False,
            "device": stage.computes,
            **dict.fromkeys(("checkpoint_every", "keep_checkpoints", "track"), stage.stepwise),
        }
        if parameter.kind == parameter.KEYWORD_ONLY and is_of_use.get(parameter.name, True):
            yield parameter


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _describe(about: "FieldInfo") -> str:
    default = None if about.is_required() else about.get_default(call_default_factory=True)
    said = "" if default is None or default == "" else f" [default: {plain(default)}]"
    return f"{about.description or ''}{said}".strip()
