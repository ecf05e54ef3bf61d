"""What is gained by taking the best of n responses by a reward model, as somebody else values them: the gold.

From k responses that are there, n are drawn without replacement and the one with the highest score is taken. What that
comes to is not drawn but computed, over all ways to draw (as pass@k is by Chen 2021). Gold that does not come from
the comparisons that were learnt from shows whether a higher score is a better response: as n grows, a score that is
only in part right gains ever less, and may lose (Gao 2023).

The gain is over any response to the same prompt, and is counted in standard deviations of the gold over all responses.
So prompts whose responses are all good do not matter, and figures of different golds can be read alike.

Shapes: B comparisons, k responses to each.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from prefline.data.intervals import find_student
from prefline.reward_model.ranks import count_below, number
from prefline.reward_model.scored import Scored, key_of


def gold_of_ratings(scored: Sequence[Scored]) -> list[tuple[float, ...] | None] | None:
    """Return the ratings of each comparison; None for one in which a response has none, and where all are such."""
    gold = [_complete(one.comparison.ratings) for one in scored]
    return None if all(values is None for values in gold) else gold


def _complete(ratings: tuple[float | None, ...] | None) -> tuple[float, ...] | None:
    given = tuple(rating for rating in ratings or () if rating is not None)
    return given if ratings and len(given) == len(ratings) else None


def measure_best_of_n(
    scored: Sequence[Scored], gold: Sequence[Sequence[float] | None], by: str
) -> dict[str, Any] | None:
    """Return the gain in gold of the best of n, for each n up to the number of responses that most comparisons have.

    `gold` holds a value for each response of each comparison, or None for one that is left out, as those are that have
    another number of responses. `most` is what the gold itself would gain if it chose; `kl` is the most that this takes
    the responses away from how they were drawn, in nats (Beirami 2024). None where the gold tells no two apart.
    """
    valued = [(one, values) for one, values in zip(scored, gold, strict=True) if values is not None]
    if not valued:
        return None
    sizes = Counter(len(one.scores) for one, _ in valued)
    size = max(sizes, key=lambda size: (sizes[size], size))
    valued = [(one, values) for one, values in valued if len(one.scores) == size]
    values = np.array([values for _, values in valued], float)
    if not np.ptp(values, 1).any():
        return None
    gains = (values - values.mean(1, keepdims=True)) / values.std()
    scores = np.array([one.scores for one, _ in valued], float)
    prompts = number(key_of(one) for one, _ in valued)
    curve = []
    for n, (chosen, best) in enumerate(zip(favour(scores), favour(values), strict=True), 1):
        found, low, high = _find_mean((chosen * gains).sum(1), prompts)
        most = (best * gains).sum(1).mean().item()
        curve.append({"n": n, "gold": found, "low": low, "high": high, "most": most, "kl": math.log(n) - (n - 1) / n})
    return {"by": by, "of": len(valued), "left_out": len(scored) - len(valued), "curve": curve}


def favour(scores: np.ndarray) -> Iterator[np.ndarray]:
    """Yield for each n how probable each response [B, k] is to have the highest score of n drawn; ties share that."""
    rows, size = scores.shape
    counts = count_below(scores.ravel(), np.repeat(np.arange(rows), size))
    below, alike = (count.reshape(rows, size) for count in counts)
    for n in range(1, size + 1):
        # Of all draws, those from the m lowest: what is alike is highest in those from it and below, less from below.
        draws = np.array([math.comb(lowest, n) / math.comb(size, n) for lowest in range(size + 1)])
        yield (draws[below + alike] - draws[below]) / alike


def _find_mean(values: np.ndarray, prompts: np.ndarray) -> tuple[float, float | None, float | None]:
    """Return the mean with its 95 % interval; the variance is that of a ratio over prompts (Cochran 1977)."""
    mean = values.mean().item()
    sums = np.bincount(prompts, values - mean)
    if len(sums) < 2:
        return mean, None, None
    freedom = len(sums) - 1
    reach = find_student(freedom) * math.sqrt((sums**2).sum() * len(sums) / freedom) / len(values)
    return mean, mean - reach, mean + reach
