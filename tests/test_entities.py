"""Names, numbers, sentences and pieces of texts: what is found where, by hand, and that nothing is lost."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel, WhitespaceSplit

from prefline.data.entities import Casing, find_entities
from prefline.data.pieces import find_gap, join_pieces, list_words, loosen, split_pieces, split_words
from prefline.data.quantities import draw_quantity, find_quantities, write_ordinal
from prefline.data.sentences import split_sentences

ORDINARY = Casing(
    [
        "we saw that the film was new, and however deep the networks were, they may march in the us",
        "it is not NOT not good",
    ]
)


def names(text: str, *beside: str) -> list[tuple[str, str]]:
    found = find_entities(text, Casing((text, *beside), ORDINARY))
    assert all(text[mention.start : mention.end] == mention.text for mention in found)
    return [(mention.text, mention.kind) for mention in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("We met Ann Lee in New York.", [("Ann Lee", "name of 2 words"), ("New York", "name of 2 words")]),
        ("However, The Film was new. We saw it.", []),  # common words, whatever they begin with
        ("I think I'm A good one.", []),
        ("#Person1# invites Jimmy's mother.", [("#Person1#", "tag"), ("Jimmy", "name")]),
        ("They use BERT and GANs, ResNet-50 too.", [("BERT", "acronym"), ("GANs", "acronyms"), ("ResNet-50", "name")]),
        ("It was NOT new.", []),
        ("On Friday Ann came in October.", [("Friday", "weekday"), ("Ann", "name"), ("October", "month")]),
        ("May we march in March?", []),  # the month is doubtful, so nothing is taken for one
        ("He called Mr. Lee, and Miss Ross too.", [("Lee", "surname"), ("Ross", "surname")]),
        (
            "a Gaussian one in the Globe Theatre",
            [("Gaussian", "adjective"), ("Globe Theatre", "name with the of 2 words")],
        ),
        ("we met Jean-Luc and O'Brien", [("Jean-Luc", "name"), ("O'Brien", "name")]),
        ("they saw Émile in Žilina", [("Émile", "name"), ("Žilina", "name")]),
        ("昨日は雨だった。", []),
        ("", []),
    ],
)
def test_what_is_a_name(text: str, found: list[tuple[str, str]]) -> None:
    assert names(text) == found


def test_a_word_that_begins_a_sentence_is_a_name_if_it_is_one_elsewhere() -> None:
    assert names("Zed agrees.") == []
    assert names("Zed agrees.", "and then Zed came") == [("Zed", "name")]
    assert names("Zed agrees.", "and then Zed came", "they zed and zed") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3 of 12 at 3:30 in 1999", [("3", "integer"), ("12", "integer"), ("3:30", "time"), ("1999", "year")]),
        ("1,050 or 0.5, the 21st.", [("1,050", "integer"), ("0.5", "decimal"), ("21st", "ordinal")]),
        (
            "Three two-layer nets, twenty-five",
            [("three", "unit"), ("two", "unit"), ("twenty", "ten"), ("five", "unit")],
        ),
        ("GPT-2, 3D, v1.2.3, #Person1#, 19/20 and one", []),
        ("It took 7. Then 100%.", [("7", "integer"), ("100", "integer")]),
        ("from 10-20, $5", [("10", "integer"), ("20", "integer"), ("5", "integer")]),
        ("often someone weighs a ton", []),
    ],
)
def test_what_is_a_number(text: str, found: list[tuple[str, str]]) -> None:
    mentions = find_quantities(text)
    assert [(mention.text, mention.kind) for mention in mentions] == found
    assert all(text[mention.start : mention.end].lower() == mention.text for mention in mentions)


@given(
    st.sampled_from(
        ["3", "12", "100", "1,050", "0.5", "007", "3:30", "15:45", "1999", "21st", "six", "twelve", "ninety", "million"]
    ),
    st.integers(),
)
def test_a_number_is_drawn_that_is_written_in_the_same_way(text: str, seed: int) -> None:
    (mention,) = find_quantities(text)
    drawn = draw_quantity(mention, random.Random(seed))
    (found,) = find_quantities(drawn)
    assert found.kind == mention.kind
    if mention.kind in ("integer", "decimal"):
        assert re.sub(r"\d", "0", drawn) == re.sub(r"\d", "0", text)


@pytest.mark.parametrize(("text", "form"), [("20", "[1-9]0"), ("1,500", "[1-9],[1-9]00"), ("1.05", r"[1-9]\.\d[1-9]")])
def test_a_round_number_stays_as_round(text: str, form: str) -> None:
    (mention,) = find_quantities(text)
    drawn = {draw_quantity(mention, random.Random(seed)) for seed in range(300)}
    assert all(re.fullmatch(form, number) for number in drawn)
    assert {number[0] for number in drawn} == set("123456789")


def test_ordinals() -> None:
    assert [write_ordinal(number) for number in (1, 2, 3, 4, 11, 12, 21, 111, 113)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "111th", "113th"]
    )


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It rains. It pours!  Does it?", ["It rains.", " It pours!", "  Does it?"]),
        ("See Mr. Lee, e.g. at 3.5 km. Go.", ["See Mr. Lee, e.g. at 3.5 km.", " Go."]),
        ("By A. B. Lee et al. This is new.", ["By A. B. Lee et al. This is new."]),  # "al." rather ends no sentence
        ("No. He said no. 5 is odd.", ["No.", " He said no. 5 is odd."]),
        ("See fig. 3 here. It ended etc. Then it began.", ["See fig. 3 here.", " It ended etc.", " Then it began."]),
        ('She said "Go." He went.', ['She said "Go."', " He went."]),
        ("Wait... what? yes", ["Wait... what? yes"]),
        ("it was good . i liked it .", ["it was good .", " i liked it ."]),  # no capital anywhere
        ("a line\nbroken\n\nand a title\n \nend", ["a line\nbroken", "\n\nand a title", "\n \nend"]),
        ("今日は。明日は！", ["今日は。", "明日は！"]),
        ("  One. \n", ["  One. \n"]),
        ("", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


TEXTS = st.text(st.sampled_from("ab AZ09 .,!?#-'\n\t。\u0301ñ你好ก्ि\U0001f600")) | st.text()


@given(TEXTS)
def test_pieces_words_and_sentences_in_their_order_are_the_text(text: str) -> None:
    for split in (split_pieces, split_words, split_sentences):
        pieces = split(text)
        assert "".join(pieces) == text
        assert all(pieces)
        assert all(piece.strip() for piece in pieces) or not text.strip()


@given(TEXTS, st.randoms(use_true_random=False))
def test_pieces_in_another_order_are_still_the_same_pieces(text: str, chance: random.Random) -> None:
    pieces = loosen(split_pieces(text.strip()))
    chance.shuffle(pieces)
    joined = join_pieces(pieces, whole=True)
    assert sorted(map(str.strip, split_pieces(joined))) == sorted(map(str.strip, pieces))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Well, a re-run.", ["Well", ",", " a", " re", "-", "run", "."]),
        ("cafe\u0301  नमस्ते", ["cafe\u0301", "  नमस्ते"]),  # an accent by itself, and vowel signs
        ("你好 ok", ["你", "好", " ok"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),  # one word of Persian
        ("👍🏽👍🎉 👨\u200d👩\u200d👧!", ["👍🏽", "👍", "🎉", " 👨\u200d👩\u200d👧", "!"]),  # what is shown as one sign
        ("🇩🇪🇫🇷", ["🇩🇪", "🇫🇷"]),
        ("a \n", ["a \n"]),
        (" ", [" "]),
        ("", []),
    ],
)
def test_pieces(text: str, pieces: list[str]) -> None:
    assert split_pieces(text) == pieces


@pytest.mark.parametrize(
    ("text", "words"),
    [("Well, a re-run.", ["Well,", " a", " re-run."]), ("你好。 GPT很好!", ["你", "好。", " GPT", "很", "好!"])],
)
def test_words_keep_their_signs(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_words_have_no_signs_and_no_case() -> None:
    assert list_words("Well, WELL -- a re-run!") == ["well", "well", "a", "re", "run"]


def test_pieces_are_joined_so_that_no_two_words_become_one() -> None:
    assert join_pieces(["run", "re", "-"], whole=True) == "run re-"
    assert join_pieces(["run", "re", "-"], whole=False) == "runre-"
    assert join_pieces(["  a", "你", "好"], whole=True) == "a你好"
    assert join_pieces(["a", " b", "c "], whole=True) == "a b c "
    assert join_pieces([], whole=True) == ""


@pytest.mark.parametrize(
    ("before", "after", "gap"),
    [("a.", "b", " "), ("好。", "《你", ""), ("好。", "a", " "), ("a", "你", " "), ("", "a", " ")],
)
def test_a_blank_comes_between_texts_unless_their_script_has_none(before: str, after: str, gap: str) -> None:
    assert find_gap(before, after) == gap


def byte_tokens() -> Tokenizer:
    """A token for each byte, as in GPT-2 before anything is merged."""
    tokenizer = Tokenizer(BPE(dict(zip(sorted(ByteLevel.alphabet()), range(256), strict=True)), []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    return tokenizer


@given(TEXTS)
def test_the_tokens_of_a_tokenizer_in_their_order_are_the_text(text: str) -> None:
    pieces = split_pieces(text, byte_tokens())
    assert "".join(pieces) == text
    assert all(pieces)


def test_tokens_that_share_a_character_are_one_piece() -> None:
    assert split_pieces("añ😀b", byte_tokens()) == ["a", "ñ", "😀", "b"]
    words = Tokenizer(WordLevel({"?": 0, "b": 1}, unk_token="?"))  # noqa: S106
    words.pre_tokenizer = WhitespaceSplit()
    assert split_pieces("aa  b\tcc ", words) == ["aa", "  b", "\tcc "]  # what no token covers goes with the next
