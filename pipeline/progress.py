"""What a person sees while a stage works: one moving line on a terminal, now and then a line elsewhere.

Nobody has to be there to see it. A stream that is gone (closed, a terminal that hung up, a pipe that nobody reads)
is not written to again. One that is only full for now loses what it was given, and gets the next line.
"""

import errno
import math
import os
import select
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Mapping
from typing import TextIO

from prefline.data.wording import printable

_REDRAW = 0.1  # seconds between two looks of the moving line
_FIRST_LINE, _SECOND_LINE, _LONGEST = 10.0, 30.0, 600.0  # seconds between plain lines, doubled from the second on
_WINDOW, _SAMPLE = 30.0, 0.5  # seconds that the rate looks back, and between what it remembers
_CLEAR = "\r\x1b[K"
_MOST_OWED = 1 << 14  # characters
_PIECE = 512  # characters, of at most 4 bytes each: what a pipe with any room takes without waiting
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EAGAIN)

_Seen = tuple[float, float | None, float | None, Mapping[str, float | None]]  # done, total, rate, values


class Progress:
    """How far a stage has come, for whoever looks at `stream`. Nothing here raises or waits."""

    def __init__(
        self,
        label: str,
        stream: TextIO | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        width: int | None = None,
        unit: str = "steps",
    ) -> None:
        self._label = printable(label)
        self._stream = stream
        self._clock = clock
        self._width = width
        self._unit = unit
        self._moves = _is_terminal(stream)
        self._rate = _Rate()
        self._owed = ""  # what is to be written as soon as somebody reads again
        self._seen: _Seen | None = None  # what there is to be seen now
        self._shown: _Seen | None = None  # the last of these that was
        self._next = clock() + (0.0 if self._moves else _FIRST_LINE)
        self._distance = _SECOND_LINE
        self._closed = False

    def update(
        self,
        done: float,
        total: float | None,
        values: Mapping[str, float | None] | None = None,
        *,
        unit: str | None = None,
    ) -> None:
        """Show that so much is done. The first call tells where this process begins, which may be far from 0."""
        if self._closed or self._stream is None:
            return
        if unit is not None and unit != self._unit:  # other work, at a pace of its own
            self._unit, self._rate = unit, _Rate()
        now = self._clock()
        self._seen = (done, total, self._rate.measure(now, done), values or {})
        if self._moves and (now >= self._next or done == total):
            self._next = now + _REDRAW
            self._write(_CLEAR + self._fitting())
        elif not self._moves and now >= self._next:
            self._next = now + self._distance
            self._distance = min(2 * self._distance, _LONGEST)
            self._write_line()

    def tell(self, text: str) -> None:
        """Write a line that stays."""
        lines = "".join(f"{printable(line)}\n" for line in text.split("\n"))
        if self._moves and not self._closed:
            self._write(_CLEAR + lines + self._fitting(), lasting=True)
        else:
            self._write(lines, lasting=True)

    def close(self) -> None:
        """Leave a last line that says how far it came."""
        if self._closed:
            return
        self._closed = True
        if self._moves:
            self._write(_CLEAR + (f"{self._fitting()}\n" if self._seen else ""))
        elif self._seen != self._shown:
            self._write_line()

    def _parts(self) -> list[str]:
        """Return what is to be seen, the most important first."""
        if self._seen is None:
            return []
        done, total, rate, values = self._seen
        parts = [self._label, f"{done:,.0f} {self._unit}" if total is None else f"{done:,.0f}/{total:,.0f}"]
        if rate and total is not None and done < total:
            parts.append(f"{format_duration((total - done) / rate)} left")
        parts += [f"{printable(name)} {format_number(value)}" for name, value in values.items() if value is not None]
        return parts if rate is None else [*parts, f"{format_number(rate)} {self._unit}/s"]

    def _fitting(self) -> str:
        """Leave out whole parts, one column short of the width: a terminal may go to the next line after the last."""
        columns = (self._width or _columns(self._stream)) - 1
        line = ""
        for part in self._parts():
            longer = f"{line}  {part}" if line else part
            if line and cut(longer, columns) != longer:
                break
            line = longer
        return cut(line, columns)

    def _write_line(self) -> None:
        self._shown = self._seen
        self._write("  ".join(self._parts()) + "\n")

    def _write(self, text: str, *, lasting: bool = False) -> None:
        if self._stream is None:
            return
        text, lasts = self._owed + text, lasting or bool(self._owed)
        self._owed = ""
        while text and self._stream is not None:
            if not _has_room(self._stream):
                self._owed = text[:_MOST_OWED] if lasts else ""
                return
            self._write_piece(text[:_PIECE])
            text = text[_PIECE:]

    def _write_piece(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError as error:
                self._stream.write(text.encode(error.encoding, "replace").decode(error.encoding))
            self._stream.flush()
        except OSError as error:
            if error.errno not in _PASSING:
                self._stream = None
        except ValueError:  # closed
            self._stream = None


class _Rate:
    """How much is done in a second, over the recent past: the last 30 s, or the last step if that took longer."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def measure(self, now: float, done: float) -> float | None:
        samples = self._samples
        if samples and done < samples[-1][1]:
            samples.clear()  # something new has begun
        while len(samples) > 1 and samples[1][0] <= now - _WINDOW:
            samples.popleft()
        rate = None
        if samples and now > samples[0][0]:
            rate = (done - samples[0][1]) / (now - samples[0][0])
        if not samples or now - samples[-1][0] >= _SAMPLE:
            samples.append((now, done))
        return rate


def format_number(value: float) -> str:
    """Round to what people compare: 0.6931 -> "0.693", 1234.5 -> "1,234"."""
    if math.isfinite(value) and abs(float(f"{value:.3g}")) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.3g}"
    return f"{value:.3g}"


def format_duration(seconds: float) -> str:
    """Round to what people plan by: "40 s", "4 min", "2 h 10 min", "3 d 4 h"."""
    if seconds < 10:
        return f"{math.ceil(seconds)} s"
    if seconds < 57.5:
        return f"{5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    minutes = 10 * round(seconds / 600)
    large, small, units = (*divmod(minutes, 60), ("h", "min"))
    if minutes >= 24 * 60:
        large, small, units = (*divmod(round(seconds / 3600), 24), ("d", "h"))
    return f"{large:,} {units[0]}" + (f" {small} {units[1]}" if small else "")


def cut(text: str, columns: int) -> str:
    """Return as much of a text as fits into so many columns of a terminal."""
    for index, character in enumerate(text):
        if unicodedata.category(character) not in ("Mn", "Me"):  # these stand above or below the one before
            columns -= 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if columns < 0:
            return text[:index]
    return text


def _has_room(stream: TextIO) -> bool:
    """Say whether writing would not wait: a pager may have stopped reading, and a terminal may be stopped."""
    try:
        return bool(select.select([], [stream], [], 0)[1])
    except (OSError, ValueError):  # no file behind it, or none that can be waited for
        return True


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    except (OSError, ValueError):
        return False


def _columns(stream: TextIO | None) -> int:
    """Ask each time: people change the size of windows."""
    try:
        return (os.get_terminal_size(stream.fileno()).columns if stream is not None else 0) or 80
    except (OSError, ValueError):
        return 80
