"""Mock labellers: programs that play the people who choose, so that a whole run can be tried out and checked.

As in Ziegler et al. 2019 (2.2, the mock sentiment task) a labeller chooses the response that scores highest; any
function from a prompt and a response to a number is a score. Two departures: a labeller may err, choosing
argmax(score / (noise x spread) + Gumbel), which is to draw from the softmax of the scores; and there are labellers
with the bad habits of people, who look at length, at copying or at the place alone.

What a labeller draws depends on itself, the prompt and the texts: the order of rows changes no choice, and neither
does the order of the responses, but for the labeller that looks at nothing else.
"""

import math
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from prefline.data.chance import Chance
from prefline.data.comparison import Comparison
from prefline.data.contents import Prompt, Response
from prefline.data.digests import digest_item, digest_prompt, digest_response
from prefline.data.errors import ConfigError, DataError
from prefline.data.judgements import find_leaders
from prefline.data.pieces import list_words
from prefline.data.sketches import flatten_prompt
from prefline.data.wording import did_you_mean

Score = Callable[[Prompt, str], float]

_MOST_NOISE = 1000.0
_BITS = 52  # of a number that is drawn, of its 63: with half of one added, no more fit a float
_NGRAM = 4  # words; what is copied in shorter runs is mostly the language


@dataclass(frozen=True, slots=True)
class Labeller:
    """Somebody who is played: what they look for, and how often they err."""

    name: str
    score: Score | None  # the higher, the better; None: the place alone counts, and the first is best
    noise: float = 0.0  # in units of the spread; 0 never errs
    spread: float = 1.0  # the standard deviation of the score over the responses that will be seen
    ties: bool = False  # whether all that score highest are named, where nothing else decides, or one of them


def label(
    prompt: Prompt, responses: tuple[Response, ...], labeller: Labeller, chance: Chance, **known: Any
) -> Comparison:
    """Return what a labeller says; `known` is what else is known of the comparison, such as its id."""
    scores = score_all(prompt, responses, labeller)
    draws = _draw(prompt, responses, labeller, chance)
    if labeller.noise:
        unit = labeller.noise * (labeller.spread or 1.0)
        best = find_leaders([score / unit + gumbel for score, gumbel in zip(scores, draws, strict=True)])
    else:
        best = find_leaders(scores)
    if labeller.noise or not labeller.ties:
        best = (max(best, key=draws.__getitem__),)
    return Comparison(prompt, responses, best, annotator=labeller.name, **known)


def relabel(comparison: Comparison, labellers: Sequence[Labeller], chance: Chance) -> list[Comparison]:
    """Return what labellers say of the same responses; whatever was said of them before is forgotten."""
    kept = {name: getattr(comparison, name) for name in ("systems", "categories", "id", "source", "weight")}
    return [label(comparison.prompt, comparison.responses, labeller, chance, **kept) for labeller in labellers]


def score_all(prompt: Prompt, responses: Sequence[Response], labeller: Labeller) -> list[float]:
    """Score each response as a labeller does."""
    if labeller.score is None:
        return [-float(place) for place in range(len(responses))]
    return [_score(prompt, response, labeller.score, labeller.name) for response in responses]


def _score(prompt: Prompt, response: Response, score: Score, name: str) -> float:
    if not isinstance(response, str):
        raise DataError(f"the labeller {name!r} reads texts, found token ids: decode them first")
    found = float(score(prompt, response))
    if not math.isfinite(found):
        raise DataError(f"the labeller {name!r} must give a finite score, found {found}")
    return found


def _draw(prompt: Prompt, responses: Sequence[Response], labeller: Labeller, chance: Chance) -> list[float]:
    """Draw a number for each response from the standard Gumbel distribution.

    It belongs to the text and not to its place; texts that are the same are told apart by which comes first.
    """
    digests = [digest_response(response) for response in responses]
    item = digest_item(digest_prompt(prompt), digests).hex()
    draws: list[float] = []
    for place, digest in enumerate(digests):
        drawn = chance(f"label {labeller.name} {item} {digest.hex()}", digests[:place].count(digest))
        draws.append(-math.log(-math.log(((drawn >> 63 - _BITS) + 0.5) / 2**_BITS)))
    return draws


class Spreads:
    """Looks at responses before they are labelled, to say how far their scores are spread."""

    def __init__(self, labellers: Sequence[Labeller]) -> None:
        """Begin with nothing seen."""
        self._labellers = labellers
        self._scores = [array("d") for _ in labellers]

    def observe(self, prompt: Prompt, responses: Sequence[Response]) -> None:
        """Score the responses to one prompt by those labellers that err: the others need no unit."""
        for labeller, scores in zip(self._labellers, self._scores, strict=True):
            if labeller.noise:
                scores.extend(score_all(prompt, responses, labeller))

    def measured(self) -> tuple[Labeller, ...]:
        """Return the labellers, each with the spread of its scores."""
        return tuple(
            replace(labeller, spread=_deviation(scores)) if scores else labeller
            for labeller, scores in zip(self._labellers, self._scores, strict=True)
        )


def _deviation(values: Sequence[float]) -> float:
    """Return the standard deviation, from sums that are rounded once: the order of the rows must not matter."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def parse_labellers(specs: Sequence[str], scores: Mapping[str, Score] | None = None) -> tuple[Labeller, ...]:
    """Read labellers as people write them, NAME or NAME:NOISE; one that is named again is another person.

    `scores` are those that there are beside the heuristics.
    """
    known: dict[str, Score | None] = {**HEURISTICS, **(scores or {})}
    labellers: list[Labeller] = []
    for place, spec in enumerate(specs):
        name, noise = split_spec(spec)
        if name not in known:
            raise ConfigError(f"unknown labeller {name!r}{did_you_mean(name, known)}: there are {', '.join(known)}")
        earlier = specs[:place].count(spec)
        labellers.append(Labeller(f"{spec} #{earlier + 1}" if earlier else spec, known[name], noise))
    return tuple(labellers)


def split_spec(spec: str) -> tuple[str, float]:
    """Return the name and the noise of a labeller as people write it."""
    name, colon, noise = spec.partition(":")
    if colon and not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?", noise):
        raise ConfigError(f"expected NAME or NAME:NOISE, such as length or length:0.5, found {spec!r}")
    if (found := float(noise or 0)) > _MOST_NOISE:
        raise ConfigError(f"expected a noise from 0 to {_MOST_NOISE:g}, in units of the spread, found {spec!r}")
    return name, found


def score_length(_prompt: Prompt, response: str) -> float:
    """Return how long a response is, in characters."""
    return float(len(response))


def score_copying(prompt: Prompt, response: str) -> float:
    """Return which share of the runs of four words of a response stands in the prompt."""
    words = list_words(response)
    length = min(_NGRAM, len(words))
    if not length:
        return 0.0
    runs = _list_runs(words, length)
    source = _find_runs(flatten_prompt(prompt), length)
    return sum(run in source for run in runs) / len(runs)


def score_nothing(_prompt: Prompt, _response: str) -> float:
    """Return the same for all, so that chance alone decides."""
    return 0.0


def _list_runs(words: Sequence[str], length: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + length]) for start in range(len(words) - length + 1)]


@lru_cache(maxsize=16)  # the responses to one prompt come one after the other
def _find_runs(text: str, length: int) -> frozenset[tuple[str, ...]]:
    return frozenset(_list_runs(list_words(text), length))


HEURISTICS: Mapping[str, Score | None] = {
    "length": score_length,
    "copy": score_copying,
    "first": None,
    "random": score_nothing,
}
