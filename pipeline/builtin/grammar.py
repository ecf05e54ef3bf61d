"""A context-free grammar that writes text and knows how probable it is.

A rule says what may stand for a symbol: `<symbol>` in an alternative is replaced in turn, and `3 * ` before one
makes it three times as probable as its neighbours. Nothing in a rule depends on what was drawn elsewhere, so
the probability of a derivation is a product, and the entropy of the grammar is a sum that needs no sampling.
"""

import functools
import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from prefline.data.errors import ConfigError
from prefline.data.wording import did_you_mean

_SYMBOL = re.compile(r"<([^<>]+)>")
_WEIGHT = re.compile(r"(\d+) \* ")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])")  # no word of ours begins otherwise than it sounds
_POLISHED_ARTICLE = re.compile(r"\b([Aa])n (?=[aeiouAEIOU])")
_FIRST_LETTER = re.compile(r"(?:^ ?|[.!?:] |\n)[a-z]")

Piece = tuple[str, bool]  # words, or the name of a symbol


class Written(NamedTuple):
    """A text, and minus the logarithm of the probability of having drawn it just so."""

    text: str
    nats: float


class _Alternative(NamedTuple):
    pieces: tuple[Piece, ...]
    share: float

    @property
    def nats(self) -> float:
        return -math.log(self.share)

    @property
    def symbols(self) -> list[str]:
        return [piece for piece, is_symbol in self.pieces if is_symbol]


class Grammar:
    """Rules that write texts."""

    def __init__(self, rules: Mapping[str, Sequence[str]]) -> None:
        """Read the rules; ConfigError where one names a symbol that has none."""
        self._rules = {symbol: _read_rule(alternatives) for symbol, alternatives in rules.items()}
        for symbol, alternatives in self._rules.items():
            for used in itertools.chain.from_iterable(alternative.symbols for alternative in alternatives):
                if used not in rules:
                    meant = did_you_mean(used, rules)
                    raise ConfigError(f"expected a rule for <{used}>, which <{symbol}> names, found none{meant}")

    def write(self, symbol: str, generator: random.Random) -> Written:
        """Draw one text for a symbol."""
        pieces: list[str] = []
        nats = self._expand(symbol, generator, pieces)
        return Written(polish("".join(pieces)), nats)

    def list_all(self, symbol: str) -> Iterator[tuple[str, float]]:
        """List whatever a symbol can become, before it is polished, with the probability of each."""
        for alternative in self._rules[symbol]:
            options = [self.list_all(piece) if named else [(piece, 1.0)] for piece, named in alternative.pieces]
            for parts in itertools.product(*options):
                yield "".join(text for text, _ in parts), alternative.share * math.prod(p for _, p in parts)

    def accepts(self, symbol: str, text: str) -> bool:
        """Say whether a text is one that could have been written for a symbol."""
        plain = _POLISHED_ARTICLE.sub(r"\1 ", text)
        folded = plain.lower()

        @functools.cache
        def find_ends(symbol: str, start: int) -> frozenset[int]:
            ends: set[int] = set()
            for alternative in self._rules[symbol]:
                reached = {start}
                for piece, named in alternative.pieces:
                    if named:
                        reached = set().union(*(find_ends(piece, at) for at in reached))
                    else:
                        reached = {at + len(piece) for at in reached if folded.startswith(piece.lower(), at)}
                ends |= reached
            return frozenset(ends)

        return polish(plain) == text and len(text) > 0 and len(folded) in find_ends(symbol, 0)

    @functools.cache  # noqa: B019  the grammars live as long as the program
    def measure_entropy(self, symbol: str) -> float:
        """Return the entropy of what is drawn for a symbol, in nats: the mean of `Written.nats`."""
        return sum(
            alternative.share * (alternative.nats + sum(map(self.measure_entropy, alternative.symbols)))
            for alternative in self._rules[symbol]
        )

    @functools.cache  # noqa: B019
    def count_words(self, symbol: str) -> float:
        """Return the mean number of blanks in what is drawn for a symbol: the words of a text, less one."""
        return sum(
            alternative.share
            * sum(self.count_words(piece) if named else piece.count(" ") for piece, named in alternative.pieces)
            for alternative in self._rules[symbol]
        )

    def _expand(self, symbol: str, generator: random.Random, pieces: list[str]) -> float:
        alternatives = self._rules[symbol]
        chosen = alternatives[0]
        if len(alternatives) > 1:
            # `random` is the one method whose numbers Python promises never to change.
            left = generator.random()
            for chosen in alternatives:
                left -= chosen.share
                if left < 0:
                    break
        nats = chosen.nats
        for piece, is_symbol in chosen.pieces:
            if is_symbol:
                nats += self._expand(piece, generator, pieces)
            else:
                pieces.append(piece)
        return nats


def polish(text: str) -> str:
    """Write "an" before vowels, and a capital at the beginning of each sentence and line."""
    return _FIRST_LETTER.sub(lambda found: found[0].upper(), _ARTICLE.sub(r"\1n ", text))


def _read_rule(alternatives: Sequence[str]) -> tuple[_Alternative, ...]:
    weights: list[int] = []
    texts: list[str] = []
    for alternative in alternatives:
        weight = _WEIGHT.match(alternative)
        weights.append(int(weight[1]) if weight else 1)
        texts.append(alternative[weight.end() :] if weight else alternative)
    return tuple(_Alternative(_split(text), weight / sum(weights)) for text, weight in zip(texts, weights, strict=True))


def _split(text: str) -> tuple[Piece, ...]:
    parts = _SYMBOL.split(text)  # words, symbol, words, symbol ... words
    return tuple((part, index % 2 == 1) for index, part in enumerate(parts) if part)
