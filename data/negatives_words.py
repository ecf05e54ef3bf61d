"""Negatives of words alone: drawn at random, put in another order, or said over and over (Solway 2024)."""

import random
from collections.abc import Sequence

from prefline.data.material import Material, Positive
from prefline.data.pieces import find_gap, join_pieces, loosen, split_words
from prefline.data.sentences import split_sentences

_LONGEST_LOOP = 8


def draw_evenly(positive: Positive, material: Material, chance: random.Random) -> str | None:
    """Random pieces, as many as the reference has, each that any reference holds as likely."""
    pieces = material.vocabulary.texts
    return material.join(chance.choices(pieces, k=len(material.split(positive.reference)))) if pieces else None


def draw_frequent(positive: Positive, material: Material, chance: random.Random) -> str | None:
    """Random pieces, as many as the reference has, each as likely as it is frequent in references."""
    pieces, sums = material.vocabulary
    size = len(material.split(positive.reference))
    return material.join(chance.choices(pieces, cum_weights=sums, k=size)) if pieces else None


def shuffle_tokens(positive: Positive, material: Material, chance: random.Random) -> str | None:
    """The reference with its pieces (words and signs, or tokens) in another order."""
    return material.join(_shuffle(material.split(positive.reference), chance)) or None


def shuffle_words(positive: Positive, _material: Material, chance: random.Random) -> str | None:
    """The reference with its words in another order, each with the signs at it."""
    return join_pieces(_shuffle(split_words(positive.reference), chance), whole=True) or None


def shuffle_sentences(positive: Positive, _material: Material, chance: random.Random) -> str | None:
    """The reference with its sentences in another order."""
    return join_pieces(_shuffle(split_sentences(positive.reference), chance), whole=True) or None


def repeat(positive: Positive, _material: Material, chance: random.Random) -> str | None:
    """A few words of the reference, over and over, until they are twice as long."""
    words = split_words(positive.reference)
    size = chance.randint(1, min(_LONGEST_LOOP, len(words)))
    start = chance.randrange(len(words) - size + 1)
    rounds = -(-2 * len(words) // size)
    loop = "".join(words[start : start + size]).strip()
    return find_gap(loop, loop).join([loop] * rounds)


def _shuffle(pieces: Sequence[str], chance: random.Random) -> list[str]:
    """Return pieces in another order; none where there is only one."""
    if len({piece.strip() for piece in pieces}) < 2:
        return []
    return chance.sample(loosen(pieces), len(pieces))
