"""Names of people, places and things in a text, found by how they are written: no model, and no list of names.

A name is a run of words with a capital that are not merely capitalised because a sentence begins there, which
is judged by how often a word is written in which way elsewhere. What is found is mostly right, not all of it, in
languages that write names, and little else, with a capital.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

_CALENDAR = dict.fromkeys(WEEKDAYS, "weekday") | dict.fromkeys(MONTHS, "month")
_WORD = re.compile(
    r"""(?P<tag>\#\w+\#)
    | (?P<title>\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Professor|Sir|Madam)\b(?:\.[ ]*|[ ]+)(?=[^\W\d_a-z]))
    | (?P<word>[^\W_]+(?:[-’'](?=[^\W_a-z])[^\W_]+)*)  # GPT-2 and O'Brien are one, Jimmy's and Bayes-like two
    """,
    re.VERBOSE,
)
_ACRONYM = re.compile(r"(?=.*[^\W\d_])[^\Wa-z_]+(?:-[^\Wa-z_]+)*")
_ADJECTIVE = re.compile(r"[^\W\d_]+(?:ese|ish|ian|ean|ican)")  # Chinese, English, Gaussian
_ALONE = frozenset({"I", "A", "O"})
_AFTER = ",)#%"  # what may stand before a word that no sentence begins with


class Mention(NamedTuple):
    """Where a text names something, what kind of thing (only one of the same can stand in its place), and its name."""

    start: int
    end: int
    kind: str
    text: str


class Casing:
    """How often words are written in lower case, and how often with a capital that no sentence's beginning explains."""

    def __init__(self, texts: Iterable[str], wider: "Casing | None" = None) -> None:
        """Count the words of texts, beside those of a wider casing."""
        self._lower: Counter[str] = Counter()
        self._capital: Counter[str] = Counter()
        self._wider = wider
        for text in texts:
            for word in _list_words(text):
                if word.text.islower():
                    self._lower[word.text] += 1
                elif word.sure:
                    self._capital[word.text] += 1

    def weigh(self, word: str) -> int:
        """Return how much more often a word with a capital is written so than in lower case."""
        return self._capital[word] - self._lower[word.lower()] + (self._wider.weigh(word) if self._wider else 0)


def find_entities(text: str, casing: Casing) -> list[Mention]:
    """Return what a text names, in its order."""
    mentions: list[Mention] = []
    for run in _list_runs(text):
        first = next((index for index, word in enumerate(run) if word.sure or _names(word.text, casing)), len(run))
        words = run[first:]
        if words and (words[0].kind == "tag" or any(_names(word.text, casing) for word in words)):
            start, end = words[0].start, words[-1].end
            kind = words[0].kind or _find_kind(text, start, end)
            kind += f" of {len(words)} words" if len(words) > 1 else ""
            mentions.append(Mention(start, end, kind, text[start:end]))
    return mentions


def _names(word: str, casing: Casing) -> bool:
    return len(word) > 1 and casing.weigh(word) > 0


class _Word(NamedTuple):
    start: int
    end: int
    text: str
    sure: bool  # whether a capital can be there for no other reason than that it is a name
    kind: str | None = None  # where it is known without looking at the word


def _list_words(text: str) -> Iterator[_Word]:
    titled = False
    for found in _WORD.finditer(text):
        if found["title"]:
            titled = True
        elif found["tag"]:
            yield _Word(found.start(), found.end(), found[0], sure=True, kind="tag")
        else:
            sure = titled or sum(map(str.isupper, found[0])) > 1 or _is_within(text, found.start())
            kind = "surname" if titled else _CALENDAR.get(found[0])
            yield _Word(found.start(), found.end(), found[0], sure, kind)
            titled = False


def _is_within(text: str, start: int) -> bool:
    """Whether what comes before a word shows that no sentence, quotation or line begins with it."""
    while start and text[start - 1] == " ":
        start -= 1
    return start > 0 and (text[start - 1].isalnum() or text[start - 1] in _AFTER)


def _list_runs(text: str) -> Iterator[list[_Word]]:
    """Yield the words with capitals, those together that one blank alone is between."""
    run: list[_Word] = []
    for word in _list_words(text):
        if run and not _goes_on(text, run[-1], word):
            yield run
            run = []
        if _is_capital(word):
            run.append(word)
    if run:
        yield run


def _is_capital(word: _Word) -> bool:
    return word.kind == "tag" or (any(map(str.isupper, word.text)) and word.text not in _ALONE)


def _goes_on(text: str, last: _Word, word: _Word) -> bool:
    """Whether a word belongs to the name that the word before it is of."""
    alone = word.kind is not None or last.kind not in (None, "surname")
    return not alone and _is_capital(word) and text[last.end : word.start] == " "


def _find_kind(text: str, start: int, end: int) -> str:
    name = text[start:end]
    words = name.split()
    if all(_ACRONYM.fullmatch(word) for word in words):
        return "acronym"
    if all(_ACRONYM.fullmatch(word) or _ACRONYM.fullmatch(word[:-1]) for word in words) and name.endswith("s"):
        return "acronyms"
    if _ADJECTIVE.fullmatch(name):
        return "adjective"
    return "name with the" if text[max(start - 4, 0) : start].lower() == "the " else "name"
