"""Log loss, reliability and temperature: by hand, against scikit-learn and scipy, and of models drawn to be right."""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from drawn_comparisons import draw_comparisons
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from prefline.data.comparison import Comparison
from prefline.reward_model.calibration import calibrate, measure_log_loss
from prefline.reward_model.scored import Scored

SCORES = (0.0, math.log(2), math.log(5))  # whose softmax is 1/8, 2/8, 5/8


def score(scores: Sequence[float], *best: int, prompt: str = "p", **said: Any) -> Scored:
    said = ({} if best else {"undecided": "skipped"}) | said
    return Scored(Comparison(prompt, tuple("abcdef"[: len(scores)]), best, **said), tuple(scores))


def draw_honest(count: int, *, seed: int = 0, size: int = 4, scale: float = 1.0) -> list[Scored]:
    """Draw comparisons whose best follows the softmax of the scores, divided by `scale`."""
    chance = np.random.default_rng(seed)
    scores = chance.normal(size=(count, size))
    shares = np.exp(scores)
    best = [int(chance.choice(size, p=row / row.sum())) for row in shares]
    return [
        score(tuple(scale * row), one, prompt=str(at)) for at, (row, one) in enumerate(zip(scores, best, strict=True))
    ]


def test_log_loss_by_hand() -> None:
    scored = [
        score(SCORES, 2, weight=3.0),  # -ln 5/8
        score((1.0, 1.0), 0),  # ln 2
        score(SCORES, 0, votes=(3.0, 0.0, 1.0)),  # -(3 ln 1/8 + ln 5/8) / 4
        score(SCORES),
    ]
    split = -(3 * math.log(1 / 8) + math.log(5 / 8)) / 4
    doubt = -(3 * math.log(3 / 4) + math.log(1 / 4)) / 4
    assert measure_log_loss(scored) == pytest.approx(
        {
            "loss": (3 * math.log(8 / 5) + math.log(2) + split) / 5,
            "chance": (4 * math.log(3) + math.log(2)) / 5,
            "floor": doubt / 5,
            "of": 3,
        }
    )


def test_sharpness_multiplies_scores() -> None:
    found = measure_log_loss([score((0.0, math.log(2) / 3), 1)], sharpness=3.0)
    assert found is not None
    assert found["loss"] == pytest.approx(math.log(3 / 2))


@pytest.mark.parametrize("size", [2, 4])
def test_log_loss_is_that_of_scikit_learn(size: int) -> None:
    chance = np.random.default_rng(size)
    scores, best = chance.normal(size=(50, size)), chance.integers(size, size=50)
    weights = chance.uniform(0.5, 2, size=50)
    scored = [score(tuple(row), int(one), weight=float(w)) for row, one, w in zip(scores, best, weights, strict=True)]
    shares = np.exp(2 * scores) / np.exp(2 * scores).sum(1, keepdims=True)
    found = measure_log_loss(scored, sharpness=2.0)
    assert found is not None
    assert found["loss"] == pytest.approx(log_loss(best, shares, sample_weight=weights, labels=range(size)))


def test_a_model_that_scores_all_alike_has_the_loss_of_chance() -> None:
    scored = [Scored(one, (7.5,) * len(one.responses)) for one in draw_comparisons(100)]
    found = measure_log_loss(scored)
    assert found is not None
    assert found["loss"] == pytest.approx(found["chance"])
    assert found["floor"] < found["loss"]


def test_no_choice_has_neither_loss_nor_calibration() -> None:
    assert measure_log_loss([]) is measure_log_loss([score(SCORES)]) is None
    assert calibrate([]) is calibrate([score(SCORES)]) is None


def test_scores_as_large_as_numbers_go_are_no_trouble() -> None:
    found = measure_log_loss([score((1e300, -1e300), 0), score((1e4, 0.0), 1)])
    assert found is not None
    assert found["loss"] == pytest.approx(5000)


def test_few_comparisons_are_one_bin_by_hand() -> None:
    # Confidence 5/8 three times and 1/2 once; right: yes, no, 1/4 of the votes, and half for a tie.
    scored = [score(SCORES, 2), score(SCORES, 1), score(SCORES, 0, votes=(3.0, 0.0, 1.0)), score((1.0, 1.0), 0)]
    found = calibrate(scored)
    assert found is not None
    [row] = found["bins"]
    assert row["confidence"] == pytest.approx((3 * 5 / 8 + 1 / 2) / 4)
    assert row["accuracy"] == pytest.approx((1 + 0 + 1 / 4 + 1 / 2) / 4)
    assert row["low"] < row["accuracy"] < row["high"]
    assert row["of"] == found["of"] == 4
    assert found["ece"] == pytest.approx(row["confidence"] - row["accuracy"])


