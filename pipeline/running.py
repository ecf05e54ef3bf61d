"""Running a pipeline file: each part is made or reused, in order, and a stop anywhere loses no finished part."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

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
    require_made(planner.plan(parts, selected if force else ()), selected)
    known: dict[str, Artifact] = {}
    for part in parts:
        if part.name not in selected:
            (left_out,) = planner.plan([part], known=known)
            if left_out.reuse is not None:
                known[part.name] = left_out.reuse
            continue
        (decision,) = planner.plan([part], selected if force else (), known)
        yield decision
        made = make(
            store,
            part.stage,
            params=part.settings.model_dump(),
            inputs=decision.inputs,
            seed=part.seed,
            name=part.label,
            force=force,
            runtime=replace(runtime, label=part.name),
        )
        known[part.name] = made.artifact
        yield Ended(part, made)
