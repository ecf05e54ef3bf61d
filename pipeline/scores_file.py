"""Where scores are written to, a line of JSON for each item: stdout, or a file that is gone on with after a stop.

Until a file is whole it has `.part` behind its name. What such a part holds is taken over if it is what would be
written now: its rows are compared with those of the source, and its last scores with those that the scorer gives.
"""

import contextlib
import fcntl
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from prefline.data.errors import DataError, StoreError
from prefline.data.strict_json import parse_json
from prefline.pipeline.filesystem import explaining, remove_file, sync_folder
from prefline.pipeline.gathering import write_line
from prefline.reward_model.combining import Scores

Rows = Sequence[Mapping[str, Any]]

_NEAR = 1e-3  # so near are scores of one scorer on two machines
_REMEDY = "delete it to begin anew, or name another --output"


class Sink(Protocol):
    """Takes rows with their scores, some at a time and in order."""

    is_terminal: bool  # whether somebody reads along

    def take(self, rows: Rows) -> Sequence[Scores] | None:
        """Return the scores of rows that were written before; None where they are to be computed."""
        ...

    def write(self, rows: Rows, found: Sequence[Scores]) -> None:
        """Write the rows that were asked for last."""
        ...


class Stdout:
    """Prints lines in UTF-8, whatever the terminal is set to."""

    def __init__(self, stream: BinaryIO) -> None:
        self.is_terminal = stream.isatty()
        self._stream = stream

    def take(self, rows: Rows) -> Sequence[Scores] | None:  # noqa: ARG002  the rows of a sink
        """Return nothing: what was printed is gone."""
        return None

    def write(self, rows: Rows, found: Sequence[Scores]) -> None:
        """Print rows at once, so that a stop leaves whole lines."""
        self._stream.write(b"".join(map(_write, rows, found)))
        self._stream.flush()


class Part:
    """What is written so far of a file."""

    is_terminal = False

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        """Go on with what is in the stream, which adds to its end whatever is read."""
        self.path = path
        self._stream = stream
        self._next = self._read()
        self._taken: list[Scores] = []
        self.begins_anew = self._next is None

    def take(self, rows: Rows) -> Sequence[Scores] | None:
        """Return what an earlier run wrote of these rows. The last that it wrote are scored again, to make sure."""
        self._taken = []
        for row in rows:
            if self._next is None:
                return None
            if not self._next.startswith(_begin(row)):
                raise DataError(f"{self.path}: expected scores of the rows of the source, found other rows: {_REMEDY}")
            self._taken.append(self._parse(self._next))
            self._next = self._read()
        return None if self._next is None else self._taken

    def write(self, rows: Rows, found: Sequence[Scores]) -> None:
        """Write what the earlier run did not write of these rows; the rest must have the same scores as then."""
        for before, now in zip(self._taken, found, strict=False):
            if not (_agree(before.scores, now.scores) and _agree(before.disagreement, now.disagreement)):
                raise DataError(f"{self.path}: expected scores of this scorer, found those of another: {_REMEDY}")
        known = len(self._taken)
        with explaining(self.path):
            self._stream.write(b"".join(map(_write, rows[known:], found[known:])))
            self._stream.flush()

    def finish(self, target: Path) -> None:
        """Give the file its name."""
        if self._next is not None:
            raise DataError(f"{self.path}: expected scores of the rows of the source, found more rows: {_REMEDY}")
        with explaining(target):
            os.fsync(self._stream.fileno())
            check_free(target)
            self.path.rename(target)
        sync_folder(target.parent)

    def _read(self) -> bytes | None:
        """Return the next line; one that a kill has cut off is dropped."""
        with explaining(self.path):
            start = self._stream.tell()
            line = self._stream.readline()
            if line.endswith(b"\n"):
                return line
            self._stream.truncate(start)
            return None

    def _parse(self, line: bytes) -> Scores:
        try:
            row: Any = parse_json(line)
            doubts = row.get("disagreement")
            return Scores([*map(float, row["scores"])], None if doubts is None else [*map(float, doubts)])
        except (DataError, TypeError, ValueError) as error:
            raise DataError(f"{self.path}: expected lines of scores, found another: {error}: {_REMEDY}") from None


@contextlib.contextmanager
def open_part(target: Path) -> Iterator[Part]:
    """Open what is written so far of a file; it gets its name if all goes well."""
    check_free(target)
    path = target.with_name(f"{target.name}.part")
    with explaining(path):
        stream = path.open("a+b")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"{path}: another process is writing it: wait for that, or name another --output"
            ) from None
        stream.seek(0)
        part = Part(path, stream)
        try:
            yield part
            part.finish(target)
        except BaseException:
            if os.fstat(stream.fileno()).st_size == 0:
                remove_file(path)  # nothing to be gone on with
            raise


def check_free(target: Path) -> None:
    """Refuse the name of a file that is there."""
    if target.exists():
        raise StoreError(f"{target} exists already: delete it, or name another file")


def _begin(row: Mapping[str, Any]) -> bytes:
    """Return how the line of a row begins, as far as its scores."""
    return write_line(row)[:-2] + b',"scores":'


def _write(row: Mapping[str, Any], found: Scores) -> bytes:
    doubts = {} if found.disagreement is None else {"disagreement": list(found.disagreement)}
    return write_line({**row, "scores": list(found.scores), **doubts})


def _agree(before: Sequence[float] | None, now: Sequence[float] | None) -> bool:
    if before is None or now is None:
        return before is now
    near = (math.isclose(one, other, rel_tol=_NEAR, abs_tol=_NEAR) for one, other in zip(before, now, strict=False))
    return len(before) == len(now) and all(near)
