"""Charts as tables with a drawing in each row.

Drawings are placed in percent of their width and hold no text but that of the axes, so a chart is as readable
on a telephone as on a wall, and whoever does not see it reads the table.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prefline.data.figures import format_interval, format_number, format_share, is_clear
from prefline.pipeline.page import Html, element, isolate, paragraph

Share = Mapping[str, Any]  # share, low, high, of, and chance where there is one

_ENDS = (0.02, 0.04, 0.08, 0.2, 0.4, 0.8, 1.0)  # of an axis: each has four steps of round numbers
_STEPS = 4
_THOUSANDS = ("k", "M", "G", "T")
_KEY = (
    "The line is the 95 % interval, the dashes are chance; the dot is full where chance lies outside the interval "
    "and hollow where it may be chance."
)


def draw_shares(
    caption: str, heading: str, rows: Iterable[tuple[object, Share]], *, end: float | None = None, key: bool = True
) -> Html:
    """Draw shares with their intervals against chance, one below the other on one scale.

    The scale ends where the shares let it unless it is said where. The key says what is drawn.
    """
    rows = list(rows)
    end = end or _find_end([share.get(name) for _, share in rows for name in ("share", "high", "chance")])
    has_chance = any(share.get("chance") is not None for _, share in rows)
    names = ("share", "95 % interval", *(("chance",) if has_chance else ()), "of")
    built = [(label, _draw_share(share, end), _write_share(share, has_chance=has_chance)) for label, share in rows]
    below = paragraph(_KEY, class_="key") if has_chance and key else ""
    return build_chart(caption, (heading, draw_axis(_share_ticks(end)), names), built, below)


def draw_bars(caption: str, heading: str, rows: Iterable[tuple[object, float]]) -> Html:
    """Draw counts as bars."""
    rows = list(rows)
    total, most = math.fsum(number for _, number in rows), max((number for _, number in rows), default=0)
    built = [
        (
            label,
            draw_row(
                format_number(number), element("rect", class_="bar", y="6", height="16", width=percent(number, most))
            ),
            (format_number(number), format_share(number / total if total else None)),
        )
        for label, number in rows
    ]
    return build_chart(caption, (heading, Html(""), ("number", "share")), built)


def draw_spreads(caption: str, heading: str, rows: Iterable[tuple[object, Mapping[str, float]]]) -> Html:
    """Draw how lengths are spread, on a logarithmic scale: few are long, and they are much longer."""
    rows = list(rows)
    powers = max((len(str(math.floor(spread["most"]))) for _, spread in rows), default=1)
    ticks = [(_log_place(10**power, powers), _name_power(power)) for power in range(powers + 1)]
    names = ("least", "median", "mean", "p95", "most")
    built = [
        (label, _draw_spread(spread, powers), tuple(format_number(spread[name]) for name in names))
        for label, spread in rows
    ]
    key = paragraph(
        "The thin line runs from the least to the most, the thick one from the median (the dot) to the length that "
        "95 % do not exceed. The scale is logarithmic.",
        class_="key",
    )
    return build_chart(caption, (heading, draw_axis(ticks), names), built, key)


def build_chart(
    caption: str,
    header: tuple[str, Html, Sequence[str]],
    rows: Iterable[tuple[object, Html, Sequence[str]]],
    key: Html | str = "",
    class_: str = "chart",
) -> Html:
    """Build a chart: the header is the heading of the rows, the axis, and the names of the numbers."""
    heading, axis, names = header
    head = element(
        "tr",
        element("th", heading, scope="col"),
        element("th", axis, class_="plot"),
        *(element("th", name, class_="number", scope="col") for name in names),
    )
    body = (
        element(
            "tr",
            element("th", label if isinstance(label, Html) else isolate(label), scope="row"),
            element("td", drawing, class_="plot"),
            *(element("td", text, class_="number", data_name=name) for name, text in zip(names, numbers, strict=True)),
        )
        for label, drawing, numbers in rows
    )
    built = element("table", element("thead", head), element("tbody", *body))
    return element("figure", element("figcaption", caption), built, key, class_=class_)


def _draw_share(share: Share, end: float) -> Html:
    grid = [element("line", x1=percent(at), x2=percent(at), y2="100%") for at, _ in _share_ticks(end)]
    shapes: list[Html] = []
    if share.get("low") is not None and share.get("high") is not None:
        low, high = percent(share["low"], end), percent(share["high"], end)
        shapes.append(element("line", class_="whisker", x1=low, x2=high, y1="50%", y2="50%"))
    if share.get("chance") is not None:
        chance = percent(share["chance"], end)
        shapes.append(element("line", class_="chance", x1=chance, x2=chance, y1="2", y2="26"))
    if share.get("share") is not None:
        full = is_clear(share) or share.get("chance") is None
        shapes.append(
            element("circle", class_="dot clear" if full else "dot", cx=percent(share["share"], end), cy="50%", r="5")
        )
    said = [format_share(share.get("share")), format_interval(share) and f"95 % interval {format_interval(share)}"]
    said += [f"chance {format_share(share['chance'])}"] if share.get("chance") is not None else []
    return draw_row(", ".join(filter(None, said)), *grid, *shapes)


def _write_share(share: Share, *, has_chance: bool) -> tuple[str, ...]:
    chance = "" if share.get("chance") is None else format_share(share["chance"])
    interval, of = format_interval(share), format_number(share["of"])
    return (format_share(share.get("share")), interval, *((chance,) if has_chance else ()), of)


def _draw_spread(spread: Mapping[str, float], powers: int) -> Html:
    place = {name: percent(_log_place(value, powers)) for name, value in spread.items()}
    grid = (element("line", x1=at, x2=at, y2="100%") for at in (percent(power / powers) for power in range(powers + 1)))
    said = ", ".join(f"{name} {format_number(value)}" for name, value in spread.items())
    return draw_row(
        said,
        *grid,
        element("line", class_="thin", x1=place["least"], x2=place["most"], y1="50%", y2="50%"),
        element("line", class_="thick", x1=place["median"], x2=place["p95"], y1="50%", y2="50%"),
        element("circle", class_="dot clear", cx=place["median"], cy="50%", r="5"),
    )


def _name_power(power: int) -> str:
    return f"{10 ** (power % 3)}{'' if power < 3 else _THOUSANDS[power // 3 - 1]}"


def _log_place(value: float, powers: int) -> float:
    return math.log10(max(value, 1)) / powers  # nothing is as short as one


def draw_row(said: str, *shapes: Html) -> Html:
    """Draw what stands in a row, and say it to who does not see it."""
    return element("svg", *shapes, role="img", aria_label=said)


def draw_axis(ticks: Iterable[tuple[float, str]]) -> Html:
    """Write the numbers of an axis above the rows."""
    texts = (element("text", name, x=percent(at), y="22", text_anchor="middle") for at, name in ticks)
    return element("svg", *texts, aria_hidden="true")


def _share_ticks(end: float) -> list[tuple[float, str]]:
    return [(step / _STEPS, f"{100 * end * step / _STEPS:g} %") for step in range(_STEPS + 1)]


def _find_end(values: Iterable[float | None]) -> float:
    most = max((value for value in values if value is not None), default=1.0)
    return next((end for end in _ENDS if most <= end), 1.0)


def percent(value: float, end: float = 1.0) -> str:
    """Write where a value lies between nothing and the end of an axis, as an attribute."""
    return f"{100 * value / end if end else 0:.2f}%"
