"""The numbers that a stage logs: one JSON object a line, one line a step, in the order of the steps.

A run is worth more than its numbers, so nothing that a disk does here stops it. The file is told to be
incomplete, once, and the run goes on.
"""

import errno
import json
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, SupportsFloat

from prefline.data.errors import DataError
from prefline.data.strict_json import parse_json
from prefline.data.wording import count
from prefline.pipeline.filesystem import read_file
from prefline.pipeline.publishing import utc_now

_PASSING = (errno.ENOSPC, errno.EDQUOT)
_MOST_OWED = 100_000  # records
_RESERVED = ("step", "time")
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class MetricsFile:
    """A file of records that a run appends to. A run that resumes calls `rewind` before it logs anything.

    On a full disk records wait until there is room again. After any other failure the file is left alone for good:
    what follows a torn line would be lost with it, and `rewind` takes both away when the run resumes.
    """

    def __init__(self, path: Path, tell: Callable[[str], None], clock: Callable[[], datetime] = utc_now) -> None:
        self._path = path
        self._tell = tell
        self._clock = clock
        self._descriptor: int | None = None
        self._owed: list[bytes] = []  # what there was no room for
        self._is_full = False
        self._given_up = False

    def log(self, step: int, values: Mapping[str, float | None]) -> None:
        """Append the record of a step. JSON knows no NaN and no infinity: they are written as null."""
        for name in _RESERVED:
            if name in values:
                raise ValueError(f"{name!r} is the name of a column that every record has: choose another")
        if self._given_up:
            return
        moment = self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        record = {"step": step, "time": moment, **{name: _finite(value) for name, value in values.items()}}
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        self._owed.append(line)
        self._write_owed()

    def _write_owed(self) -> None:
        try:
            if self._descriptor is None:
                self._descriptor = _open_plain(self._path, _APPEND)
            whole = os.fstat(self._descriptor).st_size
            try:
                _write(self._descriptor, b"".join(self._owed))
            except OSError:
                os.ftruncate(self._descriptor, whole)  # takes no room, so that readers find whole lines only
                raise
        except OSError as error:
            if error.errno not in _PASSING or len(self._owed) > _MOST_OWED:
                self._give_up(error)
            elif not self._is_full:
                self._is_full = True
                self._tell(f"metrics wait for room: {self._path}: {error.strerror}; the run goes on")
            return
        self._owed.clear()
        if self._is_full:
            self._is_full = False
            self._tell(f"metrics are written again, none is missing: {self._path}")

    def rewind(self, step: int) -> None:
        """Forget what was logged after `step`, which is what a run that resumes from there will log again."""
        if self._given_up:
            return
        self._close()
        try:
            _keep(self._path, step)
        except FileNotFoundError:
            return
        except OSError as error:
            self._give_up(error)

    def sync(self) -> None:
        """Wait until the disk has all records: no resume from a checkpoint writes again what came before it."""
        if self._owed:
            self._write_owed()
        if self._descriptor is None:
            return
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Let go of the file."""
        if self._owed:
            self._write_owed()
        if self._owed:
            self._tell(
                f"metrics: {count(len(self._owed), 'record has', 'records have')} not been written: {self._path}"
            )
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            os.close(descriptor)
        except OSError as error:  # a network file system tells only now that it could not write
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if self._given_up:
            return
        self._given_up = True
        self._owed.clear()
        reason = error.strerror or str(error)
        self._tell(f"metrics are not written any more: {self._path}: {reason}; the run goes on")
        self._close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file, also of one that is being written: a torn last line is left out."""
    *lines, _torn = read_file(path).split(b"\n")
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        record = _parse(line)
        if record is None:
            raise DataError(f"{path}, line {number}: expected a JSON object with a whole number as its step")
        records.append(record)
    return records


def _finite(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = parse_json(line)
    except DataError:
        return None
    return record if isinstance(record, dict) and type(record.get("step")) is int else None


def _keep(path: Path, last: int) -> None:
    """Leave only the whole records up to the step `last`, at every moment either the old file or the new one."""
    with open(_open_plain(path, _READ), "rb") as old:
        size = sum(len(line) for line in _records(old, last))
        if size == os.fstat(old.fileno()).st_size:
            return
        old.seek(0)
        beside = path.with_name(f"{path.name}.new")
        beside.unlink(missing_ok=True)  # of a process that was killed right here
        with open(os.open(beside, _NEW, 0o666), "wb") as new:
            new.writelines(_records(old, last))
            new.flush()
            os.fsync(new.fileno())  # or a power cut may leave an empty file in the place of the old one
        beside.replace(path)


def _records(stream: BinaryIO, last: int) -> Iterator[bytes]:
    for line in stream:
        record = _parse(line) if line.endswith(b"\n") else None
        if record is not None and record["step"] <= last:
            yield line


def _open_plain(path: Path, flags: int) -> int:
    """Open a plain file: no link is followed, and no pipe is waited for."""
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(None, "is not a plain file", str(path))
    return descriptor


def _write(descriptor: int, line: bytes) -> None:
    """Write a line in one call. What a full disk cuts short is tried again, for the sake of the reason."""
    while line:
        line = line[os.write(descriptor, line) :]


def as_number(value: SupportsFloat | None) -> float | None:
    """Take a tensor of one number, or a number of numpy, for what it is."""
    return value if value is None or isinstance(value, int | float) else float(value)
