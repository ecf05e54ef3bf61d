"""Documents: which columns are the prompt, the reference and the text, and what is refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.contents import Message
from prefline.data.documents import Document, find_columns, read_documents
from prefline.data.errors import DataError
from prefline.data.ingestion import Rejection, ingest
from prefline.data.layout import Aids
from prefline.data.layouts import find_layout
from prefline.data.rows import Reading

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_all(path: Path, **options: Any) -> list[Document | Rejection]:
    return list(read_documents([path], **options))


def read_one(tmp_path: Path, row: dict[str, Any], **options: Any) -> Document:
    (found,) = read_all(write(tmp_path / "rows.jsonl", [row]), **options)
    assert isinstance(found, Document), found
    return found


def refuse(tmp_path: Path, row: dict[str, Any], beside: dict[str, Any]) -> str:
    """Return why a row is refused that stands beside two good ones."""
    rows = read_all(write(tmp_path / "rows.jsonl", [beside, row, beside]))
    assert [type(each) for each in rows] == [Document, Rejection, Document]
    assert isinstance(rows[1], Rejection)
    assert (rows[1].line, rows[1].row) == (2, row)
    return rows[1].reason


U, A = Message("user", "u"), Message("assistant", "a")
USER, ANSWER = {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "p", "reference": "r"}, Document("p", ("r",))),
        ({"prompt": "p", "references": ["r", "s"], "id": "7", "source": "web"}, Document("p", ("r", "s"), "7", "web")),
        ({"prompt": "p", "completion": " r\n"}, Document("p", (" r\n",))),  # to the letter
        ({"prompt": [USER], "completion": [ANSWER]}, Document((U,), ("a",))),
        ({"article": "p", "highlights": "r", "id": "x"}, Document("p", ("r",), "x")),
        ({"document": "p", "summary": "r"}, Document("p", ("r",))),
        ({"content": "p", "summary": "r", "subreddit": "tea"}, Document("p", ("r",), None, "tea")),
        ({"post": "p", "summary": "r", "subreddit": "tea", "title": "t"}, Document("p", ("r",), None, "tea")),
        ({"source": "p", "references": ["r"], "paper_id": "n"}, Document("p", ("r",), "n")),
        ({"source": "web", "text": "p", "summary": "r"}, Document("p", ("r",), None, "web")),
        ({"fname": "d", "dialogue": "p", "summary1": "r", "summary2": "s"}, Document("p", ("r", "s"), "d")),
        ({"fname": "d", "dialogue": "p", "summary1": "r", "summary2": ""}, Document("p", ("r",), "d")),
        ({"instruction": "i", "input": "j", "output": "r"}, Document("i\nj", ("r",))),
        ({"Instruction": "i", "Input": "j"}, Document("i\nj", ())),
        ({"instruction": "i", "input": "", "output": "r"}, Document("i", ("r",))),
        ({"Question": "p", "Answer": "r"}, Document("p", ("r",))),
        ({"messages": [USER, ANSWER, USER, ANSWER]}, Document((U, A, U), ("a",))),
        ({"messages": [USER]}, Document((U,), ())),
        ({"text": "t", "label": 1}, Document(None, ("t",))),
        ({"text": "t", "target": 1}, Document(None, ("t",))),  # a number is no reference
        ({"book": "b", "n": 0, "text": "t\n\nt"}, Document(None, ("t\n\nt",), None, "b")),
        ({"content": "t"}, Document(None, ("t",))),
        ({"prompt": "p"}, Document("p", ())),
        ({"prompt": "p", "summary1": 1}, Document("p", ())),
        ({"question": "p", "answers": {"text": ["r"]}}, Document("p", ())),
    ],
)
def test_columns_are_found(tmp_path: Path, row: dict[str, Any], expected: Document) -> None:
    assert read_one(tmp_path, row) == expected


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"prompt": "frage", "reference": "antwort"}, Document("f", ("a",), None, "s")),
        ({"prompt": ("text", "frage"), "reference": "antwort"}, Document("t\nf", ("a",), None, "s")),
        ({"prompt": "frage", "reference": ("antwort", "text")}, Document("f", ("a", "t"), None, "s")),
        ({"text": "frage"}, Document(None, ("f",), None, "s")),
        ({"reference": "antwort"}, Document("t", ("a",), None, "s")),  # the prompt is found
        ({"text": "source"}, Document(None, ("s",))),  # and so is no source any more
    ],
)
def test_columns_can_be_given(tmp_path: Path, columns: dict[str, Any], expected: Document) -> None:
    row = {"text": "t", "frage": "f", "antwort": "a", "source": "s"}
    assert read_one(tmp_path, row, columns=columns) == expected


def test_what_was_taken_for_what_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{"source": "p", "title": "t", "references": ["r"], "domain": "d"}])
    found = find_columns(path)
    assert found is not None
    assert list(found.describe()) == [
        "layout references: a prompt and one or more texts known to answer it well: summaries, translations, "
        "demonstrations",
        "  prompt    <- source",
        "  reference <- references",
        "  source    <- domain",
        "  not used: title",
    ]


def test_columns_that_are_of_no_shape_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{"frage": "f", "antwort": "a"}])
    with pytest.raises(
        DataError, match=r"rows.jsonl: .*the columns are frage, antwort.*--map prompt=COLUMN"
    ) as refusal:
        read_all(path)
    assert "\n" not in str(refusal.value)
    with pytest.raises(DataError, match="--map text=frag: there is no column 'frag' \\(did you mean 'frage'"):
        read_all(path, columns={"text": "frag"})
    with pytest.raises(DataError, match="no layout has a role 'txt' \\(did you mean 'text'"):
        read_all(path, columns={"txt": "frage"})


PAIR = {"prompt": "p", "reference": "r"}
CHAT = {"messages": [USER, ANSWER]}


@pytest.mark.parametrize(
    ("row", "beside", "reason"),
    [
        (PAIR | {"prompt": ""}, PAIR, "'prompt' must hold something, found an empty text"),
        (PAIR | {"prompt": " \n"}, PAIR, "'prompt' must hold something, found white space"),
        (PAIR | {"prompt": None}, PAIR, "'prompt' must be a string, found null"),
        (PAIR | {"prompt": 7}, PAIR, "'prompt' must be a string, found number"),
        (PAIR | {"prompt": []}, PAIR, "'prompt' must hold messages, found an empty list"),
        (PAIR | {"reference": ""}, PAIR, "'reference' must hold something, found an empty text"),
        (PAIR | {"reference": ["r", " "]}, PAIR, "'reference' must hold something, found white space"),
        (PAIR | {"reference": []}, PAIR, "there is no reference in 'reference'"),
        (PAIR | {"reference": None}, PAIR, "'reference' must be a text, or a list of texts, found null"),
        ({"prompt": "p"}, PAIR, "'reference' must be a text, or a list of texts, found nothing"),
        (PAIR | {"reference": ["r", 1]}, PAIR, "'reference' must be a text, or a list of texts, found number"),
        (PAIR | {"reference": [USER]}, PAIR, "'reference' must be one message of the assistant, found user"),
        (PAIR | {"reference": "a\0"}, PAIR, "'reference' holds the character NUL at offset 1, which no text has"),
        ({"text": "\t"}, {"text": "t"}, "'text' must hold something, found white space"),
        ({"text": None}, {"text": "t"}, "'text' must be a string, found null"),
        ({"messages": []}, CHAT, "'messages' must be a list of messages, found an empty list"),
        (
            {"messages": [USER, ANSWER | {"content": ""}]},
            CHAT,
            "'messages[1].content' must hold something, found an empty text",
        ),
        ({"messages": [ANSWER]}, CHAT, "'messages' holds nothing but an answer of the assistant: there is no prompt"),
        ({"messages": [{"role": "user"}]}, CHAT, "'messages[0].content' must be a string, found the keys 'role'"),
    ],
)
def test_a_row_without_something_is_refused_by_name(
    tmp_path: Path, row: dict[str, Any], beside: dict[str, Any], reason: str
) -> None:
    assert refuse(tmp_path, row, beside) == reason


def test_lines_that_are_no_rows_are_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "t"}\n{"text": \n[1]\n')
    first, second, third = read_all(path)
    assert first == Document(None, ("t",))
    assert isinstance(second, Rejection)
    assert isinstance(third, Rejection)
    assert (second.line, third.reason) == (2, "a row must be an object, found list")


# --- plain text ---


def test_a_paragraph_of_plain_text_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "prose.txt"
    path.write_bytes("\ufeff\n One\n  two\n \n\n\nThree \r\nfour\r\n\r\n[Fi\u2028ve".encode())
    expected = [Document(None, (text,)) for text in (" One\n  two", "Three \nfour", "[Fi\u2028ve")]
    assert read_all(path) == expected
    packed = tmp_path / "prose.txt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_all(packed) == expected
    path.write_bytes("Grün\n\nweiß".encode("cp1252"))
    assert [type(each) for each in read_all(path)] == [Rejection, Rejection]
    assert read_all(path, reading=Reading(encoding="cp1252")) == [Document(None, (text,)) for text in ("Grün", "weiß")]
    path.write_bytes("eins\n\nzwei".encode("utf-16"))
    assert read_all(path) == [Document(None, (text,)) for text in ("eins", "zwei")]


def test_rows_in_a_file_of_text_are_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_text(json.dumps({"text": "t"}) + "\n")
    assert read_all(path) == [Document(None, ("t",))]
    path.write_text("text\tlabel\nt\t1\n")
    assert read_all(path) == [Document(None, ("t",))]
    path.write_text("text,label\n\nt,1\n")
    assert read_all(path) == [Document(None, ("text,label",)), Document(None, ("t,1",))]
    assert read_all(path, reading=Reading(format="csv")) == [Document(None, ("t",))]


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(str.strip)


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=3), min_size=1, max_size=5), st.integers(1, 3))
def test_paragraphs_are_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, written: list[list[str]], blank: int
) -> None:
    path = tmp_path_factory.mktemp("prose") / "prose.txt"
    # A first line that is JSON, or a table, is taken for that; and a byte-order mark for none of the text.
    paragraphs = ["\n".join(lines) for lines in [["A beginning"], *written]]
    path.write_bytes(("\n" * (blank + 1)).join(paragraphs).encode())
    assert read_all(path) == [Document(None, (paragraph,)) for paragraph in paragraphs]


# --- files and folders ---


def test_all_files_of_a_folder_are_read_each_in_its_own_shape(tmp_path: Path) -> None:
    write(tmp_path / "1.jsonl", [PAIR])
    (tmp_path / "2.csv").write_text("text\nt\n")
    (tmp_path / "3.txt").write_text("prose")
    (tmp_path / "4.json").write_text("[]")
    documents = [Document("p", ("r",)), Document(None, ("t",)), Document(None, ("prose",))]
    assert read_all(tmp_path) == documents
    assert list(read_documents([tmp_path / "2.csv", tmp_path / "1.jsonl"])) == [documents[1], documents[0]]
    assert find_columns(tmp_path / "4.json") is None


def test_the_two_layouts_of_references_need_somebody_who_makes_the_others(tmp_path: Path) -> None:
    for row, name in ((PAIR, "references"), (CHAT, "reference-chats")):
        with pytest.raises(DataError, match=r"^prompts with references, .* --negatives last-mile") as refusal:
            find_layout([row])
        assert "\n" not in str(refusal.value)
        assert find_layout([row], None, None, Aids(synthesize=lambda _document: [])).layout.name == name
        path = write(tmp_path / f"{name}.jsonl", [row])
        (rejected,) = ingest(path, layout=name).rejected  # named by hand, it is refused row by row
        assert "--negatives last-mile" in rejected.reason
    seen: list[Document] = []
    aids = Aids(synthesize=lambda document: seen.append(document) or [])
    bare = ingest(write(tmp_path / "chats.jsonl", [CHAT, CHAT, {"messages": [USER]}]), aids=aids)
    assert seen == [Document((U,), ("a",))] * 2
    assert [row.reason for row in bare.rejected] == ["the chat does not end with the assistant: there is no reference"]


@pytest.mark.parametrize(
    ("file", "documents", "texts", "roles"),
    [
        ("summ_scitldr/scitldr_a.jsonl.gz", 2269, 3810, {"prompt": "source", "reference": "references"}),
        ("summ_dialogsum/dialogsum.jsonl.gz", 680, 1368, {"prompt": "dialogue", "reference": "summaries"}),
        ("summeval_bo4/docs.jsonl.gz", 71, 781, {"prompt": "text", "reference": "references"}),
        ("prose_gutenberg/passages.jsonl.gz", 862, 862, {"text": "text", "source": "book"}),
        ("sentiment_rt_polarity/sentences.jsonl.gz", 7459, 7459, {"text": "text"}),
        ("sentiment_uci_sentences/sentences.tsv.gz", 2110, 2110, {"text": "text", "source": "source"}),
    ],
)
def test_real_files_are_read_whole(file: str, documents: int, texts: int, roles: dict[str, str]) -> None:
    path = SHARED / file
    if not path.exists():
        pytest.skip("the shared data sets are not on this machine")
    found = find_columns(path)
    assert found is not None
    assert roles.items() <= found.columns.items()
    read = read_all(path)
    assert [row for row in read if isinstance(row, Rejection)] == []
    assert (len(read), sum(len(row.texts) for row in read if isinstance(row, Document))) == (documents, texts)
