"""Running a pipeline file: each part is made or reused, in order, and a stop anywhere loses no finished part."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from prefline.data.errors import StoreError
from prefline.pipeline.making import Made, make
from prefline.pipeline.planning import Decision, Planner, require_made
from prefline.pipeline.runtime import Runtime
from prefline.pipeline.store import Artifact, Store
from prefline.pipeline.wiring import Part


@dataclass(frozen=True, slots=True)
class Ended:
    """A part that has led to its artifact."""

    part: Part
    made: Made


def run(
    store: Store,
    parts: Iterable[Part],
    selected: set[str],
    *,
    force: bool = False,
    runtime: Runtime | None = None,
) -> Iterator[Decision | Ended]:
    """Make or reuse the selected parts: yield what was decided as each begins, and its artifact as it ends."""
    runtime = runtime or Runtime()
    parts = list(parts)
    planner = Planner(store)
    forced = selected if force else ()
    plan = planner.plan(parts, forced)
    require_made(plan, selected)
    known = {found.part.name: found.reuse for found in plan if found.reuse and found.part.name not in selected}
    meant = [part for part in parts if part.name in selected]
    with contextlib.ExitStack() as kept:
        for artifact in known.values():
            _keep(store, artifact, kept)
        for part in meant:
            (decision,) = planner.plan([part], forced, known)
            yield decision
            made = make(
                store,
                part.stage,
                params=part.settings,
                inputs=decision.inputs,
                seed=part.seed,
                name=part.label,
                force=force,
                runtime=replace(runtime, label=part.name),
            )
            known[part.name] = made.artifact
            _keep(store, made.artifact, kept)
            yield Ended(part, made)


def _keep(store: Store, artifact: Artifact, kept: contextlib.ExitStack) -> None:
    """Keep gc from what a later part may need: parts in between may take days, and it may have no name."""
    with contextlib.suppress(StoreError):  # where nothing can be written there is no gc
        kept.enter_context(store.staging([artifact.id]))
