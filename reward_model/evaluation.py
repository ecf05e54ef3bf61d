"""How well a reward model agrees with comparisons that it has not learnt from."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError, NotFiniteError
from prefline.reward_model.encoding import EncodedComparison, encode_comparisons
from prefline.reward_model.model import RewardModel
from prefline.reward_model.objectives import Loss, find_credit, find_losses, tabulate, teaches
from prefline.reward_model.scored import share_of

_AT_ONCE = 256  # comparisons in one table: the loss of rankings needs a number for any two candidates of each
_NOTHING = {"of": 0, "share": None, "low": None, "high": None}


class Evaluation(NamedTuple):
    """Loss and accuracy, the accuracy with the ends of its 95 % interval, which is as wide as prompts differ."""

    comparisons: int  # from which there is something to learn
    loss: float  # their mean loss, by their weights
    decided: int  # of them those in which somebody chose
    accuracy: float | None  # how often the highest score was a best; shared where several scores were highest
    low: float | None
    high: float | None
    correlation: float | None  # of the scores with the ratings, where there are any


def evaluate(
    model: RewardModel,
    comparisons: Sequence[Comparison | EncodedComparison],
    *,
    loss: Loss = "choice",
    margin: float = 0.0,
    tokens_at_once: int | None = None,
) -> Evaluation:
    """Compare the scores of a model with what was said in comparisons; those that say nothing are passed over."""
    encoded = [one for one in encode_comparisons(comparisons, model.encoder) if teaches(one, loss)]
    if not encoded:
        raise DataError("expected comparisons to measure a reward model on, found none that say anything")
    scores = model.score_pairs([pair for one in encoded for pair in one.pairs], tokens_at_once=tokens_at_once).double()
    check_finite(scores)  # others would count as comparisons in which nobody chose
    said = [one.comparison for one in encoded]
    weights = torch.tensor([one.weight for one in said], dtype=torch.float64)
    losses, credit = _measure(scores, said, loss, margin)
    cases = zip((one.prompt for one in said), credit.tolist(), strict=True)
    share = share_of((prompt, right, 0.0) for prompt, right in cases if not math.isnan(right)) or _NOTHING
    return Evaluation(
        comparisons=len(encoded),
        loss=((losses * weights).sum() / weights.sum()).item(),
        decided=share["of"],
        accuracy=share["share"],
        low=share["low"],
        high=share["high"],
        correlation=_correlate(scores, said),
    )


def check_finite(scores: torch.Tensor) -> None:
    """Refuse scores of which one is no number or infinite."""
    if broken := int((~scores.isfinite()).sum()):
        found = f"{broken:,} of {scores.numel():,} that are not"
        raise NotFiniteError(f"expected finite scores, found {found}: the weights of the model are broken")


def _measure(
    scores: torch.Tensor, said: Sequence[Comparison], loss: Loss, margin: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss and the credit of each comparison [B]; tables are of those that are alike in size."""
    own = scores.split([len(one.responses) for one in said])
    order = sorted(range(len(said)), key=lambda place: len(own[place]))
    losses, credit = scores.new_empty(2, len(said))
    for start in range(0, len(order), _AT_ONCE):
        places = order[start : start + _AT_ONCE]
        some = [said[place] for place in places]
        table = tabulate(torch.cat([own[place] for place in places]), some)
        losses[places], credit[places] = find_losses(table, some, loss, margin), find_credit(table, some)
    return losses, credit


def _correlate(scores: torch.Tensor, said: Sequence[Comparison]) -> float | None:
    """Return Pearson's r of scores and ratings; None where there are too few, or all of one are the same."""
    ratings = [rating for one in said for rating in one.ratings or [None] * len(one.responses)]
    rated = [(score, rating) for score, rating in zip(scores.tolist(), ratings, strict=True) if rating is not None]
    if len(rated) < 2:
        return None
    found = torch.corrcoef(torch.tensor(rated, dtype=torch.float64).T)[0, 1].item()
    return found if math.isfinite(found) else None
