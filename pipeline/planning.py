"""What would be made, what would be reused, and why: asked before anything runs, and without running anything."""

import contextlib
import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from prefline.data.errors import ConfigError, StoreError
from prefline.data.wording import count, did_you_mean, plain
from prefline.pipeline.checkpoints import Checkpoints
from prefline.pipeline.drawing import short
from prefline.pipeline.filesystem import read_file
from prefline.pipeline.lineage import Difference, Explanation, compare, explain_recipe
from prefline.pipeline.manifest import Recipe
from prefline.pipeline.runs import run_folder
from prefline.pipeline.stages import Input, SourceFile
from prefline.pipeline.store import Artifact, Store
from prefline.pipeline.verification import find_faults
from prefline.pipeline.wiring import Part, Upstream

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Earlier:
    """The nearest that was made before: where it lies, and what is different now."""

    id: str
    made: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a part. Its recipe is unknown while it waits for another part."""

    part: Part
    why: str
    reuse: Artifact | None = None
    recipe: Recipe | None = None
    inputs: Mapping[str, Input] = field(default_factory=dict)
    nearest: Earlier | None = None


class Planner:
    """Decides about parts one after the other, as the artifacts that they need become known."""

    def __init__(self, store: Store | None) -> None:
        """Look for what was made before in a store, if there is one yet."""
        self._store = store
        self._files: dict[Path, SourceFile] = {}
        self._history: dict[str, list[_Record]] = {}

    def plan(self, parts: Iterable[Part], forced: Iterable[str] = ()) -> list[Decision]:
        """Decide about all parts of a file, in order; those `forced` are made whatever was made before."""
        known: dict[str, Artifact] = {}
        decisions: list[Decision] = []
        for part in parts:
            decision = self.decide(part, known, force=part.name in set(forced))
            if decision.reuse is not None:
                known[part.name] = decision.reuse
            decisions.append(decision)
        return decisions

    def decide(self, part: Part, known: Mapping[str, Artifact], *, force: bool = False) -> Decision:
        """Decide about one part, the artifacts of some others being known."""
        waits = [name for name in part.upstream if name not in known]
        if waits:
            return Decision(part, f"waits for {' and '.join(dict.fromkeys(waits))}")
        inputs = {role: self._input(source, known) for role, source in part.sources.items()}
        recipe = part.stage.recipe(part.settings, inputs, part.seed)
        if self._store is None:
            return Decision(part, "there is no store yet", None, recipe, inputs)
        if force:
            return Decision(part, "forced", None, recipe, inputs)
        found = self._store.find(recipe.key)
        if found is not None:
            faults = find_faults(found.path, quick=True, expected_id=found.id)
            if not faults:
                return Decision(part, short(found.id), found, recipe, inputs)
            return Decision(part, f"made before, but {short(found.id)} is damaged: {faults[0]}", None, recipe, inputs)
        saved = Checkpoints(run_folder(self._store, recipe.key), recipe).steps()
        if saved:
            why = f"was interrupted: goes on after step {saved[-1]:,}"
            return Decision(part, why, None, recipe, inputs)
        nearest = self._nearest(recipe)
        why = describe_changes(nearest.differences) if nearest else "never made"
        return Decision(part, why, None, recipe, inputs, nearest)

    def explain(self, decision: Decision) -> Explanation | None:
        """Compare a part that is to be made with the nearest that was made, back to the first inputs that differ."""
        if self._store is None or decision.nearest is None:
            return None
        return explain_recipe(self._store, decision.nearest.id, decision.nearest.differences)

    def _input(self, source: Upstream | Artifact | Path, known: Mapping[str, Artifact]) -> Input:
        if isinstance(source, Upstream):
            return known[source.part]
        if isinstance(source, Artifact):
            return source
        if source not in self._files:  # a large one takes its time
            self._files[source] = SourceFile.read(source)
        return self._files[source]

    def _nearest(self, recipe: Recipe) -> Earlier | None:
        """Find what was made by the same stage with the fewest differences; of those, the latest."""
        now = recipe.model_dump()
        fields = _flatten(now)
        known = self._history.get(recipe.stage)
        if known is None:
            known = self._history[recipe.stage] = list(self._read_history(recipe.stage))
        best = max(known, key=lambda record: (-len(fields ^ record.fields), record.made), default=None)
        return Earlier(best.id, best.made, tuple(compare(best.recipe, now))) if best else None

    def _read_history(self, stage: str) -> Iterator["_Record"]:
        """Read the records of a stage's recipes, unchecked: they explain, and nothing is made from them."""
        mention = json.dumps(stage).encode()
        for raw in self._records:
            if mention in raw:  # most are of other stages and need no parsing
                with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
                    record = json.loads(raw)
                    if record["recipe"]["stage"] == stage:
                        made = str(record["run"].get("started", ""))
                        yield _Record(str(record["id"]), made, record["recipe"], _flatten(record["recipe"]))

    @functools.cached_property
    def _records(self) -> list[bytes]:
        records: list[bytes] = []
        for path in self._store.entries("keys") if self._store else ():
            with contextlib.suppress(StoreError):
                records.append(read_file(path))
        return records


