"""Whether a reward model knows how sure it may be: log loss, and confidence against how often it is right.

By the softmax over its scores a model says how much of the choice falls to each response of a comparison. Reliability
is that of Guo et al. (2017), here in bins of as many cases each, so that none is empty. The right of a case is how much
of the choice did fall to the response with the highest score: 1 or 0 where one was chosen, and the share of its votes
or its part of a tie where opinions differ, as this is what the model has learnt to foretell.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from prefline.reward_model.ranks import cut
from prefline.reward_model.scored import Scored, key_of, share_of

_FARTHEST = 1000.0  # a temperature beyond it, or below one over it, is none
_HALVINGS = 60  # of the range of temperatures: as exact as numbers are


class _Table(NamedTuple):
    """Comparisons in which somebody chose, response after response. B comparisons, N responses of all."""

    scores: np.ndarray  # [N]
    targets: np.ndarray  # [N] how much of the choice falls to each
    starts: np.ndarray  # [B]
    sizes: np.ndarray  # [B]
    weights: np.ndarray  # [B]

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sum values [N] over the responses of each comparison [B]."""
        return np.add.reduceat(values, self.starts)

    def mean(self, values: np.ndarray) -> float:
        """Return the mean of values [B], by the weights of the comparisons."""
        return float(np.average(values, weights=self.weights))

    def find_log_shares(self, sharpness: float) -> np.ndarray:
        """Return the logarithm of the softmax over each comparison [N]."""
        scores = self.scores * sharpness
        scores = scores - np.repeat(np.maximum.reduceat(scores, self.starts), self.sizes)
        return scores - np.repeat(np.log(self.sum(np.exp(scores))), self.sizes)

    def find_loss(self, sharpness: float) -> float:
        """Return the mean cross-entropy of the softmax and the choices."""
        return -self.mean(self.sum(self.targets * self.find_log_shares(sharpness)))

    def find_slope(self, sharpness: float) -> float:
        """Return the slope of the loss in the sharpness."""
        surplus = np.exp(self.find_log_shares(sharpness)) - self.targets
        return self.mean(self.sum(surplus * self.scores))


def measure_log_loss(scored: Iterable[Scored], sharpness: float = 1.0) -> dict[str, Any] | None:
    """Return the mean cross-entropy of scores times `sharpness` and choices, by weight; None where nobody chose.

    `chance` is the loss of a model that scores all alike, `floor` that of one that knows how the votes are split.
    """
    chosen, table = _tabulate(scored)
    if table is None:
        return None
    doubts = -table.targets * np.log(np.where(table.targets > 0, table.targets, 1.0))
    return {
        "loss": table.find_loss(sharpness),
        "chance": table.mean(np.log(table.sizes)),
        "floor": table.mean(table.sum(doubts)),
        "of": len(chosen),
    }


def calibrate(scored: Iterable[Scored], sharpness: float = 1.0, bins: int = 10) -> dict[str, Any] | None:
    """Return how far the softmax of scores times `sharpness` may be believed; None where nobody chose.

    `ece` is the mean distance of confidence and accuracy over bins: the expected calibration error. It is too high on
    average, as in each bin the accuracy strays from the truth by chance, about 0.8 sqrt(p (1 - p) / cases): with 20
    cases a bin a perfect model has about 0.08. So few cases get fewer bins, and a bin is to be read with its interval.
    In bins and in the error each comparison counts once, as in accuracy; the loss and the temperature go by weight, as
    training does.

    `temperature` is what scores times `sharpness` would have to be divided by for the least log loss on these very
    comparisons: above 1 the model is too sure of itself. It is None where no temperature is best, as when all choices
    are right, or the model is no better than chance. `factor` is what scores as they are would be multiplied by.
    """
    chosen, table = _tabulate(scored)
    if table is None:
        return None
    confidence = np.exp(np.maximum.reduceat(table.find_log_shares(sharpness), table.starts))
    highest = table.scores == np.repeat(np.maximum.reduceat(table.scores, table.starts), table.sizes)
    right = table.sum(table.targets * highest) / table.sum(highest)
    rows = [_describe_bin(chosen, confidence, right, places) for places in cut(confidence, bins)]
    temperature = _find_temperature(table, sharpness)
    return {
        "ece": sum(row["of"] * abs(row["accuracy"] - row["confidence"]) for row in rows) / len(chosen),
        "bins": rows,
        "temperature": temperature,
        "factor": None if temperature is None else sharpness / temperature,
        "loss_at_temperature": None if temperature is None else table.find_loss(sharpness / temperature),
        "of": len(chosen),
    }


def _tabulate(scored: Iterable[Scored]) -> tuple[list[Scored], _Table | None]:
    """Return those in which somebody chose, and their table; None where there are none."""
    chosen, targets = [], []
    for one in scored:
        if target := one.comparison.target:
            chosen.append(one)
            targets.extend(target)
    if not chosen:
        return chosen, None
    sizes = np.array([len(one.scores) for one in chosen])
    scores = np.array([score for one in chosen for score in one.scores], dtype=float)
    weights = np.array([one.comparison.weight for one in chosen], dtype=float)
    return chosen, _Table(scores, np.array(targets), np.cumsum(sizes) - sizes, sizes, weights)


def _describe_bin(
    chosen: list[Scored], confidence: np.ndarray, right: np.ndarray, places: np.ndarray
) -> dict[str, Any]:
    share = share_of((key_of(chosen[place]), float(right[place]), 0.0) for place in places) or {}
    return {
        "confidence": float(confidence[places].mean()),
        "accuracy": share["share"],
        "low": share["low"],
        "high": share["high"],
        "of": share["of"],
    }


def _find_temperature(table: _Table, sharpness: float) -> float | None:
    """Halve the range in which the loss, convex in one over the temperature, changes from falling to rising."""
    least, most = -np.log(_FARTHEST), np.log(_FARTHEST)

    def rises(exponent: float) -> bool:
        return table.find_slope(sharpness * float(np.exp(exponent))) > 0

    if rises(least) or not rises(most):
        return None
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        least, most = (least, middle) if rises(middle) else (middle, most)
    return float(np.exp(-most))
