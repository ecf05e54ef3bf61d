"""Ranks, centres and bins: by hand, against brute force and scikit-learn."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from prefline.reward_model.ranks import centre, count_below, cut, find_ranks, number

FEW = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=12)
CASES = st.lists(st.tuples(st.integers(0, 3).map(float), st.integers(0, 4)), max_size=30)


def test_numbers_go_by_who_came_first() -> None:
    assert number("babcb").tolist() == [0, 1, 0, 2, 0]
    assert number([]).tolist() == []


@given(CASES)
def test_what_is_below_and_alike_is_counted_in_the_own_group(cases: list[tuple[float, int]]) -> None:
    values, groups = np.array([value for value, _ in cases]), np.array([group for _, group in cases], int)
    below, alike = count_below(values, groups)
    own = [[other for other, theirs in cases if theirs == group] for _, group in cases]
    assert below.tolist() == [sum(other < value for other in some) for (value, _), some in zip(cases, own, strict=True)]
    assert alike.tolist() == [some.count(value) for (value, _), some in zip(cases, own, strict=True)]


def test_ranks_by_hand() -> None:
    assert find_ranks([0, 1, 2, 5], [2, 1, 1, 4]).tolist() == [0, 0.25, 0.625, 1]  # of 4: 0; 2 tie; 2 and 1 ties; all


@given(FEW, FEW)
def test_ranks_are_the_area_of_scikit_learn(good: list[float], bad: list[float]) -> None:
    expected = roc_auc_score([1] * len(good) + [0] * len(bad), good + bad)
    assert find_ranks(good, bad).mean() == pytest.approx(expected)


def test_what_is_centred_lies_around_nothing() -> None:
    found = centre(np.array([1.0, 10.0, 3.0, 14.0, 0.1]), np.array([2, 0, 2, 0, 3]))  # nothing is in group 1
    assert found.tolist() == [-1, -2, 1, 2, 0]
    alike = np.array([0.1, 0.1, 0.1])  # the mean of which is another number
    assert alike.mean() != 0.1
    assert centre(alike, np.zeros(3, int)).tolist() == [0, 0, 0]
    assert centre(np.zeros(0), np.zeros(0, int)).tolist() == []


def test_bins_by_hand() -> None:
    values = np.array([*range(50, 0, -1)], float)
    assert [places.tolist() for places in cut(values, 5)] == [[*range(49, 24, -1)], [*range(24, -1, -1)]]  # 20 or more
    assert [len(places) for places in cut(np.repeat([0.0, 1.0, 2.0], [30, 50, 20]), 5)] == [30, 50, 20]
    assert [len(places) for places in cut(np.zeros(100), 5)] == [100]
    assert [len(places) for places in cut(np.arange(7.0), 5)] == [7]


@given(st.lists(st.integers(0, 30).map(float), min_size=1, max_size=150), st.integers(1, 6))
def test_bins_part_nothing_that_is_alike_and_none_is_small(values: list[float], bins: int) -> None:
    found = cut(np.array(values), bins)
    assert sorted(place for places in found for place in places.tolist()) == [*range(len(values))]
    assert len(found) <= bins
    assert all(len(places) >= min(20, len(values)) for places in found)
    parts = [[values[place] for place in places] for places in found]
    assert all(max(one) < min(other) for one, other in pairwise(parts))
