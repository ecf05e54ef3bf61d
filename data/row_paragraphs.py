"""Rows of plain text: each paragraph is one.

Paragraphs are set apart by blank lines. Lines inside one are kept, however they end in the file: as a line end.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from prefline.data.encodings import (
    MOST_BYTES,
    SHOWN_BYTES,
    UTF_8,
    check_encoding,
    find_encoding,
    find_fault,
    number_lines,
    open_bytes,
    open_text,
)
from prefline.data.errors import DataError
from prefline.data.row_formats import TEXT_SUFFIX, find_suffix
from prefline.data.row_types import Reading, Row, Unreadable
from prefline.data.strict_json import parse_json

COLUMN = "text"  # what the one column is called
_HEAD = 1 << 16


def is_prose(path: Path, reading: Reading) -> bool:
    """Say whether a file is read as paragraphs: plain text, unless it begins as JSON lines or as a table with tabs."""
    if reading.format is not None or find_suffix(path) != TEXT_SUFFIX or not path.is_file():
        return False
    with _open(path, reading) as (stream, _):
        first = stream.readline(_HEAD).strip()
    if b"\t" in first:
        return False
    try:
        return not isinstance(parse_json(first), dict)
    except DataError:
        return True


def read_paragraphs(path: Path, reading: Reading) -> Iterator[Row | Unreadable]:
    """Yield each paragraph as a row with one column, numbered by its first line."""
    with _open(path, reading) as (stream, encoding):
        begun, lines = 0, []
        for number, line in number_lines(stream):
            if line.strip():
                begun = begun or number
                lines.append(line.rstrip(b"\r\n"))
            elif lines:
                yield _as_row(path.name, begun, b"\n".join(lines), encoding)
                begun, lines = 0, []
        if lines:
            yield _as_row(path.name, begun, b"\n".join(lines), encoding)


@contextmanager
def _open(path: Path, reading: Reading) -> Iterator[tuple[BinaryIO, str]]:
    """Open a text as UTF-8, and say what it is in."""
    with open_bytes(path) as stream:
        head = stream.read(_HEAD)
    encoding = find_encoding(head) if reading.encoding is None else check_encoding(reading.encoding)
    with open_text(path, encoding) as stream:
        yield stream, encoding


def _as_row(name: str, number: int, raw: bytes, encoding: str) -> Row | Unreadable:
    if len(raw) > MOST_BYTES:
        return Unreadable(name, number, f"longer than {MOST_BYTES:,} bytes", raw[:SHOWN_BYTES])
    try:
        text = raw.decode(UTF_8)
    except UnicodeDecodeError:
        return Unreadable(name, number, find_fault(raw, encoding) or "not text", raw)
    return Row(name, number, {COLUMN: text}, raw)
