"""The sections of a report card that plot scores: calibration, where they lie, disagreement, and what they gain."""

from collections.abc import Mapping
from typing import Any

from prefline.data.figures import format_coefficient, format_interval, format_share
from prefline.data.wording import count
from prefline.pipeline.axes import Axis
from prefline.pipeline.card_shares import draw_known
from prefline.pipeline.page import Html, Section, element, facts, isolate, join, table
from prefline.pipeline.plots import Guide, Line, Point, draw_histograms, draw_lines

Card = Mapping[str, Any]

_GROUPS = {
    "best": "best responses",
    "others": "other responses",
    "samples": "samples of the language model",
    "references": "references",
}


def describe_calibration(calibration: Card | None, loss: Card | None) -> Section | None:
    """Build the section on whether the model knows how sure it may be."""
    if calibration is None and loss is None:
        return None
    about = (
        "The softmax over its scores says how sure the model is of its choice. Worry if the points lie far from the "
        "dashes: below them it is too sure of itself, above them not sure enough. That is no matter for who only "
        "chooses, but it is for who reads differences of scores as probabilities."
    )
    rows = _list_losses(loss) if loss else []
    rows += _list_errors(calibration) if calibration else []
    plot = [_plot_calibration(calibration["bins"])] if calibration else []
    return Section("Calibration", about, [facts("Probabilities", rows), *plot])


def _list_losses(loss: Card) -> list[tuple[str, str, str]]:
    return [
        ("Log loss", format_coefficient(loss["loss"]), "mean of -log of the probability that it gave to the best"),
        ("By chance", format_coefficient(loss["chance"]), "of a model that scores all alike"),
        ("At best", format_coefficient(loss["floor"]), "of a model that knows how votes are split"),
    ]


def _list_errors(calibration: Card) -> list[tuple[str, str, str]]:
    mean = f"mean distance of confidence and accuracy, over {count(calibration['of'], 'comparison', 'comparisons')}"
    rows = [("Calibration error", format_share(calibration["ece"]), f"{mean}; too high for few")]
    if calibration["temperature"] is not None:
        loss = f"it would make the log loss {format_coefficient(calibration['loss_at_temperature'])}"
        meaning = "what the learnt scale would have to be divided by to fit; above 1 it is too sure of itself"
        rows.append(("Temperature", f"{calibration['temperature']:.2f}", f"{meaning}; {loss}"))
        factor = "what scores, as they are saved, are to be multiplied by for their softmax to fit"
        rows.append(("Factor", f"{calibration['factor']:.2f}", factor))
    return rows


def _plot_calibration(bins: list[Card]) -> Html:
    points = [Point(one["confidence"], one["accuracy"], one["low"], one["high"]) for one in bins]
    plot = draw_lines(
        "How often the choice is right, by how sure the model is",
        Axis("how sure", "share", (0, 1)),
        Axis("how often right", "share", (0, 1)),
        [Line("bins of as many comparisons each, with 95 % intervals", points, joined=False)],
        [Guide("as sure as it is right", 0, 1)],
        square=True,
    )
    rows = (
        (format_share(one["confidence"]), format_share(one["accuracy"]), format_interval(one), one["of"])
        for one in bins
    )
    listed = table("The same in numbers", ("how sure", "how often right", "95 % interval", "of"), rows, "rrrr")
    return element("div", plot, listed, class_="beside")


def describe_scores(groups: Mapping[str, Card | None]) -> Section | None:
    """Build the section on where scores lie."""
    known = [(_GROUPS.get(name, name), found) for name, found in groups.items() if found is not None]
    if not known:
        return None
    about = (
        "Where scores lie. Prompts differ in how high they score, so good and bad overlap here even where they are "
        "told apart within each comparison. Worry if best and other responses lie at the very same place, or if "
        "samples lie where there are neither."
    )
    return Section("Scores", about, [draw_histograms("Scores, each group on its own", "group", known)])


def describe_disagreement(card: Card) -> Section | None:
    """Build the section on whether an ensemble knows when it does not know."""
    found = card["disagreement"]
    if found is None:
        return None
    about = (
        "Whether the members of the ensemble disagree where it is wrong. Worry if their disagreement tells of a wrong "
        "choice no better than chance, or than a small margin does, which costs nothing."
    )
    told = [
        ("members that would choose otherwise", found),
        ("how far the members' scores lie apart", found["spread"]),
        ("a small margin between the two highest", found["margin"]),
    ]
    tells = [(label, {**one, "share": one["auc"], "chance": 0.5, "of": found["of"]}) for label, one in told]
    points = [Point(one["dissent"], one["accuracy"], one["low"], one["high"]) for one in found["bins"]]
    chance = card["accuracy"]["chance"]
    parts = [
        *draw_known(("How often it is higher for a wrong choice than for a right one", "sign", tells)),
        draw_lines(
            "How often the choice is right, by how many members would choose otherwise",
            Axis("members that would choose otherwise", "share"),
            Axis("how often right", "share"),
            [Line("bins of about as many comparisons each, with 95 % intervals", points)],
            [Guide(f"chance, {format_share(chance)}", chance)],
        ),
    ]
    return Section("Disagreement", about, parts)


def describe_best_of_n(found: Card | None) -> Section | None:
    """Build the section on what is gained by taking the best of several responses."""
    if found is None:
        return None
    about = join(
        (
            "What is gained by taking the favourite of n responses, valued by ",
            isolate(found["by"]),
            ". Worry if the line flattens or falls while a better choice would still gain: there a higher score is no "
            "better response.",
        )
    )
    curve = found["curve"]
    favourite = [Point(one["n"], one["gold"], one["low"], one["high"]) for one in curve]
    most = [Point(one["n"], one["most"]) for one in curve]
    left_out = f"; {found['left_out']:,} of another size, or without values, left out" if found["left_out"] else ""
    plot = draw_lines(
        f"Gain over any response to the same prompt, of {count(found['of'], 'comparison', 'comparisons')}{left_out}",
        Axis("n", "logarithmic"),
        Axis("gain, in deviations of all responses"),
        [Line("the model's favourite, with its 95 % interval", favourite), Line("the most there is to gain", most)],
        [Guide("any response", 0.0)],
    )
    header = ("n", "gain", "95 % interval", "at most", "KL, nats")
    return Section("Best of n", about, [plot, table("The same in numbers", header, map(_write_step, curve), "rrrrr")])


def _write_step(one: Card) -> tuple[str, ...]:
    interval = "" if one["low"] is None else f"{write_gain(one['low'])} to {write_gain(one['high'])}"
    return str(one["n"]), write_gain(one["gold"]), interval, write_gain(one["most"]), f"{one['kl']:.2f}"


def write_gain(gain: float) -> str:
    """Write what is gained or lost, in deviations."""
    return f"{round(gain, 2) + 0.0:+.2f}"  # what rounding leaves of nothing has no minus
