"""Negatives cut out of the prompt (Solway 2024, as we read it) or of the reference, and nothing at all (both ours)."""

import random

from prefline.data.material import Material, Positive
from prefline.data.pieces import count_words, split_words
from prefline.data.sentences import split_sentences

_LEAD = 3


def copy_prefix(positive: Positive, _material: Material, _chance: random.Random) -> str | None:
    """The first words of the prompt, as many as the reference has."""
    return "".join(split_words(positive.prompt)[: count_words(positive.reference)]).strip() or None


def copy_lead(positive: Positive, _material: Material, _chance: random.Random) -> str | None:
    """The first three sentences of the prompt, or as many as it has."""
    return "".join(split_sentences(positive.prompt)[:_LEAD]).strip() or None


def copy_whole(positive: Positive, _material: Material, _chance: random.Random) -> str | None:
    """The prompt."""
    return positive.prompt.strip() or None


def truncate(positive: Positive, _material: Material, chance: random.Random) -> str | None:
    """The reference up to a word within a sentence."""
    ends: list[int] = []
    start = 0
    for sentence in split_sentences(positive.reference):
        words = split_words(sentence)
        places = [start := start + len(word) for word in words]
        ends += places[:-1]
    # What only looks like an end, after an abbreviation, might be taken for one.
    ends = [end for end in ends if positive.reference[end - 1] not in ".!?…"]
    return positive.reference[: chance.choice(ends)] if ends else None


def leave_empty(_positive: Positive, _material: Material, _chance: random.Random) -> str | None:
    """Nothing."""
    return ""
