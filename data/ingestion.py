"""From rows that somebody has to comparisons that every stage can trust: each row is taken in, or refused by name."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError
from prefline.data.layout import Aids
from prefline.data.layouts import Found, find_layout
from prefline.data.rows import Reading, Row, Unreadable, list_files, read_rows

_SAMPLE = 100


class Rejection(NamedTuple):
    """A row that was not taken in, and why."""

    file: str
    line: int  # counted from 1; where a file has no lines, the number of the record
    reason: str
    row: Any  # as it was parsed, or as text where it could not be

    def to_row(self) -> dict[str, Any]:
        """Return what is written down of it."""
        return self._asdict()


class Accepted(NamedTuple):
    """What rows gave: mostly one row one comparison, but annotators may share a row, and an item be in several."""

    rows: int
    comparisons: list[Comparison]


class Ingested(NamedTuple):
    """What a file held: each of its rows is in one of the two lists."""

    comparisons: list[Comparison]
    rejected: list[Rejection]


def ingest(
    path: str | Path,
    *,
    layout: str | None = None,
    columns: Mapping[str, str | tuple[str, ...]] | None = None,
    reading: Reading | None = None,
    aids: Aids | None = None,
) -> Ingested:
    """Read a file, or a folder of files, keeping the rows that are refused apart.

    The layout is found by looking at the first rows; it can be named, and so can the column of any role.
    """
    result, aids = Ingested([], []), aids or Aids()
    for file in list_files(Path(path)):
        sample, rows = peek(read_rows(file, reading or Reading()))
        try:
            found = find_layout(sample, layout, columns, aids) if sample else None
        except DataError as error:
            raise DataError(f"{file}: {error}") from None
        for item in interpret(rows, found, aids):
            if isinstance(item, Rejection):
                result.rejected.append(item)
            else:
                result.comparisons.extend(item.comparisons)
    return result


def peek(rows: Iterable[Row | Unreadable]) -> tuple[list[dict[str, Any]], Iterator[Row | Unreadable]]:
    """Look at the first rows that can be read, and return all rows again."""
    rows = iter(rows)
    seen = list(itertools.islice(rows, _SAMPLE))
    return [row.value for row in seen if isinstance(row, Row)], itertools.chain(seen, rows)


def interpret(rows: Iterable[Row | Unreadable], found: Found | None, aids: Aids) -> Iterator[Accepted | Rejection]:
    """Yield what each row gave, or why it gave nothing; where nothing can be read, there is no layout to find."""
    if found is not None and found.layout.read is None:
        yield from _interpret_groups(rows, found, aids)
        return
    for row in rows:
        if isinstance(row, Unreadable) or found is None:
            yield refuse(row, row.reason if isinstance(row, Unreadable) else "of no layout that is known")
            continue
        try:
            comparisons = found.layout.read(row.value, found.columns, aids)  # type: ignore[misc]
            if aids.vocabulary is not None:
                _check_vocabulary(comparisons, aids.vocabulary)
            yield Accepted(1, _choose(comparisons, aids))
        except DataError as error:
            yield refuse(row, str(error))


def _choose(comparisons: list[Comparison], aids: Aids) -> list[Comparison]:
    """Let labellers choose, where there are some; what several people said of one item they are asked once."""
    if aids.label is None:
        return comparisons
    items = {(one.prompt, one.responses): one for one in comparisons}
    return [said for one in items.values() for said in aids.label(one)]


def _check_vocabulary(comparisons: Iterable[Comparison], vocabulary: int) -> None:
    """Refuse token ids that the tokenizer does not have."""
    for comparison in comparisons:
        for content in (comparison.prompt, *comparison.responses):
            for token in content:
                if isinstance(token, int) and token >= vocabulary:
                    raise DataError(
                        f"the token id {token} is none of the {vocabulary:,} of the tokenizer: it may be what fills "
                        "up, for which there is --pad, or belong to another tokenizer"
                    )


def _interpret_groups(rows: Iterable[Row | Unreadable], found: Found, aids: Aids) -> Iterator[Accepted | Rejection]:
    """Bring the rows together that make comparisons together: all of them have to be held for that."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        if isinstance(row, Unreadable):
            yield refuse(row, row.reason)
            continue
        try:
            groups.setdefault(found.layout.group(row.value, found.columns), []).append(row)  # type: ignore[misc]
        except DataError as error:
            yield refuse(row, str(error))
    for members in groups.values():
        together = found.layout.read_group([row.value for row in members], found.columns, aids)  # type: ignore[misc]
        for index, reason in sorted(together.refused.items()):
            yield refuse(members[index], reason)
        if together.comparisons:
            yield Accepted(len(members) - len(together.refused), _choose(together.comparisons, aids))


def refuse(row: Row | Unreadable, reason: str) -> Rejection:
    """Return a row as one that was not taken in."""
    if isinstance(row, Row):
        return Rejection(row.file, row.number, reason, row.value)
    return Rejection(row.file, row.number, reason, row.raw.decode(errors="backslashreplace"))
