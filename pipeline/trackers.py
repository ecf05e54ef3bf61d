"""Trackers: programs of other people that show the numbers of a run.

A run never waits for one, and never fails with one. What goes wrong there is told once, and the run goes on.
"""

import contextlib
import functools
import importlib.util
import queue
import threading
from collections.abc import Callable, Iterable, Mapping

from prefline.data.errors import ConfigError
from prefline.data.wording import count, did_you_mean, printable
from prefline.pipeline.tracker_adapters import RunDescription, TensorBoard, Tracker, describe_error
from prefline.pipeline.tracker_process import TrackerProcess

__all__ = ["TRACKERS", "BackgroundTracker", "RunDescription", "Tracker", "check_trackers"]

# What opens each tracker. The name is also that of its package and of the extra that installs it.
TRACKERS: dict[str, Callable[[RunDescription], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": functools.partial(TrackerProcess, "wandb"),
    "trackio": functools.partial(TrackerProcess, "trackio"),
}


def check_trackers(names: Iterable[str]) -> None:
    """Refuse trackers that are unknown or not installed, before any work. Nothing is imported for it."""
    for name in names:
        if name not in TRACKERS:
            known = ", ".join(sorted(TRACKERS))
            raise ConfigError(f"unknown tracker {name!r}{did_you_mean(name, TRACKERS)}: there are {known}")
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"the tracker {name!r} needs the package {name}: pip install 'prefline[{name}]'")


class BackgroundTracker:
    """A tracker that works in a thread of its own, from a queue that has an end.

    Trouble is told from within `log` and `close`, so `tell` is only ever called by the thread of the run.
    """

    def __init__(
        self,
        name: str,
        run: RunDescription,
        tell: Callable[[str], None],
        *,
        opening: Callable[[RunDescription], Tracker] | None = None,
        room: int = 10_000,
    ) -> None:
        self._name = name
        self._tell = tell
        self._room = room
        self._dropped = 0
        self._closed = False
        self._failure: str | None = None
        self._records: queue.SimpleQueue[tuple[int, dict[str, float]] | None] = queue.SimpleQueue()
        arguments = (opening or TRACKERS[name], run)
        self._thread = threading.Thread(target=self._work, args=arguments, name=f"tracker-{name}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no more threads
            self._failure = describe_error(error)

    def log(self, step: int, values: Mapping[str, float | None]) -> None:
        """Queue the numbers of a step; those that are None are left out. It never waits."""
        if self._closed:
            return
        if self._failure is not None:
            self._leave_out(self._failure)
        elif self._records.qsize() < self._room:
            self._records.put((step, {name: value for name, value in values.items() if value is not None}))
        else:
            self._dropped += 1
            if self._dropped == 1:
                waiting = count(self._room, "record waits", "records wait")
                self._tell(f"the tracker {self._name!r} is too slow: {waiting} for it, and new ones are dropped")

    def close(self, seconds: float = 5.0) -> None:
        """Let the tracker finish, for so long at most."""
        if self._closed:
            return
        self._closed = True
        self._records.put(None)
        if self._thread.ident is not None:  # it did start
            self._thread.join(seconds)
        if self._failure is not None:
            self._leave_out(self._failure)
        elif self._thread.is_alive():
            self._tell(
                f"the tracker {self._name!r} has not finished after {seconds:g} s and is left behind; "
                "it may lack the last records"
            )
        if self._dropped:
            dropped = count(self._dropped, "record", "records")
            self._tell(f"the tracker {self._name!r} was too slow: {dropped} dropped; the file of metrics has them")

    def _leave_out(self, reason: str) -> None:
        self._closed = True
        self._tell(f"the tracker {self._name!r} is left out: {printable(reason)}; the run goes on")

    def _work(self, opening: Callable[[RunDescription], Tracker], run: RunDescription) -> None:
        tracker: Tracker | None = None
        try:
            tracker = opening(run)
            while (record := self._records.get()) is not None:
                tracker.log(*record)
            tracker.close()
        except BaseException as error:  # noqa: BLE001 (others' code may raise anything, sys.exit included)
            if tracker is not None:
                with contextlib.suppress(BaseException):
                    tracker.close()
            self._failure = describe_error(error)
