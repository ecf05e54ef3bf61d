"""Running a pipeline file: each step is made or reused, in order, and a stop anywhere loses no finished step."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from prefline.pipeline.making import Made, make
from prefline.pipeline.planning import Decision, Planner, require_made
from prefline.pipeline.runtime import Runtime
from prefline.pipeline.store import Artifact, Store
from prefline.pipeline.wiring import Step


@dataclass(frozen=True, slots=True)
class Ended:
    """A step that has led to its artifact."""

    step: Step
    made: Made


def run(
    store: Store,
    steps: Iterable[Step],
    selected: set[str],
    *,
    force: bool = False,
    runtime: Runtime | None = None,
) -> Iterator[Decision | Ended]:
    """Make or reuse the selected steps: yield what was decided as each begins, and its artifact as it ends."""
    runtime = runtime or Runtime()
    steps = list(steps)
    planner = Planner(store)
    require_made(planner.plan(steps, selected if force else ()), selected)
    known: dict[str, Artifact] = {}
    for step in steps:
        if step.name not in selected:
            if known.keys() >= {*step.upstream} and (found := planner.decide(step, known).reuse):
                known[step.name] = found
            continue
        decision = planner.decide(step, known, force=force)
        yield decision
        made = make(
            store,
            step.stage,
            params=step.settings.model_dump(),
            inputs=decision.inputs,
            seed=step.seed,
            name=step.label,
            force=force,
            runtime=replace(runtime, label=step.name),
        )
        known[step.name] = made.artifact
        yield Ended(step, made)
