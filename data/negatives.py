"""The classes of negatives: texts made to fail in one way, each by a function of its own.

Solway (2024) names five, as far as can be read of it: random tokens, text irrelevant to the prompt, shuffled and
repetitive text, and a fifth that we take for a copy of the prompt. Their members, and all other classes, are ours.
The part of a name before the first dash is that of its family. A class is one function, and one line of the table.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType

from prefline.data import negatives_corpus, negatives_cuts, negatives_facts, negatives_words
from prefline.data.errors import ConfigError
from prefline.data.material import Material, Positive
from prefline.data.pieces import fold
from prefline.data.wording import did_you_mean, shorten

# Makes a negative, or says by None that it cannot be made of this reference.
Make = Callable[[Positive, Material, random.Random], str | None]

CLASSES: Mapping[str, Make] = MappingProxyType(
    {
        "random-even": negatives_words.draw_evenly,
        "random-frequent": negatives_words.draw_frequent,
        "irrelevant-any": negatives_corpus.draw_other,
        "irrelevant-near": negatives_corpus.find_near,
        "shuffled-tokens": negatives_words.shuffle_tokens,
        "shuffled-words": negatives_words.shuffle_words,
        "shuffled-sentences": negatives_words.shuffle_sentences,
        "repetitive": negatives_words.repeat,
        "copied-prefix": negatives_cuts.copy_prefix,
        "copied-lead": negatives_cuts.copy_lead,
        "copied-whole": negatives_cuts.copy_whole,
        "truncated": negatives_cuts.truncate,
        "over-long": negatives_corpus.go_on,
        "empty": negatives_cuts.leave_empty,
        "swapped-entities": negatives_facts.swap_entities,
        "swapped-numbers": negatives_facts.swap_numbers,
    }
)
ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"last-mile": ("random", "irrelevant", "shuffled", "repetitive", "copied")}
)
_TRIES = 16


def check_classes(names: Iterable[str], table: Mapping[str, Make] = CLASSES) -> tuple[str, ...]:
    """Return the classes that names of classes, families and `last-mile` stand for, in the order of the table."""
    meant: set[str] = set()
    for name in names:
        found = {known for word in ALIASES.get(name, (name,)) for known in table if word in (known, find_family(known))}
        if not found:
            families = Counter(map(find_family, table))
            known = dict.fromkeys((*ALIASES, *(family for family in families if families[family] > 1), *table))
            near = did_you_mean(name, known)
            raise ConfigError(
                f"unknown class of negatives {shorten(name)!r}{near or ': there are ' + ', '.join(known)}"
            )
        meant |= found
    return tuple(name for name in table if name in meant)


def find_family(name: str) -> str:
    """Return the family of a class."""
    return name.partition("-")[0]


def make_negative(
    make: Make, positive: Positive, material: Material, taken: Collection[str], chance: random.Random
) -> str | None:
    """Make a negative that is none of those taken, given as `fold` leaves them; None where there is none to be had."""
    for _ in range(_TRIES):
        text = make(positive, material, chance)
        if text is None:
            return None
        if fold(text) not in taken:
            return text
    return None
