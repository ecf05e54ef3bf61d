"""Signals: work that is done step by step finishes its step and saves it; everything else leaves at once.

Both ways the exit code is 128 + n. A second signal leaves at once whatever is going on, even in the
middle of a long call into C, where Python would not get to run a handler: a thread waits for it.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ECHO = 1.0  # seconds; `timeout` and closing terminals send a signal twice, to the process and to its group


class Interruption:
    """What signals have asked of this process."""

    def __init__(self) -> None:
        """Ask nothing: a program that calls prefline as a library keeps its own way with signals."""
        self.requested: signal.Signals | None = None
        self.doing = ""  # what a first signal lets be done
        self._watching = False
        self._stepwise = False
        self._mask: set[int] = set()

    def watch(self) -> None:
        """Take over the signals that mean "stop"."""
        self._watching = True
        os.register_at_fork(before=self._hold, after_in_parent=self._release, after_in_child=self._step_back)
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._arrive)

    @contextlib.contextmanager
    def stepwise(self) -> Iterator[None]:
        """For as long as this lasts, a first signal only asks: whoever works looks at `requested` after each step."""
        if not self._watching:
            yield
            return
        arrivals, ring = os.pipe()
        os.set_blocking(ring, False)
        before = signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
        threading.Thread(target=self._leave_at_the_second, args=(arrivals,), name="signals", daemon=True).start()
        self.doing = "finishing this step and saving it"
        self._stepwise = True
        try:
            yield
        finally:
            if self._stepwise:  # not in a forked child, which has its own way
                self._stepwise = False
                signal.set_wakeup_fd(before)
            os.close(ring)

    def leave_if_requested(self, said: str) -> None:
        """Leave, if a signal has come."""
        if self.requested is not None:
            _say(f"stopped by {self.requested.name} {said}")
            sys.exit(128 + self.requested)

    def _hold(self) -> None:
        """Let signals wait while a child is forked: one for the child would find our handlers there."""
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def _release(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _step_back(self) -> None:
        """Let a forked child (a worker that loads data, say) have signals of its own.

        Its parent ends it by SIGTERM; Ctrl-C reaches both, and it is the parent that decides what then.
        """
        if self._watching:
            if self._stepwise:
                signal.set_wakeup_fd(-1)  # or the parent would take what the child gets for its own
            self._watching = self._stepwise = False
            for number in SIGNALS:
                if signal.getsignal(number) == self._arrive:
                    # Not SIG_IGN, which a program that the child becomes would inherit.
                    signal.signal(number, _pass_over if number == signal.SIGINT else signal.SIG_DFL)
        self._release()

    def _arrive(self, number: int, _: object) -> None:
        if self._stepwise:
            self.requested = self.requested or signal.Signals(number)
            return
        if self.requested is not None:  # and said
            sys.exit(128 + self.requested)
        # As if by an error, so that drafts are cleared away.
        _say(f"stopped by {signal.Signals(number).name}; nothing half-made was published")
        sys.exit(128 + number)

    def _leave_at_the_second(self, arrivals: int) -> None:
        """Answer a first signal at once, and leave at a second one."""
        asked_at: float | None = None
        with open(arrivals, "rb", buffering=0) as bell:
            while numbers := bell.read(1):
                if numbers[0] not in SIGNALS:
                    continue
                name = signal.Signals(numbers[0]).name
                if asked_at is None:
                    asked_at = time.monotonic()
                    _say(f"{name}: {self.doing}; once more to leave at once")
                elif time.monotonic() - asked_at > _ECHO:
                    _say(f"left at once at a second {name}; what was saved before is whole")
                    os._exit(128 + numbers[0])


def _pass_over(_number: int, _frame: object) -> None:
    """Do nothing."""


PROCESS = Interruption()  # signals belong to the process, and so does what they ask


def _say(text: str) -> None:
    """Talk past Python's streams: a signal may have come in the middle of a print."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        if not select.select([], [2], [], 0)[1]:
            return  # a pager that waits, or a terminal that was stopped: nobody can be told now
        cleared = "\r\x1b[K" if os.isatty(2) else ""  # of the line that shows progress
        os.write(2, f"{cleared}prefline: {text}\n".encode())
