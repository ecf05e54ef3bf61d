"""Checks of seconds, before a training and after a save: that a score is read where it should be.

What costs users of such models days shows in a handful of texts: padding that is looked at, positions that count it, a
score read one token early, weights that are not finite. So a few pairs are scored in several ways that must agree, and
two with a token exchanged, whose scores must not. Scores are compared in proportion to how far they lie apart: whether
1e-3 is much depends on the head.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from prefline.data.errors import ConfigError, DataError
from prefline.data.wording import count
from prefline.reward_model.encoding import Pair, Tokens
from prefline.reward_model.model import RewardModel

_LONGEST = 256  # tokens of the prompt or response of a probe, so that a fresh process scores them in seconds on any CPU
_TOLERANCE = 1e-4  # of how far scores lie apart: float32 is ten times better, a leak a hundred times worse
_LEAST = 5e-6  # of the same, what an exchange must change: more than rounding does
_BESIDE = "a text has another score beside others in a batch"
_RIGHT = "a text has another score with padding on its right: that is looked at, or the score is read there"
_LEFT = "a text has another score with padding on its left: positions count that, or it is looked at"
_SHARED = "a response has another score where its prompt is computed once for several: they see each other"


class _Change(NamedTuple):
    """A pair in which one token was exchanged, and what to say where the score takes no notice."""

    pair: Pair
    complaint: str


def choose_probes(pairs: Sequence[Pair], most: int = 8) -> list[Pair]:
    """Return the shortest pair, the longest, and some between, always the same ones, each once.

    Of a long prompt and a long response it is the last tokens: how a text ends decides where its score is read.
    """
    if not pairs or most < 1:
        raise ValueError(f"expected pairs, and at least one probe to choose, found {len(pairs)} and {most}")
    ordered = sorted(pairs, key=lambda pair: _length(_cut(pair)))
    last, steps = len(ordered) - 1, min(most, len(ordered)) - 1
    places = [last * step // steps for step in range(steps)] + [last]
    return list(dict.fromkeys(_cut(ordered[place]) for place in places))


def check_pad(model: RewardModel, pairs: Sequence[Pair]) -> None:
    """Refuse padding that plain Transformers would take for the end of a text, or that it does not know.

    It reads the score at the last token that is not padding by its id, whatever the mask says.
    """
    if not (model.is_causal and model.loads_anywhere):
        return
    if model.fill is None:
        raise ConfigError(
            "the model names no token for padding (pad_token_id), so plain Transformers would score no two texts at "
            "once: use a tokenizer that has one, and another than the end of a text"
        )
    early = sum((pair.prompt + pair.response)[-1:] == (model.fill,) for pair in pairs)
    if early:
        token = model.tokenizer.convert_ids_to_tokens(model.fill)
        raise ConfigError(
            f"{early:,} of {count(len(pairs), 'text', 'texts')} end with {token!r} ({model.fill}), which is the token "
            "for padding too, so plain Transformers would read their scores one token early: use a tokenizer that "
            "pads with another token, or leave out the end of a text (end)"
        )


@torch.no_grad()
def check_reading(model: RewardModel, probes: Sequence[Pair]) -> float:
    """Refuse a model whose scores depend on what they must not, or not on what they must.

    They must depend on the last token of the prompt and on that of the response, and on no padding and no other text.
    Returns the worst difference between the scores of pairs alone, beside others, and padded on either side (on the
    left only where the model is causal), relative to how far scores lie apart.
    """
    training = model.training
    model.eval()
    try:
        return _check_reading(model, probes)
    finally:
        model.train(training)


def check_same(found: Sequence[float], expected: Sequence[float], what: str) -> float:
    """Refuse scores that are not the expected ones; returns the worst difference, relative to how far they lie apart.

    `what` begins the message: what was scored, and by whom.
    """
    if len(found) != len(expected):
        wanted = count(len(expected), "score", "scores")
        raise DataError(f"{what}: expected {wanted}, found {len(found):,}: the head must have one output")
    seen, wanted = (torch.tensor(scores, dtype=torch.float64) for scores in (found, expected))
    if not bool(seen.isfinite().all()):
        raise DataError(f"{what}: the scores are not finite: the weights are broken")
    differences = (seen - wanted).abs()
    worst = float(differences.max()) / _measure_scale(wanted)
    if not worst <= _TOLERANCE:
        at = int(differences.argmax())
        raise DataError(
            f"{what}: text {at + 1} should have the score {wanted[at]:.6g}, and has {seen[at]:.6g}: this is not the "
            "model that gave those scores"
        )
    return worst


def _check_reading(model: RewardModel, probes: Sequence[Pair]) -> float:
    longest = max(probes, key=_length)
    probes = [*probes, _halve(longest)]  # so that something is padded even where all are equally long
    alone = torch.cat([_score(model, [probe]) for probe in probes])
    name = type(model.inner).__name__
    if not bool(alone.isfinite().all()):
        raise DataError(f"{name}: its scores are not finite: its weights are broken")
    one = min(range(len(probes)), key=lambda index: (not all(probes[index]), _length(probes[index])))
    changes = list(_change(model, probes[one], longest))
    beside = _score(model, [probes[one], *(change.pair for change in changes)])
    scale = _measure_scale(torch.cat([alone, beside]) - float(model.bias.mean()))
    for change, score in zip(changes, beside[1:], strict=True):
        if not abs(float(score - beside[0])) > _LEAST * scale:
            raise ConfigError(f"{name}: {change.complaint}")
    ways = [(beside[:1], alone[one], _BESIDE), (_score(model, probes), alone, _RIGHT)]
    if model.is_causal:
        ways.append((_score(model, probes, left=True), alone, _LEFT))
    if model.shares:
        several = [pair for probe in probes if any(pair := Pair(probes[one].prompt, probe.response))]
        ways.append((model(model.collate(several)).double().cpu(), _score(model, several), _SHARED))
    return max(_compare(found, expected, scale, f"{name}: {complaint}") for found, expected, complaint in ways)


def _compare(found: torch.Tensor, expected: torch.Tensor, scale: float, complaint: str) -> float:
    worst = float((found - expected).abs().max()) / scale
    if not worst <= _TOLERANCE:
        raise ConfigError(
            f"{complaint} (off by {worst:.2g} of how far scores lie apart), so this kind of model cannot be used here"
        )
    return worst


def _change(model: RewardModel, pair: Pair, other: Pair) -> Iterator[_Change]:
    """Yield the pair with its prompt exchanged for that of another pair, and with another end of its response.

    Where the last token is read, the end is that token alone: a score read one token early would not change by it.
    """
    last = -1 if model.reading.readout == "last" else None
    for part, kept, complaint in (
        ("prompt", None, "the score does not depend on the prompt: the model sees the response alone"),
        ("response", last, "the score does not depend on the last token of the response: it is read before that"),
    ):
        tokens: Tokens = getattr(pair, part)
        changed = _exchange(tokens, other, getattr(other, part), kept)
        if tokens and changed != tokens:
            yield _Change(pair._replace(**{part: changed}), complaint)


def _exchange(tokens: Tokens, other: Pair, whole: Tokens, kept: int | None) -> Tokens:
    """Return as many other tokens: those of the other pair; where these are the same, or the last is meant, one."""
    others = tuple(whole[place % len(whole)] for place in range(len(tokens))) if whole else ()
    if kept is None and others not in ((), tokens):
        return others
    spare = next((token for token in other.response + other.prompt if (token,) != tokens[-1:]), None)
    return tokens if spare is None else (*tokens[:-1], spare)


def _cut(pair: Pair) -> Pair:
    return Pair(pair.prompt[-_LONGEST:], pair.response[-_LONGEST:])


def _halve(pair: Pair) -> Pair:
    """Cut a pair, so that something is padded even where all are equally long."""
    return Pair(pair.prompt[len(pair.prompt) // 2 :], pair.response[: (len(pair.response) + 1) // 2])


def _score(model: RewardModel, pairs: Sequence[Pair], *, left: bool = False) -> torch.Tensor:
    return model(model.pad(pairs, left=left)).double().cpu()


def _measure_scale(scores: torch.Tensor) -> float:
    """Return how far scores lie apart, and a tenth of how large they are: float32 rounds in proportion to that."""
    scale = float(scores.std(correction=0)) + float(scores.abs().max()) / 10
    return max(scale, torch.finfo(scores.dtype).tiny)


def _length(pair: Pair) -> int:
    return len(pair.prompt) + len(pair.response)
