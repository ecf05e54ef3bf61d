"""Comparisons with the scores that a reward model gave, and how sure it is what they say of the model.

What is said of one prompt hangs together, so all intervals here are as wide as the prompts differ, however many
cases each prompt has.
"""

import math
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

from prefline.data.comparison import Comparison
from prefline.data.contents import Prompt
from prefline.data.intervals import NORMAL, count_effective_cases, count_share


class Scored(NamedTuple):
    """A comparison, and the score of each of its responses: finite, higher is better."""

    comparison: Comparison
    scores: tuple[float, ...]
    disagreement: tuple[float, ...] | None = None  # of each response: population deviation over an ensemble's members
    dissent: float | None = None  # how many of the members, from 0 to 1, would have chosen another response

    @property
    def credit(self) -> float | None:
        """How right the choice of the highest score is: the share of the highest that is best.

        So a model that scores all alike is right as often as chance is. None where nobody chose or all are best.
        """
        best = self.comparison.best
        if not 0 < len(best) < len(self.scores):
            return None
        highest = max(self.scores)
        return sum(self.scores[place] == highest for place in best) / self.scores.count(highest)

    @property
    def chance(self) -> float | None:
        """How right a blind choice is on average; None where there is no credit."""
        best = self.comparison.best
        return len(best) / len(self.scores) if 0 < len(best) < len(self.scores) else None


def key_of(scored: Scored) -> Prompt:
    """Return what stands for the prompt where cases are grouped by it."""
    return scored.comparison.prompt


def decide(scored: Iterable[Scored]) -> list[Scored]:
    """Return those in which the model is right or wrong: somebody chose, and not all are best."""
    return [one for one in scored if one.credit is not None]


def measure_accuracy(scored: Iterable[Scored]) -> dict[str, Any] | None:
    """Return how often the highest score was a best, as a share; None where nothing was decided."""
    return share_of(
        (key_of(one), credit, chance)
        for one in scored
        if (credit := one.credit) is not None and (chance := one.chance) is not None
    )


def share_of(cases: Iterable[tuple[Hashable, float, float]]) -> dict[str, Any] | None:
    """Return the share of cases (prompt, how right from 0 to 1, how right by chance) that are right; None for no case.

    The interval is Wilson's, of so many independent cases as would say as much (`effective`).
    """
    prompts: dict[Hashable, list[float]] = {}
    chances: list[float] = []
    for prompt, right, chance in cases:
        prompts.setdefault(prompt, []).append(right)
        chances.append(chance)
    if not chances:
        return None
    sums = [(math.fsum(rights), len(rights)) for rights in prompts.values()]
    right, of = math.fsum(total for total, _ in sums), len(chances)
    effective = count_effective_cases(
        right,
        of,
        math.fsum(total * total for total, _ in sums),
        math.fsum(total * size for total, size in sums),
        math.fsum(size * size for _, size in sums),
    )
    share = count_share(right, of, "right", effective)
    return share | {"chance": math.fsum(chances) / of, "effective": effective}


def difference_of(cases: Iterable[tuple[Hashable, float]]) -> dict[str, Any] | None:
    """Return the mean of cases (prompt, difference from -1 to 1) with its 95 % interval; None for no case.

    A case is the credit of one way to choose less that of another. The interval is Agresti and Min's (2005) for pairs:
    the normal one of the cases and two more, which differ by 1, by -1 and twice by 0 in equal parts. So it is no
    point where all cases are alike. The variance is that of a ratio over prompts, and the two are as large as a prompt.
    """
    prompts: dict[Hashable, list[float]] = {}
    for prompt, difference in cases:
        prompts.setdefault(prompt, []).append(difference)
    if not prompts:
        return None
    sums = [(math.fsum(values), len(values)) for values in prompts.values()]
    total, of = math.fsum(part for part, _ in sums), sum(size for _, size in sums)
    added = math.fsum(size * size for _, size in sums) / of  # the prompt that a case comes from has so many on average
    middle = total / (of + 2 * added)
    spread = math.fsum((part - middle * size) ** 2 for part, size in sums) + added * added * (1 + 2 * middle * middle)
    reach = NORMAL * math.sqrt(spread) / (of + 2 * added)
    return {"difference": total / of, "low": max(-1.0, middle - reach), "high": min(1.0, middle + reach), "of": of}
