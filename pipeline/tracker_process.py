"""A tracker in a process of its own.

Weights & Biases and trackio print to stdout, where results go, change `sys.exit` and wait for the network when
the interpreter ends, half a minute and more. In another process none of that reaches the run.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from prefline.pipeline.tracker_adapters import RunDescription, TrackerError, Trackio, WandB, describe_error

_ADAPTERS = {"wandb": WandB, "trackio": Trackio}
_OUTLIVES = 120.0  # seconds that a tracker may take to send the rest after the run has ended


class TrackerProcess:
    """The run's end: records go down a pipe, and what went wrong comes back up another."""

    def __init__(self, name: str, run: RunDescription, *, outlives: float = _OUTLIVES) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, name, str(outlives)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the run, which then says goodbye to its trackers
        )
        self._send({"stage": run.stage, "run_id": run.run_id, "folder": str(run.folder.resolve())})
        self._send({"params": dict(run.params), "resumed_from": run.resumed_from})

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Hand on a record. It waits while the tracker is slow, which is what the thread around it is for."""
        self._send([step, dict(values)])

    def close(self) -> None:
        """Wait until the tracker has finished."""
        stdin, stdout = _pipes(self._child)
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        with stdout:
            said = stdout.read().decode(errors="replace")
        code = self._child.wait()
        if code:
            raise TrackerError(said or f"its process ended with exit code {code}")

    def _send(self, message: object) -> None:
        stdin, _ = _pipes(self._child)
        try:
            stdin.write(json.dumps(message, default=str).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            self.close()  # which says why
            raise TrackerError("its process ended by itself") from None


def _pipes(child: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    if child.stdin is None or child.stdout is None:
        raise TypeError("the process was started without pipes")
    return child.stdin, child.stdout


def main() -> None:
    """Be the tracker's end, until there are no more records."""
    records, report = _take_over_streams()
    threading.Thread(target=_end_after, args=(records, float(sys.argv[2])), daemon=True).start()
    try:
        with open(records, encoding="utf-8", closefd=False) as lines:
            told: dict[str, Any] = {**json.loads(lines.readline()), **json.loads(lines.readline())}
            tracker = _ADAPTERS[sys.argv[1]](RunDescription(**{**told, "folder": Path(told["folder"])}))
            for line in lines:
                tracker.log(*json.loads(line))
        tracker.close()
    except BaseException as error:  # noqa: BLE001 (a tracker may call sys.exit, which is a failure here)
        os.write(report, describe_error(error).encode(errors="replace"))
        os._exit(1)  # at once: what a tracker does at the end of an interpreter may wait for the network


def _take_over_streams() -> tuple[int, int]:
    """Keep stdin and stdout from the tracker and from what it starts: both would be taken for the run's."""
    records, report = os.dup(0), os.dup(1)
    with open(os.devnull, "r+b", buffering=0) as nothing:
        for descriptor in (0, 1):
            os.dup2(nothing.fileno(), descriptor)
    return records, report


def _end_after(records: int, seconds: float) -> None:
    """End this process and all that it started, once the run has been gone for a while."""
    run = select.poll()
    run.register(records, 0)  # which leaves the one event that is always told: nobody can write any more
    run.poll()
    time.sleep(seconds)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
