"""Negatives that say something false: the reference with names or numbers that are not its own (ours).

Of the names, or numbers, that differ some are drawn, at least one; wherever one stands it is changed alike, and
nothing else is. What comes instead is of the same kind: of the prompt, or a trade with another of the reference; else
of other references. The more frequent is the more likely. Two that only stand side by side (Ann and Bob, Ann plays with
Bob) are not traded, which might change nothing.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence

from prefline.data.entities import MONTHS, WEEKDAYS, Casing, Mention, find_entities
from prefline.data.material import Material, Positive
from prefline.data.quantities import draw_quantity, find_quantities

# What is between those that stand side by side. Who talks with another is talked with.
_BESIDE = re.compile(r"(?:\s|,|&|/|-|–|\b(?:and|or)\b)+|[^.!?]*\bwith\s")
_TRIES = 20  # to draw one that differs

_CLOSED = {"weekday": WEEKDAYS, "month": MONTHS}

DrawOthers = Callable[[Mention], list[str]]  # what may stand in the place of one, where the prompt has nothing


def swap_entities(positive: Positive, material: Material, chance: random.Random) -> str | None:
    """The reference with other names."""
    casing = Casing((positive.reference, positive.prompt), material.casing)

    def draw_others(mention: Mention) -> list[str]:
        if mention.kind in _CLOSED:
            return chance.sample(_CLOSED[mention.kind], len(_CLOSED[mention.kind]))
        names = material.entities.get(mention.kind)
        return chance.choices(names.texts, cum_weights=names.sums, k=_TRIES) if names else []

    mentions, beside = (find_entities(text, casing) for text in (positive.reference, positive.prompt))
    return _swap(positive.reference, mentions, beside, draw_others, chance)


def swap_numbers(positive: Positive, _material: Material, chance: random.Random) -> str | None:
    """The reference with other numbers."""

    def draw_others(mention: Mention) -> list[str]:
        return [draw_quantity(mention, chance) for _ in range(_TRIES)]

    mentions, beside = (find_quantities(text) for text in (positive.reference, positive.prompt))
    return _swap(positive.reference, mentions, beside, draw_others, chance)


def _swap(
    text: str, mentions: Sequence[Mention], beside: Sequence[Mention], draw_others: DrawOthers, chance: random.Random
) -> str | None:
    if not mentions:
        return None
    named = {mention.text: mention for mention in mentions}
    known = set(map(str.casefold, named))
    groups = _group(text, mentions)
    changes: dict[str, str] = {}
    wanted = chance.randint(1, len(named))
    for name in chance.sample(list(named), len(named)):
        if name in changes or len(changes) >= wanted:
            continue  # traded already, or enough
        kind = named[name].kind
        near = [mention.text for mention in beside if mention.kind == kind and mention.text.casefold() not in known]
        near += [other for other in named if named[other].kind == kind and groups[name] != groups[other]]
        others = (other for other in draw_others(named[name]) if other.casefold() not in known)
        options = (*chance.sample(near, len(near)), *others)
        new = next((option for option in options if _is_free(option, changes) and _differ(name, option)), None)
        if new is not None:
            changes[name] = new
            if new in named:
                changes[new] = name
    return _replace(text, mentions, changes) if changes else None


def _is_free(option: str, changes: Mapping[str, str]) -> bool:
    """Whether what might come instead is no part of another change."""
    return option not in changes and option not in changes.values()


def _differ(name: str, other: str) -> bool:
    """Whether neither can be another form of the other: Ann, Anna; Ann Lee, Lee."""
    name, other = name.casefold(), other.casefold()
    return not (name.startswith(other) or other.startswith(name) or set(name.split()) & set(other.split()))


def _group(text: str, mentions: Sequence[Mention]) -> Mapping[str, set[int]]:
    """Number the rows of mentions that stand side by side, and return for each text in which it is."""
    groups: dict[str, set[int]] = {}
    end = group = 0
    for mention in mentions:
        if not _BESIDE.fullmatch(text, end, mention.start):
            group += 1
        groups.setdefault(mention.text, set()).add(group)
        end = mention.end
    return groups


def _replace(text: str, mentions: Sequence[Mention], changes: Mapping[str, str]) -> str:
    parts: list[str] = []
    end = 0
    for mention in mentions:
        if mention.text in changes:
            new = changes[mention.text]
            written = text[mention.start : mention.end]
            parts += [text[end : mention.start], new if written == mention.text else new.capitalize()]
            end = mention.end
    return "".join((*parts, text[end:]))
