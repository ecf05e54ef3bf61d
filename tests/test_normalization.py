"""Gain and bias: what is measured, what is set, what is refused, and what scores shall become."""

import math
import statistics
from collections.abc import Sequence
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from layout_rows import load
from torch import nn

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError
from prefline.reward_model.encoding import Pair
from prefline.reward_model.normalization import (
    STANDARD,
    Moments,
    center,
    find_wanted,
    measure,
    normalize,
    reset,
    set_affine,
)


class Adding(nn.Module):
    """A reward model whose raw score of a pair is the sum of its tokens."""

    def __init__(self, gain: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.bias = nn.Parameter(torch.tensor(bias))
        self.at_once: int | None = None

    def score_pairs(self, pairs: Sequence[Pair]) -> torch.Tensor:
        return self.combine(self.score_apart(pairs))

    def score_apart(self, pairs: Sequence[Pair], *, tokens_at_once: int | None = None) -> torch.Tensor:
        self.at_once = tokens_at_once
        raw = torch.tensor([float(sum(pair.prompt) + sum(pair.response)) for pair in pairs])
        return self.gain * raw[None] + self.bias

    def combine(self, scores: torch.Tensor) -> torch.Tensor:
        return scores[0]


def pairs_of(*raw: int) -> list[Pair]:
    return [Pair((1,), (score - 1,)) for score in raw]


def compare(*ratings: float | None, best: int = 0) -> Comparison:
    return Comparison("p", tuple(f"r{index}" for index in range(len(ratings))), (best,), ratings=ratings)


def test_moments_by_hand_are_those_of_a_population() -> None:
    # The squares of 1 to 4 have the mean 7.5, and 7.5 - 2.5^2 = 1.25; a sample's would be 5/3.
    assert measure([1.0, 2.0, 3.0, 4.0]) == (2.5, pytest.approx(math.sqrt(1.25)))
    assert measure(torch.tensor([1.0, 3.0], requires_grad=True)) == Moments(2.0, 1.0)


def test_moments_far_from_0_are_exact() -> None:
    # In float32 the mean of the squares, 1e12, has no room for a variance of 1.
    assert measure(torch.tensor([1e6, 1e6 + 2])) == Moments(1e6 + 1, 1.0)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20).filter(lambda values: max(values) - min(values) > 1e-3))
