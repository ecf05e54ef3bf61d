"""As much is computed at once as there is memory for, and what cannot be computed stops before a weight moves."""

import math
from pathlib import Path

import pytest
import torch
from drawn_comparisons import draw_comparisons
from tiny_scorers import build_scorer, save_language_model

from prefline.data.comparison import Comparison
from prefline.data.errors import ConfigError, NotFiniteError
from prefline.reward_model.batching import Batch
from prefline.reward_model.config import Reading, RewardConfig
from prefline.reward_model.encoding import EncodedComparison, encode_comparisons
from prefline.reward_model.gradients import Found, Numbered, add_gradient, require_finite
from prefline.reward_model.model import RewardModel
from prefline.reward_model.rows import Row

COMPARISONS = draw_comparisons(12)
LARGEST = {False: 60, True: 29}  # tokens of the largest of them when padded, and in a row with its prompt once


def number(model: RewardModel) -> list[Numbered]:
    return [Numbered(place, one) for place, one in enumerate(encode_comparisons(COMPARISONS, model.encoder), 1)]


class Small(RewardModel):
    """A reward model on a device whose memory holds so many tokens at once."""

    most = 0
    asked: list[int]
    fails_at = 0  # the number of a call that fails, whatever its size

    def score_heads(self, batch: Batch | Row) -> torch.Tensor:
        self.asked.append(batch.tokens.numel())
        if batch.tokens.numel() > self.most or len(self.asked) == self.fails_at:
            raise torch.OutOfMemoryError("the device is full")
        return super().score_heads(batch)


@pytest.fixture(params=[False, True], ids=["padded", "shared"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Small:
    model = Small.from_pretrained(save_language_model("gpt2", tmp_path / "lm"), reading=Reading(readout="last"))
    model.asked = []
    model.share(request.param)
    return model


def test_the_largest_comparison_is_known(small: Small) -> None:
    pairs = [one.encoded.pairs for one in number(small)]
    padded = max(len(some) * max(len(one.prompt) + len(one.response) for one in some) for some in pairs)
    shared = max(len(some[0].prompt) + sum(len(one.response) for one in some) for some in pairs)
    assert {False: padded, True: shared} == LARGEST


def test_where_memory_runs_out_the_step_begins_anew_in_smaller_parts(small: Small, tmp_path: Path) -> None:
    plenty = build_scorer("gpt2", tmp_path)
    plenty.share(small.shares)
    expected, _ = add_gradient(plenty, number(plenty), RewardConfig(), 75, 0)
    small.most = 90
    found, at_once = add_gradient(small, number(small), RewardConfig(), 600, 0)
    assert at_once == 75  # after 600, 300 and 150
    assert min(small.asked[:3]) > 90 > 75 >= max(small.asked[3:])
    assert found == expected
    for one, other in zip(small.parameters(), plenty.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)  # type: ignore[arg-type]


def test_what_was_added_before_memory_ran_out_does_not_count_twice(small: Small) -> None:
    small.most, small.fails_at = 10_000, 3
    found, at_once = add_gradient(small, number(small), RewardConfig(), 80, 0)
    assert at_once < 80
    assert len(small.asked) > 5
    gradients = [parameter.grad for parameter in small.parameters()]
    small.zero_grad()
    again, _ = add_gradient(small, number(small), RewardConfig(), at_once, 0)
    assert again == found
    for one, other in zip(gradients, small.parameters(), strict=True):
        assert torch.equal(one, other.grad)  # type: ignore[arg-type]


def test_where_not_even_one_comparison_fits_it_says_what_helps(small: Small) -> None:
    largest = LARGEST[small.shares]
    # 600, 300, 150, 75, and 60 or 38 and 29: never less than the largest comparison, if that was allowed.
    for tokens_at_once, tried in ((600, 6 if small.shares else 5), (largest, 1), (1, 1)):
        small.asked.clear()
        with pytest.raises(ConfigError, match=r"not even the smallest part of a step fits .* gradient_checkpointing"):
            add_gradient(small, number(small), RewardConfig(), tokens_at_once, 0)
        assert len(small.asked) == tried


@pytest.mark.parametrize("tokens_at_once", [1, 50, 100, 200, 10_000])
def test_what_is_computed_at_once_is_as_much_as_allowed(small: Small, tokens_at_once: int) -> None:
    small.most = 10_000
    add_gradient(small, number(small), RewardConfig(), tokens_at_once, 0)
    assert max(small.asked) <= max(tokens_at_once, LARGEST[small.shares])
    assert len(small.asked) == {1: len(COMPARISONS), 10_000: 1}.get(tokens_at_once, len(small.asked))


def name(*names: str | None) -> list[Numbered]:
    comparisons = [Comparison("x", ("a", "b"), (0,), id=name) for name in names]
    return [Numbered(place, EncodedComparison(one, ())) for place, one in zip((1200, 7, 9), comparisons, strict=True)]


def test_a_step_that_is_not_finite_names_its_comparisons() -> None:
    batch, fine = name("first", None, "third"), Found(1.0, [1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    require_finite(3, batch, fine, 2.0)
    expected = r"^step 3: expected a finite loss, found nan, in 2 comparisons: number 1,200 \(first\), 7$"
    with pytest.raises(NotFiniteError, match=expected):
        require_finite(3, batch, fine._replace(loss=math.nan, losses=[math.nan, math.inf, 1.0]), 2.0)
    with pytest.raises(NotFiniteError, match="a finite gradient, found a norm of inf, in 3 comparisons: number 1,200 "):
        require_finite(3, batch, fine, math.inf)
    with pytest.raises(NotFiniteError, match=r"in 9 comparisons: .* and 4 more$"):
        require_finite(3, batch * 3, fine._replace(losses=[1.0] * 9), math.nan)
