"""Probes: measurements of which it is known beforehand what they must come to.

An accuracy that stays high with the labels swapped, or that labels dealt by chance do not bring down to chance, is
one of the measurement and not of the model. A score that depends on where a response stands among others is no score
of a response.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from prefline.data.chance import Chance, generator
from prefline.data.comparison import Comparison
from prefline.data.contents import Prompt, Response
from prefline.data.judgements import find_leaders
from prefline.reward_model.scored import Scored, decide, key_of, measure_accuracy, share_of

Score = Callable[[Sequence[Prompt], Sequence[Response]], Sequence[float]]

_HAIR = 1e-3  # of the deviation of all scores: as much may come of rounding, and changes no choice
_CASES = 10_000  # about so many deals, so that chance does not look like a fault


def probe_order(score: Score, scored: Sequence[Scored], most: int = 200) -> dict[str, Any] | None:
    """Score responses again in other orders: each comparison's reversed, and each comparison's turned by one place.

    `worst` is the largest difference to the scores given, in deviations of all scores, and `changed` counts the
    comparisons, of up to `most`, in which the choice becomes another. None where there is nothing to score.
    """
    if not scored:
        return None
    number = min(most, len(scored))
    some = [scored[place * len(scored) // number] for place in range(number)]  # from all over the data
    given = np.concatenate([one.scores for one in some])
    found = [_score_in_order(score, some, turn) for turn in (_reverse, _rotate)]
    spread = float(np.std([given, *found])) or 1.0  # they are all the same
    ends = np.cumsum([len(one.scores) for one in some])[:-1]
    again = [np.split(scores, ends) for scores in found]
    changed = [
        any(_differs(one, rows, _HAIR * spread) for rows in both) for one, *both in zip(some, *again, strict=True)
    ]
    return {"worst": float(np.abs(found - given).max()) / spread, "changed": sum(changed), "of": len(some)}


def _reverse(size: int) -> list[int]:
    return list(range(size))[::-1]


def _rotate(size: int) -> list[int]:
    return [*range(1, size), 0]


def _score_in_order(score: Score, scored: Sequence[Scored], turn: Callable[[int], list[int]]) -> np.ndarray:
    """Return scores in the order of the comparisons, found in another order."""
    orders = [turn(len(one.scores)) for one in scored]
    asked = [(one.comparison, place) for one, order in zip(scored, orders, strict=True) for place in order]
    prompts = [comparison.prompt for comparison, _ in asked]
    found = score(prompts, [comparison.responses[place] for comparison, place in asked])
    starts = np.cumsum([0, *map(len, orders)])[:-1]
    places = np.concatenate([start + np.array(order) for start, order in zip(starts, orders, strict=True)])
    scores = np.empty(len(asked))
    scores[places] = found
    return scores


def _differs(one: Scored, again: np.ndarray, slack: float) -> bool:
    """Say whether what was chosen lies clearly below another now."""
    return again.max() - again[list(find_leaders(one.scores))].max() > slack


def probe_swapped(scored: Sequence[Scored]) -> dict[str, Any] | None:
    """Return the accuracy with inverted labels: all that are not best are best. It must be 1 less the accuracy.

    None where nothing was decided.
    """
    return measure_accuracy(one._replace(comparison=_swap(one)) for one in decide(scored))


def _swap(one: Scored) -> Comparison:
    others = tuple([place for place in range(len(one.scores)) if place not in one.comparison.best])
    return replace(one.comparison, best=others, ranks=None, votes=None)


def probe_shuffled(scored: Sequence[Scored], chance: Chance) -> dict[str, Any] | None:
    """Return the accuracy where chance says which response has which score. It must be that of a blind choice.

    That is the same as dealing the labels, but the deals are many, and each comparison counts with their mean: of a
    single one, one in twenty would lie outside the interval. None where nothing was decided.
    """
    decided = decide(scored)
    draw = generator(chance, "shuffled labels")
    deals = range(max(1, _CASES // max(1, len(decided))))

    def deal(one: Scored) -> float:
        return one._replace(scores=tuple(draw.sample(one.scores, len(one.scores)))).credit or 0.0

    return share_of((key_of(one), sum(deal(one) for _ in deals) / len(deals), one.chance or 0.0) for one in decided)
