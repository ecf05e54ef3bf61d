"""The mean accuracy of several trainings, and whether its interval holds what it promises."""

import math
import random
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import t as student

from prefline.data.comparison import Comparison
from prefline.data.intervals import NORMAL, find_student, wilson
from prefline.reward_model.averaging import average_accuracy, compare_accuracy
from prefline.reward_model.scored import Scored, measure_accuracy


def build(rights: Iterable[int], prompts: Iterable[str]) -> list[Scored]:
    """Pairs of which the first is best, that a model gets right or wrong."""
    pairs = zip(rights, prompts, strict=True)
    return [Scored(Comparison(prompt, ("a", "b"), (0,)), (float(right), 0.5)) for right, prompt in pairs]


def build_all(*trainings: Sequence[int]) -> list[list[Scored]]:
    return [build(rights, map(str, range(len(rights)))) for rights in trainings]


def test_by_hand() -> None:
    # Means over the trainings 1, 1/2, 1/2, 1/2, 0 around 1/2: the squares add to 1/2, so V(prompts) = 0.5 / 25 = 0.02.
    # Accuracies 3/5 and 2/5: V(trainings) = 2 x 0.01 / 2 = 0.01. Credits less those of the training, 2/5 or -3/5 and
    # 3/5 or -2/5, differ from their mean by 0.1 or 0.4 either way:
    #   case 1: .4 and .6, 2: .4 and -.4, 3: .4 and -.4, 4: -.6 and .6, 5: -.6 and -.4
    #   from their mean: .1, .4, .4, .6, .1; sum of squares 2 x (.01 + .16 + .16 + .36 + .01) = 1.4
    # V(both) = 1.4 / (2 x 25) = 0.028 > V(trainings), so the variance is V(prompts).
    found = average_accuracy(build_all([1, 1, 1, 0, 0], [1, 0, 0, 1, 0]))
    assert found is not None
    # Degrees of freedom: 1 x (0.02 / 0.01)^2 = 4, for which t is 2.776.
    effective = 0.25 / (0.02 * (2.7765 / 1.959964) ** 2)
    assert found["effective"] == pytest.approx(effective, rel=1e-4)
    assert (found["share"], found["right"], found["of"], found["trainings"]) == (0.5, 2.5, 5, 2)
    assert (found["least"], found["most"], found["chance"]) == (0.4, 0.6, 0.5)
    low, high = wilson(0.5 * effective, effective)
    assert (found["low"], found["high"]) == (pytest.approx(low, rel=1e-4), pytest.approx(high, rel=1e-4))


def test_trainings_that_differ_by_more_than_single_prompts_explain_widen_the_interval() -> None:
    # Accuracies 1 and 0: V(trainings) = 2 x 0.25 / 2 = 0.25. No training differs between prompts, so V(prompts) =
    # V(both) = 0, there is one degree of freedom, and t is 12.706.
    found = average_accuracy(build_all([1] * 50, [0] * 50))
    assert found is not None
    assert found["effective"] == pytest.approx(0.25 / (0.25 * (12.7063 / 1.959964) ** 2))
    assert found["low"] < 0.02
    assert found["high"] > 0.98


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=30))
def test_of_one_training_it_is_the_accuracy(cases: list[tuple[int, int]]) -> None:
    scored = build([right for right, _ in cases], [str(prompt) for _, prompt in cases])
    accuracy = measure_accuracy(scored)
    assert accuracy is not None
    same = accuracy["share"]
    assert average_accuracy([scored]) == accuracy | {"trainings": 1, "least": same, "most": same}


def test_nothing_is_said_where_nobody_chose() -> None:
    undecided = [Scored(Comparison("p", ("a", "b"), (), undecided="skipped"), (1.0, 0.0))]
    assert average_accuracy([undecided, undecided]) is None
    assert compare_accuracy([undecided, undecided], [undecided, undecided]) is None


CREDITS = st.lists(st.lists(st.integers(0, 1), min_size=12, max_size=12), min_size=2, max_size=4)


@given(CREDITS)
def test_a_prompt_that_comes_twice_says_no_more_than_once(rights: list[list[int]]) -> None:
    once = average_accuracy(build_all(*rights))
    names = [str(place) for place in range(12)] * 2
    twice = average_accuracy([build(of_one * 2, names) for of_one in rights])
    assert once is not None
    assert twice is not None
    assume(once["effective"] < 12 * len(rights))  # as many as there are: twice, there are more
    for name in ("share", "effective", "low", "high"):
        assert twice[name] == pytest.approx(once[name])


