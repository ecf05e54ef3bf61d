"""Probes: measurements of which it is known beforehand what they must come to.

A score that depends on where a response stands among others is no score of a response: comparisons are scored anew in
other orders. What is so scored is also held against labels that are wrong, turned round or dealt by chance. That tests
the arithmetic, and whether scores stay with their responses; it says nothing of the model, which has not learnt from
these labels. One that has learnt from shuffled labels is another probe, a training of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from prefline.data.chance import Chance, generator
from prefline.data.comparison import Comparison
from prefline.data.contents import Prompt, Response
from prefline.data.judgements import find_leaders
from prefline.reward_model.scored import Scored, decide, key_of, measure_accuracy, share_of

Score = Callable[[Sequence[Prompt], Sequence[Response]], Sequence[float]]

_HAIR = 1e-3  # of the deviation of all scores: as much may come of rounding, and changes no choice
_CASES = 10_000  # about so many deals, so that chance does not look like a fault


class Turned(NamedTuple):
    """Comparisons as they were scored, and scored anew in other orders: what is said of a response goes along."""

    given: list[Scored]
    reversed: list[Scored]  # the responses of each comparison from the last to the first
    rotated: list[Scored]  # the first response of each comparison put last


def score_turned(score: Score, scored: Sequence[Scored], most: int = 200) -> Turned:
    """Score up to `most` comparisons, from all over the data, again in two other orders of their responses."""
    number = min(most, len(scored))
    some = [scored[place * len(scored) // number] for place in range(number)]
    return Turned(some, *(_score_anew(score, [_turn(one, order) for one in some]) for order in (_reverse, _rotate)))


def _reverse(size: int) -> list[int]:
    return list(range(size))[::-1]


def _rotate(size: int) -> list[int]:
    return [*range(1, size), 0]


def _turn(one: Scored, order: Callable[[int], list[int]]) -> Comparison:
    """Return the comparison with its responses in another order, and its labels at their new places."""
    comparison, places = one.comparison, order(len(one.scores))
    best = tuple([new for new, old in enumerate(places) if old in comparison.best])
    responses = tuple([comparison.responses[old] for old in places])
    return Comparison(comparison.prompt, responses, best, undecided=comparison.undecided)


def _score_anew(score: Score, comparisons: Sequence[Comparison]) -> list[Scored]:
    prompts = [one.prompt for one in comparisons for _ in one.responses]
    found = iter(score(prompts, [response for one in comparisons for response in one.responses]))
    return [Scored(one, tuple([next(found) for _ in one.responses])) for one in comparisons]


def probe_order(turned: Turned) -> dict[str, Any] | None:
    """Say how far scores depend on the order of responses.

    `worst` is the largest difference to the scores given, in deviations of all scores, and `changed` counts the
    comparisons in which the choice becomes another. None where there is nothing that was scored.
    """
    if not turned.given:
        return None
    back = [
        [_put_back(one.scores, order) for one in again]
        for again, order in ((turned.reversed, _reverse), (turned.rotated, _rotate))
    ]
    given = np.concatenate([one.scores for one in turned.given])
    found = [np.concatenate(rows) for rows in back]
    spread = float(np.std([given, *found])) or 1.0  # they are all the same
    changed = [
        any(_differs(one, row, _HAIR * spread) for row in rows) for one, *rows in zip(turned.given, *back, strict=True)
    ]
    return {"worst": float(np.abs(found - given).max()) / spread, "changed": sum(changed), "of": len(turned.given)}


def _put_back(scores: Sequence[float], order: Callable[[int], list[int]]) -> np.ndarray:
    first = np.empty(len(scores))
    first[order(len(scores))] = scores
    return first


def _differs(one: Scored, again: np.ndarray, slack: float) -> bool:
    """Say whether what was chosen lies clearly below another now."""
    return again.max() - again[list(find_leaders(one.scores))].max() > slack


def probe_swapped(scored: Sequence[Scored]) -> dict[str, Any] | None:
    """Return the accuracy with inverted labels: all that are not best are best. None where nothing was decided.

    It is 1 less the accuracy of the same scores, so only scores that were asked for anew, in another order, can fail
    this: if they do not go with their responses, the labels and their opposite may both seem right.
    """
    return measure_accuracy(one._replace(comparison=_swap(one)) for one in decide(scored))


def _swap(one: Scored) -> Comparison:
    others = tuple([place for place in range(len(one.scores)) if place not in one.comparison.best])
    return replace(one.comparison, best=others, ranks=None, votes=None)


def probe_shuffled(scored: Sequence[Scored], chance: Chance) -> dict[str, Any] | None:
    """Return the accuracy where chance says which response has which score. It must be that of a blind choice.

    That is so of any scores, if credit is counted rightly: it tests the arithmetic alone. It is the same as dealing the
    labels, but the deals are many, and each comparison counts with their mean: of a single one, one in twenty would
    lie outside the interval. None where nothing was decided.
    """
    decided = decide(scored)
    draw = generator(chance, "shuffled labels")
    deals = range(max(1, _CASES // max(1, len(decided))))

    def deal(one: Scored) -> float:
        return one._replace(scores=tuple(draw.sample(one.scores, len(one.scores)))).credit or 0.0

    return share_of((key_of(one), sum(deal(one) for _ in deals) / len(deals), one.chance or 0.0) for one in decided)
