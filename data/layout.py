"""What a layout is: how the rows of a file that somebody has become comparisons.

A layout names its roles (prompt, chosen, annotator ...), and for each the columns that people use for it.
`--map prompt=instruction` sets a role by hand. Reading one row is a function from the row to comparisons;
where a comparison is spread over several rows, `group` says which rows belong together.
"""

import math
import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError
from prefline.data.judgements import find_leaders
from prefline.data.strict_json import type_name
from prefline.data.wording import printable, shorten

if TYPE_CHECKING:
    from prefline.data.document_rows import Document

Row = Mapping[str, Any]  # a row as parsed: the cells of a table are texts, or None where they are empty
Columns = Mapping[str, str | tuple[str, ...]]  # for each role the column, or the columns, that hold it


@dataclass(frozen=True, slots=True)
class Aids:
    """What some layouts need beside the rows."""

    pad: int = 50259  # fills up token ids: the vocabulary of GPT-2 and two, in the labels of 2019
    find_text: Callable[[str, int], str] | None = None  # the text of a system at a line, kept in files of its own
    vocabulary: int | None = None  # how many token ids there are
    # Where nobody chose: comparisons of references against texts made to fail, and what labellers say of responses.
    synthesize: "Callable[[Document], list[Comparison]] | None" = None
    label: Callable[[Comparison], list[Comparison]] | None = None


