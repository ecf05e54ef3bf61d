"""How scores go with length: against scipy, by hand, and on real comparisons."""

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_comparisons import draw_comparisons
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from prefline.data.comparison import Comparison
from prefline.data.ingestion import ingest
from prefline.reward_model.length_bias import measure_length
from prefline.reward_model.scored import Scored

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def score(lengths: tuple[int, ...], scores: tuple[float, ...], *best: int, prompt: str = "p") -> Scored:
    undecided = None if best else "skipped"
    texts = tuple("abcdef"[place] * length for place, length in enumerate(lengths))
    return Scored(Comparison(prompt, texts, best, undecided=undecided), scores)


def measure(*scored: Scored) -> dict[str, Any]:
    found = measure_length(scored)
    assert found is not None
    return found


def draw_scored(count: int, seed: int) -> list[Scored]:
    chance = random.Random(seed)
    return [
        Scored(one, tuple(round(0.1 * len(text) + chance.gauss(), 1) for text in one.responses))
        for one in draw_comparisons(count, seed=seed)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_correlations_are_those_of_scipy(seed: int) -> None:
    scored = draw_scored(200, seed)
    scores = [list(one.scores) for one in scored]
    lengths = [[float(len(text)) for text in one.comparison.responses] for one in scored]
    found = measure(*scored)
    assert found["pearson"] == pytest.approx(stats.pearsonr(np.concatenate(scores), np.concatenate(lengths))[0])
    assert found["spearman"] == pytest.approx(stats.spearmanr(np.concatenate(scores), np.concatenate(lengths))[0])
    centred = [np.concatenate([np.array(row) - np.mean(row) for row in rows]) for rows in (scores, lengths)]
    assert found["within"] == pytest.approx(stats.pearsonr(*centred)[0])


def test_what_differs_between_prompts_alone_is_nothing_within() -> None:
    # Longer prompts have longer and higher responses; of the two of one prompt the shorter is always higher.
    scored = [score((at, at + 1), (at + 1.0, float(at)), 0, prompt=str(at)) for at in (10, 50, 200)]
    found = measure(*scored)
    assert found["pearson"] > 0.99
    assert found["within"] == -1


@pytest.mark.parametrize(
    "scored",
    [score((3, 3, 3), (0.1, 0.2, 0.7), 2), score((1, 2, 3), (0.1, 0.1, 0.1), 2)],
    ids=["equally long", "equally high"],
)
def test_nothing_goes_with_what_does_not_vary(scored: Scored) -> None:
    found = measure(scored, scored)
    assert found["pearson"] is found["spearman"] is found["within"] is None


def test_scores_that_differ_between_prompts_alone_are_nothing_within() -> None:
    scored = [score((1, 2, 4), (height,) * 3, 0) for height in (0.1, 0.7, 1.1)]  # of which no mean is quite exact
    assert measure(*scored)["within"] is None


def test_scores_of_any_size_are_measured() -> None:
    for size in (1e200, 1e-200):
        found = measure(score((1, 2, 3), (size, 2 * size, 3 * size), 2))
        assert found["pearson"] == found["spearman"] == found["within"] == pytest.approx(1)


@given(st.floats(0.001, 1000), st.floats(-100, 100))
def test_the_scale_of_scores_is_of_no_matter(scale: float, shift: float) -> None:
    scored = draw_scored(20, seed=4)
    found = measure(*scored)
    other = measure(*(one._replace(scores=tuple(scale * score + shift for score in one.scores)) for one in scored))
    for name in ("pearson", "within"):
        assert other[name] == pytest.approx(found[name], abs=1e-6)


def test_pairs_that_are_as_long_are_matched_by_hand() -> None:
    found = measure(
        # 100 with 90 and 111 is within 10 % of the longer, with 89 and 112 is not.
        score((100, 90, 111, 89, 112), (0.5, 0.1, 0.9, 0.0, 0.0), 0),
        # Two bests and one other: a tie, and one above.
        score((10, 10, 10), (0.5, 0.7, 0.5), 0, 1, prompt="q"),
        score((10, 10), (0.5, 0.7), prompt="undecided"),
        score((10, 11), (0.0, 1.0), 0, 1, prompt="all best"),
    )["matched"]
    assert found["right"] == 1 + 0 + 0.5 + 1
    assert found["of"] == 4
    assert found["chance"] == 0.5


def test_a_model_that_reads_length_alone_is_at_chance_on_equal_lengths() -> None:
    chance = random.Random(2)
    scored = []
    for prompt in range(200):
        lengths = (40, 40, 80)
        scored.append(score(lengths, tuple(map(float, lengths)), chance.randrange(3), prompt=str(prompt)))
    found = measure(*scored)
    assert found["pearson"] == pytest.approx(1)
    assert found["matched"]["share"] == 0.5


def test_no_pair_as_long_and_nothing_at_all() -> None:
    assert measure(score((1, 100), (0.0, 1.0), 1))["matched"] is None
    assert measure_length([]) is None


def test_the_length_of_token_ids_is_in_tokens() -> None:
    tokens = Scored(Comparison((1, 2), ((1, 2, 3), (4,)), (0,)), (1.0, 0.0))
    assert measure(tokens)["unit"] == "tokens"
    assert measure(tokens)["pearson"] == pytest.approx(1)
    assert measure(score((1, 2), (0.0, 1.0), 1))["unit"] == "characters"


def test_real_comparisons() -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared data sets are not on this machine")
    comparisons = ingest(SHARED / "summeval_bo4/comparisons.jsonl.gz").comparisons
    by_length = measure(*(Scored(one, tuple(math.log(1 + len(text)) for text in one.responses)) for one in comparisons))
    assert by_length["spearman"] == pytest.approx(1)
    assert by_length["matched"]["share"] == pytest.approx(0.5, abs=0.07)
    chance = random.Random(0)
    at_random = measure(*(Scored(one, tuple(chance.random() for _ in one.responses)) for one in comparisons))
    assert abs(at_random["within"]) < 0.1
    assert at_random["matched"]["low"] < 0.5 < at_random["matched"]["high"]
