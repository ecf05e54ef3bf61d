"""What a stage is: a function from settings and inputs to files, and what must be known to call it."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prefline.data.configuration import Config
from prefline.data.errors import ConfigError
from prefline.data.wording import did_you_mean
from prefline.pipeline.manifest import Recipe
from prefline.pipeline.sources import Outside, SourceFile, SourceFolder
from prefline.pipeline.store import Artifact

if TYPE_CHECKING:
    from prefline.pipeline.jobs import Job


Input = Outside | Artifact
# What the verb of every stage has as options of its own.
RESERVED = ("checkpoint_every", "device", "force", "keep_checkpoints", "name", "seed", "store", "track")
SEEDS = 2**53  # what any reader of JSON holds exactly
# These stand in the place of a kind where an input lies outside the store.
FILE = "file"
FOLDER = "folder"
FILES = "file or folder"
# And these for what is an artifact, or lies outside: a language model, a scorer, a tokenizer (its file, or what has
# one), and texts or prompts.
MODEL = "model"
SCORER = "scorer"
REWARD_MODEL = "reward-model"  # always an artifact
TOKENIZER = "tokenizer"
TEXTS = "texts"
_FROM_ELSEWHERE = "hub:organisation/name or builtin:name"
_OUTSIDE = {FILE: "a file", FOLDER: "a folder", FILES: f"a file, a folder, {_FROM_ELSEWHERE}"}
_EITHER = {
    MODEL: "the folder of a model, hub:organisation/name or builtin:tiny",
    SCORER: "the folder of a scorer, hub:organisation/name",
    TOKENIZER: "a tokenizer.json, the folder of a model, hub:organisation/name or builtin:tiny",
    TEXTS: f"a file, a folder, {_FROM_ELSEWHERE}",
}
_READERS = dict.fromkeys((FILE, FILES, TOKENIZER, TEXTS), "SourceFile.read") | {
    FOLDER: "SourceFolder.read",
    MODEL: "SourceFolder.read_model",
    SCORER: "SourceFolder.read_model",
}
# Where each may lie, and of which kind an artifact then is.
_LIES_IN = {FILE: (FILE,), FOLDER: (FOLDER,), FILES: (FILE, FOLDER)}
_LIES_IN |= {MODEL: (FOLDER,), SCORER: (FOLDER,), TOKENIZER: (FILE,), TEXTS: (FILE, FOLDER)}
_ARTIFACTS = {FILE: (), FOLDER: (), FILES: (), MODEL: (MODEL,), SCORER: (REWARD_MODEL,)}
_ARTIFACTS |= {TOKENIZER: (MODEL, "prompts"), TEXTS: ("prompts",)}


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
    optional: frozenset[str] = frozenset()  # the roles that may be left out
    # Whether chance plays a part, so that a seed belongs to the recipe; where it depends, what decides by the settings.
    seeded: bool | Callable[[Any], bool] = False
    computes: bool = True  # whether it does with tensors, so that the device matters
    stepwise: bool = True  # whether it works in steps, so that there is something to save and to log
    # Refuses settings that do not go with the roles that are given, before anything is done.
    check: Callable[[Any, Collection[str]], None] = lambda _settings, _roles: None

    def __post_init__(self) -> None:
        """Refuse names that would hide an option of the stage's verb."""
        for name in (*self.takes, *self.params.model_fields):
            if name in RESERVED or (name in self.takes and name in self.params.model_fields):
                raise ValueError(f"the stage {self.name} cannot call an input or a setting {name!r}: it is taken")

    def recipe(self, settings: Config, inputs: Mapping[str, Input], seed: int | None) -> Recipe:
        """Return all that decides what is made, or refuse inputs that do not fit."""
        self.check_inputs(inputs)
        self.check(settings, inputs)
        self.check_seed(seed, settings)
        return Recipe.model_validate(self.describe(settings, inputs, seed))

    def describe(self, settings: Config, inputs: Mapping[str, Input], seed: int | None) -> dict[str, Any]:
        """Return a recipe as a document; inputs that are not known yet may be left out."""
        return {
            "stage": self.name,
            "stage_version": self.version,
            "params": settings.model_dump(mode="json"),
            "inputs": {role: identify(given) for role, given in inputs.items()},
            "seed": seed,
        }

    def needs_seed(self, settings: Config) -> bool:
        """Say whether chance plays a part with these settings."""
        return self.seeded(settings) if callable(self.seeded) else self.seeded

    def check_seed(self, seed: int | None, settings: Config) -> None:
        """Refuse a seed where nothing is left to chance, and want one where something is."""
        if seed is not None and not self.needs_seed(settings):
            so = " with these settings" if callable(self.seeded) else ""
            raise ConfigError(f"{self.name} leaves nothing to chance{so} and takes no seed")
        if seed is None and self.needs_seed(settings):
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
            if role not in given and role not in self.optional:
                raise ConfigError(f"the input {role!r} is missing: expected {describe_kind(kind)}")

    def check_inputs(self, inputs: Mapping[str, Input]) -> None:
        """Refuse inputs that are missing, unknown or of the wrong kind."""
        self.check_roles(inputs)
        for role, given in inputs.items():
            kind = self.takes[role]
            if not isinstance(given, SourceFile | SourceFolder | Artifact):
                by, found = _READERS.get(kind, "Store.get"), type(given).__name__
                raise ConfigError(f"input {role!r}: expected {describe_kind(kind)}, as {by} returns it, found {found}")
            fitting = artifact_kinds(kind) if isinstance(given, Artifact) else _LIES_IN.get(kind, ())
            if _kind_of(given) not in fitting:
                raise ConfigError(f"input {role!r}: expected {describe_kind(kind)}, found the kind {_kind_of(given)}")


def _kind_of(given: Input) -> str:
    if isinstance(given, Artifact):
        return given.manifest.kind
    return FILE if isinstance(given, SourceFile) else FOLDER


def identify(given: Input) -> str:
    """Return what stands for an input in a recipe."""
    return given.id if isinstance(given, Artifact) else given.identity


def is_outside(kind: str) -> bool:
    """Say whether an input of this kind lies outside the store, whatever it is."""
    return kind in _OUTSIDE


def lies_as(kind: str) -> tuple[str, ...]:
    """Say what an input of this kind may be outside the store: FILE, FOLDER, both, or nothing at all."""
    return _LIES_IN.get(kind, ())


def artifact_kinds(kind: str) -> tuple[str, ...]:
    """Return the kinds that an artifact may be of where this kind is wanted."""
    return _ARTIFACTS.get(kind, (kind,))


def describe_kind(kind: str) -> str:
    """Say what an input must be."""
    artifact = f"an artifact of the kind {' or '.join(artifact_kinds(kind))}"
    return _OUTSIDE.get(kind) or (f"{_EITHER[kind]}, or {artifact}" if kind in _EITHER else artifact)
