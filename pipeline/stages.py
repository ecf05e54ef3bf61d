"""What a stage is: a function from settings and inputs to files, and what must be known to call it."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefline.data.configuration import Config
from prefline.data.errors import ConfigError, DataError
from prefline.data.wording import did_you_mean
from prefline.pipeline.manifest import Recipe
from prefline.pipeline.store import Artifact

if TYPE_CHECKING:
    from prefline.pipeline.jobs import Job


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
# What the verb of every stage has as options of its own.
RESERVED = ("checkpoint_every", "device", "force", "keep_checkpoints", "name", "seed", "store", "track")
SEEDS = 2**53  # what any reader of JSON holds exactly
FILE = "file"  # stands in the place of a kind where an input is a file outside the store


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
    run: Callable[["Job"], Outcome]
    makes: str  # the kind of its artifact
    takes: Mapping[str, str] = field(default_factory=dict)  # the kind of each input, by role
    seeded: bool = False  # whether chance plays a part, so that a seed belongs to the recipe

    def __post_init__(self) -> None:
        """Refuse names that would hide an option of the stage's verb."""
        for name in (*self.takes, *self.params.model_fields):
            if name in RESERVED or (name in self.takes and name in self.params.model_fields):
                raise ValueError(f"the stage {self.name} cannot call an input or a setting {name!r}: it is taken")

    def recipe(self, settings: Config, inputs: Mapping[str, Input], seed: int | None) -> Recipe:
        """Return all that decides what is made, or refuse inputs that do not fit."""
        self.check_inputs(inputs)
        self.check_seed(seed)
        return Recipe.model_validate(self.describe(settings, inputs, seed))

    def describe(self, settings: Config, inputs: Mapping[str, Input], seed: int | None) -> dict[str, Any]:
        """Return a recipe as a document; inputs that are not known yet may be left out."""
        return {
            "stage": self.name,
            "stage_version": self.version,
            "params": settings.model_dump(mode="json"),
            "inputs": {role: _identify(given) for role, given in inputs.items()},
            "seed": seed,
        }

    def check_seed(self, seed: int | None) -> None:
        """Refuse a seed where nothing is left to chance, and want one where something is."""
        if seed is not None and not self.seeded:
            raise ConfigError(f"{self.name} leaves nothing to chance and takes no seed")
        if seed is None and self.seeded:
            raise ConfigError(f"{self.name} needs a seed: any whole number from 0, such as 1")
        if seed is not None and not 0 <= seed < SEEDS:
            raise ConfigError(f"expected a seed from 0 to {SEEDS - 1:,}, found {seed:,}")

    def check_roles(self, roles: Iterable[str]) -> None:
        """Refuse an input that is unknown, and want those that are missing."""
        given = list(roles)
        for role in given:
            if role not in self.takes:
                takes = ", ".join(self.takes) or "no inputs"
                raise ConfigError(f"unknown input {role!r}{did_you_mean(role, self.takes)}: {self.name} takes {takes}")
        for role, kind in self.takes.items():
            if role not in given:
                raise ConfigError(f"the input {role!r} is missing: expected {describe_kind(kind)}")

    def check_inputs(self, inputs: Mapping[str, Input]) -> None:
        """Refuse inputs that are missing, unknown or of the wrong kind."""
        self.check_roles(inputs)
        for role, kind in self.takes.items():
            given = inputs[role]
            if not isinstance(given, SourceFile | Artifact):
                found = type(given).__name__
                by = "SourceFile.read" if kind == FILE else "Store.get"
                raise ConfigError(f"input {role!r}: expected {describe_kind(kind)}, as {by} returns it, found {found}")
            if _kind_of(given) != kind:
                raise ConfigError(f"input {role!r}: expected {describe_kind(kind)}, found the kind {_kind_of(given)}")


def _kind_of(given: Input) -> str:
    return FILE if isinstance(given, SourceFile) else given.manifest.kind


def _identify(given: Input) -> str:
    return f"file:sha256:{given.sha256}" if isinstance(given, SourceFile) else given.id


def describe_kind(kind: str) -> str:
    """Say what an input must be."""
    return "a file" if kind == FILE else f"an artifact of the kind {kind}"
