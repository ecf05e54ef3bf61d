"""Readers and writers of comparison files. Native so far: a JSON object a line."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError
from prefline.data.strict_json import parse_json

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was not taken in, and why. Lines count from 1."""

    line: int
    reason: str
    row: bytes


def read_native(lines: Iterable[bytes]) -> Iterator[Comparison | Rejection]:
    r"""Yield a comparison or a rejection for each line that is not blank.

    Lines end at \n alone, as files opened in binary mode do: texts may hold U+0085 or U+2028.
    """
    for number, line in enumerate(lines, start=1):
        row = line.removeprefix(_BOM) if number == 1 else line
        if not row.strip():
            continue
        try:
            yield Comparison.from_row(parse_json(row.rstrip()))
        except DataError as error:
            yield Rejection(number, str(error), line)


def recognize(start: bytes) -> str | None:
    """Say what a file is by its first bytes, if it is something else that people often have."""
    if start.startswith(b"\x1f\x8b"):
        return "this is a gzip file: gunzip it first"
    if start.startswith((b"\xff\xfe", b"\xfe\xff", b"\0")) or start[1:2] == b"\0":
        return "this is UTF-16: convert it first, with iconv -f UTF-16 -t UTF-8"
    text = start.removeprefix(_BOM).lstrip()
    if text.startswith((b"[", b"{\n", b"{\r")):
        return "this is one JSON document rather than one a line: jq -c '.[]' FILE > FILE.jsonl makes lines of an array"
    if text[:1] not in (b"{", b"") and b"," in text.partition(b"\n")[0]:
        return "this looks like CSV: each line must be a JSON object"
    return None


def write_native(comparison: Comparison) -> bytes:
    """Return the line that `read_native` reads back as the same comparison."""
    return json.dumps(comparison.to_row(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
