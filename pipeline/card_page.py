"""The report card of a reward model as a page: from the parsed `card.json` to HTML, which adds no number of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

from prefline.data.figures import format_coefficient, format_interval, format_number, format_share
from prefline.data.wording import count
from prefline.pipeline.card_scores import (
    describe_best_of_n,
    describe_calibration,
    describe_disagreement,
    describe_scores,
    write_gain,
)
from prefline.pipeline.card_shares import (
    describe_accuracy,
    describe_length,
    describe_negatives,
    describe_probes,
    describe_shortcuts,
    describe_slices,
)
from prefline.pipeline.page import (
    Figure,
    Html,
    Section,
    element,
    example,
    facts,
    isolate,
    join,
    paragraph,
    quote,
    render_page,
)
from prefline.reward_model.faults import is_unseen

Card = Mapping[str, Any]

_SIGNS = {
    "fault": ("✗ fault", "bad"),
    "warning": ("! warning", "warn"),
    "good": ("✓ good", "good"),
    "note": ("· note", "note"),
}
_SIDES = {
    "held_out": "comparisons",
    "train": "the comparisons meant for training",
    "both": "all comparisons, those meant for training among them",
}


def render_card(card: Card) -> str:
    """Write the page."""
    sections = (
        describe_accuracy(card),
        describe_shortcuts(card["shortcuts"]),
        describe_calibration(card["calibration"], card["log_loss"]),
        describe_slices(card["slices"]),
        describe_length(card["length"]),
        describe_probes(card["probes"], card["leak"]),
        describe_scores(card["scores"]),
        describe_negatives(card["negatives"]),
        describe_disagreement(card),
        describe_best_of_n(card["best_of_n"]),
        _describe_mistakes(card["mistakes"]),
        _describe_sources(card["model"], card["data"]),
    )
    lead = f"How far this reward model may be trusted, measured on {_say_on_what(card)}."
    verdict = [_build_finding(finding) for finding in card["verdict"]]
    shown = [section for section in sections if section is not None]
    return render_page("Report card of a reward model", lead, verdict, [*_find_key_figures(card)], shown)


def _say_on_what(card: Card) -> str:
    leak = card["leak"]
    if leak is None:
        return f"{_SIDES[card['data']['side']]}; whether it has learnt from their prompts is not known"
    if is_unseen(card) and not leak["prompts"]:
        return "prompts that were held out from its training"
    seen = f"it has learnt from {format_number(leak['prompts'])} of their {count(leak['of'], 'prompt', 'prompts')}"
    return f"{_SIDES[card['data']['side']]}; {seen}"


def _build_finding(finding: Mapping[str, str]) -> Html:
    sign, class_ = _SIGNS[finding["grade"]]
    return join((element("span", sign, class_=f"sign {class_}"), " ", finding["text"]))


def _find_key_figures(card: Card) -> Iterator[Figure]:
    accuracy, data = card["accuracy"], card["data"]
    yield _figure_of("Accuracy", accuracy)
    if card["ceiling"]:
        yield _figure_of("One annotator, the others", card["ceiling"])
    for shortcut in card["shortcuts"][:1]:
        yield Figure("Best shortcut", format_share(shortcut["accuracy"]["share"]), shortcut["name"])
    if loss := card["log_loss"]:
        yield Figure("Log loss", format_coefficient(loss["loss"]), f"chance {format_coefficient(loss['chance'])}")
    if calibration := card["calibration"]:
        yield Figure("Calibration error", format_share(calibration["ece"]), "confidence against accuracy")
    if card["length"] and card["length"]["within"] is not None:
        yield Figure("Goes with length", format_coefficient(card["length"]["within"]), "correlation in comparisons")
    if gain := card["best_of_n"]:
        best = gain["curve"][-1]
        yield Figure(
            f"Best of {best['n']}", write_gain(best["gold"]), f"deviations; at most {write_gain(best['most'])}"
        )
    yield Figure("Decided", format_number(data["decided"]), f"on {count(data['prompts'], 'prompt', 'prompts')}")


def _figure_of(label: str, share: Mapping[str, Any]) -> Figure:
    notes = [format_interval(share)]
    notes += [f"chance {format_share(share['chance'])}"] if share.get("chance") is not None else []
    return Figure(label, format_share(share["share"]), "; ".join(filter(None, notes)))


def _describe_mistakes(mistakes: list[Card]) -> Section | None:
    if not mistakes:
        return None
    which = "whose scores lie furthest apart" if mistakes[0]["confidence"] is None else "that it was surest of"
    about = (
        f"The wrong choices {which}, to be read. Some may be wrong labels. Worry if what was chosen has something in "
        "common that is no matter of quality."
    )
    return Section("Mistakes", about, [_build_mistake(mistake) for mistake in mistakes])


def _build_mistake(mistake: Card) -> Html:
    best, chosen = (_build_response(role, mistake[role]) for role in ("best", "chosen"))
    sure = mistake["confidence"]
    return example(
        "The wrong one" if sure is None else f"{format_share(sure)} sure of the wrong one",
        paragraph(*_list_names(mistake, "id", "annotator", "source"), class_="note"),
        quote("prompt", mistake["prompt"]),
        element("div", best, chosen, class_="beside"),
    )


def _build_response(role: str, response: Card) -> Html:
    score = f", score {format_coefficient(response['score'])}"
    names = _list_names(response, "system", "category")
    return quote(join((element("b", role), score, ", " if names else "", *names)), response["text"])


def _list_names(found: Card, *keys: str) -> list[object]:
    """Return those that are known, as parts of a text, with commas between them."""
    named: list[object] = []
    for key in keys:
        if found.get(key) is not None:
            named += [", " if named else "", f"{key} ", isolate(found[key])]
    return named


def _describe_sources(model: Card, data: Card) -> Section:
    about = "What was measured, and on what."
    parts = [facts(caption, _list_facts(found)) for caption, found in (("Model", model), ("Data", data)) if found]
    return Section("Model and data", about, parts)


_GLOSSES = {
    "comparisons": "one prompt, its responses, and what somebody said of them",
    "decided": "in which somebody chose, and not all are best",
    "passed_over": "in which nobody chose, or all are best",
    "too_long": "for the scorer, and left out",
    "members": "models or heads, whose scores become one",
    "cost": "of a score, in scores of one model",
}


def _list_facts(found: Card) -> Iterator[tuple[str, str, str]]:
    for name, value in found.items():
        heading = name.replace("_", " ").capitalize()
        if isinstance(value, Mapping):
            yield from ((f"{heading}, {inner.lower()}", number, text) for inner, number, text in _list_facts(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield heading, format_number(value), _GLOSSES.get(name, "")
        elif value is not None:
            yield heading, "", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
