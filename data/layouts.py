"""Which layout a file is in: found by its columns and values, or named by hand."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from prefline.data import (
    layout_2019,
    layout_argilla,
    layout_candidates,
    layout_columns,
    layout_label_studio,
    layout_long,
    layout_native,
    layout_pairs,
    layout_ranked,
    layout_references,
    layout_refused,
    layout_rewardbench,
    layout_trees,
)
from prefline.data.errors import ConfigError, DataError
from prefline.data.layout import Aids, Columns, Found, Layout, Row, columns_of, list_columns
from prefline.data.strict_json import type_name
from prefline.data.wording import did_you_mean, printable, shorten

# The most particular first: the first that fits is taken.
LAYOUTS: tuple[Layout, ...] = (
    *layout_native.LAYOUTS,
    *layout_label_studio.LAYOUTS,
    *layout_argilla.LAYOUTS,
    *layout_trees.LAYOUTS,
    *layout_2019.LAYOUTS,
    *layout_rewardbench.LAYOUTS,
    layout_ranked.RANKED,  # which may name the best and one other beside the ranks, as pairs do
    *layout_pairs.LAYOUTS,
    layout_ranked.RATED,
    *layout_columns.LAYOUTS,
    *layout_long.LAYOUTS,
    *layout_candidates.LAYOUTS,
    *layout_references.LAYOUTS,
    *layout_refused.LAYOUTS,
)

# In these nobody has chosen the best.
_UNCHOSEN = (*layout_candidates.LAYOUTS, *layout_references.LAYOUTS)
_CHOSEN = tuple(layout for layout in LAYOUTS if layout not in (*_UNCHOSEN, *layout_refused.LAYOUTS))
_NO_AIDS = Aids()
_REMEDY = (
    "Say which column is which: of pairs with --map prompt=COLUMN --map chosen=COLUMN --map rejected=COLUMN, of a "
    "table of responses and which is best with --layout columns --map prompt=COLUMN --map responses=COLUMN,COLUMN "
    "--map best=COLUMN; docs/comparisons.md has all layouts"
)


def find_layout(
    sample: Sequence[Row], name: str | None = None, given: Columns | None = None, aids: Aids = _NO_AIDS
) -> Found:
    """Say how rows like these are read; a name, and columns given for roles, go before what is found.

    Rows of which nobody has chosen the best are looked for only where `aids` can help with that.
    """
    known = layout_references.LAYOUTS if aids.synthesize else LAYOUTS
    others = layout_references.LAYOUTS if aids.label else _UNCHOSEN
    layouts = [layout for layout in known if (layout.name == name if name else aids.synthesize or layout not in others)]
    if not layouts:
        names = [layout.name for layout in known]
        if any(layout.name == name for layout in LAYOUTS):
            raise ConfigError(f"negatives are made beside references: expected {' or '.join(names)}, found {name!r}")
        raise ConfigError(f"unknown layout {name!r}{did_you_mean(name or '', names)}: there are {', '.join(names)}")
    try:
        found = find_among(layouts, sample, name, given, layout_references.REMEDY if aids.synthesize else _REMEDY)
    except DataError as error:
        if aids.label and _find_fitting(others, sample, given or {}):
            raise DataError(layout_references.ONE_RESPONSE) from None
        describe = _describe_responses if aids.synthesize else _describe_help
        raise DataError(f"{describe(sample, given or {})}{error}") from None
    if found.layout is layout_pairs.IMPLICIT_TEXT and name is None:
        _check_promptless(sample, found.columns)
    return found


def find_among(
    layouts: Sequence[Layout],
    sample: Sequence[Row],
    name: str | None = None,
    given: Columns | None = None,
    remedy: str = _REMEDY,
) -> Found:
    """Say which of some layouts rows like these are of; where that was named by hand, one row that fits is enough."""
    given = given or {}
    present = list_columns(sample)
    for layout in layouts:
        if any(role not in layout.roles for role in given):
            continue
        columns = layout.find(sample, given, named=name is not None)
        if columns is not None and not _describe_misnaming(layout, columns, given, present):
            used = _names(columns, columns)
            return Found(layout, columns, tuple(column for column in present if column not in used))
    _check_roles(layouts, given)
    raise DataError(_describe_failure(layouts, name, given, sample, present, remedy))


def _find_fitting(layouts: Iterable[Layout], sample: Sequence[Row], given: Columns) -> Layout | None:
    """Return the first of some layouts that rows are of."""
    fitting = (layout for layout in layouts if given.keys() <= layout.roles.keys() and layout.find(sample, given))
    return next(fitting, None)


def _describe_help(sample: Sequence[Row], given: Columns) -> str:
    """Say what can be done where nobody has chosen, if rows are of such a layout."""
    layout = _find_fitting(_UNCHOSEN, sample, given)
    if layout is None:
        return ""
    help_ = layout_references.HELP if layout in layout_references.LAYOUTS else layout_candidates.HELP
    return f"{help_}. If somebody has chosen: "


def _describe_responses(sample: Sequence[Row], given: Columns) -> str:
    """Say that nothing need be made where there are responses already, if rows are of such a layout."""
    layout = _find_fitting((*_CHOSEN, *layout_candidates.LAYOUTS), sample, given)
    if layout is None:
        return ""
    return (
        f"rows of the layout {layout.name} hold responses already: leave the negatives out, or name the column of a "
        "reference. With negatives, "
    )


def _check_promptless(sample: Sequence[Row], columns: Columns) -> None:
    """Refuse to take a prompt for empty that only has a name of its own."""
    if others := layout_pairs.find_other_texts(sample, columns):
        shown = printable(shorten(", ".join(others), 200))
        raise DataError(
            f"there are two responses but no prompt, unless it is in one of the columns {shown}: name that with "
            "--map prompt=COLUMN, or say --layout implicit-text if there is none"
        )


def _check_roles(layouts: Sequence[Layout], given: Iterable[str]) -> None:
    """Refuse a role that none of the layouts has."""
    roles = list(dict.fromkeys(role for layout in layouts for role in layout.roles))
    which = f"the layout {layouts[0].name} has no role" if len(layouts) == 1 else "no layout has a role"
    for role in given:
        if role not in roles:
            raise DataError(f"{which} {role!r}{did_you_mean(role, roles)}: the roles are {', '.join(roles)}")


def _describe_failure(
    layouts: Sequence[Layout],
    name: str | None,
    given: Columns,
    sample: Sequence[Row],
    present: Sequence[str],
    remedy: str,
) -> str:
    """Say what is there, and what the nearest layout would need."""
    columns = _show(present)
    matches = [(layout, layout.match(sample, given)) for layout in layouts if given.keys() <= layout.roles.keys()]
    if not matches:
        return f"no layout has all of the roles {', '.join(given)}; the columns are {columns}"
    # Of layouts that are equally near the last, since the most particular come first.
    layout, found = max(reversed(matches), key=lambda match: _measure_nearness(*match))
    if misnaming := _describe_misnaming(layout, found, given, present):
        return misnaming
    lack = _describe_lack(layout, found, sample)
    if name:
        return f"the rows are not of the layout {name}: {lack}; the columns are {columns}"
    nearest = f"The nearest layout is {layout.name}, but {lack}. " if found else ""
    return f"the rows are of no layout that is known; the columns are {columns}. {nearest}{remedy}"


def _describe_misnaming(layout: Layout, columns: Columns, given: Columns, present: Sequence[str]) -> str | None:
    """Say which of the columns given for roles cannot be meant; None where all can."""
    for role in given:
        names = columns_of(columns, role)
        absent = next((name for name in names if name not in present), None)
        if absent is not None and role not in layout.elsewhere:
            asked = printable(shorten(",".join(names)))
            hint = did_you_mean(absent, present)
            return f"--map {role}={asked}: there is no column {absent!r}{hint}; the columns are {_show(present)}"
    for role in given:
        for other, name in layout.find_doubles(columns, role).items():
            remedy = "name another for one of them" if other in given else f"say --map {other}=COLUMN too"
            return f"the column {name!r} would be both {role} and {other}: {remedy}"
    return None


def _show(columns: Sequence[str]) -> str:
    return shorten(printable(", ".join(columns)), 300) or "none"


def _measure_nearness(layout: Layout, found: Columns) -> tuple[float, int]:
    return sum(role in found for role in layout.required) / len(layout.required), len(found)


def _describe_lack(layout: Layout, found: Columns, sample: Sequence[Row]) -> str:
    """Say why rows are not of a layout whose columns are there in part, or all."""
    if missing := [role for role in layout.required if role not in found]:
        looked = (f"{role} (looked for in {', '.join(layout.roles[role])})" for role in missing if layout.roles[role])
        bare = (role for role in missing if not layout.roles[role])
        return f"there is no column for {' and '.join([*looked, *bare])}"
    odd = list(_describe_odd_rows(layout, found, sample))
    # Roles without names of their own are found beside others, or said by hand.
    others = [role for role, names in layout.roles.items() if not names and role not in found]
    without = f"; no column was found for {', '.join(others)}" if others and not odd else ""
    usual = (f"{name!r} {_count_kinds(sample, name).most_common(1)[0][0]}" for name in _names(found, layout.required))
    held = shorten(printable(", ".join(odd or usual)), 300)
    return f"most rows do not hold what it reads: {held}{without}"


def _describe_odd_rows(layout: Layout, found: Columns, sample: Sequence[Row]) -> Iterator[str]:
    """Say which columns hold in the rows that do not fit what they hold in none that does."""
    fitting = [row for row in sample if layout.fits(row, found)]
    odd = [row for row in sample if not layout.fits(row, found)]
    for name in _names(found, [*layout.required, "prompt"]) if fitting else ():
        usual = _count_kinds(fitting, name)
        strange = [(kind, number) for kind, number in _count_kinds(odd, name).most_common() if kind not in usual]
        for kind, number in strange[:1]:
            yield f"{name!r} {kind} in {number} of {len(sample)} rows"


def _count_kinds(rows: Sequence[Row], name: str) -> Counter[str]:
    kinds = (type_name(row[name]) if name in row else "missing" for row in rows)
    return Counter(f"is {kind}" if kind in ("null", "missing") else f"is of the type {kind}" for kind in kinds)


def _names(columns: Columns, roles: Iterable[str]) -> list[str]:
    """Return the columns of roles, in their order and each once."""
    return list(dict.fromkeys(name for role in roles if role in columns for name in columns_of(columns, role)))
