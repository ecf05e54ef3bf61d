"""Numbers in a text, in digits or in words, and other numbers that are written in the same way.

Digits within a name (GPT-2, 3D, a part of a path) are no number. Nor is "one", which is more often a pronoun, nor
are "first" and "second".
"""

import random
import re

from prefline.data.entities import Mention

_WORDS = {
    "unit": ("two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "teen": (
        *("ten", "eleven", "twelve", "thirteen", "fourteen"),
        *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
    ),
    "ten": ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
    "power": ("hundred", "thousand", "million", "billion", "trillion"),
}
_KINDS = {word: kind for kind, words in _WORDS.items() for word in words}
_QUANTITY = re.compile(
    rf"""(?<![\w\#/.])(?:(?<![^\W\d]-)(?:
        (?P<time>[0-2]?[0-9]:[0-5][0-9])(?![\d:])
      | (?P<ordinal>[0-9]{{1,9}})(?:st|nd|rd|th)
      | (?P<year>(?:19|20)[0-9][0-9])(?![.,:]\d)
      | (?P<integer>[0-9]+|[0-9]{{1,3}}(?:,[0-9]{{3}})+)(?![.,:]\d)
      | (?P<decimal>[0-9]+\.[0-9]+)(?!\.\d))
      | (?P<word>{"|".join(_KINDS)})
    )(?![\w\#/])""",
    re.VERBOSE | re.IGNORECASE,
)
_ROUNDED = re.compile(r"([0.,]*)(.*?)([0.,]*)")
_SUFFIXES = {1: "st", 2: "nd", 3: "rd"}


def find_quantities(text: str) -> list[Mention]:
    """Return the numbers of a text, in its order; words in lower case."""
    mentions: list[Mention] = []
    for found in _QUANTITY.finditer(text):
        kind, written = str(found.lastgroup), found[0].lower()
        mentions.append(Mention(found.start(), found.end(), _KINDS[written] if kind == "word" else kind, written))
    return mentions


def draw_quantity(quantity: Mention, chance: random.Random) -> str:
    """Draw a number written in the same way, which may be the same one."""
    text, kind = quantity.text, quantity.kind
    if kind in _WORDS:
        return chance.choice(_WORDS[kind])
    if kind == "time":
        hour = int(text.split(":")[0])
        return f"{chance.randint(1, 12) if 1 <= hour <= 12 else chance.randint(13, 23)}:{5 * chance.randrange(12):02}"
    if kind == "year":
        return str(int(text) + chance.randint(-20, 20))
    if kind == "ordinal":
        return write_ordinal(int(_redraw_digits(text[:-2], chance)))
    return _redraw_digits(text, chance)


def write_ordinal(number: int) -> str:
    """Write a number as 1st, 2nd, 11th ..."""
    return f"{number}{'th' if number % 100 in (11, 12, 13) else _SUFFIXES.get(number % 10, 'th')}"


def _redraw_digits(text: str, chance: random.Random) -> str:
    """Draw each digit again but for zeros at both ends: a round number stays as round, or it could be told by that.

    A lone digit is drawn from 2, as its noun is a plural.
    """
    if len(text) == 1:
        return str(chance.randint(2, 9))
    before, core, after = _ROUNDED.fullmatch(text).groups()  # type: ignore[union-attr]
    ends = (0, len(core) - 1)
    drawn = [
        str(chance.randint(1 if place in ends else 0, 9)) if sign.isdigit() else sign for place, sign in enumerate(core)
    ]
    return f"{before}{''.join(drawn)}{after}"
