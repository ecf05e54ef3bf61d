"""Several scores of one response as one: those of the members of an ensemble, or of the heads of a model.

Whoever looks for the highest score finds the response of which a reward model thinks too well (Gao et al. 2023). That
several of them err alike is less likely. The rules are those of Coste et al. 2024: the mean; the minimum (worst-case
optimisation); and the mean less what they disagree by (uncertainty-weighted optimisation).

Departure: disagreement is the deviation, where Coste et al. take the variance, so that it has the unit of scores.

M members, N responses. Nothing here imports torch.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Self, assert_never

from pydantic import Field, model_validator

from prefline.data.configuration import Config

if TYPE_CHECKING:
    import torch

Rule = Literal["mean", "minimum", "cautious"]


class Scores(NamedTuple):
    """The scores of the responses to a prompt, and how far several disagree about each; None of a single one."""

    scores: Sequence[float]
    disagreement: Sequence[float] | None = None
    dissent: float | None = None  # how many of the members, from 0 to 1, would have chosen another response


class Combination(Config):
    """How the scores of several become one."""

    rule: Rule = Field(
        default="mean",
        description="What several scores come to: their mean, their minimum, or cautious: the mean less disagreement.",
    )
    caution: float = Field(
        default=1.0, ge=0, description="How many deviations of disagreement the rule 'cautious' takes off the mean."
    )

    @model_validator(mode="after")
    def _refuse_idle_caution(self) -> Self:
        if self.rule != "cautious" and self.caution != 1.0:
            raise ValueError(f"caution is for the rule 'cautious', found {self.rule!r}: leave it out")
        return self


def combine(scores: "torch.Tensor", rule: Rule, caution: float = 1.0) -> "torch.Tensor":
    """Return one score for each response [N] of those of the members [M, N]; a single member's stay as they are."""
    if rule == "mean":
        return scores.mean(0)
    if rule == "minimum":
        return scores.amin(0)
    if rule == "cautious":
        return scores.mean(0) - caution * find_disagreement(scores)
    assert_never(rule)


def find_disagreement(scores: "torch.Tensor") -> "torch.Tensor":
    """Return by how much members [M, N] differ about each response [N]: the population deviation of their scores."""
    return scores.std(0, correction=0)


def find_dissent(scores: "torch.Tensor", combined: "torch.Tensor") -> float:
    """Return the share of members [M, K] whose highest score is on none that is highest of what they come to [K]."""
    chosen = combined == combined.max()
    return (scores[:, chosen].amax(1) < scores.amax(1)).double().mean().item()
