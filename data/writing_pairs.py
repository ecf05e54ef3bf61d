"""Comparisons as the rows of others who know a chosen and a rejected: TRL's pairs and unpaired rows, RewardBench 2."""

from itertools import permutations
from typing import Any

from prefline.data.comparison import Comparison
from prefline.data.contents import write_prompt
from prefline.data.errors import DataError


def write_pairs(comparison: Comparison) -> list[dict[str, Any]]:
    """Return TRL's preference rows: each response against each that it is known to be better than.

    There are none where nobody chose or all tie, and none of a text against itself.
    """
    _check_texts(comparison)
    if not comparison.best:
        return []
    responses = comparison.responses
    return [
        _write_pair(comparison, winner, loser)
        for winner, loser in permutations(range(len(responses)), 2)
        if _is_better(comparison, winner, loser) and responses[winner] != responses[loser]
    ]


def write_rewardbench(comparison: Comparison) -> dict[str, Any] | None:
    """Return the row of RewardBench 2, the best first; None where nothing is best, or everything."""
    _check_texts(comparison)
    others = [index for index in range(len(comparison.responses)) if index not in comparison.best]
    if not comparison.best or not others:
        return None
    row: dict[str, Any] = {
        "prompt": write_prompt(comparison.prompt),
        "chosen": [comparison.responses[index] for index in comparison.best],
        "rejected": [comparison.responses[index] for index in others],
        "num_correct": len(comparison.best),
        "num_incorrect": len(others),
        "total_completions": len(comparison.responses),
    }
    if comparison.systems:
        row["models"] = [comparison.systems[index] for index in (*comparison.best, *others)]
    return row | _write_common(comparison, source="subset")


def write_unpaired(comparison: Comparison) -> list[dict[str, Any]]:
    """Return TRL's unpaired rows, one for each response: whether it is the best, or the very text of the best.

    There are none where nobody chose.
    """
    _check_texts(comparison)
    if not comparison.best:
        return []
    prompt, is_chat = write_prompt(comparison.prompt), not isinstance(comparison.prompt, str)
    best = {comparison.responses[index] for index in comparison.best}
    known = _write_common(comparison, source="source")
    return [
        {"prompt": prompt, "completion": _write_response(response, is_chat), "label": response in best, **known}
        for response in comparison.responses
    ]


def _write_response(response: Any, is_chat: bool) -> Any:
    return [{"role": "assistant", "content": response}] if is_chat else response


def _check_texts(comparison: Comparison) -> None:
    if isinstance(comparison.responses[0], tuple):
        raise DataError("pairs are written as texts, and these responses are token ids: decode them first")


def _is_better(comparison: Comparison, winner: int, loser: int) -> bool:
    if comparison.ranks:
        above, below = comparison.ranks[winner], comparison.ranks[loser]
        if above is not None and below is not None:
            return above < below
    return winner in comparison.best and loser not in comparison.best


def _write_pair(comparison: Comparison, winner: int, loser: int) -> dict[str, Any]:
    is_chat = not isinstance(comparison.prompt, str)
    row: dict[str, Any] = {"prompt": write_prompt(comparison.prompt)}
    for side, index in (("chosen", winner), ("rejected", loser)):
        response = comparison.responses[index]
        row[side] = _write_response(response, is_chat)
        if comparison.ratings:
            row[f"{side}_score"] = comparison.ratings[index]
        if comparison.systems:
            row[f"{side}_model"] = comparison.systems[index]
    return row | _write_common(comparison, source="source")


def _write_common(comparison: Comparison, source: str) -> dict[str, Any]:
    """Return what is known of the whole comparison, under the names that `layout.COMMON` reads."""
    known = {"annotator": comparison.annotator, "id": comparison.id, source: comparison.source}
    row: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
    return row if comparison.weight == 1.0 else row | {"weight": comparison.weight}
