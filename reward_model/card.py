"""The report card of a reward model: what its scores on comparisons, held out as a rule, say of it.

It is one JSON document, whose first part is what it all means in plain words. What could not be measured, for want
of ratings, votes or an ensemble, is None. The parts are one module each; this one only puts them together.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from prefline.data.chance import Chance, from_seed
from prefline.data.comparison import Comparison
from prefline.data.errors import DataError, NotFiniteError
from prefline.reward_model.best_of_n import gold_of_ratings, measure_best_of_n
from prefline.reward_model.calibration import calibrate, measure_log_loss
from prefline.reward_model.disagreement import judge_disagreement
from prefline.reward_model.findings import judge
from prefline.reward_model.leaks import find_leak
from prefline.reward_model.length_bias import measure_length
from prefline.reward_model.mistakes import find_mistakes
from prefline.reward_model.probes import Score, probe_order, probe_shuffled, probe_swapped, score_turned
from prefline.reward_model.scored import Scored, decide, measure_accuracy
from prefline.reward_model.separation import describe_negatives, describe_scores
from prefline.reward_model.shortcuts import describe_shortcuts
from prefline.reward_model.slices import describe_slices

SCHEMA = "prefline.report-card/1"

# Who values the responses, and the values of those of each comparison; None of one that is left out.
Gold = tuple[str, Sequence[Sequence[float] | None]]

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_CHANCE = from_seed(0)


def write_card(
    scored: Sequence[Scored],
    *,
    score: Score | None = None,
    train: Sequence[Comparison] = (),
    learnt: Sequence[Comparison] | None = None,
    train_accuracy: Mapping[str, Any] | None = None,
    sharpness: float | None = 1.0,
    ceiling: Mapping[str, Any] | None = None,
    groups: Mapping[str, Sequence[float]] = _NOTHING,
    gold: Gold | None = None,
    chance: Chance = _CHANCE,
    data: Mapping[str, Any] = _NOTHING,
    model: Mapping[str, Any] = _NOTHING,
) -> dict[str, Any]:
    """Write the card of a model that gave these scores to comparisons, which it had better not have learnt from.

    `score` scores texts anew, to see whether it reads their order. Shortcuts are learnt from `train`. `learnt` is what
    the model has learnt from, None where nobody knows, and `train_accuracy` how right it is there. Scores times
    `sharpness` make the softmax that it was trained by, None if by none. `ceiling` is how far people agree. `groups`
    are scores of other texts. `gold` values responses better than the labels do; ratings stand in for it.
    """
    _check_finite(scored, groups)
    decided = _find_decided(scored)
    card = {
        "schema": SCHEMA,
        "verdict": [],
        "model": dict(model),
        "data": {**_describe_data(scored, decided), **data},
        "accuracy": measure_accuracy(decided),
        "ceiling": ceiling,
        **_measure_probabilities(scored, sharpness),
        "slices": describe_slices(scored),
        "length": measure_length(scored),
        "shortcuts": describe_shortcuts(decided, train),
        "probes": _probe(decided, score, chance),
        "leak": None if learnt is None else find_leak(decided, learnt),
        "train": train_accuracy,
        "scores": describe_scores({**_group(decided), **groups}),
        "negatives": describe_negatives(decided),
        "mistakes": find_mistakes(decided, sharpness),
        "best_of_n": _measure_best_of_n(scored, gold),
        "disagreement": judge_disagreement(decided),
    }
    return card | {"verdict": judge(card)}


def _check_finite(scored: Sequence[Scored], groups: Mapping[str, Sequence[float]]) -> None:
    """Refuse scores that are no numbers: a comparison of them would count as one in which nobody chose."""
    scores = [score for row in (*(one.scores for one in scored), *groups.values()) for score in row]
    if broken := sum(not math.isfinite(score) for score in scores):
        found = f"{broken:,} of {len(scores):,} that are not"
        raise NotFiniteError(f"expected finite scores, found {found}: the weights of the model are broken")


def _find_decided(scored: Sequence[Scored]) -> list[Scored]:
    decided = decide(scored)
    if not decided:
        found = f"found {len(scored):,} in which nobody chose, or all are best" if scored else "found none"
        raise DataError(f"expected comparisons in which somebody chose, {found}: ask about more of them")
    return decided


def _measure_probabilities(scored: Sequence[Scored], sharpness: float | None) -> dict[str, Any]:
    if sharpness is None:
        return {"log_loss": None, "calibration": None}
    return {"log_loss": measure_log_loss(scored, sharpness), "calibration": calibrate(scored, sharpness)}


def _describe_data(scored: Sequence[Scored], decided: Sequence[Scored]) -> dict[str, Any]:
    return {
        "comparisons": len(scored),
        "decided": len(decided),
        "prompts": len({one.comparison.prompt for one in decided}),
        "passed_over": len(scored) - len(decided),
        "feedback": None,
        "side": "held_out",
    }


def _probe(decided: Sequence[Scored], score: Score | None, chance: Chance) -> dict[str, Any]:
    turned = None if score is None else score_turned(score, decided)
    anew = decided if turned is None else turned.reversed
    return {
        "order": None if turned is None else probe_order(turned),
        "swapped": probe_swapped(anew),
        "shuffled": probe_shuffled(anew, chance),
    }


def _group(decided: Sequence[Scored]) -> dict[str, list[float]]:
    """Return the scores of what is best, and of what is not."""
    groups: dict[str, list[float]] = {"best": [], "others": []}
    for one in decided:
        for place, score in enumerate(one.scores):
            groups["best" if place in one.comparison.best else "others"].append(score)
    return groups


def _measure_best_of_n(scored: Sequence[Scored], gold: Gold | None) -> dict[str, Any] | None:
    if gold is not None:
        by, values = gold
        return measure_best_of_n(scored, values, by)
    ratings = gold_of_ratings(scored)
    return None if ratings is None else measure_best_of_n(scored, ratings, "ratings")
