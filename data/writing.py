"""Comparisons in the layouts of others: which there are, and what each of them cannot hold."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Never

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError
from prefline.data.writing_pairs import write_pairs, write_rewardbench, write_unpaired
from prefline.data.writing_tasks import write_argilla, write_label_studio


class Writer(NamedTuple):
    """How comparisons are written for others. What cannot be held is refused with a DataError that says why."""

    about: str
    write: Callable[[Comparison], list[dict[str, Any]]]
    is_document: bool  # whether the file is one JSON list rather than a row on each line


def _write_some_pairs(comparison: Comparison) -> list[dict[str, Any]]:
    return write_pairs(comparison) or _refuse("no response is better than another")


def _write_unpaired(comparison: Comparison) -> list[dict[str, Any]]:
    return write_unpaired(comparison) or _refuse("nobody chose")


def _write_rewardbench(comparison: Comparison) -> list[dict[str, Any]]:
    row = write_rewardbench(comparison)
    return [row] if row else _refuse("no response is better than another")


def _refuse(reason: str) -> Never:
    raise DataError(reason)


WRITERS: Mapping[str, Writer] = {
    "pairs": Writer("prompt, chosen, rejected, as TRL reads them", _write_some_pairs, is_document=False),
    "unpaired": Writer("prompt, completion, label, as TRL reads them", _write_unpaired, is_document=False),
    "rewardbench-2": Writer("chosen and rejected responses in lists", _write_rewardbench, is_document=False),
    "label-studio": Writer("tasks to import", lambda one: [write_label_studio(one)], is_document=True),
    "argilla": Writer("records to import", lambda one: [write_argilla(one)], is_document=True),
}
