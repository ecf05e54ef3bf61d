"""What negatives are made from beside the row itself: the references of other prompts, their words and entities.

Of a large corpus a part is held, the documents whose prompts have the least digests, which depends on neither the
order of the rows nor on chance. Prompts that differ in case and white space alone are one.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from prefline.data.digests import digest_prompt
from prefline.data.documents import Document
from prefline.data.entities import Casing, find_entities
from prefline.data.nearest import Nearest
from prefline.data.pieces import fold, join_pieces, loosen, split_pieces
from prefline.data.sketches import flatten_prompt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_DOCUMENTS = 1 << 16
_PROMPTS = 1 << 12  # among which the nearest is looked for

Value = TypeVar("Value")


class Positive(NamedTuple):
    """The reference that negatives are made against, without the white space around it, and its prompt."""

    prompt: str
    reference: str
    references: tuple[str, ...]  # all that are known of the prompt, this one among them
    place: int | None = None  # of the prompt in the material, where it is held


class Vocabulary(NamedTuple):
    """What references hold, each text once, and how many come up to each of them, itself included."""

    texts: tuple[str, ...]
    sums: tuple[int, ...]

    @classmethod
    def tally(cls, texts: Iterable[str]) -> "Vocabulary":
        """Count texts."""
        counts = sorted(Counter(texts).items())
        return cls(tuple(text for text, _ in counts), tuple(accumulate(times for _, times in counts)))


@dataclass(frozen=True, eq=False)
class Material:
    """References by prompt, in the order of the prompts' digests; words, entities and likeness as they are needed."""

    references: tuple[tuple[str, ...], ...]
    places: Mapping[bytes, int]  # of each prompt, by the digest of what `fold` leaves of it
    prompts: tuple[str, ...]  # the first of them
    tokenizer: "Tokenizer | None" = None  # whose tokens pieces are; words and signs if there is none

    @classmethod
    def collect(cls, documents: Iterable[Document], tokenizer: "Tokenizer | None" = None) -> "Material":
        """Hold the references of documents; those that have no prompt, or no reference, are passed over."""
        references: dict[bytes, list[str]] = {}
        prompts: dict[bytes, str] = {}
        for document in documents:
            texts = [text.strip() for text in document.texts if text.strip()]
            if document.prompt is None or not texts:
                continue
            prompt = flatten_prompt(document.prompt)
            key = _digest(prompt)
            references.setdefault(key, []).extend(texts)
            prompts[key] = min(prompt, prompts.get(key, prompt))
            if len(references) >= 2 * _DOCUMENTS:
                references = _keep_least(references, _DOCUMENTS)
            if len(prompts) >= 2 * _PROMPTS:
                prompts = _keep_least(prompts, _PROMPTS)
        references = _keep_least(references, _DOCUMENTS)
        held = tuple(tuple(sorted(set(texts))) for texts in references.values())
        places = {key: place for place, key in enumerate(references)}
        return cls(held, places, tuple(_keep_least(prompts, _PROMPTS).values()), tokenizer)

    def find(self, prompt: str) -> int | None:
        """Return where a prompt is held, if it is."""
        return self.places.get(_digest(prompt))

    def find_nearest(self, prompt: str) -> int | None:
        """Return where the prompt is held that is nearest to this one, and not the same."""
        return self._nearest.find(prompt)

    def draw_reference(self, chance: random.Random, other_than: int | None) -> str | None:
        """Draw a reference of any other prompt, each prompt as likely; None where there is no other."""
        others = len(self.references) - (other_than is not None)
        if not others:
            return None
        place = chance.randrange(others)
        return chance.choice(self.references[place + (other_than is not None and place >= other_than)])

    def split(self, text: str) -> list[str]:
        """Split a text into pieces."""
        return split_pieces(text, self.tokenizer)

    def join(self, pieces: Sequence[str]) -> str:
        """Join pieces in the order in which they are; a token may be a part of a word, other pieces are not."""
        return join_pieces(pieces, whole=self.tokenizer is None)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The pieces of all references."""
        pieces = (piece for texts in self.references for text in texts for piece in loosen(self.split(text)))
        return Vocabulary.tally(f" {piece.strip()}" if piece[0].isspace() else piece.strip() for piece in pieces)

    @cached_property
    def casing(self) -> Casing:
        """Which words are written with a capital, in the references and the prompts."""
        return Casing(text for texts in (*self.references, self.prompts) for text in texts)

    @cached_property
    def entities(self) -> Mapping[str, Vocabulary]:
        """The entities of all references, by kind."""
        found: dict[str, list[str]] = {}
        for texts in self.references:
            for text in texts:
                for mention in find_entities(text, self.casing):
                    found.setdefault(mention.kind, []).append(mention.text)
        return {kind: Vocabulary.tally(texts) for kind, texts in found.items()}

    @cached_property
    def _nearest(self) -> Nearest:
        return Nearest(self.prompts)


def _digest(prompt: str) -> bytes:
    return digest_prompt(fold(prompt))


def _keep_least(found: Mapping[bytes, Value], size: int) -> dict[bytes, Value]:
    """Return the entries with the least keys. Whoever has that many below him will never be among them again."""
    return {key: found[key] for key in sorted(found)[:size]}
