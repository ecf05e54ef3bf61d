import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline.pipeline.axes import Axis, find_scale, write_value
from prefline.pipeline.plots import Guide, Line, Point, draw_histograms, draw_lines

LENGTHS, SHARES = Axis("length", "logarithmic"), Axis("identical", "share", (0, 0.4))
FALLING = Line("comparisons", [Point(64, 0.4), Point(128, 0.2), Point(256, 0.0)])
MIDDLE = 3 + 94 / 2  # percent: 3 stay free on either side


def read_ticks(drawn: str) -> list[str]:
    return re.findall(r'dy="18" text-anchor="middle">([^<]*)<', drawn)


def read_dots(drawn: str) -> list[tuple[str, str]]:
    plane = drawn.partition('class="legend"')[0]
    return re.findall(r'<circle class="dot clear" cx="([0-9.]+)%" cy="([0-9.]+)%"', plane)


def test_a_line_goes_through_its_points() -> None:
    drawn = draw_lines("Identical", LENGTHS, SHARES, [FALLING], mark=128)
    # A scale of doublings, and an axis that ends at 40 %.
    assert read_dots(drawn) == [("3.00", "0.00"), (f"{MIDDLE:.2f}", "50.00"), ("97.00", "100.00")]
    assert f'<line class="chance" x1="{MIDDLE:.2f}%" y1="100.00%" x2="{MIDDLE:.2f}%" y2="0.00%">' in drawn
    assert drawn.partition('class="legend"')[0].count('class="thin"') == 2
    assert 'aria-label="identical, by length. comparisons: 64: 40.0 %; 128: 20.0 %; 256: 0.0 %"' in drawn
    assert read_ticks(drawn) == ["64", "128", "256"]


def test_a_mark_beyond_the_axis_is_not_drawn() -> None:
    assert 'class="chance"' not in draw_lines("Identical", LENGTHS, SHARES, [FALLING], mark=512)


def test_a_single_point_stands_in_the_middle() -> None:
    assert read_dots(draw_lines("One", LENGTHS, Axis("n"), [Line("x", [Point(64, 3.0)])])) == [("50.00", "50.00")]


def test_intervals_and_cases_are_drawn_where_they_lie() -> None:
    line = Line("mean", [Point(0, 0.5, 0.25, 0.75)], dots=[(0, 0.0), (1, 1.0)])
    drawn = draw_lines("Three", Axis("x"), Axis("y"), [line])
    assert '<line class="whisker" x1="0.00%" y1="75.00%" x2="0.00%" y2="25.00%">' in drawn
    assert re.findall(r'class="case" cx="([0-9.]+)%" cy="([0-9.]+)%"', drawn) == [
        ("0.00", "100.00"),
        ("100.00", "0.00"),
    ]
    assert 'aria-label="y, by x. mean: 0.000: 0.500 (0.250 to 0.750)"' in drawn


def test_an_interval_without_an_end_is_not_drawn() -> None:
    drawn = draw_lines("One", Axis("x"), Axis("y"), [Line("mean", [Point(0, 0.5, None, None)])])
    assert "whisker" not in drawn


def test_guides_are_level_or_run_from_end_to_end_and_never_leave_the_plot() -> None:
    points = [Line("x", [Point(0.5, 0.5)], joined=False)]
    whole = Axis("sure", "share", (0, 1))
    diagonal = draw_lines("Calibration", whole, whole, points, [Guide("fits", 0, 1)], square=True)
    assert '<line class="guide guide-1" x1="0.00%" y1="100.00%" x2="100.00%" y2="0.00%">' in diagonal
    assert 'class="chart square"' in diagonal
    # 20 % to 80 % are four steps of 20 %: the guide widens the axis, and stands at its foot.
    level = draw_lines("Accuracy", whole, Axis("right", "share"), points, [Guide("chance", 0.2), Guide("ceiling", 0.8)])
    assert '<line class="guide guide-1" x1="0.00%" y1="100.00%" x2="100.00%" y2="100.00%">' in level
    assert '<line class="guide guide-2" x1="0.00%" y1="0.00%" x2="100.00%" y2="0.00%">' in level


