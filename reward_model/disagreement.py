"""Whether an ensemble knows when it does not know: do its members disagree where it chooses wrongly?

That is a question of ranks: the area under the ROC curve (AUC) is the probability that of a wrong and a right choice
the wrong one had more disagreement; 0.5 says nothing. Its variance is that of Hanley and McNeil (1982) in the form of
Newcombe (2006), which is right for few wrong choices too, and is no 0 where all of them come first. Departures: it is
as much larger as DeLong's (1988) gets when cases of a prompt are taken together (Obuchowski 1997), and the interval is
Wilson's of so many cases as would say as much, as of any share here.

What members disagree about must be the choice. How far their scores lie apart may be no sign of it: of two responses
that all members put first and last, some may put them farther from each other. So what counts is dissent, how many
would have chosen another response; the spread of scores is measured beside it. Small margins tell of wrong choices
too, and cost no ensemble, so they are measured as well: members are worth their cost where they tell more.
"""

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from prefline.data.intervals import wilson
from prefline.reward_model.ranks import cut, find_ranks, number
from prefline.reward_model.scored import Scored, decide, key_of, measure_accuracy


def judge_disagreement(scored: Sequence[Scored], bins: int = 5) -> dict[str, Any] | None:
    """Return how well disagreement tells wrong choices from right ones, and the accuracy by how much there is.

    The spread of a comparison is the mean over its responses. A choice is wrong as far as it is not surely right, so
    scores that tie count as wrong. None where no members were asked, and where all choices are wrong or all are right.
    """
    asked = [one for one in decide(scored) if one.dissent is not None]
    wrong = np.array([one.credit != 1 for one in asked], bool)
    if wrong.all() or not wrong.any():
        return None
    prompts = [key_of(one) for one in asked]
    dissent = np.array([one.dissent for one in asked], float)
    spread = np.array([math.fsum(one.disagreement or ()) / len(one.scores) for one in asked])
    margins = np.array([np.diff(sorted(one.scores)[-2:]).item() for one in asked])
    return {
        **find_auc(dissent, wrong, prompts),
        "of": len(asked),
        "spread": find_auc(spread, wrong, prompts),
        "margin": find_auc(-margins, wrong, prompts),
        "bins": _divide(asked, dissent, bins),
    }


def find_auc(values: np.ndarray, wrong: np.ndarray, prompts: Sequence[Hashable]) -> dict[str, Any]:
    """Return how probable it is that a wrong case has a higher value than a right one, with its 95 % interval."""
    shares = np.empty(len(values))  # of those of the other kind that a case is above, or below if it is right
    shares[wrong] = find_ranks(values[wrong], values[~wrong])
    shares[~wrong] = 1 - find_ranks(values[~wrong], values[wrong])
    auc = shares[wrong].mean().item()
    effective = _count_effective_cases(auc, shares, wrong, prompts)
    low, high = wilson(auc * effective, effective)
    return {"auc": auc, "low": low, "high": high}


def _count_effective_cases(auc: float, shares: np.ndarray, wrong: np.ndarray, prompts: Sequence[Hashable]) -> float:
    """Return of how many independent cases a share would be as sure as the area is."""
    positives, negatives = wrong.sum().item(), (~wrong).sum().item()
    others = (positives + negatives) / 2 - 1
    cases = positives * negatives / (1 + others * (1 - auc) / (2 - auc) + others * auc / (1 + auc))
    groups = number(prompts)
    moved = (shares - auc) / np.where(wrong, positives, negatives)  # how far each case moves the area
    alone, together = (moved**2).sum().item(), (np.bincount(groups, moved) ** 2).sum().item()
    if alone == 0 or not groups.any():  # no variance to be seen: cases of a prompt count as one
        return cases * len(shares) / (np.bincount(groups) ** 2).sum().item()
    return cases / max(1.0, together / alone)


def _divide(asked: Sequence[Scored], dissent: np.ndarray, bins: int) -> list[dict[str, Any]]:
    """Return the accuracy in bins of about equal size, of which none parts what disagrees alike."""
    found = []
    for places in cut(dissent, bins):
        share = measure_accuracy(asked[place] for place in places.tolist()) or {}
        about = {"dissent": dissent[places].mean().item(), "accuracy": share["share"]}
        found.append(about | {name: share[name] for name in ("low", "high", "of")})
    return found
