"""Perplexity: the exponential of the mean -log p, for each token and for each word, with how sure it is.

Only perplexities per word can be compared between tokenizers. Both are ratios of sums over documents, of nats and of
tokens or words, so their intervals are those of a ratio (the delta method; Cochran 1977): tokens of one document are
not independent, documents are. The intervals are computed for the logarithm, where they are nearly symmetric.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from prefline.data.errors import DataError
from prefline.data.intervals import NORMAL
from prefline.policy.encoding import Example
from prefline.policy.model import Reading, check_length, choose_reading
from prefline.policy.packing import collate, pack
from prefline.reward_model.adapters import unwrap


class Estimate(NamedTuple):
    """A value, and the interval that holds the true one 95 times in 100; one document alone gives none."""

    value: float
    low: float | None
    high: float | None


class Perplexity(NamedTuple):
    """How well a model expects some documents."""

    documents: int
    tokens: int
    words: int
    nll: float  # -log p of all tokens, in nats
    per_token: Estimate
    per_word: Estimate | None  # where the words are known


class Tally(NamedTuple):
    """What is known of one document."""

    nll: float
    tokens: int
    words: int


def measure(
    model: torch.nn.Module, examples: Sequence[Example], *, length: int, batch: int = 32, read: Reading | None = None
) -> Perplexity:
    """Measure the perplexity of the learnt tokens of examples, which are at most `length` tokens long.

    `batch` rows are computed at once, in float32 as they are and without dropout; it changes time and memory alone.
    How losses are `read` from the model is found out anew unless it is given.
    """
    inner = unwrap(model)
    check_length(inner, length)
    read = read or choose_reading(inner)
    rows = pack(examples, length)
    nll: dict[int, float] = defaultdict(float)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for first in range(0, len(rows), batch):
                some = rows[first : first + batch]
                losses = read(collate(some, inner.device)).double().cpu()
                inside = list(itertools.chain.from_iterable(some))
                parts = losses.split([len(example.tokens) - example.start for example in inside])
                for example, part in zip(inside, parts, strict=True):
                    nll[example.document] += part.sum().item()
    finally:
        model.train(training)
    return summarize(_tally(examples, nll))


def summarize(documents: Iterable[Tally]) -> Perplexity:
    """Return the perplexity of documents taken together."""
    tallies = list(documents)
    if not tallies:
        raise DataError("expected documents to measure perplexity on, found none")
    tokens, words = sum(tally.tokens for tally in tallies), sum(tally.words for tally in tallies)
    return Perplexity(
        len(tallies),
        tokens,
        words,
        math.fsum(tally.nll for tally in tallies),
        _estimate([(tally.nll, tally.tokens) for tally in tallies]),
        _estimate([(tally.nll, tally.words) for tally in tallies]) if words else None,
    )


def _tally(examples: Iterable[Example], nll: dict[int, float]) -> list[Tally]:
    tokens: dict[int, int] = defaultdict(int)
    words: dict[int, int] = defaultdict(int)
    for example in examples:
        tokens[example.document] += len(example.tokens) - example.start
        words[example.document] += example.words
    return [Tally(nll[document], tokens[document], words[document]) for document in tokens]


def _estimate(pairs: Sequence[tuple[float, int]]) -> Estimate:
    """Return exp(r) for r = the sum of nats / the sum of units, with its interval."""
    units = sum(unit for _, unit in pairs)
    mean = math.fsum(nats for nats, _ in pairs) / units
    if len(pairs) < 2:
        return Estimate(_exp(mean), None, None)
    squares = math.fsum((nats - mean * unit) ** 2 for nats, unit in pairs)
    error = math.sqrt(len(pairs) / (len(pairs) - 1) * squares) / units
    return Estimate(_exp(mean), _exp(mean - NORMAL * error), _exp(mean + NORMAL * error))


def _exp(nats: float) -> float:
    """Return e to a power, or the largest number there is: a perplexity is a number that can be written down."""
    return math.exp(min(nats, 709.0))
