"""Comparisons without people: a reference is the best, texts made to fail are the others.

From Solway (2024) is the idea: references of the task as positives, synthetic failures of five sorts as negatives,
for a reward model that PPO then follows. Ours are how negatives are put together to comparisons (best of k, or pairs),
the members of the five sorts, all further classes, and every number in them: none of the paper's is known to us.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NamedTuple

from prefline.data.chance import Chance, generator
from prefline.data.comparison import Comparison
from prefline.data.contents import Message, Prompt
from prefline.data.digests import digest_item, digest_prompt, digest_response
from prefline.data.documents import Document
from prefline.data.errors import ConfigError, DataError
from prefline.data.material import Material, Positive
from prefline.data.negatives import CLASSES, Make, check_classes, find_family, make_negative
from prefline.data.pieces import fold
from prefline.data.sketches import flatten_prompt
from prefline.data.wording import count

__all__ = ["Asked", "Material", "Positive", "check_classes", "synthesize"]

BEST = "reference"  # the category of the best


@dataclass(frozen=True, slots=True)
class Asked:
    """Which negatives, how many responses they make with the reference, and whether together or in pairs with it."""

    classes: tuple[str, ...]  # classes, families, `last-mile`: what `check_classes` takes
    choices: int = 4
    form: Literal["group", "pairs"] = "group"
    table: Mapping[str, Make] = field(default_factory=lambda: CLASSES)  # other classes beside ours, by name

    def __post_init__(self) -> None:
        """Refuse what cannot be, and keep the full names of classes."""
        if self.choices < 2:
            raise ConfigError(f"'choices' must be at least 2, the reference and a negative, found {self.choices}")
        if self.form not in ("group", "pairs"):
            raise ConfigError(f"'form' must be 'group' or 'pairs', found {self.form!r}")
        if not self.classes:
            raise ConfigError(
                "'classes' must name a class of negatives, found none; last-mile stands for the usual ones"
            )
        object.__setattr__(self, "classes", check_classes(self.classes, self.table))


def synthesize(document: Document, material: Material, asked: Asked, chance: Chance) -> list[Comparison]:
    """Make comparisons of each reference of a document; DataError where too few negatives can be made.

    What is drawn follows from the prompt and the reference: other rows, and their order, matter by the material alone.
    """
    prompt = _check(document)
    text = flatten_prompt(prompt)
    place = material.find(text)
    known = tuple(dict.fromkeys((*document.texts, *(() if place is None else material.references[place]))))
    comparisons: list[Comparison] = []
    for reference in dict.fromkeys(document.texts):
        item = digest_item(digest_prompt(prompt), [digest_response(reference)])
        drawing = generator(chance, f"negatives {item.hex()}")
        positive = Positive(text, reference.strip(), known, place)
        negatives = list(islice(_draw_negatives(positive, material, asked, drawing), asked.choices - 1))
        _require(negatives, asked)
        groups = [negatives] if asked.form == "group" else [[negative] for negative in negatives]
        comparisons += [_compare(document, prompt, reference, group, drawing) for group in groups]
    return comparisons


class _Negative(NamedTuple):
    category: str
    text: str


def _check(document: Document) -> Prompt:
    prompt, texts = document.prompt, document.texts
    if prompt is None or not texts:
        found = "one text without a prompt" if prompt is None else "a prompt alone"
        raise DataError(
            f"negatives are made of a prompt and a reference, found {found}; say with --map which columns they are"
        )
    if isinstance(prompt, tuple) and not all(isinstance(turn, Message) for turn in prompt):
        raise DataError("negatives are made of texts, found a prompt of token ids; give the texts that they stand for")
    if not all(map(str.strip, texts)):
        raise DataError("negatives are made against a reference, found one without a word; leave the row out")
    return prompt


def _draw_negatives(positive: Positive, material: Material, asked: Asked, chance: random.Random) -> Iterator[_Negative]:
    """Yield negatives that all differ: of each family one in every round, until a round gives none."""
    families: dict[str, list[str]] = {}
    for name in chance.sample(asked.classes, len(asked.classes)):
        families.setdefault(find_family(name), []).append(name)
    taken = set(map(fold, positive.references))
    found = True
    while found:
        found = False
        for members in chance.sample(list(families.values()), len(families)):
            for name in members:
                text = make_negative(asked.table[name], positive, material, taken, chance)
                if text is not None:
                    found = True
                    taken.add(fold(text))
                    members.append(members.pop(members.index(name)))  # the next time the others come first
                    yield _Negative(name, text)
                    break


def _require(negatives: Sequence[_Negative], asked: Asked) -> None:
    """Refuse a row of which too few negatives can be made."""
    wanted = asked.choices - 1
    if len(negatives) < wanted:
        # In quotes, as what differs between rows that are refused for one reason.
        made = f"only {', '.join(repr(negative.category) for negative in negatives)}" if negatives else "none"
        remedy = "ask for more classes" + (", or for fewer choices" if negatives else "")
        raise DataError(
            f"{count(wanted, 'negative is', 'negatives are')} needed, and {made} could be made of the classes "
            f"{', '.join(asked.classes)}; {remedy}"
        )


def _compare(
    document: Document, prompt: Prompt, reference: str, negatives: Sequence[_Negative], chance: random.Random
) -> Comparison:
    """Put a reference and negatives in an order that is drawn."""
    around = reference.split(reference.strip())
    responses = [reference, *(_surround(negative.text, around) for negative in negatives)]
    categories = [BEST, *(negative.category for negative in negatives)]
    order = chance.sample(range(len(responses)), len(responses))
    return Comparison(
        prompt,
        tuple(responses[place] for place in order),
        (order.index(0),),
        categories=tuple(categories[place] for place in order),
        id=document.id,
        source=document.source,
    )


def _surround(text: str, around: Sequence[str]) -> str:
    """Put the white space around a text that is around the reference, which it could be told by otherwise."""
    return f"{around[0]}{text}{around[-1]}" if text else text
