"""The curve over data as a page: from the parsed `curve.json` to HTML, which adds no number of its own."""

from collections.abc import Mapping
from typing import Any

from prefline.data.figures import format_interval, format_number, format_share
from prefline.data.wording import plain
from prefline.pipeline.axes import Axis
from prefline.pipeline.drawing import short
from prefline.pipeline.page import Figure, Html, Section, facts, isolate, render_page, table
from prefline.pipeline.plots import Guide, Line, Point, draw_lines
from prefline.pipeline.terminal_curve import conclude, format_change

Curve = Mapping[str, Any]


def render_curve(curve: Curve) -> str:
    """Write the page."""
    sections = [_describe_accuracy(curve), _describe_trainings(curve), _describe_data(curve)]
    lead = "How often a reward model is right, by how many comparisons it has learnt from."
    if curve["data"]["feedback"]:
        lead += f" Feedback is {', '.join(curve['data']['feedback'])}."
    return render_page(
        "Accuracy by the number of comparisons", lead, [*conclude(curve)], _find_figures(curve), sections
    )


def _find_figures(curve: Curve) -> list[Figure]:
    last = curve["sizes"][-1]
    figures = [
        Figure("Accuracy", format_share(last["share"]), format_interval(last)),
        Figure("Chance", format_share(last["chance"])),
    ]
    if curve["ceiling"]:
        figures.append(
            Figure("People agree", format_share(curve["ceiling"]["share"]), format_interval(curve["ceiling"]))
        )
    if curve["shuffled"]:
        found = curve["shuffled"]
        figures.append(Figure("On shuffled labels", format_share(found["share"]), format_interval(found)))
    figures.append(Figure("Trainings", format_number(len(curve["trainings"]))))
    return figures


def _describe_accuracy(curve: Curve) -> Section:
    about = (
        "Each small dot is a training; the line goes through the means over the seeds, with 95 % intervals for any "
        "seed and any prompts of the kind that is held out. A line that still rises at its end says that more "
        "comparisons would help."
    )
    rows = [
        (
            found["size"],
            found["trainings"],
            format_share(found["share"]),
            format_interval(found),
            f"{format_share(found['least'])} to {format_share(found['most'])}",
            format_change(found["ahead"]) if found["ahead"] else "",
        )
        for found in curve["sizes"]
    ]
    header = ("comparisons", "trainings", "accuracy", "95 % interval", "least to most", "ahead of the size before")
    return Section("Accuracy", about, [_draw(curve), table("Means over the seeds", header, rows, "rrrrrr")])


def _draw(curve: Curve) -> Html:
    means = [Point(found["size"], found["share"], found["low"], found["high"]) for found in curve["sizes"]]
    dots = [(found["size"], found["share"]) for found in curve["trainings"]]
    lines = [Line("mean over the seeds", means, dots)]
    if found := curve["shuffled"]:
        point = Point(found["size"], found["share"], found["low"], found["high"])
        lines.append(Line("trained on shuffled labels", [point], joined=False))
    guides = [Guide("chance", curve["sizes"][-1]["chance"])]
    if curve["ceiling"]:
        guides.append(Guide("one annotator, against the others", curve["ceiling"]["share"]))
    across, up = Axis("comparisons to learn from", "logarithmic"), Axis("accuracy on what is held out", "share")
    return draw_lines("Accuracy by the number of comparisons", across, up, lines, guides)


def _describe_trainings(curve: Curve) -> Section:
    about = "Each row is a reward model, an artifact of the store. Of one seed, more comparisons hold those of fewer."
    header = ("comparisons", "of use", "seed", "labels", "accuracy", "95 % interval", "loss", "artifact")
    all_of_them = [*curve["trainings"], *([curve["shuffled"]] if curve["shuffled"] else [])]
    rows = [
        (
            found["size"],
            found["learnt"],
            str(found["seed"]),
            "shuffled" if found is curve["shuffled"] else "given",
            format_share(found["share"]),
            format_interval(found),
            "" if found["loss"] is None else f"{found['loss']:.3f}",
            isolate(short(found["artifact"])),
        )
        for found in all_of_them
    ]
    return Section("Trainings", about, [table("Trainings", header, rows, "rrrlrrrl")])


def _describe_data(curve: Curve) -> Section:
    data = curve["data"]
    about = (
        "What was learnt from and measured on. Settings that are not listed are those that train-reward has by itself."
    )
    rows = [
        ("To learn from", format_number(data["train"]), "comparisons that there are"),
        ("Held out", format_number(data["held_out"]), "comparisons, the same for all trainings"),
        ("Decided", format_number(data["decided"]), "of these, in which somebody chose, and not all are best"),
        ("Prompts", format_number(data["prompts"]), "of those"),
        *((name, plain(value), "a setting") for name, value in curve["settings"].items()),
    ]
    return Section("Data and settings", about, [facts("Data and settings", rows)])
