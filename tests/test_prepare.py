"""The stage `prepare`: what it writes, what it leaves out, and that prompts of today are those of tomorrow."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from processes import exit_code
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from prefline.data.digests import digest_prompt
from prefline.data.documents import Document, read_documents
from prefline.data.errors import ConfigError, DataError
from prefline.data.prompts import NO_END, NO_START, PromptFormat, load_format, load_prompts
from prefline.data.splitting import is_held_out
from prefline.pipeline import Artifact, Runtime, Store, make
from prefline.pipeline.prepare import PREPARE, PrepareParams
from prefline.pipeline.preparing import CHAT
from prefline.pipeline.sources import SourceFile, SourceFolder

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
WORDS = [
    "rain",
    "wind",
    "sun",
    "snow",
    "hail",
    "fog",
    "frost",
    "cloud",
    "storm",
    "dew",
    "mist",
    "heat",
    "cold",
    "breeze",
    "gale",
    "sleet",
    "thaw",
    "ice",
    "flood",
    "pond",
]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(artifact: Artifact, name: str) -> list[Any]:
    return [json.loads(line) for line in (artifact.path / name).read_text(encoding="utf-8").split("\n") if line]


def prepare(store: Store, path: Path, runtime: Runtime | None = None, **params: Any) -> Artifact:
    inputs: dict[str, Any] = {"source": (SourceFolder if path.is_dir() else SourceFile).read(path)}
    if tokenizer := params.pop("tokenizer", None):
        inputs["tokenizer"] = SourceFile.read(tokenizer)
    return make(store, PREPARE, params=params, inputs=inputs, runtime=runtime).artifact


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of single bytes, so that lengths can be counted by hand."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={byte: place for place, byte in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


def make_texts(number: int) -> list[str]:
    """Return texts of which no two share a run of three words."""
    return [f"a{place} {WORDS[place % 20]} b{place} {WORDS[place // 20 % 20]} c{place}" for place in range(number)]


ROWS = [
    {"id": "1", "text": "x.One two. Three"},
    {"id": "2", "text": "no full stop"},
    {"id": "3", "text": "z.One two. Four"},  # gives the same prompt as the first
    {"id": "4", "text": "y.Five"},
    {"text": "ends so."},
    {"text": 7},
]
STYLE = {"length": 12, "start_after": ".", "end_at": "."}


def test_an_artifact_holds_prompts_what_was_refused_and_how_they_were_cut(
    store: Store, tmp_path: Path, tokenizer: Path
) -> None:
    path = write(tmp_path / "rows.jsonl", ROWS)
    artifact = prepare(store, path, **STYLE, held_out=0, max_rejected="1", suffix=" ->", tokenizer=tokenizer)
    digest = digest_prompt("ends so.").hex()
    assert read(artifact, "train.jsonl") == [{"id": "1", "prompt": "One two."}, {"id": digest, "prompt": "ends so."}]
    assert read(artifact, "held_out.jsonl") == []
    assert read(artifact, "rejected.jsonl") == [
        {"file": "source", "line": 6, "reason": "'text' must be a string, found number", "row": {"text": 7}}
    ]
    form = PromptFormat(length=12, start_after=".", end_at=".", suffix=" ->")
    assert load_format(artifact.path) == form
    assert (artifact.path / "tokenizer.json").read_bytes() == tokenizer.read_bytes()
    data = artifact.manifest.data
    assert data == {
        "documents": 5,
        "prompts": 2,
        "train": 2,
        "held_out": 0,
        "repeated": 1,
        "skipped": {NO_START: 1, NO_END: 1},
        "tokens": {"least": 8, "median": 8, "most": 8},
        "cut": {"begun_later": 2, "ended_earlier": 2},
        "rejected": 1,
        "format": form.model_dump(),
    }
    assert artifact.manifest.feedback == ()
    assert artifact.manifest.kind == "prompts"


def test_prompts_are_held_out_by_the_rule_by_which_comparisons_are(store: Store, tmp_path: Path) -> None:
    texts = make_texts(400)
    artifact = prepare(store, write(tmp_path / "rows.jsonl", [{"prompt": text} for text in texts]), held_out=0.25)
    held = [text for text in texts if is_held_out(digest_prompt(text), 0.25)]
    assert load_prompts(artifact.path / "held_out.jsonl") == held
    assert load_prompts(artifact.path / "train.jsonl") == [text for text in texts if text not in held]
    assert 60 < len(held) < 140


def test_near_duplicates_are_on_one_side(store: Store, tmp_path: Path) -> None:
    texts = [" ".join(make_texts(400)[place : place + 20]) for place in range(0, 400, 20)]
    pairs = [[text, text + " and more"] for text in texts]
    path = write(tmp_path / "rows.jsonl", [{"prompt": text} for pair in pairs for text in pair])
    artifact = prepare(store, path, held_out=0.5)
    train = {*load_prompts(artifact.path / "train.jsonl")}
    assert all(len(train.intersection(pair)) in (0, 2) for pair in pairs)
    assert 0 < len(train) < 40
    alone = prepare(store, path, held_out=0.5, near_duplicates=1)
    assert {*load_prompts(alone.path / "train.jsonl")} < train


def test_texts_are_edited_only_as_asked(store: Store, tmp_path: Path) -> None:
    text = "  By\nme\n\n\n\nIt\u2019s raining. \n"
    path = write(tmp_path / "rows.jsonl", [{"article": text, "highlights": " Rain \n", "subreddit": "weather"}])
    (plain,) = read(prepare(store, path, held_out=0), "train.jsonl")
    assert (plain["prompt"], plain["references"], plain["source"]) == (text, [" Rain \n"], "weather")
    (cleaned,) = read(prepare(store, path, held_out=0, clean=["ends,byline", "quotes"]), "train.jsonl")
    assert (cleaned["prompt"], cleaned["references"]) == ("\n\n\nIt's raining.", [" Rain \n"])


def test_what_was_prepared_is_read_as_documents_again(store: Store, tmp_path: Path) -> None:
    rows = [{"prompt": "p", "summaries": ["r", "s"]}, {"prompt": "q\u2028", "summaries": ["t"]}]
    artifact = prepare(store, write(tmp_path / "rows.jsonl", rows), held_out=0)
    documents = [item for item in read_documents([artifact.path / "train.jsonl"]) if isinstance(item, Document)]
    assert [(item.prompt, item.texts) for item in documents] == [("p", ("r", "s")), ("q\u2028", ("t",))]


def test_chats_are_kept_whole_or_skipped(store: Store, tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "Is it raining?"}]
    path = write(tmp_path / "rows.jsonl", [{"prompt": chat}, {"prompt": "Is it?"}])
    assert [row["prompt"] for row in read(prepare(store, path, held_out=0), "train.jsonl")] == [chat, "Is it?"]
    framed = prepare(store, path, held_out=0, suffix="?")
    assert [row["prompt"] for row in read(framed, "train.jsonl")] == ["Is it?"]
    assert framed.manifest.data["skipped"] == {CHAT: 1}


def test_sentences_become_passages_before_they_are_cut(store: Store, tmp_path: Path, tokenizer: Path) -> None:
    rows = [{"text": text, "book": "b"} for text in ("He ran.", "She sat.", "It was. Late.", "So.")]
    made = prepare(
        store, write(tmp_path / "rows.jsonl", rows), **STYLE, passage_words=4, held_out=0, tokenizer=tokenizer
    )
    # "He ran. She sat." and "It was. Late. So.", begun after the first full stop, and of those 12 tokens at most.
    assert [(row["prompt"], row["source"]) for row in read(made, "train.jsonl")] == [
        (" She sat.", "b"),
        (" Late. So.", "b"),
    ]
    assert made.manifest.data["documents"] == 2


def test_paragraphs_of_plain_text_are_documents(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("It rained\nall day.\n\nThen it stopped.\n")
    made = prepare(store, path, clean=["unwrap"], held_out=0)
    assert [row["prompt"] for row in read(made, "train.jsonl")] == ["It rained all day.", "Then it stopped."]


def test_a_folder_of_stories_is_read_a_file_a_story(store: Store, tmp_path: Path, tokenizer: Path) -> None:
    folder = tmp_path / "stories"
    folder.mkdir()
    (folder / "a1.story").write_text("ROME (CNN) -- Rain.\n\n\n\nMore.\n\nSo on.\n\n@highlight\n\nIt rains\n")
    (folder / "b2.story").write_text("@highlight\n\nNothing")
    (folder / "notes.txt").write_text("not a story")
    settings: dict[str, Any] = {"clean": "news", "end_at": "\n", "length": 14, "tokenizer": tokenizer, "held_out": 0}
    made = prepare(store, folder, **settings, max_rejected="1")
    # "Rain.\n\nMore.\n\nSo on." once it is clean; the window ends after "\n\n".
    assert read(made, "train.jsonl") == [{"id": "a1", "prompt": "Rain.\n\nMore.\n\n", "references": ["It rains"]}]
    (refused,) = read(made, "rejected.jsonl")
    assert (refused["file"], refused["reason"]) == ("b2.story", "no story before the highlights")
    single = prepare(store, folder / "a1.story", **settings)
    assert read(single, "train.jsonl") == read(made, "train.jsonl")


def test_what_cannot_be_done_is_said_in_a_line(store: Store, tmp_path: Path, tokenizer: Path) -> None:
    path = write(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(ConfigError, match=r"cut and counted in tokens: give the tokenizer \(--tokenizer\)"):
        prepare(store, path, length=3)
    with pytest.raises(ConfigError, match=r"clean: unknown clean-up 'new' \(did you mean 'news'\?\)"):
        PrepareParams.parse({"clean": ["new"]})
    with pytest.raises(DataError, match=r"found none: 4 skipped: .* end at; 1 skipped: .* start after"):
        prepare(store, path, length=1, start_after=".", end_at=".", max_rejected="1", tokenizer=tokenizer)
    with pytest.raises(DataError, match=r"(?s)1 of 6 rows cannot be read.*line 6: 'text' must be") as caught:
        prepare(store, path)
    kept = next(store.root.glob("runs/*/rejected.jsonl"))
    assert str(kept) in str(caught.value)
    assert json.loads(kept.read_text())["row"] == {"text": 7}
    with pytest.raises(DataError, match="expected texts or prompts, found no row"):
        prepare(store, write(tmp_path / "empty.jsonl", []))
    assert not list(store.ids())


def prepare_in(root: Path, path: Path) -> None:
    prepare(Store.create(root), path, held_out=0.2)


@pytest.mark.parametrize("failpoint", ["draft.written:1", "publish.renamed:1", "run.finished:1"])
def test_a_kill_leaves_nothing_half_made(tmp_path: Path, failpoint: str) -> None:
    path = write(tmp_path / "rows.jsonl", [{"text": text} for text in make_texts(50)])
    prepare_in(tmp_path / "whole", path)
    assert exit_code(prepare_in, tmp_path / "killed", path, failpoint=failpoint) == -9
    prepare_in(tmp_path / "killed", path)
    assert list(Store.open(tmp_path / "killed").ids()) == list(Store.open(tmp_path / "whole").ids())


class Shown:
    """What a person sees."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, text: str) -> None:
        self.lines += text.splitlines()

    def update(self, *_: Any, **__: Any) -> None:
        """Count nothing."""

    def close(self) -> None:
        """Hold nothing."""


