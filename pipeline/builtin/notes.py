"""Notes: two people agree to do something somewhere on some day, and to bring something; with a summary of each.

In a minority of notes something else is mentioned first and refused: another day, another place, a third person.
So a summary has to tell what holds from what was only said.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

from prefline.pipeline.builtin.grammar import Grammar, polish
from prefline.pipeline.builtin.note_words import PLACES, VALUES

# Facts stand in braces. Nobody is addressed by name in a sentence that refuses something.
_GRAMMAR = Grammar(
    {
        "note": ("3 * <talk>", "2 * <letter>", "<memo>"),
        "talk": (
            "3 * {who}: <hello>, {whom}. <ask> {at} on {day}?\n{whom}: <yes>. <chat>.\n{who}: <bring>.\n{whom}: <bye>.",
            "2 * {who}: <hello>, {whom}. <ask> {at}?\n{whom}: <yes>. How about {day}?\n{who}: {day} is fine. <bring>.\n"
            "{whom}: <bye>.",
            "{who}: <hello>, {whom}. <ask> {at} on {other day}?\n{whom}: I cannot come on {other day}. How about {day}?"
            "\n{who}: {day} is fine. <bring>.\n{whom}: <bye>.",
            "{who}: <hello>, {whom}. <ask> at the {other place} on {day}?\n{whom}: The {other place} is closed then. "
            "Let us meet {at}.\n{who}: <yes>. <bring>.\n{whom}: <bye>.",
            "{who}: <hello>, {whom}. <ask> {at} on {day}?\n{whom}: <yes>. Is {other name} coming?\n"
            "{who}: {other name} cannot come. <bring>.\n{whom}: <bye>.",
        ),
        "letter": (
            "3 * dear {whom}, <chat>. <wish> {at} on {day}. <chat more>. <bring>. <regards>, {who}.",
            "2 * dear {whom}, <chat>. <wish> on {day}. We could meet {at}. <bring>. <regards>, {who}.",
            "dear {whom}, <chat>. <wish> {at}. I cannot come on {other day}. Let us say {day}. <bring>. "
            "<regards>, {who}.",
            "dear {whom}, <wish> {at} on {day}. <chat>. {other name} is not in town. <bring>. <regards>, {who}.",
        ),
        "memo": (
            "2 * {who} called this morning and asked whether {whom} would like to {activity} on {day}. <line>. "
            "They agreed to meet {at}. They will also need the {item}.",
            "{who} wanted to {activity} with {whom} {at} on {other day}. <line>. They cannot meet on {other day}. "
            "So they will meet on {day} after all and take the {item}.",
        ),
        "hello": ("hello", "good morning", "hi there", "good evening"),
        "ask": (
            "shall we {activity}",
            "would you like to {activity} with me",
            "do you have time to {activity}",
            "could we {activity} together",
        ),
        "wish": (
            "I would like to {activity} with you",
            "I hope that we can {activity} together",
            "it would be nice to {activity} with you",
        ),
        "yes": ("that sounds good", "yes, I would love to", "with pleasure", "yes, of course", "what a good idea"),
        "bring": (
            "let us bring the {item}",
            "we should bring the {item}",
            "we will need the {item}, so let us bring it",
            "please remember the {item}, because we will need it",
        ),
        "chat": (
            "my train was late again today",
            "the weather has been lovely all week",
            "my brother says hello",
            "I slept very well last night",
            "the children have grown so much",
            "I have been busy all month",
        ),
        "line": ("the call was very short", "the line was bad", "there was music on the line", "it sounded urgent"),
        "chat more": (
            "I will be there a little early",
            "the bus stops just in front of it",
            "we can go home together afterwards",
            "it should take about two hours",
        ),
        "bye": ("see you then", "I look forward to it", "perfect, see you soon", "good, until then"),
        "regards": ("best wishes", "yours", "many greetings", "with love"),
        "summary": (
            "{who} and {whom} will {activity} {at} on {day} and bring the {item}.",
            "on {day} {who} and {whom} will {activity} {at} and bring the {item}.",
            "{who} will {activity} with {whom} {at} on {day}, and they will bring the {item}.",
        ),
    }
)


class Note(NamedTuple):
    """A note, and the one sentence that sums it up."""

    text: str
    summary: str


def write_note(generator: random.Random) -> Note:
    """Write a note with its summary."""
    who, whom, other = _draw(VALUES["name"], 3, generator)
    place, other_place = _draw(VALUES["place"], 2, generator)
    day, other_day = _draw(VALUES["day"], 2, generator)
    facts = {
        "who": who,
        "whom": whom,
        "activity": _draw(VALUES["activity"], 1, generator)[0],
        "at": f"{PLACES[place]} the {place}",
        "day": day,
        "item": _draw(VALUES["item"], 1, generator)[0],
        "other name": other,
        "other place": other_place,
        "other day": other_day,
    }
    note, summary = (_GRAMMAR.write(symbol, generator).text for symbol in ("note", "summary"))
    return Note(polish(note.format_map(facts)), polish(summary.format_map(facts)))


def _draw(values: Sequence[str], number: int, generator: random.Random) -> list[str]:
    """Draw values that differ."""
    left = list(values)
    return [left.pop(int(generator.random() * len(left))) for _ in range(number)]
