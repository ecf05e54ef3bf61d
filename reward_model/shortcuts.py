"""Shortcuts: ways to choose a response without understanding any, and how far a reward model takes them.

The longest, the shortest, what stands at a place, what the most-winning system wrote, what has the words that win.
Each gives scores as a model does, so that ties share their credit. A model is held against each of them in four ways:

- whether it is ahead of it, comparison by comparison;
- how often it chooses the same (`agrees`), against a blind choice;
- how often it is right where the shortcut is wrong (`where_wrong`), against a blind choice among all responses. Whoever
  knows something that the shortcut does not is above that; whoever follows the shortcut is far below, at 0 in the end;
- how much of its scores' variance within comparisons the shortcut explains (`explained`), see levels.py.

What a shortcut has to learn, it learns from the train comparisons, or at least from other prompts.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from prefline.data.comparison import Comparison
from prefline.data.judgements import find_leaders
from prefline.reward_model.levels import NameRows, cross_fit, explain, explain_order, fit_levels, predict
from prefline.reward_model.scored import Scored, decide, difference_of, key_of, measure_accuracy, share_of
from prefline.reward_model.word_baseline import fit_words

Kind = Literal["length", "position", "system", "words"]
_MOST_PLACES = 8  # of which each is a shortcut
_NEARLY = 0.95  # of the comparisons; if one place is best so often, it is how they were written down
_DIGITS = 9  # that levels are told apart by, so that the last bits of a machine decide nothing


class Shortcut(NamedTuple):
    """A way to choose, and what it makes of each comparison: scores, or None where it says nothing."""

    name: str
    kind: Kind
    choose: list[tuple[float, ...] | None]


def describe_shortcuts(scored: Sequence[Scored], train: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Hold a model against each shortcut, the most accurate first.

    `train` is what both may have learnt from. A shortcut that nowhere tells responses apart is left out.
    """
    decided = decide(scored)
    found = [_describe(shortcut, decided) for shortcut in list_shortcuts(decided, train) if _says_something(shortcut)]
    return sorted(found, key=lambda one: -one["accuracy"]["share"])


def list_shortcuts(decided: Sequence[Scored], train: Sequence[Comparison]) -> Iterator[Shortcut]:
    """Yield what each shortcut makes of comparisons, all of which are decided."""
    lengths = [[len(response) for response in one.comparison.responses] for one in decided]
    yield Shortcut("longest", "length", [tuple(map(float, row)) for row in lengths])
    yield Shortcut("shortest", "length", [tuple([-float(length) for length in row]) for row in lengths])
    yield from _list_places(decided)
    yield Shortcut("most-winning system", "system", _choose_systems(decided, train))
    score = fit_words(train)
    if score is not None:
        yield Shortcut("words", "words", [*score([one.comparison for one in decided])])


def _list_places(decided: Sequence[Scored]) -> Iterator[Shortcut]:
    """Yield each place, or the first and the last where comparisons differ in size or are large.

    None where what stands at one of them is nearly always a best: then the order is what somebody wrote responses
    down in, and no model saw it.
    """
    if not decided:
        return
    sizes = [len(one.scores) for one in decided]
    if min(sizes) == max(sizes) <= _MOST_PLACES:
        places = {f"position {1 + place}": place for place in range(sizes[0])}
    else:
        places = {"first": 0, "last": -1}
    if any(_is_nearly_always_best(place, decided) for place in places.values()):
        return
    for name, place in places.items():
        yield Shortcut(name, "position", [_mark(size, place % size) for size in sizes])


def _is_nearly_always_best(place: int, decided: Sequence[Scored]) -> bool:
    return sum(place % len(one.scores) in one.comparison.best for one in decided) >= _NEARLY * len(decided)


def _mark(size: int, place: int) -> tuple[float, ...]:
    return tuple([float(index == place) for index in range(size)])


def _choose_systems(decided: Sequence[Scored], train: Sequence[Comparison]) -> list[tuple[float, ...] | None]:
    """Score responses by how often their systems win: in train, or on other prompts where train knows none of them."""
    named = [one for one in decided if _names_systems(one.comparison)]
    names = _list_systems([one.comparison for one in named])
    learnt = [one for one in train if one.target is not None and _names_systems(one)]
    levels = fit_levels([one.target or () for one in learnt], _list_systems(learnt))
    if any(name in levels for row in names for name in row):
        found = [predict(levels, row) for row in names]
    else:
        found = cross_fit([key_of(one) for one in named], [one.comparison.target or () for one in named], names)
    chosen = iter([tuple([round(level, _DIGITS) for level in row]) for row in found])
    return [next(chosen) if _names_systems(one.comparison) else None for one in decided]


def _names_systems(comparison: Comparison) -> bool:
    return comparison.systems is not None and any(system is not None for system in comparison.systems)


def _list_systems(comparisons: Sequence[Comparison]) -> NameRows:
    """Return who wrote each response; those of whom it is not known count as one."""
    return [one.systems or () for one in comparisons]


def _says_something(shortcut: Shortcut) -> bool:
    return any(len({*row}) > 1 for row in shortcut.choose if row is not None)


def _describe(shortcut: Shortcut, decided: Sequence[Scored]) -> dict[str, Any]:
    both = [
        (model, model._replace(scores=row))
        for model, row in zip(decided, shortcut.choose, strict=True)
        if row is not None
    ]
    rights = [(key_of(model), model.credit or 0.0, other.credit or 0.0) for model, other in both]
    return {
        "name": shortcut.name,
        "kind": shortcut.kind,
        "accuracy": measure_accuracy(other for _, other in both),
        "agrees": share_of(_agree(model, other) for model, other in both if len({*other.scores}) > 1),
        "where_wrong": measure_accuracy(model for model, other in both if other.credit == 0),
        "ahead": difference_of((prompt, ours - theirs) for prompt, ours, theirs in rights),
        "explained": _explain(shortcut.kind, both),
    }


def _agree(model: Scored, other: Scored) -> tuple[Hashable, float, float]:
    """Return how much of the model's choice is the other's, and how much of a blind choice would be."""
    ours, theirs = find_leaders(model.scores), find_leaders(other.scores)
    return key_of(model), len({*ours} & {*theirs}) / len(ours), len(theirs) / len(model.scores)


def _explain(kind: Kind, both: Sequence[tuple[Scored, Scored]]) -> float | None:
    """Say how much of the scores the shortcut explains: by names where it goes by names, or else by its order."""
    scores = [model.scores for model, _ in both]
    if kind in ("length", "words"):
        return explain_order(scores, [other.scores for _, other in both])
    comparisons = [model.comparison for model, _ in both]
    names = _list_systems(comparisons) if kind == "system" else [range(len(row)) for row in scores]
    return explain(scores, cross_fit([one.prompt for one in comparisons], scores, names))
