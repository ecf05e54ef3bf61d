"""What would be made, what would be reused, and why: asked before anything runs, and without running anything."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from prefline.data.errors import ConfigError
from prefline.data.wording import count, did_you_mean, plain
from prefline.pipeline import locks
from prefline.pipeline.checkpoints import Checkpoints
from prefline.pipeline.drawing import short
from prefline.pipeline.history import Earlier, History
from prefline.pipeline.lineage import Difference, Explanation, explain_recipe
from prefline.pipeline.manifest import Recipe
from prefline.pipeline.provided import Provided, read_source
from prefline.pipeline.runs import LOCK, run_folder
from prefline.pipeline.sources import Outside
from prefline.pipeline.stages import Input
from prefline.pipeline.store import Artifact, Store
from prefline.pipeline.verification import find_faults
from prefline.pipeline.wiring import Part, Source, Upstream

_SHOWN = 3  # of the changes


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a part. Its recipe is unknown while it waits for another part."""

    part: Part
    reason: str = ""  # what there is to say beside the changes
    reuse: Artifact | None = None
    recipe: Recipe | None = None
    inputs: Mapping[str, Input] = field(default_factory=dict)
    nearest: Earlier | None = None  # of all that was made before, where it must be made

    @property
    def action(self) -> str:
        """Say whether it is made or reused."""
        return "make" if self.reuse is None else "reuse"

    @property
    def why(self) -> str:
        """Say in a line why it is made or reused."""
        changes = describe_changes(self.nearest.differences) if self.nearest else ""
        if self.recipe is None:  # it waits, which may not be all
            return "; ".join(filter(None, [self.reason, changes]))
        return self.reason or changes or "never made"


class Planner:
    """Decides about parts; what it has read and hashed for one serves for all."""

    def __init__(self, store: Store | None) -> None:
        """Look for what was made before in a store, if there is one yet."""
        self._store = store
        self._history = History(store) if store else None
        self._outside: dict[tuple[Path | Provided, str], Outside] = {}

    def plan(
        self, parts: Iterable[Part], forced: Iterable[str] = (), known: Mapping[str, Artifact] | None = None
    ) -> list[Decision]:
        """Decide about parts in order, the artifacts of some others being known.

        Those `forced` are made whatever was made before.
        """
        forced = set(forced)
        found = dict(known or {})
        decisions: list[Decision] = []
        for part in parts:
            decision = self._decide(part, found, force=part.name in forced)
            if decision.reuse is not None:
                found[part.name] = decision.reuse
            decisions.append(decision)
        # Only now, as the nearest to a changed part is seldom what another part is going to reuse.
        taken = {artifact.id for artifact in found.values()}
        return [
            decision if decision.recipe and decision.part.name in forced else self._look_back(decision, taken)
            for decision in decisions
        ]

    def _decide(self, part: Part, known: Mapping[str, Artifact], *, force: bool) -> Decision:
        waits = [name for name in part.upstream if name not in known]
        inputs = {
            role: self._input(source, part.stage.takes[role], known)
            for role, source in part.sources.items()
            if not _waits(source, known)
        }
        if waits:
            return Decision(part, f"waits for {' and '.join(dict.fromkeys(waits))}", inputs=inputs)
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
        return Decision(part, _describe_run(self._store, recipe), None, recipe, inputs)

    def _look_back(self, decision: Decision, taken: set[str]) -> Decision:
        """Find what was made before that is nearest to what must be made."""
        if self._store is None or self._history is None or decision.reuse is not None:
            return decision
        part = decision.part
        now = part.stage.describe(part.settings, decision.inputs, part.seed)
        nearest = self._history.nearest(now, self._names.get(f"{part.stage.makes}/{part.label}"), taken)
        if nearest is None:
            return decision
        unknown = {f"inputs.{role}" for role in part.sources if role not in decision.inputs}
        differences = tuple(found for found in nearest.differences if found.field not in unknown)
        if not differences and not decision.reason:
            if self._store.has(nearest.id):
                return replace(decision, reason=f"the record that it led to {short(nearest.id)} is damaged")
            gone = f"was made before, but {short(nearest.id)} is not in the store any more"
            back = f": `prefline gc --restore {short(nearest.id)}`" if nearest.id in self._store.trashed() else ""
            return replace(decision, reason=gone + back)
        return replace(decision, nearest=replace(nearest, differences=differences))

    @functools.cached_property
    def _names(self) -> dict[str, str]:
        return self._store.names.readable() if self._store else {}

    def explain(self, decision: Decision) -> Explanation | None:
        """Compare a part that is to be made with the nearest that was made, back to the first inputs that differ."""
        if self._store is None or decision.nearest is None or not decision.nearest.differences:
            return None
        return explain_recipe(self._store, decision.nearest.id, decision.nearest.differences)

    def _input(self, source: Source, kind: str, known: Mapping[str, Artifact]) -> Input:
        if isinstance(source, Upstream):
            return known[source.part]
        if isinstance(source, Artifact):
            return source
        if (source, kind) not in self._outside:  # a large one takes its time
            self._outside[source, kind] = read_source(source, kind)
        return self._outside[source, kind]


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
    if only and start is not None:
        raise ConfigError("--only and --from do not go together: say --only of each stage that is meant")
    for name in [*only, *([start] if start is not None else [])]:
        if name not in names:
            raise ConfigError(f"no stage of this file is called {name!r}{did_you_mean(name, names)}")
    if start is None:
        return only or set(names)
    chosen = {start}
    for part in parts:  # in order, so whatever a part needs has been looked at
        if chosen.intersection(part.upstream):
            chosen.add(part.name)
    return chosen


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


def _describe_run(store: Store, recipe: Recipe) -> str:
    """Say how far a recipe has come that has led to nothing yet."""
    folder = run_folder(store, recipe.key)
    saved = Checkpoints(folder, recipe).steps()
    if locks.is_held(folder / LOCK):
        return "another process is making it" + (f", and has saved step {saved[-1]:,}" if saved else "")
    return f"was interrupted: goes on after step {saved[-1]:,}" if saved else ""


def _waits(source: Source, known: Mapping[str, Artifact]) -> bool:
    return isinstance(source, Upstream) and source.part not in known


def _describe(difference: Difference) -> str:
    before, now = (_show(side) for side in (difference.first, difference.second))
    if difference.only_in == "second":
        return f"{difference.field} is new: {now}"
    if difference.only_in == "first":
        return f"{difference.field} is gone, it was {before}"
    return f"{difference.field} changed {before} -> {now}"


def _show(value: object) -> str:
    if isinstance(value, str) and "sha256:" in value:
        return short(value)
    return plain(value)
