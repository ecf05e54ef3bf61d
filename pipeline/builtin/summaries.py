"""How well a sentence sums up a note: which of its facts it gives, known from the two texts alone.

A fact is a value of one of the lists of `note_words.py`. What the note holds is a fact unless the sentence it is
in refuses something; the names before the colons of a dialogue always are. A summary is searched for values of the
same lists, by whole words, whatever the capitals. What is left of it are the words that join facts in a summary, and
words that are too many. The order of words within a summary is looked at only inside a value.
"""

import functools
import re
from collections import Counter
from typing import NamedTuple

from prefline.pipeline.builtin.note_words import REFUSALS, VALUES

# How often each word that joins facts can be needed.
_JOINING = Counter({"and": 2, "will": 2, "the": 2} | dict.fromkeys(("with", "they", "bring", "on", "at", "in"), 1))
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)|\n")
_SPEAKER = re.compile(r"^([^\W\d_]+):", re.MULTILINE)


class Fact(NamedTuple):
    """One value, and which list it is from."""

    kind: str
    value: str


class SummaryScore(NamedTuple):
    """What is right with a summary, and what is not."""

    right: int  # facts of the note that it gives
    wrong: int  # values that are no facts of the note: made up, or refused there
    missing: int  # facts of the note that it does not give
    extra: int  # words too many: neither a fact nor a word that joins facts, or said again
    ended: bool  # whether it ends as a sentence does
    sentences: int

    @property
    def quality(self) -> float:
        """Return one number from 0 to 1, which is 1 for a perfect summary alone."""
        if not self.right:
            return 0.0
        facts = self.right / (self.right + self.wrong + self.missing)
        return facts / max(1, self.sentences) / (1 + self.extra / 10) * (1.0 if self.ended else 0.5)

    @property
    def faults(self) -> tuple[str, ...]:
        """Name what is not right, in a fixed order."""
        found = {
            "wrong facts": self.wrong > 0,
            "missing facts": self.missing > 0 or not self.right,
            "extra words": self.extra > 0,
            "not ended": not self.ended,
            "several sentences": self.sentences > 1,
        }
        return tuple(fault for fault, is_there in found.items() if is_there)


def score_summary(note: str, summary: str) -> SummaryScore:
    """Hold a summary against its note."""
    facts = find_facts(note)
    said = _find_values(summary)
    words = Counter(_WORD.findall(summary.lower()))
    for fact in said:
        words -= Counter(fact.value.lower().split())
    return SummaryScore(
        right=len(facts & said),
        wrong=len(said - facts),
        missing=len(facts - said),
        extra=(words - _JOINING).total(),
        ended=summary.rstrip().endswith((".", "!", "?")),
        sentences=sum(bool(_WORD.search(sentence)) for sentence in _SENTENCE_END.split(summary)),
    )


def find_facts(note: str) -> set[Fact]:
    """Return what holds according to a note."""
    facts = _find_values("\n".join(_SPEAKER.findall(note)))
    refused: set[Fact] = set()
    for sentence in _SENTENCE_END.split(_SPEAKER.sub("", note)):
        refuses = not REFUSALS.isdisjoint(_WORD.findall(sentence.lower()))
        (refused if refuses else facts).update(_find_values(sentence))
    return facts - refused


def _find_values(text: str) -> set[Fact]:
    lowered = text.lower()
    return {Fact(kind, value) for kind, pattern in _patterns().items() for value in pattern.findall(lowered)}


@functools.cache
def _patterns() -> dict[str, re.Pattern[str]]:
    return {kind: re.compile(rf"\b(?:{'|'.join(map(re.escape, values)).lower()})\b") for kind, values in VALUES.items()}
