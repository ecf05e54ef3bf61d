"""Where values stand among others: above how many, how far from the middle of a group, in which bin of about as many.

Groups are given by a number for each value, from 0: of the comparison that it is in, or of its prompt.
"""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

_FEWEST = 20  # cases in a bin: the shares of fewer say little


def number(keys: Iterable[Hashable]) -> np.ndarray:
    """Number keys by when each came first; the same key has the same number."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def count_below(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of each value how many of its group are below it, and how many are like it, itself among them."""
    order = np.lexsort((values, groups))
    values, groups = values[order], groups[order]
    changes = np.ones(len(order), bool)
    changes[1:] = (values[1:] != values[:-1]) | (groups[1:] != groups[:-1])
    (starts,) = np.nonzero(changes)  # of the runs of values that are alike
    runs = np.empty(len(order), np.int64)
    runs[order] = np.cumsum(changes) - 1
    below = starts - np.searchsorted(groups, groups[starts])  # how many come before, less those of other groups
    return below[runs], np.diff(starts, append=len(order))[runs]


def find_ranks(values: Sequence[float] | np.ndarray, among: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return for each value the share of the others that are below it, those that are the same counting half."""
    others = np.sort(among)
    below, upto = (np.searchsorted(others, values, side) for side in ("left", "right"))
    return (below + upto) / (2 * len(others))


def centre(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Take its mean from each group."""
    firsts = np.zeros(groups.max(initial=-1) + 1)
    firsts[groups[::-1]] = values[::-1]
    values = values - firsts[groups]  # of values that are all the same, exactly nothing is left
    return values - (np.bincount(groups, values) / np.maximum(np.bincount(groups), 1))[groups]


def cut(values: np.ndarray, bins: int) -> list[np.ndarray]:
    """Return the places of values in at most so many bins of about as many, in order; equal values stay together.

    Of few values there are fewer bins: each has 20 values or more, where there are as many.
    """
    order = np.argsort(values, kind="stable")
    ordered, of = values[order], len(values)
    size = of // max(1, min(bins, of // _FEWEST))
    starts = [0]
    for place in range(size, of - size + 1):
        if place - starts[-1] >= size and ordered[place] != ordered[place - 1]:
            starts.append(place)
    return np.split(order, starts[1:])
