"""How much names explain: worked out by hand, against least squares solved at once, and against Spearman's rho."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from prefline.reward_model.levels import cross_fit, explain, explain_order, fit_levels, predict

NUMBERS = st.integers(-4, 4).map(float)
TABLES = st.lists(st.lists(NUMBERS, min_size=2, max_size=4), min_size=1, max_size=8)


def draw_table(seed: int, rows: int = 60, size: int = 4) -> tuple[list[list[float]], list[list[str]]]:
    """Return values that follow from names, rows and chance; names that win meet each other more often."""
    generator = random.Random(seed)
    names = [generator.choices("abcdefgh", [8, 7, 6, 5, 4, 3, 2, 1], k=size) for _ in range(rows)]
    values = [
        [ord(name) + generator.gauss(0, 2) + 10 * (row % 3) for name in own]  # rows lie at different levels
        for row, own in enumerate(names)
    ]
    return values, names


def test_levels_by_hand() -> None:
    # Rows lie at 5.5 and 0.5, so a is 0.5 above twice, and 1 / 3 on average with one more value of 0.
    assert fit_levels([[6, 5], [0, 1]], ["ab", "ba"]) == pytest.approx({"a": 1 / 3, "b": -1 / 3})
    # Met once, they are 0.5 from the middle of the row, and with one more value of 0 on average half as far.
    assert fit_levels([[1, 0]], ["cd"]) == pytest.approx({"c": 1 / 4, "d": -1 / 4})
    assert fit_levels([], []) == {}


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_levels_are_least_squares_with_a_level_for_each_row(seed: int, size: int) -> None:
    values, names = draw_table(seed, size=size)
    found = fit_levels(values, names)
    known = sorted({name for own in names for name in own})
    cells = [(row, known.index(name)) for row, own in enumerate(names) for name in own]
    design = np.zeros((len(cells), len(values) + len(known)))
    for cell, (row, name) in enumerate(cells):
        design[cell, row] = design[cell, len(values) + name] = 1
    penalty = np.diag([0.0] * len(values) + [1.0] * len(known))
    solved = np.linalg.solve(design.T @ design + penalty, design.T @ np.concatenate(values))
    assert [found[name] for name in known] == pytest.approx(solved[len(values) :].tolist(), abs=1e-3)


def test_what_is_not_known_lies_at_nothing() -> None:
    assert predict({"a": 2.0}, ["a", None, "b"]) == (2.0, 0.0, 0.0)


def test_no_row_is_judged_by_rows_of_its_own_prompt() -> None:
    values, names = draw_table(0)
    prompts = [f"p{row // 2}" for row in range(len(values))]
    before = cross_fit(prompts, values, names)
    changed = [[-9.0, 9.0, 0.0, 0.0], [9.0, 0.0, 0.0, -9.0], *values[2:]]
    after = cross_fit(prompts, changed, names)
    assert after[:2] == before[:2]
    assert after != before


def test_the_order_of_rows_changes_nothing() -> None:
    values, names = draw_table(1)
    prompts = [f"p{row // 2}" for row in range(len(values))]
    straight = cross_fit(prompts, values, names)
    turned = cross_fit(prompts[::-1], values[::-1], names[::-1])[::-1]
    for one, other in zip(straight, turned, strict=True):
        assert one == pytest.approx(other)


def test_cross_fitting_one_prompt_knows_nothing() -> None:
    assert cross_fit(["p"], [[1.0, 0.0]], ["ab"]) == [(0.0, 0.0)]
    assert cross_fit([], [], []) == []


def test_explained_by_hand() -> None:
    # Within rows: 1, -1 and 2, -2, so 10 in all; what the prediction leaves is 0.5, -0.5 and 1.5, -1.5, so 5.
    assert explain([[2, 0], [9, 5]], [[1, 0], [0, -1]]) == pytest.approx(1 - 5 / 10)
    assert explain([[2, 0], [9, 5]], [[7, 5], [0, -4]]) == pytest.approx(1)
    assert explain([[2, 0], [9, 5]], [[0, 0], [3, 3]]) == 0
    assert explain([[2, 0], [9, 5]], [[0, 2], [5, 9]]) == 0  # worse than nothing
    assert explain([[2, 2], [9, 9]], [[0, 1], [0, 1]]) is None
    assert explain([[0.1 + 0.2, 0.3]], [[0, 1]]) is None  # no more than rounding
    assert explain([], []) is None


def test_names_explain_a_value_that_is_theirs_and_none_that_is_not() -> None:
    generator = random.Random(0)
    names = [generator.sample(range(12), 4) for _ in range(300)]
    prompts = [f"p{row}" for row in range(300)]
    theirs = [[name**2 - 7.0 * (name % 3) + row for name in own] for row, own in enumerate(names)]
    not_theirs = [[generator.gauss(0, 1) for _ in own] for own in names]
    assert (explain(theirs, cross_fit(prompts, theirs, names)) or 0) > 0.999
    assert (explain(not_theirs, cross_fit(prompts, not_theirs, names)) or 0) < 0.02


def test_the_order_explained_in_one_row_is_spearmans() -> None:
    values, guide = [3.0, 1.0, 4.0, 1.0, 5.0], [2.0, 7.0, 1.0, 8.0, 8.0]
    rho = float(np.asarray(spearmanr(values, guide))[0])
    assert rho < 0
    assert explain_order([values], [guide]) == 0
    assert explain_order([values], [[-value for value in guide]]) == pytest.approx(rho**2)


def test_the_order_explained_by_hand() -> None:
    # Ranks from the middle are 1, 0, -1 twice, then 0.5, -0.5 against -0.5, 0.5: (2 - 0.5)^2 / (2.5 * 2.5).
    assert explain_order([[9, 5, 1], [1, 0]], [[3, 2, 1], [3, 4]]) == pytest.approx(1.5**2 / 2.5**2)
    assert explain_order([[1, 1]], [[1, 2]]) is None
    assert explain_order([[1, 2]], [[1, 1]]) is None


@given(TABLES, st.data())
def test_what_is_explained_is_a_share_whatever_the_level_of_a_row(rows: list[list[float]], data: st.DataObject) -> None:
    guide = [[data.draw(NUMBERS) for _ in row] for row in rows]
    moved = [[value + 8.0 * place for value in row] for place, row in enumerate(rows)]
    for measure in (explain, explain_order):
        found = measure(rows, guide)
        assert found is None or 0 <= found <= 1 + 1e-12
        assert found == (None if (again := measure(moved, guide)) is None else pytest.approx(again))


@given(TABLES)
def test_what_grows_with_a_guide_is_explained_by_it_in_full(rows: list[list[float]]) -> None:
    found = explain_order([[value**3 + place for value in row] for place, row in enumerate(rows)], rows)
    assert found == (None if all(len({*row}) == 1 for row in rows) else pytest.approx(1))
