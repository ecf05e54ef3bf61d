"""What a stage is, and how one is run: the same recipe is never made twice, and inputs are verified first."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from prefline.data.configuration import Config
from prefline.data.errors import ConfigError, DataError, StoreError
from prefline.data.wording import did_you_mean
from prefline.pipeline import locks
from prefline.pipeline.failpoints import reach
from prefline.pipeline.manifest import Recipe
from prefline.pipeline.naming import check_name
from prefline.pipeline.publishing import draft
from prefline.pipeline.store import Artifact, Store
from prefline.pipeline.verification import find_faults, require_sound


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that lies outside the store, known to recipes by its bytes and not by its place."""

    path: Path
    sha256: str

    @classmethod
    def read(cls, path: str | Path) -> "SourceFile":
        """Take the digest of a file."""
        path = Path(path)
        if path.is_dir():
            raise DataError(f"{path}: expected a file, found a folder")
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: expected a file that can be read twice, found a pipe or a device: save it first")
        try:
            with path.open("rb") as stream:
                return cls(path, hashlib.file_digest(stream, "sha256").hexdigest())
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from None


Input = SourceFile | Artifact
FILE = "file"  # stands in the place of a kind where an input is a file outside the store


@dataclass(frozen=True, slots=True)
class Job:
    """What a stage is given: checked settings, verified inputs and an empty folder to write to."""

    params: Any
    inputs: Mapping[str, Input]
    folder: Path

    def source(self, role: str) -> SourceFile:
        """Return an input that is a file outside the store."""
        given = self.inputs[role]
        if not isinstance(given, SourceFile):
            raise TypeError(f"the input {role!r} is an artifact, not a file")
        return given


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage says of the files that it wrote."""

    data: Mapping[str, Any]
    feedback: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Stage:
    """A step from artifacts to one artifact. Its version counts up when the same recipe gives other bytes."""

    name: str
    version: int
    params: type[Config]
    run: Callable[[Job], Outcome]
    makes: str  # the kind of its artifact
    takes: Mapping[str, str] = field(default_factory=dict)  # the kind of each input, by role
    seeded: bool = False  # whether chance plays a part, so that a seed belongs to the recipe

    def check_inputs(self, inputs: Mapping[str, Input]) -> None:
        """Refuse inputs that are missing, unknown or of the wrong kind."""
        for role in inputs:
            if role not in self.takes:
                takes = ", ".join(self.takes) or "no inputs"
                raise ConfigError(f"unknown input {role!r}{did_you_mean(role, self.takes)}: {self.name} takes {takes}")
        for role, kind in self.takes.items():
            given = inputs.get(role)
            if not isinstance(given, SourceFile | Artifact):
                found = "nothing" if given is None else type(given).__name__
                raise ConfigError(f"input {role!r}: expected {_describe_kind(kind)}, found {found}")
            if _kind_of(given) != kind:
                raise ConfigError(f"input {role!r}: expected {_describe_kind(kind)}, found the kind {_kind_of(given)}")


class Made(NamedTuple):
    """The artifact that a recipe leads to, and what was known before it was made."""

    artifact: Artifact
    reused: bool
    damage: str | None = None


def make(
    store: Store,
    stage: Stage,
    *,
    params: Mapping[str, Any],
    inputs: Mapping[str, Input],
    seed: int | None = None,
    name: str | None = None,
) -> Made:
    """Return the artifact of this recipe, running the stage only if it was not made before."""
    settings = stage.params.parse(params)
    stage.check_inputs(inputs)
    if name is not None:
        check_name(name)  # before the work, not after it
    if seed is not None and not stage.seeded:
        raise ConfigError(f"{stage.name} leaves nothing to chance and takes no seed")
    if seed is None and stage.seeded:
        raise ConfigError(f"{stage.name} needs a seed")
    recipe = Recipe(
        stage=stage.name,
        stage_version=stage.version,
        params=settings.model_dump(mode="json"),
        inputs={role: _identify(given) for role, given in inputs.items()},
        seed=seed,
    )
    for given in inputs.values():
        if isinstance(given, Artifact):
            require_sound(given.path, given.id)
    earlier, damage = _find_sound(store, recipe)
    if earlier is not None:
        if name is not None:
            store.set_name(name, earlier.id)
        return Made(earlier, reused=True)
    with draft(store, recipe) as work:
        outcome = stage.run(Job(settings, inputs, work.folder))
        reach("draft.written")
        artifact = work.publish(
            kind=stage.makes, data=outcome.data, feedback=outcome.feedback, notes=_notes(inputs), name=name
        )
    return Made(artifact, reused=False, damage=damage)


def _find_sound(store: Store, recipe: Recipe) -> tuple[Artifact | None, str | None]:
    """Return what the recipe led to before, if it is whole, and otherwise what is wrong with it."""
    earlier = store.find(recipe.key)
    if earlier is None:
        return None, None
    # Under the lock, or a gc that has made its plan takes what was just asked for. A store that cannot
    # be written has no gc.
    with contextlib.suppress(StoreError), locks.shared(store.lock):
        store.keep_young(earlier.id)
    faults = find_faults(earlier.path, expected_id=earlier.id)
    return (None, f"{earlier.id} was damaged: {faults[0]}") if faults else (earlier, None)


def _kind_of(given: Input) -> str:
    return FILE if isinstance(given, SourceFile) else given.manifest.kind


def _describe_kind(kind: str) -> str:
    return "a SourceFile (SourceFile.read makes one)" if kind == FILE else f"an Artifact of the kind {kind}"


def _identify(given: Input) -> str:
    return f"file:sha256:{given.sha256}" if isinstance(given, SourceFile) else given.id


def _notes(inputs: Mapping[str, Input]) -> dict[str, Any]:
    """Remember what files were called, for people; where they lay is nobody's business."""
    files = {
        # A name may hold bytes that are no text in this locale.
        role: os.fsencode(given.path.name).decode(errors="replace")
        for role, given in inputs.items()
        if isinstance(given, SourceFile)
    }
    return {"sources": files} if files else {}
