"""The scale of scores, which no comparison fixes: a gain and a bias give them the mean and the spread that are wanted.

As in 2019: both are reset, the scores of some texts are measured, and gain and bias are set so that these have mean 0
and standard deviation 1; before training, so that it begins at a fair scale, and after it, so that a reward means the
same whatever model gave it. What training made of gain and bias is lost on purpose: only the raw scores count. A model
of ratings gets their scale instead. References at 0 (Stiennon 2020) need the bias alone.

Of several heads, each has a gain and a bias. A choice says nothing of how high the scores of a head are, and heads are
drawn: so first the same is done for each of them alone, or they would disagree about little but that.

Departure: differences of ratings are taken in both directions, so that the order of the candidates is of no account.

H heads, N pairs.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError
from prefline.reward_model.encoding import Pair


class Moments(NamedTuple):
    """The mean of some numbers and their standard deviation, as a population."""

    mean: float
    std: float


STANDARD = Moments(0.0, 1.0)


class Scaled(Protocol):
    """What is normalised: a reward model, or whatever else gives scores of gain * raw + bias."""

    gain: nn.Parameter  # a number, or one for each of several heads
    bias: nn.Parameter

    def score_apart(self, pairs: Sequence[Pair], *, tokens_at_once: int | None = None) -> Tensor:
        """Return the scores of each head [H, N] for pairs, in their order."""
        ...

    def combine(self, scores: Tensor) -> Tensor:
        """Return what the scores of the heads [H, N] come to [N]."""
        ...


def measure(scores: Tensor | Sequence[float]) -> Moments:
    """Return the moments of scores that can be normalised: there are two or more, and they differ."""
    values = _read(scores)
    if len(values) < 2:
        raise DataError(f"expected scores of at least 2 texts to normalise by, found {len(values)}: give more texts")
    found = _summarize(values)
    # Less than what float32 can tell apart at this size is rounding, and a gain would blow it up.
    if found.std <= torch.finfo(torch.float32).eps * values.abs().max().item():
        raise DataError(
            f"expected scores that differ to normalise by, found {len(values)} that are all about {found.mean:g}: "
            "give texts that differ, or another model, since this one does not tell them apart"
        )
    return found


def set_affine(model: Scaled, found: Moments, wanted: Moments) -> None:
    """Set gain and bias so that what was found of the raw scores becomes what is wanted."""
    if model.gain.item() != 1 or model.bias.item() != 0:
        raise ValueError(
            f"expected gain 1 and bias 0, found {model.gain.item():g} and {model.bias.item():g}: reset first"
        )
    with torch.no_grad():
        _rescale(model.gain, model.bias, found, wanted)


def reset(model: Scaled) -> None:
    """Make the scores of a model its raw ones."""
    with torch.no_grad():
        model.gain.fill_(1)
        model.bias.fill_(0)


def level(
    model: Scaled, pairs: Sequence[Pair], wanted: Moments = STANDARD, *, tokens_at_once: int | None = None
) -> Moments:
    """Give the scores of each head for some pairs the moments that are wanted; return those of the raw scores."""
    return _level(model, pairs, wanted, tokens_at_once)[0]


def normalize(
    model: Scaled, pairs: Sequence[Pair], wanted: Moments = STANDARD, *, tokens_at_once: int | None = None
) -> Moments:
    """Give the scores of some pairs the moments that are wanted; return those of their raw scores."""
    found, now = _level(model, pairs, wanted, tokens_at_once)
    if model.gain.ndim:  # what heads come to has other moments than each of them
        with torch.no_grad():
            _rescale(model.gain, model.bias, measure(model.combine(now)), wanted)
    return found


def center(model: Scaled, pairs: Sequence[Pair], *, tokens_at_once: int | None = None) -> float:
    """Give the scores of some pairs, such as references, the mean 0, by the bias alone; return what it was before."""
    if not pairs:
        raise DataError("expected references to have the mean score 0, found none: give at least one")
    apart = model.score_apart(pairs, tokens_at_once=tokens_at_once)
    mean = _find_mean(model.combine(apart))
    with torch.no_grad():
        if model.gain.ndim:
            means = apart.double().mean(1)
            model.bias.sub_(means.to(model.bias))
            model.bias.sub_(_find_mean(model.combine(apart - means[:, None])))
        else:
            model.bias.sub_(mean)
    return mean


def find_wanted(
    comparisons: Sequence[Comparison], loss: Literal["choice", "ranking", "rating", "difference"]
) -> Moments:
    """Return the moments that scores shall have: 0 and 1, or those of the ratings or half differences to be learnt."""
    if loss in ("choice", "ranking"):
        return STANDARD
    rated = [[rating for rating in one.ratings or () if rating is not None] for one in comparisons]
    if loss == "rating":
        values = list(itertools.chain.from_iterable(rated))
    else:
        # Half, since of two scores that differ by chance the difference varies more than each.
        values = [(one - other) / 2 for ratings in rated for one, other in itertools.permutations(ratings, 2)]
    if len(set(values)) < 2:
        found = f"{len(values):,} that are all the same" if values else "none"
        raise DataError(
            f"expected ratings that differ, for the loss {loss!r} to learn, found {found}: "
            "give comparisons with ratings, or set the loss to 'choice'"
        )
    return _summarize(torch.tensor(values, dtype=torch.float64))


def _level(model: Scaled, pairs: Sequence[Pair], wanted: Moments, tokens_at_once: int | None) -> tuple[Moments, Tensor]:
    """Return the moments of the raw scores, and what those of each head have become [H, N]: all is computed once."""
    reset(model)
    apart = model.score_apart(pairs, tokens_at_once=tokens_at_once)
    found = measure(model.combine(apart))
    if not model.gain.ndim:
        set_affine(model, found, wanted)
    else:
        with torch.no_grad():
            for gain, bias, scores in zip(model.gain, model.bias, apart, strict=True):
                _rescale(gain, bias, measure(scores), wanted)
    gain, bias = (one.detach().reshape(-1, 1).to(apart) for one in (model.gain, model.bias))
    return found, gain * apart + bias


def _rescale(gain: Tensor, bias: Tensor, found: Moments, wanted: Moments) -> None:
    """Change gain and bias so that what was found of scores becomes what is wanted."""
    by = torch.tensor(wanted.std / found.std, dtype=gain.dtype).item()  # as it is rounded
    gain.mul_(by)
    bias.mul_(by).add_(wanted.mean - by * found.mean)


def _read(scores: Tensor | Sequence[float]) -> Tensor:
    """Return scores in float64 on the CPU; DataError where one is no number."""
    values = torch.as_tensor(scores, dtype=torch.float64, device="cpu").detach()
    finite = values.isfinite()
    if not finite.all():
        place = int((~finite).nonzero()[0])
        raise DataError(
            f"expected finite scores to normalise by, found {values[place].item()} for text {place + 1:,} of "
            f"{len(values):,}: look whether the weights of the model are finite, and not too large for its precision"
        )
    return values


def _find_mean(scores: Tensor) -> float:
    """Return the mean of scores; DataError where one is no number."""
    return _summarize(_read(scores)).mean


def _summarize(values: Tensor) -> Moments:
    """Return the moments of numbers in float64, by their distances from the mean: sums of squares would cancel out."""
    mean = values.mean()
    return Moments(mean.item(), math.sqrt((values - mean).square().mean().item()))
