"""What would be made, what would be reused, and why: asked before anything runs, and without running anything."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from prefline.data.errors import ConfigError
from prefline.data.wording import count, did_you_mean, plain
from prefline.pipeline.checkpoints import Checkpoints
from prefline.pipeline.drawing import short
from prefline.pipeline.history import Earlier, History
from prefline.pipeline.lineage import Difference, Explanation, explain_recipe
from prefline.pipeline.manifest import Recipe
from prefline.pipeline.runs import run_folder
from prefline.pipeline.stages import Input, SourceFile
from prefline.pipeline.store import Artifact, Store
from prefline.pipeline.verification import find_faults
from prefline.pipeline.wiring import Part, Upstream

_SHOWN = 3  # of the changes
_NEVER = "never made"


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
    """Decides about parts; what it has read and hashed for one serves for all."""

    def __init__(self, store: Store | None) -> None:
        """Look for what was made before in a store, if there is one yet."""
        self._store = store
        self._history = History(store) if store else None
        self._files: dict[Path, SourceFile] = {}

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
        return [self._look_back(decision, taken) for decision in decisions]

    def _decide(self, part: Part, known: Mapping[str, Artifact], *, force: bool) -> Decision:
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
            return Decision(part, f"was interrupted: goes on after step {saved[-1]:,}", None, recipe, inputs)
        return Decision(part, _NEVER, None, recipe, inputs)

    def _look_back(self, decision: Decision, taken: set[str]) -> Decision:
        """Say what has changed since the nearest was made, where nothing better is known to say."""
        if self._store is None or self._history is None or decision.recipe is None or decision.why != _NEVER:
            return decision
        part = decision.part
        name = self._names.get(f"{part.stage.makes}/{part.label}")
        nearest = self._history.nearest(decision.recipe, name, taken)
        return replace(decision, why=describe_changes(nearest.differences), nearest=nearest) if nearest else decision

    @functools.cached_property
    def _names(self) -> dict[str, str]:
        return self._store.names.readable() if self._store else {}

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
