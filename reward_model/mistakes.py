"""Where a reward model is wrong and surest of it: the comparisons to read before it is trusted."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from prefline.data.comparison import Comparison
from prefline.data.contents import Message, Prompt, Response
from prefline.data.digests import Digests
from prefline.reward_model.scored import Scored, decide, key_of

_SHOWN = 4000  # characters of a text


def find_mistakes(scored: Iterable[Scored], sharpness: float | None, most: int = 5) -> list[dict[str, Any]]:
    """Return the wrong choices that have the highest probability, one for each prompt, as they are to be read.

    The probability is that of a softmax of the scores times `sharpness`. If that is None, scores make no probability,
    and the choices come first that lie furthest above the best. Of several bests it is the one with the highest score
    that stands against the choice.
    """
    wrong = [one for one in decide(scored) if one.credit == 0]
    if sharpness is None:
        wrong.sort(key=lambda one: -_find_margin(one))
    else:
        wrong.sort(key=lambda one: -_find_confidence(one.scores, sharpness))
    surest: dict[Prompt, Scored] = {}
    for one in wrong:
        surest.setdefault(key_of(one), one)
    return [_describe(one, sharpness) for one in list(surest.values())[:most]]


def _find_confidence(scores: Sequence[float], sharpness: float) -> float:
    """Return the probability of the response with the highest score."""
    highest = max(scores)
    return 1 / math.fsum(math.exp(sharpness * (score - highest)) for score in scores)


def _find_margin(one: Scored) -> float:
    return max(one.scores) - max(one.scores[place] for place in one.comparison.best)


def _describe(one: Scored, sharpness: float | None) -> dict[str, Any]:
    comparison = one.comparison
    best = max(comparison.best, key=one.scores.__getitem__)
    chosen = one.scores.index(max(one.scores))
    known = {"annotator": comparison.annotator, "source": comparison.source}
    return {
        "id": comparison.id or Digests.of(comparison).item.hex(),
        "confidence": None if sharpness is None else _find_confidence(one.scores, sharpness),
        "prompt": _show(comparison.prompt),
        "best": _describe_response(comparison, best, one.scores[best]),
        "chosen": _describe_response(comparison, chosen, one.scores[chosen]),
        **{name: value for name, value in known.items() if value is not None},
    }


def _describe_response(comparison: Comparison, place: int, score: float) -> dict[str, Any]:
    known = {"system": comparison.systems, "category": comparison.categories}
    return {
        "text": _show(comparison.responses[place]),
        "score": score,
        **{name: values[place] for name, values in known.items() if values and values[place] is not None},
    }


def _show(content: Prompt | Response) -> str:
    """Return what a person reads: the turns of a chat with who spoke, token ids as numbers."""
    if isinstance(content, str):
        return _cut(content)
    turns = [f"{turn.role}: {turn.content}" for turn in content if isinstance(turn, Message)]
    return _cut("\n\n".join(turns) if turns else " ".join(map(str, content)))


def _cut(text: str) -> str:
    """Leave out the middle of a long text: what a chat asks for last, and what a response breaks off at, is its end."""
    half = _SHOWN // 2
    left_out = len(text) - 2 * half
    return text if left_out <= 0 else f"{text[:half]} [... {left_out:,} characters ...] {text[-half:]}"
