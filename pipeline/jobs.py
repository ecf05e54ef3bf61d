"""What a stage is given: settings, inputs, a folder, chance, a device; and what it owes after each step.

A stage that works step by step is written like this, and can then be stopped, killed and resumed:

    saved = job.resume()
    first = 0
    if saved is not None:
        model.load_state_dict(saved.state["model"])
        first = saved.step
    for step in range(first, steps):
        loss = ...  # with job.randomness.torch("shuffle", step) and the like
        job.finish_step(step + 1, of=steps, values={"loss": loss}, state=save)  # save() -> {"model": ...}
"""

import contextlib
import functools
import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

from prefline.data.errors import PreflineError
from prefline.pipeline.checkpoints import Checkpoint, Checkpoints
from prefline.pipeline.devices import choose_device, choose_precision, describe_device
from prefline.pipeline.environment import compare_environments, describe_environment
from prefline.pipeline.failpoints import reach
from prefline.pipeline.failures import explain_failure, require_finite
from prefline.pipeline.filesystem import make_folder
from prefline.pipeline.manifest import Recipe
from prefline.pipeline.metrics import MetricsFile, as_number
from prefline.pipeline.progress import Progress
from prefline.pipeline.randomness import Randomness
from prefline.pipeline.runs import METRICS, SCRATCH, erase_scratch
from prefline.pipeline.runtime import Runtime
from prefline.pipeline.sources import Outside
from prefline.pipeline.stages import Input, Outcome
from prefline.pipeline.state import check_state
from prefline.pipeline.store import Artifact
from prefline.pipeline.trackers import BackgroundTracker, RunDescription

if TYPE_CHECKING:
    import torch