class _Record(NamedTuple):
    """What is remembered of a recipe that was made."""

    id: str
    made: str
    recipe: dict[str, Any]
    fields: frozenset[str]


def _flatten(value: Mapping[str, Any], prefix: str = "") -> frozenset[str]:
    """Return each field with its value, so that recipes can be compared by the thousand."""
    fields: set[str] = set()
    for name, item in value.items():
        fields |= _flatten(item, f"{prefix}{name}.") if isinstance(item, Mapping) else {f"{prefix}{name}={item!r}"}
    return frozenset(fields)


def describe_changes(differences: Iterable[Difference]) -> str:
    """Say in a line what is different from before."""
    said = [_describe(difference) for difference in differences]
    more = f"; {count(len(said) - _SHOWN, 'more change', 'more changes')}" if len(said) > _SHOWN else ""
    return "; ".join(said[:_SHOWN]) + more


def upstream_of(name: str, parts: Iterable[Part]) -> set[str]:
    """Return the name of a part and those of all that it depends on."""
    parts = list(parts)
    wanted = select(parts, [name])
    for part in reversed(parts):  # whatever needs a part comes after it
        if part.name in wanted:
            wanted.update(part.upstream)
    return wanted


def select(parts: Iterable[Part], only: Iterable[str] = (), start: str | None = None) -> set[str]:
    """Return the names of the parts that are meant: those given, or one and all that depend on it, or all."""
    parts = list(parts)
    names = [part.name for part in parts]
    only = set(only)
    for name in [*only, *([start] if start is not None else [])]:
        if name not in names:
            raise ConfigError(f"no stage of this file is called {name!r}{did_you_mean(name, names)}")
    if start is None:
        return only or set(names)
    chosen = {start}
    for part in parts:  # in order, so whatever a part needs has been looked at
        if chosen.intersection(part.upstream):
            chosen.add(part.name)
    return chosen & only if only else chosen


def require_made(decisions: Iterable[Decision], selected: set[str]) -> None:
    """Refuse to begin where a part that was left out has not been made, and another one needs it."""
    decided = {decision.part.name: decision for decision in decisions}
    for decision in decided.values():
        for name in decision.part.upstream if decision.part.name in selected else ():
            if name not in selected and decided[name].reuse is None:
                raise ConfigError(
                    f"{decision.part.name} needs {name}, which is not there yet ({decided[name].why}): "
                    "leave out --only and --from, or run it first"
                )


def _describe(difference: Difference) -> str:
    before, now = (_show(side) for side in (difference.first, difference.second))
    if difference.first is None:
        return f"{difference.field} is new: {now}"
    if difference.second is None:
        return f"{difference.field} is gone, it was {before}"
    return f"{difference.field} changed {before} -> {now}"


def _show(value: object) -> str:
    if isinstance(value, str) and "sha256:" in value:
        return short(value)
    return plain(value)