def test_a_legend_names_lines_and_guides() -> None:
    legend = draw_lines("Both", LENGTHS, SHARES, [FALLING, FALLING._replace(name="<b>")], [Guide("chance", 0.1)])
    names = re.findall(r"</svg>([^<]*)</li>", legend.partition('class="legend"')[2])
    assert names == ["comparisons", "&lt;b&gt;", "chance"]


def test_numbers_of_an_axis_do_not_run_into_each_other() -> None:
    points = [Point(length, 0.1) for length in range(100, 200)]
    assert 2 <= len(read_ticks(draw_lines("Identical", LENGTHS, SHARES, [Line("x", points)]))) <= 12


@pytest.mark.parametrize(
    ("axis", "values", "ticks"),
    [
        (Axis("y"), [-0.06, 1.02], ["-0.5", "0", "0.5", "1", "1.5"]),
        (Axis("y"), [3.0], ["2.5", "2.75", "3", "3.25", "3.5"]),
        (Axis("y"), [], ["0", "0.25", "0.5", "0.75", "1"]),
        (Axis("y", "share"), [0.25, 0.66], ["20 %", "40 %", "60 %", "80 %"]),
        (Axis("y", "share"), [1.0], ["50 %", "75 %", "100 %"]),
        (Axis("y", "share"), [0.0], ["0 %", "25 %", "50 %"]),
        (Axis("n", "logarithmic"), [1000, 250, 1000], ["250", "1,000"]),
    ],
)
def test_an_axis_ends_at_round_numbers(axis: Axis, values: list[float], ticks: list[str]) -> None:
    assert [name for _, name in find_scale(axis, values).ticks] == ticks


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5))
def test_values_lie_within_their_axis_and_in_their_order(values: list[float]) -> None:
    scale = find_scale(Axis("y"), values)
    places = [scale.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(-1e-6 <= place <= 1 + 1e-6 for place in places)
    assert 2 <= len(scale.ticks) <= 8


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_shares_have_no_axis_beyond_nothing_and_all(values: list[float]) -> None:
    scale = find_scale(Axis("y", "share"), values)
    assert 0 <= scale.first < scale.last <= 1
    assert all(-1e-6 <= scale.place(value) <= 1 + 1e-6 for value in values)


def test_values_are_written_as_precisely_as_they_are_read() -> None:
    axes = [None, Axis("y"), Axis("y", "share"), Axis("n", "logarithmic")]
    assert [write_value(0.25, axis) for axis in axes] == ["0.250", "0.250", "25.0 %", "0.2"]


def spread(counts: list[int]) -> dict[str, Any]:
    bins = [{"low": float(at), "high": at + 1.0, "of": of} for at, of in enumerate(counts)]
    return {"of": sum(counts), "mean": 1.0, "std": 0.5, "median": 1.0, "p5": 0.0, "p95": 4.0, "bins": bins}


def test_groups_of_any_size_have_bars_of_their_shares_on_one_scale() -> None:
    drawn = draw_histograms("Scores", "group", [("best", spread([0, 1, 1, 0])), ("<b>", spread([100, 0, 0, 300]))])
    # From 0 to 4 in four bins; the highest bar is 3 of 4, so that 1 of 2 is two thirds of it.
    bars = re.findall(r'class="bar" x="([0-9.]+)%" width="([0-9.]+)%" y="([0-9.]+)%" height="([0-9.]+)%"', drawn)
    assert [bar for bar in bars if bar[3] != "0.00"] == [
        ("25.00", "25.00", "33.33", "66.67"),
        ("50.00", "25.00", "33.33", "66.67"),
        ("0.00", "25.00", "66.67", "33.33"),
        ("75.00", "25.00", "0.00", "100.00"),
    ]
    assert '<line class="chance" x1="25.00%" y1="100.00%" x2="25.00%" y2="0.00%">' in drawn
    assert 'aria-label="median 1.000, nine of ten from 0.000 to 4.000"' in drawn
    assert "<bdi>&lt;b&gt;</bdi>" in drawn