class Together(NamedTuple):
    """What several rows gave together. A row that is in no comparison has a reason, by its place among the rows."""

    comparisons: list[Comparison]
    refused: dict[int, str]


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which people write comparisons down."""

    name: str
    about: str  # where it is used, for people
    roles: Mapping[str, tuple[str, ...]]  # for each role the columns it is looked for in, the likeliest first
    required: tuple[str, ...]  # roles without which it is not this layout
    read: Callable[[Row, Columns, Aids], list[Comparison]] | None = None
    # Whether a row that has the columns is of this layout, judged by its values.
    fits: Callable[[Row, Columns], bool] = lambda _row, _columns: True
    # Finds the columns of roles that are spread over several, such as answer1 answer2 answer3; given what is
    # known so far, and the rows of the sample.
    spread: Callable[[Sequence[Row], Columns], Mapping[str, str | tuple[str, ...]]] = lambda _rows, _columns: {}
    group: Callable[[Row, Columns], Hashable] | None = None
    read_group: Callable[[Sequence[Row], Columns, Aids], Together] | None = None
    # Roles whose names are not those of columns, but of keys within a column, or of something else.
    elsewhere: tuple[str, ...] = ()
    places: bool = True  # whether the order of the responses is one that annotators saw
    notes: tuple[str, ...] = ()  # what people should know of how it is read

    def find(self, sample: Sequence[Row], given: Columns, *, named: bool = False) -> dict[str, Any] | None:
        """Return the columns of each role if the sample is of this layout; `given` was set by hand.

        Where the layout itself was named by hand, one row that fits is enough.
        """
        found = self.match(sample, given)
        if any(role not in found for role in self.required):
            return None
        # Odd rows are refused one by one later; most rows decide what the file is.
        fitting = sum(self.fits(row, found) for row in sample)
        return found if 2 * fitting > len(sample) or (named and fitting) else None

    def match(self, sample: Sequence[Row], given: Columns) -> dict[str, Any]:
        """Return the columns of those roles that have any."""
        present = list_columns(sample)
        given = {role: self._meant(role, names, present) for role, names in given.items()}
        looked = {role: find_alike(present, names) for role, names in self.roles.items() if role not in given}
        found = {**given, **{role: name for role, name in looked.items() if name is not None}}
        found |= {role: columns for role, columns in self.spread(sample, found).items() if role not in given}
        # A column given for one role is left out of others that were found; where one is needed, that is refused later.
        doubles = {other for role in given for other in self.find_doubles(found, role)} - given.keys()
        return {role: found[role] for role in found if role not in doubles - {"prompt", *self.required}}

    def find_doubles(self, columns: Columns, role: str) -> dict[str, str]:
        """Return the other roles that have a column of this role, each with that column."""
        if role in COMMON or self._is_apart(role):
            return {}  # what tells comparisons apart may well be a part of them
        names = columns_of(columns, role)
        others = [other for other in columns if other != role and not self._is_apart(other)]
        shared = {other: [name for name in columns_of(columns, other) if name in names] for other in others}
        return {other: found[0] for other, found in shared.items() if found}

    def _is_apart(self, role: str) -> bool:
        # The texts stand side by side even where they are keys.
        return role in self.elsewhere and role not in ("prompt", "responses")

    def _meant(self, role: str, names: str | tuple[str, ...], present: Collection[str]) -> str | tuple[str, ...]:
        """Return columns for names given by hand, which may be written in another form."""
        if role in self.elsewhere:
            return names
        if isinstance(names, str):
            return find_alike(present, [names]) or names
        return tuple(find_alike(present, [name]) or name for name in names)


class Found(NamedTuple):
    """A layout, and the columns of a file that its roles were found in."""

    layout: Layout
    columns: Columns
    unused: tuple[str, ...]

    def describe(self) -> Iterator[str]:
        """Say in lines how rows are going to be read."""
        yield f"layout {self.layout.name}: {self.layout.about}"
        width = max(map(len, self.columns), default=0)
        for role, names in self.columns.items():
            shown = names if isinstance(names, str) else ", ".join(names)
            yield f"  {role:<{width}} <- {shorten(printable(shown), 80)}"
        if self.unused:
            yield f"  not used: {shorten(printable(', '.join(self.unused)), 200)}"
        for note in self.layout.notes:
            yield f"  note: {note}"


def list_columns(rows: Iterable[Row]) -> list[str]:
    """Return the names of all columns, in the order in which they come first."""
    return list(dict.fromkeys(name for row in rows for name in row))


def find_alike(present: Collection[str], names: Sequence[str]) -> str | None:
    """Return the first of the names that is there; if none is, the one column that has such a name in another form."""
    alike = ([column for column in present if fold_name(column) == fold_name(name)] for name in names)
    exact = next((name for name in names if name in present), None)
    return exact or next((columns[0] for columns in alike if len(columns) == 1), None)


@lru_cache(4096)
def fold_name(name: str) -> str:
    """Return what names have in common that differ in case, spaces and joints: Chosen Response, chosen_response."""
    return re.sub(r"[\W_]", "", name).casefold()


def column(columns: Columns, role: str) -> str:
    """Return the one column of a role."""
    found = columns[role]
    if not isinstance(found, str):
        raise DataError(f"the role {role!r} takes one column, found {', '.join(found)}")
    return found


def columns_of(columns: Columns, role: str) -> tuple[str, ...]:
    """Return the columns of a role, of which there may be several."""
    found = columns[role]
    return (found,) if isinstance(found, str) else found


def text(row: Row, name: str) -> str:
    """Return a cell that must be a text."""
    value = row.get(name)
    if isinstance(value, str):
        return value
    if name not in row:
        raise DataError(f"{name!r} is missing")
    raise DataError(f"{name!r} must be a string, found {type_name(value)}")


def number(value: object, where: str) -> float | None:
    """Return a number that may be written as a text, as in tables; None where there is nothing."""
    if value is None or value == "":
        return None
    try:
        found = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise DataError(f"{where!r} must be a finite number, found {shorten(repr(value))}")
    return found


def label(row: Row, columns: Columns, role: str) -> str | None:
    """Return what a row says for a role that is free to be left out: a text, or a whole number taken as one."""
    name = columns.get(role)
    value = row.get(name) if isinstance(name, str) else None
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise DataError(f"{name!r} must be a string, found {type_name(value)}")
    return value


def leaders(values: Sequence[float | None]) -> tuple[int, ...]:
    """Return where the highest of the values stands; several places where it is there more than once."""
    if all(value is None for value in values):
        return ()
    return find_leaders([-math.inf if value is None else value for value in values])


# The roles that nearly every layout may have, to be put beside its own.
COMMON: Mapping[str, tuple[str, ...]] = {
    "annotator": ("annotator", "annotator_id", "worker_id", "_worker_id", "rater", "judge", "judgeId"),
    "id": ("id", "prompt_id", "uid", "uuid", "example_id"),
    "source": ("source", "subset", "dataset", "domain"),
    "weight": ("weight",),
}


def common(row: Row, columns: Columns) -> dict[str, Any]:
    """Read the roles of `COMMON`, as keywords for Comparison."""
    found: dict[str, Any] = {role: label(row, columns, role) for role in ("annotator", "id", "source")}
    name = columns.get("weight")
    weight = number(row.get(name), str(name)) if isinstance(name, str) else None
    return found if weight is None else found | {"weight": weight}
