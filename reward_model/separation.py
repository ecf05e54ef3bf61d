"""How far a reward model keeps the good from the bad: where its scores lie, and how surely a best outscores a negative.

The area under the ROC curve (AUC) is the probability that a good response has the higher score of the two, where a
tie counts half (Bamber 1975). Departure: what tells of a choice is two responses to one prompt, so that is what is
counted; `auc_all` is the usual one, of all bests against all negatives, where prompts differ in how high they score.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefline.data.contents import Prompt
from prefline.data.wording import count
from prefline.reward_model.ranks import find_ranks
from prefline.reward_model.scored import Scored, decide, key_of, share_of

_BINS = 24
_MOST = 40  # categories
_PERCENTILES = {"least": 0, "p5": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95, "most": 100}


def describe_scores(groups: Mapping[str, Sequence[float]]) -> dict[str, dict[str, Any] | None]:
    """Return of each group of scores where they lie, in bins that all groups share; None where there are none."""
    given = {name: np.asarray(scores, float) for name, scores in groups.items()}
    edges = _find_edges(np.concatenate([np.zeros(0), *given.values()]))
    return {name: _describe(scores, edges) if len(scores) else None for name, scores in given.items()}


def _find_edges(scores: np.ndarray) -> np.ndarray:
    if not len(scores):
        return np.zeros(0)
    low, high = scores.min(), scores.max()
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.unique(np.linspace(low, high, _BINS + 1))  # fewer where the next number is further than the next edge


def _describe(scores: np.ndarray, edges: np.ndarray) -> dict[str, Any]:
    counts, _ = np.histogram(scores, edges)
    points = np.percentile(scores, [*_PERCENTILES.values()])
    return {
        "of": len(scores),
        "mean": scores.mean().item(),
        "std": scores.std().item(),
        **dict(zip(_PERCENTILES, points.tolist(), strict=True)),
        "bins": [
            {"low": low, "high": high, "of": of}
            for low, high, of in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
        ],
    }


def describe_negatives(scored: Sequence[Scored]) -> list[dict[str, Any]] | None:
    """Return how surely a best outscores the responses of each category that are not best, in their comparisons.

    Those that pass for good most often come first; of many categories the less frequent are taken together, as so many
    others. None where no such response has a category.
    """
    cases: dict[str, list[tuple[Prompt, float, float]]] = {}
    negatives: dict[str, list[float]] = {}
    bests: list[float] = []
    for one in decide(scored):
        best = [one.scores[place] for place in one.comparison.best]
        bests += best
        for place, category in enumerate(one.comparison.categories or ()):
            if category is None or place in one.comparison.best:
                continue
            below = find_ranks([one.scores[place]], best)[0]
            cases.setdefault(category, []).append((key_of(one), 1 - below, 0.5))
            negatives.setdefault(category, []).append(one.scores[place])
    frequent = sorted(cases, key=lambda category: -len(cases[category]))
    parts = [(category, [category]) for category in frequent[:_MOST]]
    if rest := frequent[_MOST:]:
        parts.append((count(len(rest), "other", "others"), rest))
    found = [
        _describe_category(
            name,
            [case for category in part for case in cases[category]],
            find_ranks(bests, [score for category in part for score in negatives[category]]),
        )
        for name, part in parts
    ]
    return sorted(found, key=lambda one: (one["auc"], one["category"])) or None


def _describe_category(
    category: str, cases: Sequence[tuple[Prompt, float, float]], ranks: np.ndarray
) -> dict[str, Any]:
    share = share_of(cases) or {}
    return {
        "category": category,
        "auc": share["share"],
        "low": share["low"],
        "high": share["high"],
        "of": share["of"],
        "auc_all": ranks.mean().item(),
    }
