"""Locks that the kernel drops when their holder dies, so that nobody has to trust pids or clocks."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from prefline.pipeline.filesystem import explaining, open_lock


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold a lock together with others who share it, and against anybody who excludes."""
    with _locked(path, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock alone."""
    with _locked(path, fcntl.LOCK_EX):
        yield


def take_turn(descriptor: int, path: Path, on_wait: Callable[[], object]) -> None:
    """Lock an open file alone, after whoever holds it now. It is held until the descriptor is closed."""
    with explaining(path):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def is_of(descriptor: int, path: Path) -> bool:
    """Say whether an open file is still the one at a path: the lock of one that was removed shuts out nobody."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def is_held(path: Path) -> bool:
    """Say whether a living process holds the lock; a file that is not there is held by nobody."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    descriptor = open_lock(path)
    try:
        with explaining(path):
            fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
