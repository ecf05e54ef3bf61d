"""Sentences, found by their ends: no model, English abbreviations, and the full stops of Chinese and Japanese.

A sentence keeps the white space before it, so that sentences in their order give the text again. A line break alone
ends no sentence, since prose is wrapped; an empty line does.
"""

import re
from itertools import pairwise

_END = re.compile(
    r"""[.!?…]+["'”’)\]»]*(?=\s)   # what ends a sentence, and what closes after it
    | [。！？]+[”’」』）]*          # no space follows these
    | (?<=\S)(?=[^\S\n]*\n\s*\n)   # an empty line
    """,
    re.VERBOSE,
)
_FIRST = re.compile(r"""\s*["'“‘(\[«]*(\S)""")
_LAST_WORD = re.compile(r"""[^\s"'“‘(\[«]+$""")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_a-z]|(?:[^\W\d_]\.)+[^\W\d_]")  # J. (of J. Smith), U.S., e.g.
_LONGEST = 12  # how far back a word is looked for
_BEFORE_NAMES = (
    *("al", "approx", "capt", "col", "dept", "dr", "gen", "gov", "hon", "lt", "messrs", "mr", "mrs", "ms"),
    *("prof", "rep", "rev", "sen", "sgt", "sr", "st", "vs"),
)
_BEFORE_NUMBERS = ("ch", "eq", "eqs", "fig", "figs", "no", "nos", "p", "pp", "sec", "tab", "vol")


def split_sentences(text: str) -> list[str]:
    """Split a text into sentences."""
    lower = not any(map(str.isupper, text))  # then sentences begin in lower case, too
    ends = [found.end() for found in _END.finditer(text) if _is_end(text, found, lower=lower)]
    pieces = [text[start:end] for start, end in pairwise((0, *ends, len(text)))]
    if len(pieces) > 1 and not pieces[-1].strip():
        pieces[-2:] = ["".join(pieces[-2:])]
    return [piece for piece in pieces if piece]


def _is_end(text: str, found: re.Match[str], *, lower: bool) -> bool:
    if not found[0] or found[0][0] in "。！？":
        return True
    following = _FIRST.match(text, found.end())
    if following and following[1].islower() and not lower:
        return False
    if found[0] != ".":
        return True
    before = _LAST_WORD.search(text, max(found.start() - _LONGEST, 0), found.start())
    word = before[0] if before else ""
    if word.casefold() in _BEFORE_NUMBERS and following and following[1].isdigit():
        return False
    return word.casefold() not in _BEFORE_NAMES and not _INITIALS.fullmatch(word)
