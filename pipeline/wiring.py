"""From a pipeline file to parts in the order in which they can run, everything checked that can be before any work."""

import contextlib
import graphlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prefline.data.configuration import Config
from prefline.data.errors import ConfigError, PreflineError
from prefline.data.wording import did_you_mean, shorten
from prefline.pipeline.catalogue import find_stage
from prefline.pipeline.filesystem import list_folder
from prefline.pipeline.pipeline_file import Entry, PipelineFile
from prefline.pipeline.provided import Provided, lies_outside, parse_place
from prefline.pipeline.stages import FILE, FOLDER, Stage, artifact_kinds, describe_kind, is_outside, lies_as
from prefline.pipeline.store import Artifact, Store


@dataclass(frozen=True, slots=True)
class Upstream:
    """An input that another part of the same file makes."""

    part: str


Source = Upstream | Artifact | Path | Provided


@dataclass(frozen=True, slots=True)
class Part:
    """A stage of a pipeline file, its settings checked and its inputs found."""

    name: str
    stage: Stage
    settings: Config
    sources: Mapping[str, Source]
    seed: int | None
    label: str | None  # what to call the artifact

    @property
    def upstream(self) -> list[str]:
        """The parts that this one takes artifacts from."""
        return [source.part for source in self.sources.values() if isinstance(source, Upstream)]


def wire(file: PipelineFile, folder: Path, store: Store | None) -> list[Part]:
    """Check how stages hang together; files are looked for from `folder`, artifacts in `store`, if there is one."""
    stages: dict[str, Stage] = {}
    for name, entry in file.stages.items():
        with _at(f"stages.{name}"):
            stages[name] = find_stage(entry.stage)
    parts = {name: _check(name, entry, file.seed, stages, folder, store) for name, entry in file.stages.items()}
    _check_labels(parts.values())
    return [parts[name] for name in _sort({name: part.upstream for name, part in parts.items()})]


def _check(
    name: str, entry: Entry, seed: int | None, stages: Mapping[str, Stage], folder: Path, store: Store | None
) -> Part:
    stage = stages[name]
    with _at(f"stages.{name}.params"):
        settings = stage.params.parse(entry.params)
    with _at(f"stages.{name}.seed"):
        # The file's own seed is for those who want one; an entry's is meant for just this stage.
        chosen = seed if entry.seed is None and stage.needs_seed(settings) else entry.seed
        stage.check_seed(chosen, settings)
    sources: dict[str, Source] = {}
    with _at(f"stages.{name}.inputs"):
        stage.check_roles(entry.inputs)
    with _at(f"stages.{name}"):
        stage.check(settings, entry.inputs)
    for role, text in entry.inputs.items():
        with _at(f"stages.{name}.inputs.{role}"):
            sources[role] = _find(text, stage.takes[role], stages, folder, store)
    return Part(name, stage, settings, sources, chosen, entry.name)


def _check_labels(parts: Iterable[Part]) -> None:
    """Refuse to give one name to two artifacts: the later one would take it from the other."""
    taken: dict[tuple[str, str], str] = {}
    for part in parts:
        if part.label is not None:
            other = taken.setdefault((part.stage.makes, part.label), part.name)
            if other != part.name:
                raise ConfigError(f"stages.{part.name}.name: {part.label!r} is what {other} is to be called already")


def _find(text: str, kind: str, stages: Mapping[str, Stage], folder: Path, store: Store | None) -> Source:
    place = parse_place(text, kind)
    if not isinstance(place, Path):
        return place
    if is_outside(kind):
        return _find_path(text, kind, stages, folder)
    if lies_as(kind) and text not in stages and lies_outside(near := folder / place.expanduser(), kind):
        return near
    try:
        return _find_artifact(text, kind, stages, store)
    except ConfigError as error:
        if not lies_as(kind) or text in stages:
            raise
        others = did_you_mean(place.name, [other.name for other in list_folder((folder / place).parent)])
        raise ConfigError(f"{error}; and there is no {' or '.join(lies_as(kind))} of that name{others}") from None


def _find_path(text: str, kind: str, stages: Mapping[str, Stage], folder: Path) -> Path:
    expected = describe_kind(kind)
    try:
        path = folder / Path(text).expanduser()
        if (path.is_file() and kind != FOLDER) or (path.is_dir() and kind != FILE):
            return path
        if text in stages:
            raise ConfigError(
                f"expected {expected}, found the stage {text!r}, which makes the kind {stages[text].makes}"
            )
        found = "a folder" if path.is_dir() else "a file" if path.is_file() else "a pipe or a device"
        found = found if path.exists() else "nothing there"
    except (OSError, RuntimeError, ValueError) as error:  # too long, nobody's home, with a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"expected {expected}, found {shorten(repr(text))}: {reason}") from None
    near = did_you_mean(path.name, [other.name for other in list_folder(path.parent)])
    raise ConfigError(f"expected {expected}, found {found}: {path.absolute()}{near}")


def _find_artifact(text: str, kind: str, stages: Mapping[str, Stage], store: Store | None) -> Source:
    if text in stages:
        if (makes := stages[text].makes) not in artifact_kinds(kind):
            wanted = " or ".join(artifact_kinds(kind))
            raise ConfigError(f"expected the kind {wanted}, found the stage {text!r}, which makes {makes}")
        return Upstream(text)
    missing = f"no stage of this file is called {shorten(repr(text))}{did_you_mean(text, stages)}"
    if store is None:
        raise ConfigError(f"{missing}, and there is no store to look in yet")
    try:
        artifact = store.get(store.resolve(text))
    except PreflineError as error:
        raise ConfigError(f"{missing}, and {error}") from None
    if (found := artifact.manifest.kind) not in artifact_kinds(kind):
        wanted = " or ".join(artifact_kinds(kind))
        raise ConfigError(f"expected the kind {wanted}, found {text!r}, which is of the kind {found}")
    return artifact


def _sort(upstream: Mapping[str, list[str]]) -> list[str]:
    """Return the parts in the file's own order, but each after what it needs."""
    try:
        graphlib.TopologicalSorter(upstream).prepare()
    except graphlib.CycleError as error:
        circle = " <- ".join(error.args[1])
        raise ConfigError(f"stages wait for each other in a circle: {circle}") from None
    order: dict[str, None] = {}
    for name in upstream:
        pending = [name]
        while pending:  # without recursion: a chain may be longer than Python's stack
            missing = [source for source in upstream[pending[-1]] if source not in order]
            if missing:
                pending += missing
            else:
                order[pending.pop()] = None
    return list(order)


@contextlib.contextmanager
def _at(place: str) -> Iterator[None]:
    """Put the place in the file before what is wrong there."""
    try:
        yield
    except PreflineError as error:
        raise ConfigError(f"{place}: {error}") from None