def test_moments_are_those_of_the_standard_library(scores: list[float]) -> None:
    assert measure(scores) == pytest.approx((statistics.fmean(scores), statistics.pstdev(scores)), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([], "expected scores of at least 2 texts to normalise by, found 0: give more texts"),
        ([0.5], "expected scores of at least 2 texts to normalise by, found 1: give more texts"),
        ([0.5, 0.5], "expected scores that differ to normalise by, found 2 that are all about 0.5: give"),
        ([0.0, 0.0], "expected scores that differ to normalise by, found 2 that are all about 0: give"),
        ([100.0, 100.00001], "expected scores that differ to normalise by, found 2 that are all about 100: give"),
        ([1.0, math.nan, math.inf], "expected finite scores to normalise by, found nan for text 2 of 3: look"),
    ],
    ids=["none", "one", "same", "zero", "rounding", "nan"],
)
def test_scores_that_cannot_be_normalised_are_refused(scores: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        measure(scores)


def test_gain_and_bias_by_hand() -> None:
    model = Adding()
    set_affine(model, found=Moments(3.0, 4.0), wanted=Moments(1.0, 2.0))
    assert (model.gain.item(), model.bias.item()) == (0.5, -0.5)  # 2/4, and 1 - .5 * 3


@pytest.mark.parametrize(("gain", "bias"), [(2.0, 0.0), (1.0, 0.5)])
def test_gain_and_bias_that_are_set_are_not_set_again(gain: float, bias: float) -> None:
    model = Adding(gain, bias)
    with pytest.raises(ValueError, match=f"expected gain 1 and bias 0, found {gain:g} and {bias:g}: reset first"):
        set_affine(model, Moments(0.0, 1.0), STANDARD)
    reset(model)
    set_affine(model, Moments(0.0, 1.0), STANDARD)
    assert (model.gain.item(), model.bias.item()) == (1, 0)


@given(st.lists(st.integers(-500, 500), min_size=2, max_size=30).filter(lambda raw: len(set(raw)) > 1))
def test_scores_have_mean_0_and_deviation_1_afterwards(raw: list[int]) -> None:
    model, pairs = Adding(), pairs_of(*raw)
    found = normalize(model, pairs)
    assert found == pytest.approx((statistics.fmean(raw), statistics.pstdev(raw)))
    assert measure(model.score_pairs(pairs)) == pytest.approx((0, 1), abs=1e-3)


def test_normalising_depends_on_raw_scores_alone() -> None:
    fresh, trained, pairs = Adding(), Adding(-3.0, 7.0), pairs_of(2, 5, 11)
    assert normalize(fresh, pairs) == normalize(trained, pairs)
    assert normalize(trained, pairs) == normalize(trained, pairs)
    assert (trained.gain.item(), trained.bias.item()) == (fresh.gain.item(), fresh.bias.item())


def test_parameters_stay_the_ones_that_an_optimizer_holds() -> None:
    model = Adding()
    before = model.gain, model.bias
    normalize(model, pairs_of(2, 5), tokens_at_once=99)
    assert (model.gain, model.bias) == before
    assert model.gain.requires_grad
    assert model.gain.grad_fn is None
    assert model.at_once == 99


def test_new_texts_of_the_same_kind_have_nearly_the_same_moments() -> None:
    draws = (500 * torch.randn(2, 512, generator=torch.Generator().manual_seed(0)) + 3000).round().int().tolist()
    model = Adding()
    normalize(model, pairs_of(*draws[0]))
    mean, std = measure(model.score_pairs(pairs_of(*draws[1])))
    # The difference of two means of 512 has the standard error sqrt(2 / 512), that of two deviations 1 / sqrt(512).
    assert abs(mean) < 3 * math.sqrt(2 / 512)
    assert abs(std - 1) < 3 / math.sqrt(512)


def test_references_come_to_0_by_the_bias_alone() -> None:
    model, references = Adding(2.0, 1.0), pairs_of(1, 2, 6)  # scores 3, 5, 13
    assert center(model, references, tokens_at_once=7) == 7
    assert (model.gain.item(), model.bias.item(), model.at_once) == (2, -6, 7)
    assert model.score_pairs(references).tolist() == [-4, -2, 6]
    assert center(model, references) == 0
    assert center(model, pairs_of(9)) == 12


def test_references_without_a_score_are_refused() -> None:
    with pytest.raises(DataError, match="expected references to have the mean score 0, found none: give at least one"):
        center(Adding(), [])
    with pytest.raises(DataError, match="expected finite scores to normalise by, found nan for text 1 of 1"):
        center(Adding(bias=math.nan), pairs_of(1))


@pytest.mark.parametrize("loss", ["choice", "ranking"])
def test_scores_that_only_tell_apart_shall_be_standard(loss: Literal["choice", "ranking"]) -> None:
    assert find_wanted([compare(5.0, 1.0)], loss) == (0, 1)


def test_scores_that_are_ratings_shall_have_their_moments() -> None:
    comparisons = [compare(3.0, None, 0.0), Comparison("q", ("a", "b"), (0,)), compare(2.0, 1.0)]
    assert find_wanted(comparisons, "rating") == (1.5, pytest.approx(math.sqrt(1.25)))


def test_scores_of_differences_shall_have_the_moments_of_half_of_them() -> None:
    # Differences 4, 1 and 3 in one, 2 in the other, and the same below 0; of the halves the mean square is
    # (4 + .25 + 2.25 + 1) / 4 = 1.875.
    comparisons = [compare(5.0, 1.0, None, 4.0), compare(3.0, 1.0)]
    assert find_wanted(comparisons, "difference") == (0, pytest.approx(math.sqrt(1.875)))
    turned = [compare(1.0, 4.0, None, 5.0, best=3), compare(1.0, 3.0, best=1)]
    assert find_wanted(turned, "difference") == pytest.approx(find_wanted(comparisons, "difference"))


@pytest.mark.parametrize(
    ("loss", "comparisons", "found"),
    [
        ("rating", [Comparison("p", ("a", "b"), (0,))], "none"),
        ("rating", [compare(2.0, 2.0)], "2 that are all the same"),
        ("difference", [compare(2.0, None), compare(1.0, None)], "none"),
        ("difference", [compare(2.0, 2.0), compare(3.0, 3.0)], "4 that are all the same"),
    ],
    ids=["no rating", "one value", "no two", "no difference"],
)
def test_ratings_that_say_nothing_are_refused(loss: Any, comparisons: list[Comparison], found: str) -> None:
    with pytest.raises(
        DataError, match=f"expected ratings that differ, for the loss '{loss}' to learn, found {found}: "
    ):
        find_wanted(comparisons, loss)


def test_real_ratings_have_the_moments_of_the_standard_library() -> None:
    items = [row["mean_scores"] for row in load("summeval_bo4/comparisons.jsonl.gz")]
    ratings = [rating for item in items for rating in item]
    assert len(ratings) == 4 * 852
    comparisons = [compare(*map(float, item)) for item in items]
    expected = statistics.fmean(ratings), statistics.pstdev(ratings)
    assert find_wanted(comparisons, "rating") == pytest.approx(expected)
    # The mean square of the differences within an item is twice the variance of a sample.
    square = statistics.fmean(2 * statistics.variance(item) for item in items)
    assert find_wanted(comparisons, "difference") == pytest.approx((0, math.sqrt(square / 4)), abs=1e-9)
