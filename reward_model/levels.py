"""How much of a table of values names explain: who wrote a response, or the place where it stands.

Values stand in rows, one row for each comparison, and each has a name. A row may lie as high as it likes, since only
the differences within a row choose; so the level of a name is that of least squares with a level free for each row
(the within estimator of panel data). That a name was mostly up against strong ones is thereby allowed for. To say
nothing of what is hardly known, each name is given one more value, of 0 (a ridge).
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from prefline.data.contents import Prompt
from prefline.data.digests import digest_prompt
from prefline.reward_model.ranks import centre, count_below, number

Rows = Sequence[Sequence[float]]
NameRows = Sequence[Sequence[Hashable]]

_FOLDS = 5
# Each leaves about 1 / k of the error, with k values in a row, where all names meet. Where they meet in few rows, or in
# a chain, it leaves more, and levels stay too near to each other.
_SWEEPS = 30
_ROUNDING = 1e-12  # of the squares: rows as even as that hold nothing to explain


def fit_levels(values: Rows, names: NameRows) -> dict[Hashable, float]:
    """Return the level of each name, by alternating between those of the rows and those of the names."""
    if not values:
        return {}
    flat, owners = _flatten(values)
    listed = [name for row in names for name in row]
    groups = number(listed)
    shown = np.bincount(groups)
    levels = np.zeros(len(shown))
    for _ in range(_SWEEPS):
        left = centre(flat - levels[groups], owners)
        levels = (np.bincount(groups, left) + shown * levels) / (shown + 1)
        levels -= levels.mean()  # what all names have in common is the rows', and would be given back slowly
    return dict(zip(dict.fromkeys(listed), levels.tolist(), strict=True))


def predict(levels: Mapping[Hashable, float], names: Sequence[Hashable]) -> tuple[float, ...]:
    """Return the levels of the names of a row; a name that nothing is known of lies at 0, where all lie on average."""
    return tuple([levels.get(name, 0.0) for name in names])


def cross_fit(prompts: Sequence[Prompt], values: Rows, names: NameRows) -> list[tuple[float, ...]]:
    """Predict each row by the levels of the rows of other prompts, so that no row is judged by itself.

    Prompts are dealt to folds by their digests, so that the order of the rows changes nothing.
    """
    folds = [int.from_bytes(digest_prompt(prompt)[:8]) % _FOLDS for prompt in prompts]
    fitted: list[dict[Hashable, float]] = []
    for fold in range(_FOLDS):
        others = [row for row, own in enumerate(folds) if own != fold]
        fitted.append(fit_levels([values[row] for row in others], [names[row] for row in others]))
    return [predict(fitted[fold], row) for fold, row in zip(folds, names, strict=True)]


def explain(values: Rows, predicted: Rows) -> float | None:
    """Return the share of the variance within rows that a prediction explains, at least 0; None where there is none."""
    flat, owners = _flatten(values)
    whole = _square(centre(flat, owners))
    if whole <= _ROUNDING * _square(flat):
        return None
    return max(0.0, 1 - _square(centre(flat - _flatten(predicted)[0], owners)) / whole)


def explain_order(values: Rows, guide: Rows) -> float | None:
    """Return the share of the variance of ranks within rows that the ranks of a guide explain.

    So it is 1 for whatever grows with the guide, in proportion or not, and 0 for what runs against it. None where
    either has no order.
    """
    ours, theirs = _rank(values), _rank(guide)
    squares = _square(ours) * _square(theirs)
    return max(0.0, float(ours @ theirs)) ** 2 / squares if squares else None


def _flatten(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return all values one after the other, and of each the row that it is in."""
    owners = np.repeat(np.arange(len(rows)), [len(row) for row in rows]) if len(rows) else np.zeros(0, np.int64)
    return np.array([value for row in rows for value in row], np.float64), owners


def _square(values: np.ndarray) -> float:
    return float(values @ values)


def _rank(rows: Rows) -> np.ndarray:
    """Return ranks within each row, those that tie sharing theirs, as far as they lie from the middle of the row."""
    flat, owners = _flatten(rows)
    below, alike = count_below(flat, owners)
    return below + (alike - np.bincount(owners)[owners]) / 2
