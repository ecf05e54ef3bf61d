"""Prompts: cut out of documents in tokens, as in 2019, and the same tokens when they are read by themselves."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from prefline.data.contents import Message
from prefline.data.documents import Document
from prefline.data.errors import ConfigError, DataError
from prefline.data.ingestion import Rejection
from prefline.data.passages import make_passages, read_stories
from prefline.data.prompts import (
    EMPTY,
    NO_END,
    NO_START,
    OTHER_TOKENS,
    TOO_SHORT,
    PromptFormat,
    Skipped,
    Trimmed,
    Trimming,
    frame,
    load_format,
    load_prompts,
)

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
STYLE = PromptFormat(length=6, start_after=".", end_at=".")


def make_bytes() -> Tokenizer:
    """Every byte is a token, so that lengths can be counted by hand."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={byte: place for place, byte in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train_bytes(texts: list[str], *, trims: bool = False) -> Tokenizer:
    """Train a tokenizer of the kind of GPT-2; where it trims offsets, they leave the space before a word out."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trims)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def train_pieces(texts: list[str]) -> Tokenizer:
    """Train a tokenizer of the kind of Llama 2, which adds a space to the beginning of every text."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))  # noqa: S106
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    words = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


BYTES = make_bytes()
PROSE = ["The cat sat. It purred, and sat on. Über café naïve. The dog ran off, too.", 'He said "no." She left. So.']
TRAINED = {"gpt2": train_bytes(PROSE), "trimmed": train_bytes(PROSE, trims=True), "pieces": train_pieces(PROSE)}


def trim(text: str, form: PromptFormat, tokenizer: Tokenizer = BYTES) -> Trimmed | Skipped:
    (found,) = Trimming(form, tokenizer).trim([text])
    return found


# --- cut out of documents ---


@pytest.mark.parametrize(
    ("document", "prompt", "first"),
    [
        ("a.bc.de", "bc.", 2),  # the window is "bc.de"
        ("a.b.c.d.e.", "b.c.d.", 2),  # of "b.c.d.e." six tokens
        ("a.bcde.f.", "bcde.", 2),  # the window is "bcde.f"
        ("a.", "a.", 0),  # [1, 13]: the first full stop is the last token, so the beginning stays
        (".", ".", 0),
        ("..", ".", 1),
    ],
)
def test_a_prompt_begins_after_the_first_full_stop_and_ends_at_the_last(document: str, prompt: str, first: int) -> None:
    tokens = tuple(BYTES.encode(prompt).ids)
    assert trim(document, STYLE) == Trimmed(prompt, tokens, first, len(document))


@pytest.mark.parametrize(
    ("document", "reason"),
    [("abc", NO_START), ("", NO_START), ("a.b", NO_END), ("a.bcdefgh.", NO_END), ("abcdefgh.", NO_END)],
)
def test_a_document_without_a_full_stop_where_it_is_needed_is_skipped(document: str, reason: str) -> None:
    # The last document ends with its first full stop, so it keeps its beginning, in which there is none.
    assert trim(document, STYLE) == Skipped(reason)


def test_what_is_empty_or_too_short_is_skipped() -> None:
    form = PromptFormat(length=9, end_at="\n", shortest=3)
    assert trim("ab\ncd", form) == Trimmed("ab\n", tuple(BYTES.encode("ab\n").ids), 0, 5)
    assert trim("a\nbc", form) == Skipped(TOO_SHORT)
    assert trim("\n\n\nabcdefghijk", form) == Skipped(EMPTY)
    assert trim("", PromptFormat(length=1)) == Skipped(EMPTY)


@pytest.mark.parametrize(("length", "prompt"), [(1, "a"), (2, "a"), (3, "aé"), (4, "aéb"), (9, "aéb")])
def test_no_character_is_cut_in_two(length: int, prompt: str) -> None:
    found = trim("aéb", PromptFormat(length=length))  # é is two bytes
    assert isinstance(found, Trimmed)
    assert (found.text, len(found.tokens)) == (prompt, len(prompt.encode()))
    assert trim("é", PromptFormat(length=1)) == Skipped(OTHER_TOKENS)


