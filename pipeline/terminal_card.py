"""How the report card of a reward model looks on a terminal: what it means, then the figures that matter."""

from collections.abc import Iterator, Mapping
from typing import Any

from prefline.data.figures import format_share
from prefline.data.wording import count, printable, shorten
from prefline.pipeline.progress import format_number
from prefline.reward_model.faults import describe_share

Card = Mapping[str, Any]

_MARKS = {"fault": "x", "warning": "!", "good": "+", "note": "-"}
_MOST_NOTES = 3
_WIDTH = 12  # of a label


def describe_card(card: Card) -> Iterator[str]:
    """Say in about a dozen lines what a card says; all of it is in the file and on the page."""
    notes = [one for one in card["verdict"] if one["grade"] == "note"]
    for one in card["verdict"]:
        if one not in notes[_MOST_NOTES:]:
            yield f"{_MARKS[one['grade']]} {printable(one['text'])}"
    if len(notes) > _MOST_NOTES:
        yield f"- and {count(len(notes) - _MOST_NOTES, 'note', 'notes')} more in the card"
    for label, text in _find_facts(card):
        yield f"{label:<{_WIDTH}}{printable(text)}"


def _find_facts(card: Card) -> Iterator[tuple[str, str]]:
    data = card["data"]
    on = f"{count(data['decided'], 'comparison', 'comparisons')} on {count(data['prompts'], 'prompt', 'prompts')}"
    yield "accuracy", f"{describe_share(card['accuracy'])}, of {on}"
    if card["ceiling"] and card["ceiling"]["of"]:
        yield "annotators", f"{describe_share(card['ceiling'])}, one against the others"
    for shortcut in card["shortcuts"][:1]:  # the best
        yield "shortcut", f"{describe_share(shortcut['accuracy'])} by '{shortcut['name']}', the best of them"
    if loss := card["log_loss"]:
        chance, floor = format_number(loss["chance"]), format_number(loss["floor"])
        yield "log loss", f"{format_number(loss['loss'])}, by chance {chance}, at best {floor}"
    if calibration := card["calibration"]:
        factor = calibration["factor"]
        fits = f"; saved scores times {factor:.2f} would fit" if factor else ""
        yield "calibration", f"confidence is off by {format_share(calibration['ece'])}{fits}"
    yield from _find_length_and_gain(card)


def _find_length_and_gain(card: Card) -> Iterator[tuple[str, str]]:
    length = card["length"]
    if length and length["within"] is not None:
        alike = f"; at like length right in {describe_share(length['matched'])}" if length["matched"] else ""
        yield "length", f"r = {length['within']:.2f} with scores, within comparisons{alike}"
    if gain := card["best_of_n"]:
        best = gain["curve"][-1]
        had = f"{best['gold']:+.2f} deviations by {shorten(gain['by'])}"
        yield "best of n", f"{had} for the best of {best['n']}, where {best['most']:+.2f} could be had"
