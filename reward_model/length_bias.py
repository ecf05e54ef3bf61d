"""How scores go with length: a response that is only longer should not be better by that."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from prefline.reward_model.ranks import centre, find_ranks
from prefline.reward_model.scored import Scored, decide, key_of, share_of

_TOLERANCE = 0.1  # of the longer: responses that differ by no more are as good as equally long


def measure_length(scored: Sequence[Scored]) -> dict[str, Any] | None:
    """Return how scores go with length, over all responses; None where there is none.

    `within` is Pearson's r of what is left when the means of its comparison are taken from each score and length: a
    choice hangs on nothing else. `matched` is how often a best is scored above another response of the comparison that
    is as long. A correlation is None where all scores, or all lengths, are the same.
    """
    if not scored:
        return None
    owners = np.repeat(np.arange(len(scored)), [len(one.scores) for one in scored])
    scores = np.array([score for one in scored for score in one.scores], dtype=float)
    lengths = np.array([len(response) for one in scored for response in one.comparison.responses], dtype=float)
    return {
        "pearson": _correlate(scores, lengths),
        "spearman": _correlate(find_ranks(scores, scores), find_ranks(lengths, lengths)),
        "within": _correlate(centre(scores, owners), centre(lengths, owners)),
        "matched": share_of(_list_matched(scored)),
        "tolerance": _TOLERANCE,
        "unit": name_unit(scored),
    }


def name_unit(scored: Sequence[Scored]) -> str:
    """Say what the length of a response counts; files hold either texts or token ids."""
    return "characters" if isinstance(scored[0].comparison.responses[0], str) else "tokens"


def _list_matched(scored: Sequence[Scored]) -> Iterator[tuple[Any, float, float]]:
    """Yield for each best and each other response that is as long: the prompt, whether the best is above, chance."""
    for one in decide(scored):
        lengths, scores = list(map(len, one.comparison.responses)), one.scores
        for best, other in itertools.product(one.comparison.best, range(len(scores))):
            apart = abs(lengths[best] - lengths[other])
            if other not in one.comparison.best and apart <= _TOLERANCE * max(lengths[best], lengths[other]):
                tie = scores[best] == scores[other]
                yield key_of(one), 0.5 if tie else float(scores[best] > scores[other]), 0.5


def _correlate(some: np.ndarray, others: np.ndarray) -> float | None:
    """Return Pearson's r; None where either does not vary."""
    some, others = _standardise(some), _standardise(others)
    spread = float(np.sqrt((some @ some) * (others @ others)))
    return float(np.clip(some @ others / spread, -1, 1)) if spread else None


def _standardise(values: np.ndarray) -> np.ndarray:
    """Take away the mean and divide by the largest, so that no square overflows."""
    values = values - values[0]  # of values that are all the same, exactly nothing is left
    values = values - values.mean()
    return values / (np.abs(values).max() or 1.0)
