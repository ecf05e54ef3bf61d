"""Times as people write them: 90s, 15m, 12h, 7d."""

import re
from datetime import timedelta

from prefline.data.errors import ConfigError

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse_duration(text: str) -> timedelta:
    """Read a number and a unit, or a bare 0."""
    found = re.fullmatch(r"(\d{1,6})([smhd])|0", text)
    if not found:
        raise ConfigError(f"expected a number and a unit (90s, 15m, 12h, 7d) or 0, found {text!r}")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found[2] else timedelta(0)


def format_duration(duration: timedelta) -> str:
    """Write a time as it would be read, in the largest unit that holds it exactly."""
    seconds = int(duration.total_seconds())
    for unit, length in _UNITS.items():
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return "0"


def parse_interval(text: str) -> timedelta | int:
    """Read how often: after a time, or after a number of steps."""
    if re.fullmatch(r"[1-9]\d{0,8}", text):
        return int(text)
    expected = f"expected a time (90s, 10m, 1h) or a number of steps, found {text!r}"
    try:
        interval = parse_duration(text)
    except ConfigError:
        raise ConfigError(expected) from None
    if not interval:
        raise ConfigError(expected)
    return interval
