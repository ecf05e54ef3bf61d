"""Rows that need nobody to choose: a prompt with texts known to be good, one text, or a prompt alone.

Their shapes are layouts whose rows become documents instead of comparisons.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from prefline.data.contents import Prompt, check_text
from prefline.data.errors import DataError
from prefline.data.layout import Columns, Layout, Row, column, columns_of, find_alike, fold_name, label, list_columns
from prefline.data.layout_pairs import read_chat, read_given_prompt
from prefline.data.numbered import gather_families
from prefline.data.strict_json import type_name
from prefline.data.wording import shorten


class Document(NamedTuple):
    """A prompt with texts that answer it well, one text without a prompt, or a prompt without a text."""

    prompt: Prompt | None  # None where the row is one text
    texts: tuple[str, ...]  # the references of the prompt, all of them good; or the one text; () for a bare prompt
    id: str | None = None
    source: str | None = None


_PROMPTS = (
    *("prompt", "document", "article", "dialogue", "dialog", "conversation", "post", "instruction", "question"),
    *("query", "input", "story", "context", "content", "body"),
)
_TEXTS = ("text", "content", "sentence", "passage", "paragraph", "review", "body")
_REFERENCES = (
    *("reference", "references", "summary", "summaries", "highlights", "tldr", "abstract", "target", "targets"),
    *("completion", "response", "output", "answer", "answers"),
)
# Numbered, these are references still: summary1 summary2. Numbered responses are rather there to be chosen from.
_NUMBERED = ("reference", "summary", "target")
_SOURCES = ("source", "subset", "dataset", "domain", "subreddit", "book")
_COMMON = {
    "id": ("id", "prompt_id", "uid", "uuid", "example_id", "doc_id", "paper_id", "fname"),
    "source": (),  # found beside the others: "source" may be what the text is from, or the text that is summarised
}


def _spread(rows: Sequence[Row], columns: Columns) -> dict[str, str | tuple[str, ...]]:
    """Find the second half of a prompt, and where rows come from, in a column that is nothing else."""
    found: dict[str, str | tuple[str, ...]] = {}
    present, prompt = list_columns(rows), columns.get("prompt")
    if isinstance(prompt, str) and fold_name(prompt) == "instruction" and (more := find_alike(present, ["input"])):
        found["prompt"] = (prompt, more)
    known = {**columns, **found}
    taken = {name for role in known for name in columns_of(known, role)}
    if "source" not in columns and (source := find_alike([name for name in present if name not in taken], _SOURCES)):
        found["source"] = source
    return found


def _spread_references(rows: Sequence[Row], columns: Columns) -> dict[str, str | tuple[str, ...]]:
    """Find references in several columns, and what else is spread."""
    found: dict[str, str | tuple[str, ...]] = {}
    if "reference" not in columns:
        families = gather_families(rows)
        if numbered := next((families[stem] for stem in _NUMBERED if stem in families), None):
            found["reference"] = tuple(numbered.values())
    return found | _spread(rows, {**columns, **found})


def _holds_prompt(row: Row, columns: Columns) -> bool:
    return isinstance(row.get(columns_of(columns, "prompt")[0]), str | list)


def _holds_reference(row: Row, columns: Columns) -> bool:
    names = columns_of(columns, "reference")
    return _holds_prompt(row, columns) and any(_is_reference(row.get(name)) for name in names)


def _is_reference(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and bool(value) and all(isinstance(each, str | dict) for each in value)
    )


def _holds_chat(row: Row, columns: Columns) -> bool:
    turns = row.get(column(columns, "messages"))
    return isinstance(turns, list) and bool(turns) and all(isinstance(turn, dict) for turn in turns)


def _holds_text(row: Row, columns: Columns) -> bool:
    return isinstance(row.get(column(columns, "text")), str)


CHATS = Layout(
    name="reference-chats",
    about="chats: what the assistant says last is the reference, and what comes before is the prompt",
    roles={"messages": ("messages",), **_COMMON},
    required=("messages",),
    fits=_holds_chat,
    spread=_spread,
)
REFERENCES = Layout(
    name="references",
    about="a prompt and one or more texts known to answer it well: summaries, translations, demonstrations",
    # A prompt called "source" comes last: beside another it rather says where the row is from.
    roles={"prompt": (*_PROMPTS, "text", "source"), "reference": _REFERENCES, **_COMMON},
    required=("prompt", "reference"),
    fits=_holds_reference,
    spread=_spread_references,
)
TEXTS = Layout(
    name="texts",
    about="one text a row",
    roles={"text": _TEXTS, **_COMMON},
    required=("text",),
    fits=_holds_text,
    spread=_spread,
)
PROMPTS = Layout(
    name="prompts",
    about="a prompt a row, with nothing that answers it",
    roles={"prompt": (*_PROMPTS, "source"), **_COMMON},
    required=("prompt",),
    fits=_holds_prompt,
    spread=_spread,
)


def read_document(row: Row, columns: Columns) -> Document:
    """Return the document that a row is; which shape it has, its roles tell."""
    read = next(read for role, read in _READERS.items() if role in columns)
    return Document(*read(row, columns), label(row, columns, "id"), label(row, columns, "source"))


def _read_chat(row: Row, columns: Columns) -> tuple[Prompt, tuple[str, ...]]:
    name = column(columns, "messages")
    turns = row.get(name)
    if not isinstance(turns, list) or not turns:
        found = "an empty list" if turns == [] else type_name(turns)
        raise DataError(f"{name!r} must be a list of messages, found {found}")
    chat = read_chat(turns, name)
    if chat[-1].role != "assistant":
        return chat, ()
    if len(chat) == 1:
        raise DataError(f"{name!r} holds nothing but an answer of the assistant: there is no prompt")
    _check_content(f"{name}[{len(chat) - 1}].content", chat[-1].content)
    return chat[:-1], (chat[-1].content,)


def _read_references(row: Row, columns: Columns) -> tuple[Prompt, tuple[str, ...]]:
    names = columns_of(columns, "reference")
    # Of several columns the last are often empty, where a prompt has fewer references than others.
    given = [name for name in names if row.get(name) not in (None, "")] if len(names) > 1 else names
    texts = tuple(text for name in given for text in _list_texts(row, name))
    if not texts:
        raise DataError(f"there is no reference in {', '.join(map(repr, names))}")
    return _read_prompt(row, columns)[0], texts


def _list_texts(row: Row, name: str) -> Iterator[str]:
    value = row.get(name)
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        turns = read_chat(value, name)
        if [turn.role for turn in turns] != ["assistant"]:
            found = ", ".join(turn.role for turn in turns)
            raise DataError(f"{name!r} must be one message of the assistant, found {shorten(found)}")
        value = turns[0].content
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str):
            found = type_name(text) if name in row else "nothing"
            raise DataError(f"{name!r} must be a text, or a list of texts, found {found}")
        _check_content(name, text)
        yield text


def _read_prompt(row: Row, columns: Columns) -> tuple[Prompt, tuple[str, ...]]:
    name = shorten(", ".join(columns_of(columns, "prompt")))
    prompt = read_given_prompt(row, columns)
    if isinstance(prompt, tuple):
        if not prompt:
            raise DataError(f"{name!r} must hold messages, found an empty list")
    else:
        _check_content(name, prompt)
    return prompt, ()


def _read_text(row: Row, columns: Columns) -> tuple[None, tuple[str, ...]]:
    name = column(columns, "text")
    _check_content(name, row.get(name))
    return None, (row[name],)


def _check_content(name: str, value: Any) -> None:
    check_text(name, value)
    if not value.strip():
        raise DataError(f"{name!r} must hold something, found {'white space' if value else 'an empty text'}")


# By the role that tells one shape from the others.
_READERS: Mapping[str, Callable[[Row, Columns], tuple[Prompt | None, tuple[str, ...]]]] = {
    "messages": _read_chat,
    "reference": _read_references,
    "text": _read_text,
    "prompt": _read_prompt,
}
