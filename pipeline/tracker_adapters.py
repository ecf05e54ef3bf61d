"""What prefline says to each tracker: TensorBoard, Weights & Biases, trackio.

A run that resumes is the same run to its tracker, and the steps that it repeats are not shown twice. What a
tracker would gather by itself (host, user, command line, packages, git, output) is turned off.
"""

import importlib
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from prefline.data.wording import shorten


@dataclass(frozen=True, slots=True)
class RunDescription:
    """What a tracker is told of a run."""

    stage: str
    run_id: str  # short, and the same for every attempt at the same recipe
    folder: Path
    params: Mapping[str, Any]
    resumed_from: int = 0  # the last step that is not made again

    @property
    def name(self) -> str:
        """What people find it by."""
        return f"{self.stage}-{self.run_id}"


class Tracker(Protocol):
    """Where numbers go."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the numbers of one step."""
        ...

    def close(self) -> None:
        """Finish what was logged."""
        ...


class TrackerError(Exception):
    """What went wrong in a tracker, in words that need no type beside them."""


def describe_error(error: BaseException) -> str:
    """Say in one line what a tracker raised."""
    if isinstance(error, TrackerError):
        return str(error)
    first, *_ = str(error).strip().split("\n")
    return shorten(f"{type(error).__name__}: {first}" if first else type(error).__name__, 300)


class TensorBoard:
    """Event files below the run's folder.

    They are written here, because TensorBoard's own writer does it in one more thread, which prints a traceback
    when the disk is full, and loads TensorFlow where there is one.
    """

    def __init__(self, run: RunDescription) -> None:
        events: Any = importlib.import_module("tensorboard.compat.proto.event_pb2")
        summaries: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2")
        records: Any = importlib.import_module("tensorboard.summary.writer.record_writer")
        self._event = events.Event
        self._summary = summaries.Summary
        folder = run.folder / "tensorboard"
        folder.mkdir(parents=True, exist_ok=True)
        # Files are read in the order of their names, so the names count and do not depend on a clock.
        earlier = sorted(path.name for path in folder.glob("events.out.tfevents.*"))
        number = int(earlier[-1].split(".")[3]) + 1 if earlier else 0
        self._stream = (folder / f"events.out.tfevents.{number:010}.{run.run_id}").open("xb")
        self._writer = records.RecordWriter(self._stream)
        try:
            self._write(file_version="brain.Event:2")
            if earlier:  # a restart takes back what earlier files say of its own and later steps
                start = events.SessionLog(status=events.SessionLog.START)
                self._write(step=run.resumed_from + 1, session_log=start)
        except OSError:
            self._abandon()
            raise

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write one event, and not later than now, so that a kill loses nothing."""
        value = self._summary.Value
        scalars = [value(tag=name, simple_value=number) for name, number in values.items()]
        self._write(step=step, summary=self._summary(value=scalars))

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _write(self, **fields: Any) -> None:
        self._writer.write(self._event(wall_time=time.time(), **fields).SerializeToString())
        self._stream.flush()

    def _abandon(self) -> None:
        try:
            self._stream.close()
        except OSError:  # the same trouble once more; the descriptor is closed even so
            return


class WandB:
    """Weights & Biases, in a process of its own, online or offline as WANDB_MODE says.

    It drops by itself the steps that its server has already.
    """

    def __init__(self, run: RunDescription) -> None:
        wandb: Any = importlib.import_module("wandb")
        self._run = wandb.init(
            project="prefline",
            id=run.run_id,
            name=run.name,
            resume="allow",
            config=dict(run.params),
            dir=str(run.folder),
            settings=wandb.Settings(
                silent=True,
                console="off",
                save_code=False,
                disable_code=True,
                disable_git=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_disable_stats=True,
                x_save_requirements=False,
            ),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log to the step, which is the x axis of its charts."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Wait until all is sent."""
        self._run.finish()


class Trackio:
    """Trackio, in a process of its own, in its own folder or wherever TRACKIO_SPACE_ID and TRACKIO_SERVER_URL lead."""

    def __init__(self, run: RunDescription) -> None:
        self._trouble: list[str] = []
        warnings.showwarning = self._hear  # it never raises what goes wrong: it warns
        trackio: Any = importlib.import_module("trackio")
        self._run = trackio.init(
            project="prefline",
            name=run.name,
            resume="allow",
            config=dict(run.params),
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self._raise_trouble()
        # It shows a repeated step twice, so what it has is left out. It offers no public way to ask for that.
        self._first = getattr(self._run, "_next_step", 0)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log a step that it has not got."""
        if step >= self._first:
            self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Wait until all is written or sent."""
        self._run.finish()
        self._raise_trouble()

    def _hear(self, message: Warning | str, _category: object, filename: str, *_rest: object) -> None:
        if "trackio" in Path(filename).parts:
            self._trouble.append(str(message))

    def _raise_trouble(self) -> None:
        if self._trouble:
            raise TrackerError(shorten(self._trouble[0], 300))