@given(CREDITS, st.randoms(use_true_random=False))
def test_a_difference_is_that_of_the_means_and_the_same_from_the_other_side(
    rights: list[list[int]], draw: random.Random
) -> None:
    ours = build_all(*rights)
    theirs = build_all(*(draw.sample(of_one, 12) for of_one in rights))
    ahead, behind = compare_accuracy(ours, theirs), compare_accuracy(theirs, ours)
    means = [average_accuracy(ours), average_accuracy(theirs)]
    assert ahead is not None
    assert behind is not None
    assert means[0] is not None
    assert means[1] is not None
    assert ahead["difference"] == pytest.approx(means[0]["share"] - means[1]["share"])
    assert ahead["difference"] == pytest.approx(-behind["difference"])
    assert ahead["low"] == pytest.approx(-behind["high"])
    assert ahead["low"] <= ahead["difference"] <= ahead["high"]


def test_what_both_find_hard_is_no_difference_between_them() -> None:
    hard = [0] * 20 + [1] * 20
    better = [0] * 18 + [1] * 22  # the same, and two more
    ahead = compare_accuracy(build_all(better, better), build_all(hard, hard))
    mean = average_accuracy(build_all(better, better))
    assert ahead is not None
    assert mean is not None
    assert ahead["difference"] == pytest.approx(0.05)
    assert ahead["high"] - ahead["low"] < (mean["high"] - mean["low"]) / 2


@pytest.mark.parametrize("freedom", [1, 1.3, 2, 2.5, 4, 7.7, 12, 40, 1e6])
def test_the_quantile_is_never_below_that_of_scipy(freedom: float) -> None:
    exact = student.ppf(0.975, freedom)
    assert exact * (1 - 1e-4) <= find_student(freedom) <= exact * 1.2
    if freedom == round(freedom):
        assert find_student(freedom) == pytest.approx(exact, rel=1e-4 if freedom in (1, 2, 4) else 0.005)


def test_without_end_students_is_the_normal_distribution() -> None:
    assert find_student(math.inf) == NORMAL
    assert find_student(0.3) == find_student(1)  # fewer than one are none


def test_no_mean_is_surer_than_as_many_independent_cases() -> None:
    # Of both trainings one credit is missing: 0.5 in two of 20 prompts. V(prompts) = 2 (0.45^2 + 9 x 0.05^2) / 400.
    found = average_accuracy(build_all([0, *[1] * 19], [1, 0, *[1] * 18]))
    assert found is not None
    variance = (2 * 0.45**2 + 18 * 0.05**2) / 400
    assert 0.95 * 0.05 / variance > 40  # is what it would be of
    assert found["effective"] == 40


def test_where_no_variance_is_seen_prompts_count_and_no_more() -> None:
    # What one training gets wrong the other gets right, so all means are a half.
    halves = [0] * 10 + [1] * 10
    found = average_accuracy(build_all(halves, halves[::-1]))
    assert found is not None
    assert found["effective"] == 20
    twice = [build(rights * 2, [str(place) for place in range(20)] * 2) for rights in (halves, halves[::-1])]
    found = average_accuracy(twice)
    assert found is not None
    assert (found["of"], found["effective"]) == (40, 20)


# How far prompts and trainings are apart, on the scale of log odds: neither, prompts alone, trainings alone, both.
@pytest.mark.parametrize(("prompts", "trainings"), [(0.0, 0.0), (2.0, 0.0), (0.0, 0.15), (2.0, 0.3)])
def test_the_interval_holds_the_true_accuracy_95_times_in_100(prompts: float, trainings: float) -> None:
    draw = np.random.default_rng(7)

    def make(shape: tuple[int, int], least: float, spread: tuple[float, float]) -> np.ndarray:
        of_prompts, of_trainings = draw.normal(0, spread[0], shape[1]), draw.normal(0, spread[1], (shape[0], 1))
        return draw.random(shape) < 1 / (1 + np.exp(-(least + of_prompts + of_trainings)))

    true = make((1000, 4000), 0.5, (prompts, trainings)).mean()
    held = 0
    for _ in range(300):
        found = average_accuracy(build_all(*make((3, 80), 0.5, (prompts, trainings)).astype(int).tolist()))
        assert found is not None
        held += found["low"] <= true <= found["high"]
    assert 0.92 <= held / 300 <= 0.995
