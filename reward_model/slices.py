"""Where a reward model is right more often, and where less: its accuracy by source, category, system, length and so on.

Slices are many: the truth lies outside the interval of one in twenty by chance alone.
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from prefline.data.comparison import Comparison
from prefline.data.wording import count
from prefline.reward_model.length_bias import name_unit
from prefline.reward_model.scored import Scored, decide, measure_accuracy

_MOST_SHOWN = 40  # values of one slice
_PARTS = 4  # by length
_AGREEMENT = ("all agree", "most agree", "split")


class _Way(NamedTuple):
    """A way to slice."""

    find: Callable[[Comparison], Iterable[Any]]  # the values that a comparison is counted under
    write: Callable[[Any], str | int] = lambda value: value
    in_order: bool = False  # of the values; else the most frequent come first


def describe_slices(scored: Iterable[Scored]) -> dict[str, list[dict[str, Any]]]:
    """Return by each way to slice that gives two values or more a share for each value, the accuracy there.

    Where several responses are best, the comparison counts once under each category, or system, of theirs. Of many
    values the less frequent are taken together, as so many others.
    """
    decided = decide(scored)
    ways = {
        "source": _Way(lambda comparison: _known([comparison.source])),
        "category": _Way(lambda comparison: _list_of_best(comparison, comparison.categories)),
        "system": _Way(lambda comparison: _list_of_best(comparison, comparison.systems)),
        "length": _slice_lengths(decided),
        "responses": _Way(lambda comparison: [len(comparison.responses)], in_order=True),
        "agreement": _Way(_grade_agreement, _AGREEMENT.__getitem__, in_order=True),
        "annotator": _Way(lambda comparison: _known([comparison.annotator])),
    }
    slices = {name: _slice(decided, way) for name, way in ways.items()}
    return {name: rows for name, rows in slices.items() if len(rows) > 1}


def _slice(decided: Sequence[Scored], way: _Way) -> list[dict[str, Any]]:
    parts: defaultdict[Any, list[Scored]] = defaultdict(list)
    for one in decided:
        for value in way.find(one.comparison):
            parts[value].append(one)
    frequent = sorted(parts, key=lambda value: (-len(parts[value]), value))
    shown, rest = frequent[:_MOST_SHOWN], {*frequent[_MOST_SHOWN:]}
    rows = [
        {"value": way.write(value), **(measure_accuracy(parts[value]) or {})}
        for value in (sorted(shown) if way.in_order else shown)
    ]
    if rest:
        others = (one for one in decided if not rest.isdisjoint(way.find(one.comparison)))
        rows.append({"value": count(len(rest), "other", "others"), **(measure_accuracy(others) or {})})
    return rows


def _known(values: Iterable[str | None]) -> set[str]:
    return {value for value in values if value is not None}


def _list_of_best(comparison: Comparison, values: Sequence[str | None] | None) -> set[str]:
    return _known(values[place] for place in comparison.best) if values else set()


def _slice_lengths(decided: Sequence[Scored]) -> _Way:
    """Return the way to slice by the mean length of responses, into parts of about as many comparisons."""
    if not decided:
        return _Way(lambda _: [])
    lengths = sorted(_find_length(one.comparison) for one in decided)
    # The longest of each part: as many comparisons are no longer as belong to this part and those before.
    highs = sorted({lengths[math.ceil(len(lengths) * part / _PARTS) - 1] for part in range(1, _PARTS + 1)})
    lows = [lengths[0], *(lengths[bisect_right(lengths, high)] for high in highs[:-1])]
    ranges = zip(lows, highs, strict=True)
    names = {high: f"{low:,} to {high:,}" if low < high else f"{low:,}" for low, high in ranges}
    unit = name_unit(decided)
    return _Way(
        lambda comparison: [highs[bisect_left(highs, _find_length(comparison))]],
        lambda high: f"{names[high]} {unit}",
        in_order=True,
    )


def _find_length(comparison: Comparison) -> int:
    return round(sum(map(len, comparison.responses)) / len(comparison.responses))


def _grade_agreement(comparison: Comparison) -> list[int]:
    """Grade how many voted alike, where two or more did."""
    votes = comparison.votes or ()
    total, most = math.fsum(votes), max(votes, default=0.0)
    if total < 2:
        return []
    return [0 if math.isclose(most, total) else 1 if most > total / 2 else 2]