def test_a_document_that_is_not_cut_is_kept_to_the_letter() -> None:
    for text in ("  a b \n", " ", "\u00a0x\u2028"):
        found = trim(text, PromptFormat(length=99), TRAINED["gpt2"])
        assert found == Skipped(EMPTY) if not text.strip() else isinstance(found, Trimmed) and found.text == text


def trim_as_in_2019(tokens: list[int], form: PromptFormat, stop: int) -> list[int] | None:
    if stop not in tokens:
        return None
    after = tokens.index(stop) + 1
    if after < len(tokens):
        tokens = tokens[after:]
    tokens = tokens[: form.length]
    while tokens and tokens[-1] != stop:
        tokens.pop()
    return tokens or None


@given(st.text("ab.", max_size=30), st.integers(1, 12))
def test_where_every_character_is_a_token_prompts_are_those_of_2019(document: str, length: int) -> None:
    form = PromptFormat(length=length, start_after=".", end_at=".")
    expected = trim_as_in_2019(BYTES.encode(document).ids, form, BYTES.encode(".").ids[0])
    found = trim(document, form)
    assert (list(found.tokens) if isinstance(found, Trimmed) else None) == expected


@pytest.mark.parametrize("kind", ["gpt2", "trimmed", "pieces"])
@given(
    document=st.text("Thecatsdog ü., \n\"'", max_size=60) | st.sampled_from(PROSE),
    length=st.none() | st.integers(1, 20),
    start=st.sampled_from([None, "."]),
    end=st.sampled_from([None, ".", ","]),
)
def test_a_prompt_is_a_run_of_the_tokens_of_its_document(
    kind: str, document: str, length: int | None, start: str | None, end: str | None
) -> None:
    tokenizer = TRAINED[kind]
    found = trim(document, PromptFormat(length=length, start_after=start, end_at=end), tokenizer)
    if isinstance(found, Skipped):
        return
    tokens = tokenizer.encode(document).ids
    assert found.text in document
    assert list(found.tokens) == tokens[found.first : found.first + len(found.tokens)]
    assert list(found.tokens) == tokenizer.encode(found.text).ids
    assert 0 < len(found.tokens) <= (length or len(tokens))
    assert found.of == len(tokens)
    if end is not None:
        assert found.text.endswith(end)
    if start is not None and found.first:
        assert tokenizer.decode([tokens[found.first - 1]]) == start
        assert found.tokens[0] == tokens[found.first]


@pytest.mark.parametrize("kind", ["gpt2", "trimmed", "pieces"])
def test_any_kind_of_tokenizer_finds_the_full_stop_within_a_text(kind: str) -> None:
    found = trim(PROSE[0], PromptFormat(start_after=".", end_at=".", length=30), TRAINED[kind])
    assert isinstance(found, Trimmed)
    # With the space that GPT-2 counts to the word; to the other kind of tokenizer the beginning of a text has one.
    assert found.text.startswith("It purred" if kind == "pieces" else " It purred")


def test_what_is_no_token_is_refused() -> None:
    for form, found in [
        (PromptFormat(start_after=".."), "'start_after' .* one token .* found '..', which is 2 tokens"),
        (PromptFormat(end_at=""), "'end_at' .* found '', which is 0 tokens"),
        (
            PromptFormat(end_at="Ã"),
            "'end_at' .* found 'Ã', which is 2 tokens",
        ),  # the name of a byte
    ]:
        with pytest.raises(ConfigError, match=found):
            Trimming(form, BYTES)


def test_a_format_that_no_prompt_could_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the fewest tokens of a prompt \(5\) are more than the most \(4\)"):
        PromptFormat.parse({"length": 4, "shortest": 5})
    with pytest.raises(ConfigError, match=r"unknown key 'sufix' \(did you mean 'suffix'\?\)"):
        PromptFormat.parse({"sufix": "x"})


# --- what the policy sees ---


def test_the_policy_sees_prefix_prompt_and_suffix_and_the_reward_model_the_prompt() -> None:
    form = PromptFormat(length=5, prefix="Article:\n\n", suffix="\n\nTL;DR:")
    found = trim("Rain in Rome.", form)
    assert isinstance(found, Trimmed)
    assert found.text == "Rain "
    seen = frame(found.text, form)
    assert seen == "Article:\n\nRain \n\nTL;DR:"
    assert len(BYTES.encode(str(seen)).ids) == 10 + len(found.tokens) + 8
    chat = (Message("user", "hi"),)
    assert frame(chat, PromptFormat()) == chat
    with pytest.raises(DataError, match="a chat, or token ids, takes no prefix and no suffix"):
        frame(chat, form)


