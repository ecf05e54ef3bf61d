"""What a curve over data means, in sentences, and how it looks on a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from prefline.data.figures import format_interval, format_share
from prefline.data.wording import count
from prefline.pipeline.terminal import format_table

Curve = Mapping[str, Any]


def conclude(curve: Curve) -> Iterator[str]:
    """Say what is to be concluded: how good, whether more comparisons would help, and how sure that is."""
    last = curve["sizes"][-1]
    people = f"; people agree in {format_share(curve['ceiling']['share'])}" if curve["ceiling"] else ""
    yield (
        f"Having learnt from {count(last['size'], 'comparison', 'comparisons')}, the model is right in "
        f"{format_share(last['share'])} ({format_interval(last)}) of what is held out; chance is "
        f"{format_share(last['chance'])}{people}."
    )
    if last["ahead"]:
        yield _conclude_growth(last["ahead"], curve["sizes"][-2]["size"], last["size"])
    if curve["shuffled"]:
        yield _conclude_shuffled(curve["shuffled"])
    if last["trainings"] == 1:
        yield "There is one seed, so the intervals do not hold how much trainings differ: take three or more."
    if len(curve["sizes"]) > 1:
        yield (
            f"All points are measured on the same {count(last['of'], 'comparison', 'comparisons')}, so they err "
            "together: their differences are surer than their intervals look."
        )


def _conclude_growth(ahead: Mapping[str, Any], before: int, now: int) -> str:
    said = f"From {before:,} to {now:,} comparisons accuracy changes by {format_change(ahead)}"
    if ahead["low"] > 0:
        return f"{said}: they have helped so far, and more may help further."
    if ahead["high"] < 0:
        return f"{said}: it falls, so look at the settings before more comparisons are gathered."
    return f"{said}: whether more comparisons help cannot be told from these."


def _conclude_shuffled(found: Mapping[str, Any]) -> str:
    said = (
        f"Trained on shuffled labels, the model is right in {format_share(found['share'])} ({format_interval(found)}), "
        f"where chance is {format_share(found['chance'])}"
    )
    if found["low"] <= found["chance"] <= found["high"]:
        return f"{said}: nothing shows that it has learnt anything, as should be."
    return (
        f"{said}. Such a model may lean to long responses, say, by accident, so train it with other seeds too: if it "
        "is above chance with all of them, something beside the labels leads to the best."
    )


def format_change(ahead: Mapping[str, Any]) -> str:
    """0.0312 -> "+3.1 points (+0.9 to +5.3)"."""
    middle, low, high = (f"{100 * ahead[name]:+.1f}" for name in ("difference", "low", "high"))
    return f"{middle} points ({low} to {high})"


def format_curve(curve: Curve) -> str:
    """Write the table, then what it means."""
    header = ("COMPARISONS", "SEEDS", "ACCURACY", "95 % INTERVAL", "LEAST", "MOST", "AHEAD OF THE SIZE BEFORE")
    rows = [
        (
            f"{found['size']:,}",
            f"{found['trainings']}",
            format_share(found["share"]),
            format_interval(found),
            format_share(found["least"]),
            format_share(found["most"]),
            format_change(found["ahead"]) if found["ahead"] else "",
        )
        for found in curve["sizes"]
    ]
    return "\n".join((format_table(header, rows), *conclude(curve)))
