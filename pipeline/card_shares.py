"""The sections of a report card that set shares against chance: accuracy, shortcuts, slices, probes, negatives."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefline.data.figures import format_coefficient, format_number, format_share
from prefline.data.wording import count
from prefline.pipeline.charts import draw_shares
from prefline.pipeline.page import Html, Section, element, facts, isolate, paragraph, table

Card = Mapping[str, Any]

Chart = tuple[str, str, Sequence[tuple[object, Card | None]]]  # caption, heading, and shares with their labels

_SLICES = {
    "source": "source",
    "category": "category of the best response",
    "system": "system that wrote the best response",
    "length": "mean length of the responses",
    "responses": "number of responses",
    "agreement": "agreement of the annotators",
    "annotator": "annotator",
}


def describe_accuracy(card: Card) -> Section:
    """Build the section on how often the model is right, with all it can be held against on one scale."""
    about = (
        "How often the response with the highest score is a best one. Worry if the model is not surely above chance, "
        "or no better than a shortcut. Do not expect more than of a person: people agree with each other only so far."
    )
    rows: list[tuple[object, Card | None]] = [
        (element("b", "this model"), card["accuracy"]),
        ("this model, on comparisons that it has learnt from", card["train"]),
        ("one annotator, as the others choose", card["ceiling"]),
        *((_name_shortcut(shortcut), shortcut["accuracy"]) for shortcut in card["shortcuts"]),
    ]
    return Section("Accuracy", about, draw_known(("How often a choice is right", "who chooses", rows)))


def describe_shortcuts(shortcuts: list[Card]) -> Section | None:
    """Build the section on ways to choose that understand nothing."""
    if not shortcuts:
        return None
    about = (
        "Ways to choose without understanding, and how far the model takes them. A good model may often choose as a "
        "shortcut does. Worry if it nearly always does, and if it is wrong where the shortcut is."
    )
    agrees = [(shortcut["name"], shortcut["agrees"]) for shortcut in shortcuts]
    wrong = [(shortcut["name"], shortcut["where_wrong"]) for shortcut in shortcuts]
    rows = (
        (
            isolate(shortcut["name"]),
            format_share(shortcut["accuracy"]["share"]),
            _write_difference(shortcut["ahead"]),
            "–" if shortcut.get("explained") is None else format_share(shortcut["explained"]),
        )
        for shortcut in shortcuts
    )
    header = ("shortcut", "is right", "model ahead, in points", "explains of its scores")
    parts = [
        table("Shortcuts against the model", header, rows, "lrrr"),
        *draw_known(
            ("How often the model chooses as the shortcut does", "shortcut", agrees),
            ("How often the model is right where the shortcut is wrong", "shortcut", wrong),
        ),
    ]
    return Section("Shortcuts", about, parts)


def describe_slices(slices: Mapping[str, list[Card]]) -> Section | None:
    """Build the section on where the model is right more often, and where less."""
    if not slices:
        return None
    about = (
        "Where the model is right more often, and where less. Of twenty intervals one misses the truth by chance, so "
        "worry about those that are far off."
    )
    charts = (
        (f"Accuracy by {_SLICES[name]}", name, [(value["value"], value) for value in values])
        for name, values in slices.items()
    )
    return Section("Slices", about, draw_known(*charts))


def describe_length(length: Card | None) -> Section | None:
    """Build the section on how scores go with length."""
    if length is None:
        return None
    about = (
        "How scores go with length. People like longer responses up to a point, so some correlation is right. Worry if "
        "it is near 1 or -1, and if responses of like length cannot be told apart."
    )
    rows = [
        ("Within comparisons", length["within"], "of what is above the mean of its comparison: a choice hangs on it"),
        ("Over all responses", length["pearson"], "Pearson's r of score and length"),
        ("By rank", length["spearman"], "Spearman's, over all responses"),
    ]
    parts = [facts("Correlation with length", [(name, format_coefficient(r), note) for name, r, note in rows])]
    caption = (
        f"How often the best is above another response of like length (they differ by "
        f"{100 * length['tolerance']:g} % of their {length['unit']} at most)"
    )
    return Section("Length", about, parts + draw_known((caption, "pairs", [("of like length", length["matched"])])))


def describe_probes(probes: Card, leak: Card | None) -> Section:
    """Build the section on measurements whose result is known beforehand, and on what the model has seen."""
    about = (
        "Measurements that must come out as said, or no other figure here can be believed. Labels that are wrong test "
        "the arithmetic, and whether scores belong to their responses; they say nothing of the model, which has not "
        "learnt from them. And whether it has seen what it is asked about."
    )
    rows = [
        ("labels dealt anew by chance: must be at chance", probes["shuffled"]),
        ("labels turned round: must be low where the accuracy is high", probes["swapped"]),
    ]
    anew = ", of comparisons scored again in another order" if probes["order"] else ""
    parts = draw_known((f"Accuracy by labels that are wrong{anew}", "labels", rows))
    if order := probes["order"]:
        changed = f"of {count(order['of'], 'comparison', 'comparisons')} scored again in other orders; must be none"
        worst = "largest change of a score, in deviations of all scores; must be nearly nothing"
        moved = [
            ("Choices that change", format_number(order["changed"]), changed),
            ("Scores that move", _write_small(order["worst"]), worst),
        ]
        parts.append(facts("Order of the responses", moved))
    return Section("Probes and leak", about, parts + _describe_leak(leak))


def _describe_leak(leak: Card | None) -> list[Html]:
    if leak is None:
        return [
            paragraph("Whether it has seen these prompts is not known: nobody has said all that it has learnt from.")
        ]
    of = f"of {count(leak['of'], 'prompt', 'prompts')}"
    rows = [("Prompts learnt from", format_number(leak["prompts"]), f"{of}, the very same")]
    if leak["near"] is not None:
        rows.append(("Prompts nearly learnt from", format_number(leak["near"]), f"{of}, nearly the same"))
    rows.append(("Bests learnt from", format_number(leak["responses"]), "comparisons whose best is there as well"))
    shares = [("on prompts learnt from, or nearly", leak["shared"]), ("on other prompts", leak["clean"])]
    apart = draw_known(("Accuracy of the model", "prompts", shares)) if leak["shared"] else []
    return [facts("Leak", rows), *apart]


def describe_negatives(negatives: list[Card] | None) -> Section | None:
    """Build the section on the kinds of responses that are not best."""
    if not negatives:
        return None
    about = (
        "How often a best is scored above a negative of the same comparison, ties counting half: the area under the "
        "ROC curve. What passes for good most often comes first. Worry about what may be at 50 %: the model is blind "
        "to that."
    )
    rows = [(one["category"], {**one, "share": one["auc"], "chance": 0.5}) for one in negatives]
    return Section("Negatives", about, draw_known(("The best is above, by category of the negative", "category", rows)))


def draw_known(*charts: Chart) -> list[Html]:
    """Draw charts of those shares that are known, all on one scale, with the key below the last."""
    known = [
        (caption, heading, [(label, share) for label, share in rows if share is not None])
        for caption, heading, rows in charts
        if any(share is not None for _, share in rows)
    ]
    return [
        draw_shares(caption, heading, rows, end=1.0, key=number == len(known))
        for number, (caption, heading, rows) in enumerate(known, start=1)
    ]


def _name_shortcut(shortcut: Card) -> Html:
    return element("span", "shortcut: ", isolate(shortcut["name"]))


def _write_difference(found: Card) -> str:
    low, high = 100 * found["low"], 100 * found["high"]
    return f"{100 * found['difference']:+.1f} ({low:+.1f} to {high:+.1f})"


def _write_small(value: float) -> str:
    return "< 0.001" if 0 < value < 0.001 else format_coefficient(value)