def test_the_votes_are_what_confidence_is_about() -> None:
    # The model gives each response just its share of the votes: it is as sure as it may be.
    scored = [score((0.0, math.log(3)), 1, votes=(1.0, 3.0), prompt=str(place)) for place in range(40)]
    found = calibrate(scored)
    assert found is not None
    assert found["ece"] == pytest.approx(0)
    assert found["temperature"] == pytest.approx(1)


@pytest.mark.parametrize(("count", "bins"), [(1, 1), (39, 1), (40, 2), (199, 9), (200, 10), (1009, 10)])
def test_bins_are_of_as_many_cases_and_of_twenty_at_least(count: int, bins: int) -> None:
    found = calibrate(draw_honest(count))
    assert found is not None
    sizes = [row["of"] for row in found["bins"]]
    assert len(sizes) == bins
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) < 10
    confidence = [row["confidence"] for row in found["bins"]]
    assert confidence == sorted(confidence)


@given(st.lists(st.integers(0, 40), min_size=6, max_size=6).filter(any), st.randoms(use_true_random=False))
def test_equal_confidence_is_never_parted_whatever_the_order(times: list[int], chance: random.Random) -> None:
    gaps = [gap for gap, count in enumerate(times) for _ in range(count)]
    scored = [score((0.0, float(gap)), gap % 2, prompt=str(at)) for at, gap in enumerate(gaps)]
    found = calibrate(scored)
    assert found is not None
    sizes = [row["of"] for row in found["bins"]]
    assert min(sizes) >= min(20, len(gaps))
    ends = set(np.cumsum(sizes).tolist())
    assert ends <= {sum(other <= gap for other in gaps) for gap in gaps}
    chance.shuffle(scored)
    again = calibrate(scored)
    assert again is not None
    assert again["bins"] == [pytest.approx(row) for row in found["bins"]]


def test_an_honest_model_may_be_believed() -> None:
    found = calibrate(draw_honest(4000))
    assert found is not None
    assert found["ece"] < 0.03
    assert found["temperature"] == pytest.approx(1, abs=0.1)
    held = sum(row["low"] <= row["confidence"] <= row["high"] for row in found["bins"])
    assert held >= 8


@pytest.mark.parametrize("scale", [0.2, 5.0])
def test_a_model_too_sure_of_itself_is_told_by_how_much(scale: float) -> None:
    honest, scaled = calibrate(draw_honest(500)), calibrate(draw_honest(500, scale=scale))
    assert honest is not None
    assert scaled is not None
    assert scaled["temperature"] == pytest.approx(scale * honest["temperature"])
    assert scaled["loss_at_temperature"] == pytest.approx(honest["loss_at_temperature"])
    assert scaled["ece"] > 2 * honest["ece"]
    assert (scaled["bins"][-1]["confidence"] > scaled["bins"][-1]["high"]) == (scale > 1)


@pytest.mark.parametrize("seed", range(3))
def test_no_other_temperature_has_less_loss(seed: int) -> None:
    scored = draw_honest(60, seed=seed, size=3, scale=2.5)

    def find_loss(exponent: float) -> float:
        found = measure_log_loss(scored, sharpness=1.5 * math.exp(-exponent))
        assert found is not None
        return found["loss"]

    told: Any = minimize_scalar(find_loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-9})
    found = calibrate(scored, sharpness=1.5)
    assert found is not None
    assert found["temperature"] == pytest.approx(math.exp(told.x), rel=1e-4)
    assert found["loss_at_temperature"] == pytest.approx(told.fun)


@pytest.mark.parametrize(
    "scored",
    [
        [score(SCORES, 2), score(SCORES, 2)],
        [score(SCORES, 0), score(SCORES, 2), score(SCORES, 0)],
        [score((1.0, 1.0), 0)],
    ],
    ids=["all right", "worse than chance", "all alike"],
)
def test_where_no_temperature_is_best_there_is_none(scored: list[Scored]) -> None:
    found = calibrate(scored)
    assert found is not None
    assert found["temperature"] is found["loss_at_temperature"] is None


def test_the_error_of_few_cases_is_too_high_by_what_is_said() -> None:
    # sqrt(2 / pi) sqrt(p (1 - p) / n) with p = 1/2 and n = 20.
    errors = []
    for seed in range(200):
        chance = random.Random(seed)
        found = calibrate([score((0.0, 1e-9 * at), chance.randrange(2), prompt=str(at)) for at in range(200)])
        assert found is not None
        errors.append(found["ece"])
    assert np.mean(errors) == pytest.approx(math.sqrt(2 / math.pi) * math.sqrt(0.25 / 20), rel=0.1)