@dataclass
class Job:
    """One run of a stage."""

    params: Any
    inputs: Mapping[str, Input]
    recipe: Recipe
    run: Path  # the run's own folder
    checkpoints: Checkpoints
    runtime: Runtime
    folder: Path = field(init=False)  # an empty one, to write to

    def __post_init__(self) -> None:
        """Begin with nothing done."""
        self._resumed: list[dict[str, Any]] = []  # from which steps, and what was different then
        self._saved_at = time.monotonic()
        self._last = 0  # the step before
        self._held = contextlib.ExitStack()  # what ends together with the work
        self._progress: Progress | None = None
        self._metrics: MetricsFile | None = None
        self._checked = False
        self._trackers: list[BackgroundTracker] = []

    @contextlib.contextmanager
    def begin(self, folder: Path) -> Iterator[None]:
        """Work in a folder; on leaving, all that shows and logs the work comes to its end."""
        self.folder = folder
        with self._held:
            if self.runtime.progress:
                self._progress = self.runtime.progress(self.label)
                self._held.callback(self._progress.close)
            yield

    def call(self, run: Callable[["Job"], Outcome]) -> Outcome:
        """Let the stage work; an error that it did not mean to raise says how far it had come."""
        try:
            outcome = run(self)
        except PreflineError:
            raise
        except Exception as error:
            if failure := explain_failure(error, self.label, self.recipe.stage, self._last, self.checkpoints.steps()):
                raise failure from error
            raise
        if not isinstance(outcome, Outcome):
            raise TypeError(f"the stage {self.recipe.stage} must return an Outcome, and returned {outcome!r}")
        return outcome

    @property
    def label(self) -> str:
        """What to call the stage when talking of it."""
        return self.runtime.label or self.recipe.stage

    def source(self, role: str) -> Outside:
        """Return an input that lies outside the store."""
        given = self.inputs[role]
        if isinstance(given, Artifact):
            raise TypeError(f"the input {role!r} is an artifact, not a file")
        return given

    def artifact(self, role: str) -> Artifact:
        """Return an input that is an artifact, every byte of which has been verified."""
        given = self.inputs[role]
        if not isinstance(given, Artifact):
            raise TypeError(f"the input {role!r} is a file, not an artifact")
        return given

    def path_of(self, role: str) -> Path:
        """Return where the files of an input lie, whichever side of the store that is."""
        return self.inputs[role].path

    @functools.cached_property
    def scratch(self) -> Path:
        """A folder for what a saved state is too small to hold (scratch.py). It is gone when the artifact is there."""
        make_folder(self.run / SCRATCH)
        return self.run / SCRATCH

    def erase(self) -> None:
        """Forget how far the work has come."""
        self.checkpoints.erase()  # first, as a checkpoint without what it needs would be of no use
        erase_scratch(self.run)

    @functools.cached_property
    def randomness(self) -> Randomness:
        """All the chance that the stage may use."""
        if self.recipe.seed is None:
            raise TypeError(
                f"the stage {self.recipe.stage} is not declared as seeded, so it may leave nothing to chance"
            )
        return Randomness(self.recipe.seed, self.recipe.stage)

    @functools.cached_property
    def device(self) -> "torch.device":
        """Where to compute: it changes bits but not what was asked for, so it is no part of the recipe."""
        return choose_device(self.runtime.device)

    @functools.cached_property
    def dtype(self) -> "torch.dtype":
        """How precisely to compute, which is part of the recipe: the setting `dtype`, where the stage has one."""
        return choose_precision(getattr(self.params, "dtype", "float32"))

    def tell(self, text: str) -> None:
        """Tell whoever waits something that they should know."""
        (self._progress.tell if self._progress else self.runtime.tell)(text)

    def tell_people(self, text: str) -> None:
        """Tell whoever watches; a program finds the same in the artifact."""
        if self._progress:
            self._progress.tell(text)

    def show(self, done: float, total: float | None, unit: str) -> None:
        """Show how far work has come that is not done in steps, and so begins anew after a kill."""
        if self._progress:
            self._progress.update(done, total, unit=unit)

    def resume(self, *, announce: bool = True) -> Checkpoint | None:
        """Begin the steps: return the state to go on from, or None where there is none.

        Unless its numbers are not worth looking at, a person is told where they are.
        """
        if self._metrics is not None:
            raise TypeError("a stage calls job.resume() once, before its first step")
        saved = self.checkpoints.newest(self.tell)
        step = self._last = saved.step if saved else 0
        if saved:
            before = saved.run.get("environment", {})
            if "device" in before:
                _ = self.device  # chosen now, so that it can be compared
            if "threads" in before:
                importlib.import_module("torch")  # for the same reason
            differences = compare_environments(before, self._describe_environment())
            self._resumed = [*saved.run.get("resumed", []), {"from_step": step, "not_bit_exact": differences}]
            exactness = f"; not bit-exact: {', '.join(differences)}" if differences else ""
            self.tell(f"{self.label}: goes on after step {step:,}{exactness}")
        self._metrics = MetricsFile(self.run / METRICS, self.tell)
        self._held.callback(self._metrics.close)
        self._metrics.rewind(step)
        if self._progress:
            if announce:
                self._progress.tell(f"{self.label}: the numbers of each step are in {self.run / METRICS}")
            self._progress.update(step, None)  # the pace is that of this process
        about = RunDescription(self.recipe.stage, self.run.name[:12], self.run, self.recipe.params, step)
        for name in self.runtime.trackers:
            tracker = BackgroundTracker(name, about, self.tell)
            self._held.callback(tracker.close)
            self._trackers.append(tracker)
        self._held.enter_context(self.runtime.interruption.stepwise())
        return saved

    def finish_step(
        self,
        step: int,
        *,
        of: int | None = None,
        values: Mapping[str, SupportsFloat | None],
        state: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Log a step, and save the state if it is time or if a signal asks to stop, which then happens here.

        `step` counts the steps that are done, this one too, and only ever grows. A value may be None: there
        is none this time. `state` is called when it is saved, and once to see that it can be.
        """
        if self._metrics is None:
            raise TypeError("a stage calls job.resume() before its first step, or what it saves is never used")
        if step <= self._last:
            raise ValueError(f"{self.label}: expected a step after {self._last:,}, found {step:,}")
        numbers = {name: as_number(value) for name, value in values.items()}
        require_finite(numbers, self.label, step, self.checkpoints.steps)
        self._metrics.log(step, numbers)
        for tracker in self._trackers:
            tracker.log(step, numbers)
        if self._progress:
            self._progress.update(step, of, numbers)
        reach("step.finished")
        asked = self.runtime.interruption.requested is not None
        if asked or self._is_time_to_save(step):
            self._metrics.sync()  # no resume writes again what came before it
            self.checkpoints.save(step, state(), self.describe_run())
            self._saved_at = time.monotonic()
        elif not self._checked:
            check_state(state())  # what cannot be saved is better known now than at the first Ctrl-C
        self._last, self._checked = step, True
        if step == of:
            self.runtime.interruption.doing = "finishing and publishing, as the last step is done"
        if asked:
            self._held.close()  # the last lines of what is shown and logged come before the last word
            self.runtime.interruption.leave_if_requested(
                f"after step {step:,} of {self.label}, which is saved: the same command goes on from there"
            )

    def describe_run(self) -> dict[str, Any]:
        """Return what the manifest tells of this run: what could change bits, and where it was resumed."""
        return {"environment": self._describe_environment(), **({"resumed": self._resumed} if self._resumed else {})}

    def _describe_environment(self) -> dict[str, Any]:
        chosen = self.__dict__.get("device")  # only if the stage has asked for it
        return describe_environment() | ({"device": describe_device(chosen)} if chosen is not None else {})

    def _is_time_to_save(self, step: int) -> bool:
        every = self.runtime.checkpoint_every
        if isinstance(every, timedelta):
            return time.monotonic() - self._saved_at >= every.total_seconds()
        return step // every > self._last // every  # steps may come in strides
