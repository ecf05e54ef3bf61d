"""Processes of tests: they begin in a moment, as the modules that take long are imported before they are forked.

A test file calls a function of its own in one, by way of `child`. `command` runs the command line there instead, with
the toy stages, and `at_gate` lets it stop at a failpoint until the test says "go on".
"""

import contextlib
import dataclasses
import io
import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(
    [
        "pytest",
        "torch",
        "safetensors.torch",
        "typer",
        "prefline.pipeline.cli_catalogue",
        "prefline.pipeline.collection",
        "prefline.pipeline.running",
        "prefline.pipeline.terminal_runs",
    ]
)
_PATIENCE = 60.0  # seconds until a test gives up, far beyond what anything here takes

_parent: list[Connection] = []  # what a child talks to


# --- in the test ---


@contextlib.contextmanager
def child(work: Callable[..., object], *args: Any, failpoint: str = "") -> Iterator[tuple[BaseProcess, Connection]]:
    """Call a function of a test file in a process of its own, and lend it together with what it has to say.

    It reports "go" when it begins, whatever it passes to `report`, and then what was returned.
    """
    ours, theirs = FORKSERVER.Pipe()
    # pytest does not put test files where a child could import them, so they are run there.
    given = (work.__code__.co_filename, work.__name__, args, failpoint, theirs)
    process = FORKSERVER.Process(target=_work, args=given)
    process.start()
    theirs.close()
    with contextlib.closing(ours):
        try:
            yield process, ours
        finally:
            process.kill()
            process.join()


def exit_code(work: Callable[..., object], *args: Any, failpoint: str = "") -> int | None:
    """Let a child come to its end, whichever that is."""
    with child(work, *args, failpoint=failpoint) as (process, _):
        process.join(_PATIENCE)
        return process.exitcode


def is_hit(seconds: float, work: Callable[..., object], *args: Any) -> bool:
    """Kill a child so long after it has begun, and say whether it was still at work."""
    with child(work, *args) as (process, reports):
        assert reports.recv() == "go"  # before that, a kill would only hit the start of Python
        at_work = not reports.poll(seconds)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)  # it did not fail by itself
        return at_work


def time_to_finish(work: Callable[..., object], *args: Any) -> float:
    """Measure how long a child works if nobody kills it."""
    with child(work, *args) as (_, reports):
        assert reports.recv() == "go"
        start = time.monotonic()
        last_word(reports)
        return time.monotonic() - start


def last_word(reports: Connection) -> Any:
    """Return what a process reports next, or None if it comes to its end without a word."""
    try:
        return reports.recv()
    except EOFError:
        return None


# --- in the child ---


def report(message: object) -> None:
    """Tell the test something."""
    _parent[0].send(message)


def _work(file: str, name: str, args: tuple[Any, ...], failpoint: str, parent: Connection) -> None:
    _parent.append(parent)
    # A function of an importable file is called where it belongs, so that there is just one `_parent`.
    work = globals()[name] if file == __file__ else runpy.run_path(file)[name]
    os.environ["PREFLINE_FAILPOINT"] = failpoint
    report("go")
    report(work(*args))
