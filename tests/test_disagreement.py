"""Whether disagreement foretells wrong choices: by hand, against scikit-learn and what was published, in simulation."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from prefline.data.comparison import Comparison
from prefline.data.intervals import wilson
from prefline.reward_model import disagreement as module
from prefline.reward_model.disagreement import find_auc, judge_disagreement
from prefline.reward_model.scored import Scored

CASES = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=30)


def score(right: bool, dissent: float | None, prompt: str = "Q", margin: float = 1.0) -> Scored:
    scores = (margin, 0.0) if right else (0.0, margin)
    # The spread falls where dissent grows, so that one cannot stand for the other.
    spread = None if dissent is None else (1 - 2 * dissent, 1.0)
    return Scored(Comparison(prompt, ("yes", "no"), (0,)), scores, spread, dissent)


def judge(scored: list[Scored], **asked: Any) -> dict[str, Any]:
    found = judge_disagreement(scored, **asked)
    assert found is not None
    return found


def test_disagreement_by_hand() -> None:
    said = [(True, 0.1), (True, 0.2), (False, 0.2), (True, 0.3), (False, 0.4)]
    scored = [score(right, spread, prompt=f"{place}") for place, (right, spread) in enumerate(said)]
    found = judge(scored)
    # The wrong 0.2 is above 0.1, level with 0.2, below 0.3; the wrong 0.4 is above all three.
    assert found["auc"] == pytest.approx((1.5 + 3) / 6)
    assert found["of"] == 5
    assert found["low"] < found["auc"] < found["high"]
    (only,) = found["bins"]  # too few for more
    assert (only["dissent"], only["accuracy"], only["of"]) == (pytest.approx(0.24), 0.6, 5)
    assert found["spread"]["auc"] == pytest.approx(1 - (1.5 + 3) / 6)
    # All margins are alike. Of 2 * 3 twos, over 1 + (5 / 2 - 1) * (1/3 + 1/3), there are 3 independent cases.
    assert (found["margin"]["auc"], found["margin"]["low"]) == (0.5, pytest.approx(wilson(1.5, 3)[0]))


def test_a_smaller_margin_counts_as_less_sure() -> None:
    scored = [score(place % 2 == 0, 1.0, prompt=f"{place}", margin=1 + place % 2) for place in range(10)]
    assert judge(scored)["margin"]["auc"] == 0  # wrong where the margin is large
    scored = [score(place % 2 == 0, 1.0, prompt=f"{place}", margin=2 - place % 2) for place in range(10)]
    assert judge(scored)["margin"]["auc"] == 1


def test_scores_that_tie_count_as_wrong() -> None:
    scored = [score(True, 0.1, "A"), score(True, 0.5, "B", margin=0.0)]
    assert judge(scored)["auc"] == 1


def test_there_is_nothing_to_tell_apart() -> None:
    right, wrong = score(True, 0.1), score(False, 0.2)
    assert judge_disagreement([]) is None
    assert judge_disagreement([right, right]) is None
    assert judge_disagreement([wrong, wrong]) is None
    assert judge_disagreement([score(True, None), score(False, None)]) is None
    unasked = Scored(Comparison("Q", ("a", "b"), (), undecided="skipped"), (0.0, 1.0), (1.0, 1.0), 0.5)
    assert judge([right, wrong, unasked])["of"] == 2


@given(CASES)
def test_the_area_is_that_of_scikit_learn(cases: list[tuple[int, bool]]) -> None:
    values, wrong = np.array([value for value, _ in cases]), np.array([is_wrong for _, is_wrong in cases])
    if wrong.any() and not wrong.all():
        found = find_auc(values, wrong, range(len(cases)))
        assert found["auc"] == pytest.approx(roc_auc_score(wrong, values))
        assert found["low"] <= found["auc"] <= found["high"]


def test_the_standard_error_is_the_published_one() -> None:
    # Hanley and McNeil (1982): 51 abnormal and 58 normal images, an area of 0.893, a standard error of 0.032.
    wrong = np.arange(109) < 51
    effective = module._count_effective_cases(0.893, np.linspace(0, 1, 109), wrong, range(109))
    assert math.sqrt(0.893 * 0.107 / effective) == pytest.approx(0.032, abs=0.0005)


def test_the_same_cases_again_make_nothing_surer() -> None:
    generator = np.random.default_rng(2)
    wrong = generator.random(50) < 0.4
    values = generator.normal(size=50) + wrong
    once = find_auc(values, wrong, range(50))
    assert find_auc(np.tile(values, 3), np.tile(wrong, 3), [*range(50)] * 3) == pytest.approx(once, rel=0.01)
    assert width(find_auc(np.tile(values, 3), np.tile(wrong, 3), range(150))) < 0.7 * width(once)


def width(found: dict[str, Any]) -> float:
    return found["high"] - found["low"]


@pytest.mark.parametrize(("values", "expected"), [([3, 4, 0, 1, 2], 1.0), ([0, 1, 2, 3, 4], 0.0)])
def test_the_interval_of_a_clean_cut_is_no_point(values: list[float], expected: float) -> None:
    wrong = np.array([True, True, False, False, False])
    # 2 * 3 twos, over 1 + (5 / 2 - 1) * 1 / 2
    effective = 6 / 1.75
    found = find_auc(np.array(values, float), wrong, range(5))
    assert (found["low"], found["high"]) == pytest.approx(wilson(expected * effective, effective))
    assert found["auc"] == expected
    found = find_auc(np.array(values, float), wrong, "QQQQQ")  # five cases of one prompt are worth a fifth
    assert (found["low"], found["high"]) == pytest.approx(wilson(expected * effective / 5, effective / 5))


@pytest.mark.parametrize(
    ("prompts", "each", "wrong_share", "distance"),
    [(40, 1, 0.2, 1.0), (30, 1, 0.1, 1.5), (100, 1, 0.1, 2.0), (50, 4, 0.35, 0.5)],
)
def test_intervals_hold_the_truth_95_times_in_100(prompts: int, each: int, wrong_share: float, distance: float) -> None:
    generator = np.random.default_rng(prompts)
    names = np.repeat(np.arange(prompts), each)
    # Of cases of one prompt, both how hard it is and how much members disagree hang together.
    truth = norm.cdf(distance / 2)
    held = trials = 0
    for _ in range(400):
        hard, spread = generator.normal(size=(2, prompts))[:, names] + generator.normal(size=(2, len(names)))
        wrong = hard < math.sqrt(2) * norm.ppf(wrong_share)
        if wrong.any() and not wrong.all():
            found = find_auc(spread + distance * wrong, wrong, names.tolist())
            held += found["low"] <= truth <= found["high"]
            trials += 1
    assert 0.92 <= held / trials <= 0.98


def test_bins_are_about_equal_and_part_nothing_that_is_alike() -> None:
    scored = [score(place % 10 >= place // 25, float(place), prompt=f"{place}") for place in range(100)]
    bins = judge(scored, bins=4)["bins"]
    assert [one["of"] for one in bins] == [25, 25, 25, 25]
    assert [one["dissent"] for one in bins] == [12, 37, 62, 87]
    # Of 25 in a row, all digits come twice or three times; in the bins the digits below 0, 1, 2 and 3 are wrong.
    expected = [sum(place % 10 >= at for place in range(25 * at, 25 * at + 25)) / 25 for at in range(4)]
    assert [one["accuracy"] for one in bins] == expected
    assert all(one["low"] < one["accuracy"] < one["high"] for one in bins[1:])
    alike = [score(place % 2 == 0, 0.5, prompt=f"{place}") for place in range(100)]
    assert [one["of"] for one in judge(alike)["bins"]] == [100]
    assert len(judge(scored[:60])["bins"]) == 3  # of 20 each
