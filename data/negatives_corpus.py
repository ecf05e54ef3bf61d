"""Negatives from other documents: what answers another prompt (Solway 2024), or does not stop (ours)."""

import random

from prefline.data.material import Material, Positive
from prefline.data.pieces import count_words, find_gap
from prefline.data.sentences import split_sentences


def draw_other(positive: Positive, material: Material, chance: random.Random) -> str | None:
    """A reference of another prompt."""
    return material.draw_reference(chance, positive.place)


def find_near(positive: Positive, material: Material, chance: random.Random) -> str | None:
    """A reference of the prompt that is nearest by TF-IDF, but not the same."""
    place = material.find_nearest(positive.prompt)
    return None if place is None else chance.choice(material.references[place])


def go_on(positive: Positive, material: Material, chance: random.Random) -> str | None:
    """The reference, then sentences of others, until it is at least twice as long."""
    text = positive.reference
    longest = 2 * count_words(text)
    while count_words(text) < longest:
        other = material.draw_reference(chance, positive.place)
        if other is None:
            return None
        sentence = chance.choice(split_sentences(other)).strip()
        text = f"{text}{find_gap(text, sentence)}{sentence}"
    return text
