"""Plots with two axes: lines through points with their intervals, and histograms below each other on one scale.

As in charts, what is drawn is placed in percent, so that a plot is as wide as there is room and letters keep their
size. Lines differ in their strokes and marks, and not by colour alone.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from prefline.data.figures import format_number
from prefline.pipeline.axes import Axis, Scale, find_scale, write_value
from prefline.pipeline.charts import build_chart, draw_axis, draw_row, percent
from prefline.pipeline.page import Html, element, paragraph

_LINES = 3  # as many lines look different
_GUIDES = 2  # as many guides
_RADII = {"dot clear": "4.5", "case": "3"}
_LEAST_WIDTH = 0.004  # of a bar, that it is seen
_OF_LETTER = 0.024  # of the width of a narrow plot


class Point(NamedTuple):
    """A point, and the ends of its interval if it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


class Line(NamedTuple):
    """Points that belong together; `dots` are the single cases behind them."""

    name: str
    points: Sequence[Point]
    dots: Sequence[tuple[float, float]] = ()
    joined: bool = True


class Guide(NamedTuple):
    """A dashed line to hold points against, such as chance. It is level unless it ends elsewhere than it starts."""

    name: str
    start: float
    end: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """Its heights at the left and at the right."""
        return self.start, self.start if self.end is None else self.end


def draw_lines(
    caption: str,
    across: Axis,
    up: Axis,
    lines: Sequence[Line],
    guides: Sequence[Guide] = (),
    *,
    mark: float | None = None,
    square: bool = False,
) -> Html:
    """Draw lines in one plane. `mark` is a place on the axis across; `square` is for axes that measure the same."""
    x = find_scale(across, [at for line in lines for at in _list_places(line)])
    y = find_scale(up, [at for one in (*lines, *guides) for at in _list_heights(one)])
    shapes = [_stroke(None, (0, at), (1, at)) for at, _ in y.ticks]
    shapes += [element("text", name, x="-10", y=percent(1 - at), dy="4", text_anchor="end") for at, name in y.ticks]
    shapes += _write_across(x.ticks)
    if mark is not None and x.first <= mark <= x.last:
        shapes.append(_stroke("chance", (x.place(mark), 0), (x.place(mark), 1)))
    shapes += [_draw_guide(guide, number, y) for number, guide in enumerate(guides)]
    shapes += [_draw_line(line, number, x, y) for number, line in enumerate(lines)]
    said = ". ".join(_say_line(line, across, up) for line in lines)
    plane = element("svg", *shapes, role="img", aria_label=f"{up.name}, by {across.name}. {said}")
    parts = (
        element("figcaption", caption),
        element("p", up.name, class_="axis up"),
        element("div", plane, class_="curve"),
        element("p", across.name, class_="axis across"),
        _build_legend(lines, guides),
    )
    return element("figure", *parts, class_="chart square" if square else "chart")


def draw_histograms(caption: str, heading: str, rows: Sequence[tuple[object, Mapping[str, Any]]]) -> Html:
    """Draw how numbers are spread, group below group on one scale."""
    edges = [edge for _, found in rows for bar in found["bins"] for edge in (bar["low"], bar["high"])]
    scale = find_scale(Axis(""), edges)
    highest = max((bar["of"] / found["of"] for _, found in rows for bar in found["bins"]), default=1)
    names = ("of", "mean", "deviation", "median")
    built = (
        (
            label,
            _draw_histogram(found, scale, highest),
            (format_number(found["of"]), *(write_value(found[key]) for key in ("mean", "std", "median"))),
        )
        for label, found in rows
    )
    key = paragraph("The height of a bar is its share of the group; the dashes are the median.", class_="key")
    return build_chart(caption, (heading, draw_axis(scale.ticks), names), built, key, class_="chart histograms")