def test_people_are_told_what_became_of_documents(store: Store, tmp_path: Path, tokenizer: Path) -> None:
    shown: Any = Shown()
    path = write(tmp_path / "rows.jsonl", ROWS)
    prepare(store, path, Runtime(progress=lambda _: shown), **STYLE, held_out=0, max_rejected="1", tokenizer=tokenizer)
    assert "  text <- text" in shown.lines
    assert (
        shown.lines[-7:]
        == [
            "2 prompts of 5 documents: 2 to train on, 0 held out",
            f"  1 skipped: {NO_START}; 1 skipped: {NO_END}",
            "  1 repeat of a prompt left out",
            "  tokens: 8 to 8, median 8",
            "  begun later than the document: 2; ended earlier: 2",
            "  such as: One two.",
            "  such as: One two.",
        ]
        or shown.lines[-8:]
    )


# --- real texts ---


def find(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip("the shared data sets are not on this machine")
    return path


def train_tokenizer(path: Path, column: str, target: Path) -> Path:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        texts = [json.loads(line)[column] for line in lines][:300]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=1000, initial_alphabet=alphabet, show_progress=False)
    )
    made.save(str(target))
    return target


def test_prompts_of_a_novel_are_made_as_those_of_books_were_in_2019(store: Store, tmp_path: Path) -> None:
    path = find("prose_gutenberg/passages.jsonl.gz")
    tokens = Tokenizer.from_file(str(made := train_tokenizer(path, "text", tmp_path / "tokenizer.json")))
    artifact = prepare(store, path, length=64, start_after=".", end_at=".", tokenizer=made)
    train, held_out = (read(artifact, name) for name in ("train.jsonl", "held_out.jsonl"))
    assert len(train) + len(held_out) > 400
    assert {row["source"] for row in train} == {"Alice", "Pride and Prejudice"}
    for row in train + held_out:
        assert row["prompt"].endswith(".")
        assert len(tokens.encode(row["prompt"]).ids) <= 64
    longer = prepare(store, path, length=64, start_after=".", end_at=".", passage_words=400, tokenizer=made)
    assert longer.manifest.data["documents"] < artifact.manifest.data["documents"] / 2


@pytest.mark.parametrize(
    ("name", "column", "length"),
    [("summ_scitldr/scitldr_a.jsonl.gz", "source", 100), ("summ_dialogsum/dialogsum.jsonl.gz", "dialogue", 500)],
    ids=["scitldr", "dialogsum"],
)
def test_what_people_summarised_becomes_prompts_with_references(
    store: Store, tmp_path: Path, name: str, column: str, length: int
) -> None:
    path = find(name)
    made = train_tokenizer(path, column, tmp_path / "tokenizer.json")
    artifact = prepare(store, path, length=length, suffix="\n\nTL;DR:", tokenizer=made)
    rows = read(artifact, "train.jsonl") + read(artifact, "held_out.jsonl")
    data = artifact.manifest.data
    assert len(rows) == data["prompts"] == data["documents"] - data["repeated"]
    assert data["tokens"]["most"] == length or column == "dialogue"
    assert all(row["references"] for row in rows)
    assert {row["prompt"] for row in read(artifact, "train.jsonl")}.isdisjoint(
        row["prompt"] for row in read(artifact, "held_out.jsonl")
    )
