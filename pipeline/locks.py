"""Locks that the kernel drops when their holder dies, so that nobody has to trust pids or clocks."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prefline.pipeline.filesystem import explaining, open_lock

_TRIES, _PAUSE = 3, 0.01  # whoever only looks whether a lock is held, holds it for a moment
_held: set[int] = set()  # descriptors of this process


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


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a file to lock it; on leaving, it is closed and with that unlocked."""
    descriptor = open_lock(path)
    _held.add(descriptor)
    try:
        yield descriptor
    finally:
        if descriptor in _held:  # not so in a forked child
            _held.remove(descriptor)
            os.close(descriptor)


def _let_go() -> None:
    """Close in a forked child what it has inherited: a lock is held for as long as any copy of it is open."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


def take_turn(descriptor: int, path: Path, on_wait: Callable[[], object]) -> None:
    """Lock an open file alone, after whoever holds it now. It is held until the descriptor is closed."""
    with explaining(path):
        for _ in range(_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE)
            else:
                return
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
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that two who look see the same
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    with opened(path) as descriptor:
        with explaining(path):
            fcntl.flock(descriptor, how)
        yield
