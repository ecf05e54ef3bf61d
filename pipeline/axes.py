"""The axes of plots: where values lie between their ends, and which of them are written."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from prefline.data.figures import format_coefficient, format_number, format_share

_STEPS = (1, 2, 2.5, 5, 10)
_PARTS = 4  # of an axis, about
_EDGE = 0.03  # of a logarithmic axis stays free on either side


class Axis(NamedTuple):
    """What an axis measures. It ends at round numbers, about the values or about the ends that are given."""

    name: str
    kind: Literal["share", "number", "logarithmic"] = "number"
    ends: tuple[float, float] | None = None


class Scale(NamedTuple):
    """Where values lie, from 0 to 1, and the values that are written."""

    first: float
    last: float
    logarithmic: bool = False
    ticks: Sequence[tuple[float, str]] = ()

    def place(self, value: float) -> float:
        """Where a value lies."""
        if not self.logarithmic:
            return (value - self.first) / (self.last - self.first)
        if self.last == self.first:
            return 0.5
        return _EDGE + (1 - 2 * _EDGE) * math.log(value / self.first) / math.log(self.last / self.first)


def find_scale(axis: Axis, values: Sequence[float]) -> Scale:
    """Lay an axis through values. One that is logarithmic has few values, and all of them are written."""
    if axis.kind == "logarithmic":
        known = sorted(set(values))
        scale = Scale(known[0], known[-1], logarithmic=True)
        return scale._replace(ticks=[(scale.place(value), format_number(value)) for value in known])
    ends = axis.ends or (min(values, default=0.0), max(values, default=1.0))
    step, first, last = _find_steps(*ends)
    if axis.kind == "share":
        first, last = max(first, 0), min(last, round(1 / step))
    scale = Scale(first * step, last * step)
    numbers = [round(number * step, 12) for number in range(first, last + 1)]
    return scale._replace(ticks=[(scale.place(number), _write_tick(number, axis)) for number in numbers])


def write_value(value: float, axis: Axis | None = None) -> str:
    """Write a value of an axis, as precisely as it can be read."""
    if axis is not None and axis.kind == "share":
        return format_share(value)
    return format_number(value) if axis is not None and axis.kind == "logarithmic" else format_coefficient(value)


def _find_steps(least: float, most: float) -> tuple[float, int, int]:
    if math.isclose(least, most, rel_tol=1e-9, abs_tol=1e-12):  # a single value stands in the middle
        least, most = least - 0.5, most + 0.5
    rough = (most - least) / _PARTS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in _STEPS if rough <= power * one * (1 + 1e-9))
    return step, math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)


def _write_tick(number: float, axis: Axis) -> str:
    return f"{100 * number:g} %" if axis.kind == "share" else f"{number:g}"
