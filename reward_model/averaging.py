"""The mean accuracy of several trainings on the same comparisons, and how sure it is of any training on any prompts.

Accuracy varies with the seed of a training and with the prompts that are held out, and these are crossed: each training
meets each prompt. So the variance of the mean is that over prompts, plus what the trainings differ by more than they
would by chance on single prompts: the two-way variance of Cameron, Gelbach and Miller (2011), whose
V(prompts) + V(trainings) - V(both) is never taken to be less than V(prompts) here. Few trainings tell little of how
trainings differ, so the interval is that of Student's t with Satterthwaite's degrees of freedom (1946); and it is
Wilson's, of as many independent cases as have that variance, but of no more than there are, which stays within 0 and 1.
In simulations with three trainings or more it holds the true accuracy 93 to 98 times in 100, with two 88 to 98. One
training tells nothing of others: its interval is of prompts alone.

S trainings, N comparisons in which somebody chose, P prompts.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from prefline.data.intervals import NORMAL, count_share, find_student
from prefline.reward_model.ranks import number
from prefline.reward_model.scored import Scored, decide, difference_of, key_of, share_of


def average_accuracy(trainings: Sequence[Sequence[Scored]]) -> dict[str, Any] | None:
    """Return the mean accuracy of trainings that scored the same comparisons, as a share; None where nobody chose."""
    decided = decide(trainings[0])
    credit = _tabulate(trainings)
    means = zip(decided, credit.mean(0).tolist(), strict=True)
    found = share_of((key_of(one), mean, one.chance or 0.0) for one, mean in means)
    if found is None:
        return None
    prompts = number(map(key_of, decided))  # all 0 where they have the same
    share = found["share"]
    if len(trainings) > 1 and prompts.any() and 0 < share < 1:  # else there is no variance to be seen
        effective = _count_effective_cases(credit, prompts)
        found |= count_share(found["right"], found["of"], "right", effective) | {"effective": effective}
    accuracies = credit.mean(1)
    return found | {"trainings": len(trainings), "least": float(accuracies.min()), "most": float(accuracies.max())}


def compare_accuracy(
    trainings: Sequence[Sequence[Scored]], others: Sequence[Sequence[Scored]]
) -> dict[str, Any] | None:
    """Return by how much trainings are more accurate than as many others, each held against its own.

    What makes a comparison easy or hard for both is no difference, so this is surer than two intervals that overlap.
    """
    decided = decide(trainings[0])
    prompts = number(map(key_of, decided))
    ahead = _tabulate(trainings) - _tabulate(others)
    cases = zip(map(key_of, decided), ahead.mean(0).tolist(), strict=True)
    found = difference_of(cases)
    if found is None or len(trainings) == 1 or not prompts.any() or not ahead.any():
        return found
    middle, reach = found["difference"], _find_reach(ahead, prompts)
    return found | {"low": max(-1.0, middle - reach), "high": min(1.0, middle + reach)}


def _tabulate(trainings: Sequence[Sequence[Scored]]) -> np.ndarray:
    """Return the credit of each training in each comparison in which somebody chose [S, N]."""
    return np.array([[one.credit for one in decide(scored)] for scored in trainings], dtype=float)


def _count_effective_cases(credit: np.ndarray, prompts: np.ndarray) -> float:
    """Return of how many independent cases the mean of credit [S, N] would be as sure, at most of as many as it has.

    Where no variance is seen, as when each training makes good what another misses, only prompts count, once each.
    """
    reach = _find_reach(credit, prompts)
    if reach == 0:
        return credit.shape[1] ** 2 / np.square(np.bincount(prompts)).sum().item()
    share = credit.mean().item()
    return min(share * (1 - share) * (NORMAL / reach) ** 2, float(credit.size))


def _find_reach(values: np.ndarray, prompts: np.ndarray) -> float:
    """Return how far the interval of the mean of values [S, N] reaches on either side; `prompts` numbers those [N]."""
    trainings, cases = values.shape
    each = values.mean(1, keepdims=True)
    of_prompts = np.square(_add_up(values.mean(0, keepdims=True) - values.mean(), prompts)).sum() / cases**2
    pairs = trainings * (trainings - 1)
    of_trainings = np.square(each - values.mean()).sum() / pairs
    sums = _add_up(values - each, prompts)
    of_both = np.square(sums - sums.mean(0)).sum() / (pairs * cases**2)
    variance = of_prompts + max(0.0, of_trainings - of_both)
    freedom = (trainings - 1) * (variance / of_trainings) ** 2 if of_trainings else math.inf
    return find_student(freedom) * math.sqrt(variance)


def _add_up(credit: np.ndarray, prompts: np.ndarray) -> np.ndarray:
    """Return the sums over each prompt [S, P]."""
    return np.stack([np.bincount(prompts, row) for row in credit])