def test_prompts_and_their_format_are_read_from_files(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    rows = [{"id": "1", "prompt": "a\u2028", "references": ["r"]}, {"id": "2", "prompt": "b", "references": ["r", "s"]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert load_prompts(path) == ["a\u2028", "b"]
    path.write_text('{"text": "a"}\n{"text": 1}\n{"text": "b"}\n')
    with pytest.raises(DataError, match=r"train\.jsonl: train\.jsonl, line 2: 'text' must be a string"):
        load_prompts(path)
    (tmp_path / "format.json").write_text(json.dumps(STYLE.model_dump()))
    assert load_format(tmp_path) == load_format(tmp_path / "format.json") == STYLE
    with pytest.raises(DataError, match="expected the format of prompts, found none"):
        load_format(tmp_path / "none.json")


# --- passages and stories ---


def texts(*texts: str, source: str | None = None) -> list[Document]:
    return [Document(None, (text,), source=source) for text in texts]


def passages(documents: list[Document], words: int) -> list[str]:
    return [text for document in make_passages(documents, words) for text in document.texts]


def test_sentences_are_joined_and_long_texts_are_cut() -> None:
    assert passages(texts("a b.", "c.", "d.", "e f."), 3) == ["a b. c.", "d. e f."]
    assert passages(texts("a b.", "c."), 4) == ["a b. c."]  # what is left over is not lost
    assert passages(texts("a b  c\nd e f g"), 3) == ["a b  c", "d e f g"]
    assert passages(texts("a b c d e"), 3) == ["a b c d e"]
    assert passages([*texts("a b", source="x"), *texts("c", "d", source="y")], 3) == ["a b", "c d"]
    asked = Document("p", ("r",), "1", "x")
    assert list(make_passages([*texts("a"), asked, *texts("b")], 2)) == [*texts("a"), asked, *texts("b")]


@given(st.lists(st.text("ab. \n", min_size=1).filter(str.strip), max_size=8), st.integers(1, 6))
def test_passages_hold_the_words_of_their_texts_in_order(given: list[str], words: int) -> None:
    made = passages(texts(*given), words)
    assert " ".join(made).split() == " ".join(given).split()
    assert all(words <= len(text.split()) < 3 * words for text in made[:-1])


def test_a_story_is_a_prompt_with_its_highlights(tmp_path: Path) -> None:
    story = "(CNN) -- Rain.\n\nMore rain.\n\n@highlight\n\nIt rains\n\n@highlight\n\nMore to come"
    for name, content in (("a1.story", story), ("b2.story", "Sun."), ("c3.story", "\n@highlight\n\nx")):
        (tmp_path / name).write_text(content)
    (tmp_path / "d4.story").write_bytes(b"caf\xe9")
    assert list(read_stories(sorted(tmp_path.iterdir()))) == [
        Document("(CNN) -- Rain.\n\nMore rain.\n\n", ("It rains\nMore to come",), "a1"),
        Document("Sun.", (), "b2"),
        Rejection("c3.story", 1, "no story before the highlights", None),
        Rejection(
            "d4.story", 1, "not UTF-8: byte 0xe9 at offset 3 (--encoding says what else a whole file is in)", None
        ),
    ]


# --- real texts ---


def test_prompts_of_real_prose() -> None:
    path = SHARED / "prose_gutenberg" / "passages.jsonl.gz"
    if not path.exists():
        pytest.skip("the shared data sets are not on this machine")
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        prose = [json.loads(line)["text"] for line in lines]
    tokenizer = train_bytes(prose[:300])
    form = PromptFormat(length=64, start_after=".", end_at=".")
    stop = tokenizer.encode(".").ids[0]
    kept = 0
    for text, found in zip(prose, Trimming(form, tokenizer).trim(prose), strict=True):
        expected = trim_as_in_2019(tokenizer.encode(text).ids, form, stop)
        assert (list(found.tokens) if isinstance(found, Trimmed) else None) == expected
        kept += isinstance(found, Trimmed)
    assert kept > len(prose) / 2
