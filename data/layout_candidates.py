"""The layout of responses of which nobody has chosen one yet: for labellers that are played by a program."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError
from prefline.data.layout import COMMON, Aids, Columns, Layout, Row, columns_of, common, text
from prefline.data.layout_pairs import read_given_prompt
from prefline.data.numbered import gather_families
from prefline.data.strict_json import type_name

_LISTS = ("responses", "completions", "candidates", "samples", "generations", "outputs", "answers")
_FAMILIES = ("sample", "response", "completion", "candidate", "generation", "output", "answer", "summary")
HELP = (
    "responses of which nobody has chosen one: --labeller length, or another that docs/comparisons.md lists, chooses, "
    "to try things out"
)


def _spread(rows: Sequence[Row], columns: Columns) -> Mapping[str, tuple[str, ...]]:
    if "responses" in columns:
        return {}
    families = gather_families(rows)
    members = next((families[stem] for stem in _FAMILIES if len(families.get(stem, ())) > 1), {})
    return {"responses": tuple(members.values())} if members else {}


def _fits(row: Row, columns: Columns) -> bool:
    names = columns_of(columns, "responses")
    texts = row.get(names[0]) if len(names) == 1 else [row.get(name) for name in names]
    is_prompt = all(isinstance(row.get(name), str | list) for name in columns_of(columns, "prompt")[:1])
    return is_prompt and isinstance(texts, list) and bool(texts) and all(isinstance(each, str) for each in texts)


def _read(row: Row, columns: Columns, aids: Aids) -> list[Comparison]:
    if aids.label is None:
        raise DataError(HELP)
    responses = _read_responses(row, columns)
    return [Comparison(_read_prompt(row, columns), responses, (), undecided="skipped", **common(row, columns))]


def _read_prompt(row: Row, columns: Columns) -> Any:
    prompt = read_given_prompt(row, columns)
    return text(row, columns_of(columns, "prompt")[0]) if prompt is None else prompt


def _read_responses(row: Row, columns: Columns) -> tuple[str, ...]:
    first, *others = columns_of(columns, "responses")
    if others:
        return tuple(text(row, name) for name in (first, *others))
    responses = row.get(first)
    if not isinstance(responses, list):
        raise DataError(f"{first!r} must be a list of texts, found {type_name(responses)}")
    return tuple(responses)


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        name="candidates",
        about="a prompt and responses, and no word on which is best",
        roles={
            "prompt": ("prompt", "query", "question", "instruction", "input", "document", "article", "dialogue"),
            "responses": _LISTS,
            **COMMON,
        },
        required=("prompt", "responses"),
        read=_read,
        fits=_fits,
        spread=_spread,
    ),
)