def _draw_histogram(found: Mapping[str, Any], scale: Scale, highest: float) -> Html:
    grid = [_stroke(None, (at, 0), (at, 1)) for at, _ in scale.ticks]
    bars: list[Html] = []
    for bar in found["bins"]:
        start, end, height = scale.place(bar["low"]), scale.place(bar["high"]), bar["of"] / found["of"] / highest
        width = max(end - start, _LEAST_WIDTH)
        place = {"x": percent(start), "width": percent(width), "y": percent(1 - height), "height": percent(height)}
        bars.append(element("rect", class_="bar", **place))
    median = scale.place(found["median"])
    ends = f"{write_value(found['p5'])} to {write_value(found['p95'])}"
    said = f"median {write_value(found['median'])}, nine of ten from {ends}"
    return draw_row(said, *grid, *bars, _stroke("chance", (median, 0), (median, 1)))


def _draw_line(line: Line, number: int, x: Scale, y: Scale) -> Html:
    places = [(x.place(point.x), y.place(point.y)) for point in line.points]
    shapes = [_dot("case", (x.place(at), y.place(height))) for at, height in line.dots]
    if line.joined:
        shapes += [_stroke("thin", start, end) for start, end in itertools.pairwise(places)]
    for point, (at, _) in zip(line.points, places, strict=True):
        if point.low is not None and point.high is not None:
            shapes.append(_stroke("whisker", (at, y.place(point.low)), (at, y.place(point.high))))
    shapes += [_dot("dot clear", place) for place in places]
    return element("g", *shapes, class_=_name_line(number))


def _draw_guide(guide: Guide, number: int, y: Scale) -> Html:
    start, end = (y.place(value) for value in guide.ends)
    return _stroke(_name_guide(number), (0, start), (1, end))


def _write_across(ticks: Iterable[tuple[float, str]]) -> list[Html]:
    drawn: list[Html] = []
    free = -1.0
    for place, name in ticks:
        half = len(name) * _OF_LETTER / 2
        if place - half >= free:  # a number that would run into the one before it is left out
            drawn.append(element("text", name, x=percent(place), y="100%", dy="18", text_anchor="middle"))
            free = place + half + _OF_LETTER
    return drawn


def _build_legend(lines: Sequence[Line], guides: Sequence[Guide]) -> Html:
    shapes = [_draw_key(line, number) for number, line in enumerate(lines)]
    shapes += [_stroke(_name_guide(number), (0, 0.5), (1, 0.5)) for number in range(len(guides))]
    items = (
        element("li", element("svg", shape, aria_hidden="true"), one.name)
        for shape, one in zip(shapes, (*lines, *guides), strict=True)
    )
    return element("ul", *items, class_="legend")


def _draw_key(line: Line, number: int) -> Html:
    thin = [_stroke("thin", (0, 0.5), (1, 0.5))] if line.joined else []
    return element("g", *thin, _dot("dot clear", (0.5, 0.5)), class_=_name_line(number))


def _say_line(line: Line, across: Axis, up: Axis) -> str:
    def say(point: Point) -> str:
        said = f"{write_value(point.x, across)}: {write_value(point.y, up)}"
        if point.low is None or point.high is None:
            return said
        return f"{said} ({write_value(point.low, up)} to {write_value(point.high, up)})"

    return f"{line.name}: {'; '.join(map(say, line.points))}"


def _list_places(line: Line) -> list[float]:
    return [*(point.x for point in line.points), *(x for x, _ in line.dots)]


def _list_heights(one: Line | Guide) -> list[float]:
    if isinstance(one, Guide):
        return list(one.ends)
    ends = (at for point in one.points for at in (point.y, point.low, point.high) if at is not None)
    return [*ends, *(y for _, y in one.dots)]


def _stroke(class_: str | None, start: tuple[float, float], end: tuple[float, float]) -> Html:
    x1, y1, x2, y2 = (percent(at) for at in (start[0], 1 - start[1], end[0], 1 - end[1]))
    return element("line", class_=class_, x1=x1, y1=y1, x2=x2, y2=y2)


def _dot(class_: str, place: tuple[float, float]) -> Html:
    return element("circle", class_=class_, cx=percent(place[0]), cy=percent(1 - place[1]), r=_RADII[class_])


def _name_line(number: int) -> str:
    return f"line-{number % _LINES + 1}"


def _name_guide(number: int) -> str:
    return f"guide guide-{number % _GUIDES + 1}"
