import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.figures import (
    format_coefficient,
    format_figure,
    format_interval,
    format_number,
    format_probability,
    format_share,
)
from prefline.pipeline.charts import draw_bars, draw_shares, draw_spreads

SHARE = {"wins": 172.0, "of": 766, "share": 0.2245, "low": 0.196, "high": 0.255, "chance": 0.25}


def test_a_share_is_drawn_where_it_lies() -> None:
    drawn = draw_shares("Wins", "system", [("gpt", SHARE)])
    # The axis ends at 40 %, the first of its ends that is not below 25.5 %: 0.2245 / 0.4 = 56.12 %.
    assert '<circle class="dot" cx="56.12%"' in drawn
    assert '<line class="whisker" x1="49.00%" x2="63.75%"' in drawn
    assert '<line class="chance" x1="62.50%" x2="62.50%"' in drawn
    assert ">0 %<" in drawn
    assert ">40 %<" in drawn
    assert 'aria-label="22.4 %, 95 % interval 19.6 to 25.5 %, chance 25.0 %"' in drawn
    assert re.findall(r'data-name="([^"]*)">([^<]*)<', drawn) == [
        ("share", "22.4 %"),
        ("95 % interval", "19.6 to 25.5 %"),
        ("chance", "25.0 %"),
        ("of", "766"),
    ]


@pytest.mark.parametrize(
    ("low", "high", "style"), [(0.26, 0.3, "dot clear"), (0.1, 0.2, "dot clear"), (0.2, 0.25, "dot")]
)
def test_a_dot_is_full_where_chance_lies_outside_the_interval(low: float, high: float, style: str) -> None:
    drawn = draw_shares("Wins", "", [("x", SHARE | {"low": low, "high": high})])
    assert f'<circle class="{style}"' in drawn


def test_without_chance_nothing_is_said_of_it() -> None:
    drawn = draw_shares("Agree", "", [("exact", {"agree": 3, "of": 4, "share": 0.75, "low": 0.3, "high": 0.95})])
    assert "chance" not in drawn


def test_a_share_of_nothing_has_no_dot() -> None:
    drawn = draw_shares("Wins", "", [("none", {"of": 0, "share": None, "low": None, "high": None, "chance": 0.5})])
    assert "circle" not in drawn
    assert "unknown" in drawn


def test_bars_are_as_long_as_the_longest_lets_them() -> None:
    drawn = draw_bars("Sizes", "responses", [("2", 30), ("4", 60)])
    assert re.findall(r'width="([0-9.]+%)"', drawn) == ["50.00%", "100.00%"]
    assert ">33.3 %<" in drawn
    assert ">66.7 %<" in drawn


def test_bars_of_nothing_are_no_division_by_zero() -> None:
    assert 'width="0.00%"' in draw_bars("Sizes", "responses", [("2", 0)])
    assert "<tbody></tbody>" in draw_bars("Sizes", "responses", [])


def test_lengths_are_spread_over_powers_of_ten() -> None:
    spread = {"least": 0, "median": 10, "mean": 20.5, "p95": 100, "most": 999}
    drawn = draw_spreads("Lengths", "", [("prompts", spread)])
    # Three powers up to 1,000: 10 lies at a third, 100 at two thirds; 0 is drawn where 1 is.
    assert '<line class="thick" x1="33.33%" x2="66.67%"' in drawn
    assert '<line class="thin" x1="0.00%"' in drawn
    assert re.findall(r'text-anchor="middle">([^<]*)<', drawn) == ["1", "10", "100", "1k"]


def test_charts_may_share_a_scale_and_a_key() -> None:
    drawn = draw_shares("Wins", "system", [("gpt", SHARE)], end=1.0, key=False)
    assert '<circle class="dot" cx="22.45%"' in drawn
    assert ">100 %<" in drawn
    assert 'class="key"' not in drawn
    assert 'class="key"' in draw_shares("Wins", "system", [("gpt", SHARE)])


shares = st.floats(0, 1)


@given(st.lists(st.tuples(shares, shares, shares, shares), min_size=1, max_size=5))
def test_nothing_is_drawn_outside(rows: list[tuple[float, float, float, float]]) -> None:
    drawn = draw_shares(
        "Wins",
        "",
        [
            ("x", {"share": sorted(ends)[1], "low": min(ends), "high": max(ends), "chance": chance, "of": 9})
            for *ends, chance in rows
        ],
    )
    places = [float(place) for place in re.findall(r'(?:c?x[12]?)="([0-9.e+-]+)%"', drawn)]
    assert places
    assert all(0 <= place <= 100 for place in places)


@pytest.mark.parametrize(
    ("value", "written"),
    [(60000, "60,000"), (172.0, "172"), (172.333, "172.3"), (1234567.8, "1,234,568"), (0, "0")],
)
def test_numbers_are_written_with_commas(value: float, written: str) -> None:
    assert format_number(value) == written


@pytest.mark.parametrize(
    ("share", "written"),
    [(0.2251, "22.5 %"), (0, "0.0 %"), (1, "100.0 %"), (0.0001, "< 0.1 %"), (0.9999, "> 99.9 %"), (None, "unknown")],
)
def test_a_share_never_looks_like_nothing_or_all_unless_it_is(share: float | None, written: str) -> None:
    assert format_share(share) == written


def test_what_is_not_known_is_said_or_left_out() -> None:
    assert format_interval({"low": None, "high": None}) == ""
    assert format_coefficient(None) == "undefined"
    assert [format_figure(value) for value in (None, 1234567, 0.7103448)] == ["unknown", "1,234,567", "0.710345"]
    assert format_coefficient(-0.05) == "-0.050"
    assert [format_probability(p) for p in (1e-9, 0.0312)] == ["p < 0.001", "p = 0.031"]
