"""The gradient of a step: of the mean loss of its comparisons by their weights, however many are computed at once.

What is computed at once is counted in tokens: with each prompt once where a model shares them, and else padded, where
comparisons alike in length are put together.

B comparisons, N responses of them, H heads.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from prefline.data.comparison import Comparison
from prefline.data.errors import NotFiniteError
from prefline.data.wording import count, shorten
from prefline.reward_model.config import RewardConfig
from prefline.reward_model.encoding import EncodedComparison
from prefline.reward_model.model import RewardModel
from prefline.reward_model.objectives import find_credit, find_losses, tabulate
from prefline.reward_model.optimising import compute_within_memory
from prefline.reward_model.rows import count_tokens

_SHOWN = 5  # comparisons of a step that are named where it fails


class Numbered(NamedTuple):
    """A comparison to learn from, and its place among those that were given, from 1."""

    number: int
    encoded: EncodedComparison
    shares: tuple[float, ...] = (1.0,)  # by how much it counts for each head, times its weight


class Found(NamedTuple):
    """What the comparisons of a step gave."""

    loss: float
    losses: list[float]  # of each comparison, the mean over the heads
    credit: list[float]  # of each, for what the heads come to; NaN where nobody chose

    @property
    def accuracy(self) -> float:
        """How often the highest score was a best, over the comparisons in which somebody chose; NaN if in none."""
        decided = [share for share in self.credit if not math.isnan(share)]
        return math.fsum(decided) / len(decided) if decided else math.nan


def add_gradient(
    model: RewardModel, batch: Sequence[Numbered], config: RewardConfig, tokens_at_once: int, seed: int
) -> tuple[Found, int]:
    """Add the gradient of the mean loss of some comparisons; return what they gave, and how many tokens at once."""

    def compute(at_once: int) -> Found:
        return _add_gradient(model, batch, config, at_once)

    largest = max(_measure(model, one.encoded) for one in batch)  # less than one comparison is never computed
    dtype = getattr(torch, config.dtype)
    return compute_within_memory(compute, tokens_at_once, model, dtype, seed, least=min(largest, tokens_at_once))


def _add_gradient(model: RewardModel, batch: Sequence[Numbered], config: RewardConfig, tokens_at_once: int) -> Found:
    encoded = [one.encoded for one in batch]
    said = [one.comparison for one in encoded]
    total = math.fsum(one.weight for one in said)
    losses, credit = [0.0] * len(said), [0.0] * len(said)
    for places in _group(model, encoded, tokens_at_once):
        some = [said[place] for place in places]
        scores = model.score_heads(model.collate([pair for place in places for pair in encoded[place].pairs]))
        each = _find_losses(scores, some, config)
        weights = [[share * said[place].weight for share in batch[place].shares] for place in places]
        weighted = each * torch.tensor(weights, device=each.device, dtype=each.dtype).T
        (weighted.sum() / (total * model.heads)).backward()
        shares = find_credit(tabulate(model.combine(scores.detach()), some), some)
        for place, loss, share in zip(places, each.mean(0).tolist(), shares.tolist(), strict=True):
            losses[place], credit[place] = loss, share
    mean = math.fsum(loss * one.weight for loss, one in zip(losses, said, strict=True)) / total
    return Found(mean, losses, credit)


def _find_losses(scores: torch.Tensor, some: Sequence[Comparison], config: RewardConfig) -> torch.Tensor:
    """Return the loss of each comparison for each head [H, B], from the scores of each [H, N]."""
    heads = len(scores)
    every = [*some] * heads
    return find_losses(tabulate(scores.flatten(), every), every, config.loss, config.margin).view(heads, -1)


def _group(model: RewardModel, encoded: Sequence[EncodedComparison], most: int) -> list[list[int]]:
    """Put comparisons, the longest first, into groups of at most `most` tokens; a longer one is alone.

    What lies in a row and what is padded is not mixed.
    """
    in_row = [model.lies_in_row(one.pairs) for one in encoded]
    groups: list[list[int]] = []
    size = 0
    for place in sorted(range(len(encoded)), key=lambda place: (in_row[place], -_longest(encoded[place]))):
        first = groups[-1][0] if groups else place
        own = _measure(model, encoded[place], encoded[first])
        if not groups or in_row[place] != in_row[first] or size + own > most:
            groups.append([])
            size, own = 0, _measure(model, encoded[place])
        groups[-1].append(place)
        size += own
    return groups


def _measure(model: RewardModel, one: EncodedComparison, beside: EncodedComparison | None = None) -> int:
    """Return how many tokens are computed of a comparison, where it is padded beside a longer one."""
    return count_tokens(one.pairs) if model.lies_in_row(one.pairs) else len(one.pairs) * _longest(beside or one)


def _longest(encoded: EncodedComparison) -> int:
    return max(len(pair.prompt) + len(pair.response) for pair in encoded.pairs)


def require_finite(step: int, batch: Sequence[Numbered], found: Found, norm: float) -> None:
    """Stop before weights are changed by a number that is none, and name what it came of."""
    if math.isfinite(found.loss) and math.isfinite(norm):
        return
    bad = [one for one, loss in zip(batch, found.losses, strict=True) if not math.isfinite(loss)] or list(batch)
    names = [
        f"{one.number:,}" + (f" ({shorten(one.encoded.comparison.id)})" if one.encoded.comparison.id else "")
        for one in bad[:_SHOWN]
    ]
    more = f" and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
    what = f"loss, found {found.loss}" if not math.isfinite(found.loss) else f"gradient, found a norm of {norm}"
    raise NotFiniteError(
        f"step {step:,}: expected a finite {what}, in {count(len(bad), 'comparison', 'comparisons')}: "
        f"number {', '.join(names)}{more}"
    )
