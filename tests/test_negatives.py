"""Each class of negatives: what must hold of it, on texts made by hand, at random, and by people."""

import gzip
import json
import random
import re
from collections.abc import Callable
from functools import cache
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from prefline.data.documents import Document
from prefline.data.entities import Casing, Mention, find_entities
from prefline.data.errors import ConfigError
from prefline.data.material import Material, Positive
from prefline.data.negatives import ALIASES, CLASSES, check_classes, find_family, make_negative
from prefline.data.pieces import fold, split_pieces
from prefline.data.quantities import find_quantities
from prefline.data.sentences import split_sentences

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
REAL = {
    "scitldr": ("summ_scitldr/scitldr_a.jsonl.gz", "source", "references"),
    "dialogsum": ("summ_dialogsum/dialogsum.jsonl.gz", "dialogue", "summaries"),
}
ROWS = 200
UNSPACED = "你好"  # of these characters each is a word


def words_of(text: str) -> list[str]:
    return re.findall(rf"[{UNSPACED}]|[^\s{UNSPACED}]+", text)


def check_random(positive: Positive, material: Material, text: str) -> None:
    pieces = [piece.strip() for piece in split_pieces(text)]
    assert len(pieces) == len(split_pieces(positive.reference))
    assert set(pieces) <= {piece.strip() for piece in material.vocabulary.texts}


def check_irrelevant(positive: Positive, material: Material, text: str) -> None:
    assert any(text in texts for place, texts in enumerate(material.references) if place != positive.place)


def check_tokens(positive: Positive, _material: Material, text: str) -> None:
    assert sorted(map(str.strip, split_pieces(text))) == sorted(map(str.strip, split_pieces(positive.reference)))


def check_words(positive: Positive, _material: Material, text: str) -> None:
    assert sorted(words_of(text)) == sorted(words_of(positive.reference))


def check_sentences(positive: Positive, material: Material, text: str) -> None:
    sentences = [sentence.strip() for sentence in split_sentences(positive.reference)]
    assert len(sentences) >= 2
    assert all(sentence in text for sentence in sentences)
    check_words(positive, material, text)


def check_repetitive(positive: Positive, _material: Material, text: str) -> None:
    words, reference = words_of(text), words_of(positive.reference)
    assert len(words) >= 2 * len(reference)
    (size, *_) = [size for size in range(1, 9) if words == words[:size] * (len(words) // size)]
    assert f" {' '.join(words[:size])} " in f" {' '.join(reference)} "


def check_prefix(positive: Positive, _material: Material, text: str) -> None:
    assert positive.prompt.strip().startswith(text)
    assert len(words_of(text)) == min(len(words_of(positive.reference)), len(words_of(positive.prompt)))


def check_lead(positive: Positive, _material: Material, text: str) -> None:
    sentences = split_sentences(positive.prompt.lstrip())
    assert positive.prompt.strip().startswith(text)
    assert len(text) == len("".join(sentences[:3]).rstrip())


def check_whole(positive: Positive, _material: Material, text: str) -> None:
    assert text == positive.prompt.strip()


def check_truncated(positive: Positive, _material: Material, text: str) -> None:
    assert positive.reference.startswith(text)
    assert positive.reference[len(text)].isspace() or text[-1] in UNSPACED
    assert text[-1] not in ".!?"


def check_long(positive: Positive, material: Material, text: str) -> None:
    assert text.startswith(positive.reference)
    assert text[len(positive.reference)] == " " or text[len(positive.reference) - 1] in UNSPACED
    assert len(words_of(text)) >= 2 * len(words_of(positive.reference))
    others = [text for place, texts in enumerate(material.references) if place != positive.place for text in texts]
    assert {*words_of(text[len(positive.reference) :])} <= {word for other in others for word in words_of(other)}


def check_empty(_positive: Positive, _material: Material, text: str) -> None:
    assert text == ""


def check_swap(reference: str, mentions: list[Mention], text: str) -> list[tuple[Mention, str]]:
    """All is as it was outside the spans; return those that are not, each with what stands there now."""
    borders = [0, *(place for mention in mentions for place in (mention.start, mention.end)), len(reference)]
    kept = [reference[start:end] for start, end in list(pairwise(borders))[::2]]
    found = re.fullmatch("(.+?)".join(map(re.escape, kept)), text, re.DOTALL)
    assert found
    spans = zip(mentions, found.groups(), strict=True)
    changed = [(mention, new) for mention, new in spans if new != reference[mention.start : mention.end]]
    assert changed
    return changed


def check_entities(positive: Positive, material: Material, text: str) -> None:
    casing = Casing((positive.reference, positive.prompt), material.casing)
    check_swap(positive.reference, find_entities(positive.reference, casing), text)


def check_numbers(positive: Positive, _material: Material, text: str) -> None:
    for old, new in check_swap(positive.reference, find_quantities(positive.reference), text):
        (found,) = find_quantities(new)
        assert found.kind == old.kind


CHECKS: dict[str, Callable[[Positive, Material, str], None]] = {
    "random-even": check_random,
    "random-frequent": check_random,
    "irrelevant-any": check_irrelevant,
    "irrelevant-near": check_irrelevant,
    "shuffled-tokens": check_tokens,
    "shuffled-words": check_words,
    "shuffled-sentences": check_sentences,
    "repetitive": check_repetitive,
    "copied-prefix": check_prefix,
    "copied-lead": check_lead,
    "copied-whole": check_whole,
    "truncated": check_truncated,
    "over-long": check_long,
    "empty": check_empty,
    "swapped-entities": check_entities,
    "swapped-numbers": check_numbers,
}
# The least share of rows of which a class can be made: sentences, names and numbers are not in all of them.
SHARES = {
    ("scitldr", "shuffled-sentences"): 0.03,
    ("dialogsum", "shuffled-sentences"): 0.4,
    ("scitldr", "swapped-entities"): 0.35,
    ("dialogsum", "swapped-entities"): 0.8,
    ("scitldr", "swapped-numbers"): 0.04,
    ("dialogsum", "swapped-numbers"): 0.08,
}


def make(name: str, document: Document, material: Material, seed: int = 0) -> str | None:
    """Make a negative of a document's first reference, and check what must hold of its class."""
    assert isinstance(document.prompt, str)
    positive = Positive(document.prompt, document.texts[0].strip(), document.texts, material.find(document.prompt))
    taken = set(map(fold, document.texts))
    text = make_negative(CLASSES[name], positive, material, taken, random.Random(seed))
    if text is not None:
        assert fold(text) not in taken
        CHECKS[name](positive, material, text)
    return text


def test_all_classes_are_checked() -> None:
    assert list(CHECKS) == list(CLASSES)


PLAIN = [
    Document("Ann met Bob on Monday at 3:30. They had 12 eggs. It rained. All went home.", ("On Monday Ann met Bob.",)),
    Document("Cy met Dot on Friday. Nobody came.", ("Cy met Dot. It took 45 minutes, or three hours.",)),
    Document("The weather of Peru is mild.", ("It is mild in Peru",)),
    Document("Eggs boil in 7 minutes.", ("Seven.",)),
]
WORD = st.sampled_from(
    [
        "Ann",
        "Bob",
        "the",
        "a",
        "eggs",
        "3",
        "12",
        "met.",
        "Then,",
        "BERT",
        "it",
        "two",
        "Monday",
        "ran!",
        "2019",
        "你好",
        "café",
        "́x",
    ]
)
TEXT = st.lists(WORD, min_size=1, max_size=12).flatmap(
    lambda words: st.sampled_from([" ", "\n", "  ", "\n\n"]).map(lambda gap: gap.join(words))
)
DOCUMENTS = st.lists(st.builds(lambda prompt, text: Document(prompt, (text,)), TEXT, TEXT), min_size=1, max_size=4)


@pytest.mark.parametrize("name", CLASSES)
@settings(deadline=None)  # the first call loads scikit-learn
@given(documents=DOCUMENTS, seed=st.integers(0, 1000))
def test_what_holds_of_each_class(name: str, documents: list[Document], seed: int) -> None:
    material = Material.collect(documents)
    for document in documents:
        make(name, document, material, seed)


@cache
def read_real(name: str) -> tuple[list[Document], Material]:
    file, prompt, reference = REAL[name]
    path = SHARED / file
    if not path.exists():
        pytest.skip("the shared data sets are not on this machine")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, ROWS)]
    documents = [Document(row[prompt], tuple(row[reference])) for row in rows]
    return documents, Material.collect(documents)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("source", REAL)
def test_what_holds_of_each_class_on_real_references(source: str, name: str) -> None:
    documents, material = read_real(source)
    made = sum(make(name, document, material) is not None for document in documents)
    assert made >= SHARES.get((source, name), 0.9) * ROWS


def test_the_nearest_prompt_is_the_one_with_the_same_rare_words() -> None:
    prompts = ("how to boil an egg", "how to paint a door", "egg, boil, minutes", "door, paint, red")
    documents = [Document(prompt, (f"about: {prompt}",)) for prompt in prompts]
    material = Material.collect(documents)
    near = [make("irrelevant-near", document, material) for document in documents]
    assert near == [f"about: {prompts[place]}" for place in (2, 3, 0, 1)]


def test_the_nearest_prompt_is_never_the_same_one() -> None:
    same = [
        Document("Boil an egg", ("One.",)),
        Document("boil  an egg\n", ("Two.",)),
        Document("Egg, boil an!", ("3.",)),
    ]
    material = Material.collect([*same, Document("Paint an old door", ("Four.",)), Document("Sing", ("Five.",))])
    assert len(material.references) == 4  # the first two are one
    assert make("irrelevant-near", same[0], material) == "Four."  # the third has the very same words
    assert make("irrelevant-near", Document("Sing", ("Five.",)), material) is None  # nothing in common with any


def test_nothing_is_near_where_there_are_no_words() -> None:
    documents = [Document("?", ("a",)), Document("!", ("b",))]
    assert make("irrelevant-near", documents[0], Material.collect(documents)) is None


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("irrelevant-any", PLAIN[0]),
        ("over-long", PLAIN[0]),
        ("shuffled-sentences", PLAIN[0]),
        ("shuffled-words", PLAIN[3]),
        ("truncated", PLAIN[3]),
        ("swapped-entities", PLAIN[3]),
        ("swapped-numbers", PLAIN[2]),
        ("copied-whole", Document("", ("A text.",))),
        ("copied-whole", Document("The same.", ("The  same.",))),  # a copy of it would be a reference
        ("shuffled-words", Document("x", ("no no no",))),
    ],
)
def test_what_cannot_be_made(name: str, document: Document) -> None:
    assert make(name, document, Material.collect([document])) is None


def test_examples_by_hand() -> None:
    material = Material.collect(PLAIN)
    made = {name: {make(name, PLAIN[1], material, seed) for seed in range(200)} for name in CLASSES}
    assert made["copied-prefix"] == {"Cy met Dot on Friday. Nobody came."}  # 9 words of 7
    assert made["shuffled-sentences"] == {"It took 45 minutes, or three hours. Cy met Dot."}
    assert made["irrelevant-near"] == {"On Monday Ann met Bob."}
    assert made["irrelevant-any"] == {"On Monday Ann met Bob.", "It is mild in Peru", "Seven."}
    cuts = ("Cy", "Cy met", "It", "It took", "It took 45", "It took 45 minutes,", "It took 45 minutes, or", "three")
    ends = {text.split()[-1] for text in made["truncated"] if text}
    assert ends == {cut.split()[-1] for cut in cuts}
    assert all("45" not in text or "three" not in text for text in made["swapped-numbers"] if text)
    # "Cy" begins a sentence wherever it stands, so it is left alone.
    swapped = {f"Cy met {name}. It took 45 minutes, or three hours." for name in ("Ann", "Bob", "Peru")}
    assert made["swapped-entities"] == swapped


@pytest.mark.parametrize(
    ("text", "cuts"),
    [("One two\n\nthree", {"One"}), ("猫好。狗来", {"猫", "猫好。狗"}), ("A b. C d.", {"A", "A b. C"})],
)
def test_no_cut_is_at_the_end_of_a_sentence(text: str, cuts: set[str]) -> None:
    document = Document("x", (text,))
    assert {make_any("truncated", document, Material.collect([document]), seed) for seed in range(50)} == cuts


def test_rare_words_weigh_more_than_frequent_ones() -> None:
    """Three words in common that all prompts have are less than a single one that no other has."""
    prompts = ("it is the egg", "it is the door", "egg and hen", *(f"it is the word{number}" for number in range(20)))
    material = Material.collect(Document(prompt, (f"about: {prompt}",)) for prompt in prompts)
    assert make("irrelevant-near", Document(prompts[0], ("x",)), material) == "about: egg and hen"


def test_texts_without_spaces_get_none() -> None:
    """Chinese: a character counts as a word, which keeps the sign after it."""
    chinese = [Document("猫在哪里？在这里。", ("猫在垫子上。",)), Document("天气好吗？", ("今天真的很热。",))]
    material = Material.collect(chinese)
    made = {name: {make_any(name, chinese[0], material, seed) for seed in range(100)} for name in CLASSES}
    assert not any(" " in text for texts in made.values() for text in texts if text)
    assert made["copied-prefix"] == {"猫在哪里？在"}
    assert made["truncated"] == {"猫", "猫在", "猫在垫", "猫在垫子"}
    assert made["over-long"] == {"猫在垫子上。今天真的很热。"}
    assert {"猫猫猫猫猫猫猫猫猫猫", "子上。子上。子上。子上。子上。"} <= made["repetitive"]


def make_any(name: str, document: Document, material: Material, seed: int) -> str | None:
    positive = Positive(str(document.prompt), document.texts[0], document.texts, material.find(str(document.prompt)))
    return make_negative(CLASSES[name], positive, material, set(map(fold, document.texts)), random.Random(seed))


def test_names_that_stand_side_by_side_are_not_traded() -> None:
    """Ann and Bob met is what Bob and Ann met is; but Ann sees Bob is not what Bob sees Ann is."""
    texts = {"so Ann and Bob met": False, "so Ann plays with Bob": False, "so Ann sees Bob": True}
    texts["so Ann and Bob met, as Ann was ill"] = True
    for text, traded in texts.items():
        document = Document("there Ann and Bob were", (text,))
        material = Material.collect([document, Document("x", ("here Cy, Dot and Eve came",))])
        swapped = {make("swapped-entities", document, material, seed) for seed in range(100)}
        trade = text.replace("Ann", "*").replace("Bob", "Ann").replace("*", "Bob")
        assert (trade in swapped) == traded
        assert swapped == {trade} if traded else len(swapped) > 3


def test_names_of_the_prompt_come_first() -> None:
    document = Document("there Cy asked Ann, and Cy left on Friday", ("so Ann left on Monday",))
    material = Material.collect([document, Document("x", ("here Dot and Eve came on Sunday",))])
    swapped = {make("swapped-entities", document, material, seed) for seed in range(50)}
    assert swapped == {"so Cy left on Monday", "so Ann left on Friday", "so Cy left on Friday"}


def test_names_of_other_references_are_drawn_as_often_as_they_come_up() -> None:
    """Cy is there three times of four. What is Ann in another case is no other name."""
    document = Document("there was nothing", ("so Ann left",))
    names = ("Cy", "Cy", "Dot", "Cy", "AnN")
    others = [Document(str(number), (f"so {name} left",)) for number, name in enumerate(names)]
    material = Material.collect([document, *others])
    swapped = [make("swapped-entities", document, material, seed) for seed in range(300)]
    assert set(swapped) == {"so Cy left", "so Dot left"}
    assert swapped.count("so Cy left") / 300 == pytest.approx(0.75, abs=0.1)  # four standard errors


def test_a_name_of_several_words_is_changed_for_one_of_as_many() -> None:
    document = Document("there Cy and Eve Lee were", ("so Ann Ross left",))
    material = Material.collect([document, Document("x", ("so Dot May Cole left, and Bob",))])
    assert {make("swapped-entities", document, material, seed) for seed in range(50)} == {"so Eve Lee left"}


def test_two_names_do_not_become_one() -> None:
    document = Document("there Cy was", ("so Ann saw Bob",))
    swapped = {make("swapped-entities", document, Material.collect([document]), seed) for seed in range(50)}
    assert swapped == {"so Bob saw Ann", "so Cy saw Bob", "so Ann saw Cy"}


def test_a_form_of_the_same_name_is_no_other_name() -> None:
    document = Document("there Anna, Mary Ross and Cy Poe were", ("so Ann, as I said, left Mary Lee",))
    swapped = {make("swapped-entities", document, Material.collect([document]), seed) for seed in range(50)}
    assert swapped == {"so Ann, as I said, left Cy Poe"}


def test_a_name_is_changed_wherever_it_stands_and_keeps_what_is_at_it() -> None:
    document = Document("there Cy was", ("so Ann's egg is Ann's, Mr. Lee",))
    swapped = {make("swapped-entities", document, Material.collect([document]), seed) for seed in range(50)}
    assert swapped == {"so Cy's egg is Cy's, Mr. Lee"}


def test_a_number_in_words_keeps_its_capital() -> None:
    document = Document("there were seven", ("Three of them",))
    assert make("swapped-numbers", document, Material.collect([document])) == "Seven of them"


def test_random_pieces_are_as_frequent_as_they_are_asked_to_be() -> None:
    """The word "a" is 8 of 10 pieces, and one of 3 that differ."""
    document = Document("x", ("a a a a a a a a b c",))
    material = Material.collect([document])
    for name, share in (("random-even", 1 / 3), ("random-frequent", 0.8)):
        texts = [make(name, document, material, seed) or "" for seed in range(300)]
        assert sum(text.split().count("a") for text in texts) / 3000 == pytest.approx(share, abs=0.04)


def test_pieces_are_tokens_where_there_is_a_tokenizer() -> None:
    words = Tokenizer(WordLevel({"?": 0}, unk_token="?"))  # noqa: S106
    words.pre_tokenizer = WhitespaceSplit()
    document = Document("x", ("re-run it, now.",))
    texts = {make_with(words, document, seed) for seed in range(100)}
    assert {"it, re-run now.", "now. it, re-run"} <= texts
    assert all(sorted(text.split()) == ["it,", "now.", "re-run"] for text in texts)


def make_with(tokenizer: Tokenizer, document: Document, seed: int) -> str:
    material = Material.collect([document], tokenizer)
    positive = Positive("x", document.texts[0], document.texts, 0)
    text = make_negative(CLASSES["shuffled-tokens"], positive, material, set(), random.Random(seed))
    assert text is not None
    return text


def test_a_large_corpus_is_held_in_part_whatever_the_order_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefline.data.material._DOCUMENTS", 8)
    monkeypatch.setattr("prefline.data.material._PROMPTS", 3)
    documents = [Document(f"prompt {number % 40}", (f"text {number}",)) for number in range(80)]
    held = Material.collect(documents)
    again = Material.collect(reversed(documents))
    assert (held.references, held.places, held.prompts) == (again.references, again.places, again.prompts)
    assert len(held.references) == 8
    assert all(len(texts) == 2 for texts in held.references)  # of each prompt all that there are
    assert [held.find(prompt) for prompt in held.prompts] == [0, 1, 2]


def test_documents_without_a_prompt_or_a_reference_are_no_material() -> None:
    assert Material.collect([Document(None, ("a",)), Document("x", ()), Document("y", (" ",))]).references == ()


def test_names_of_classes() -> None:
    assert check_classes(["empty", "copied", "random-even", "copied-lead"]) == (
        *("random-even", "copied-prefix", "copied-lead", "copied-whole", "empty"),
    )
    assert check_classes(["last-mile"]) == tuple(CLASSES)[:11]
    assert check_classes([]) == ()
    assert {find_family(name) for name in CLASSES} >= set(ALIASES["last-mile"])
    with pytest.raises(ConfigError, match=r"'shufled-words' \(did you mean 'shuffled-words'\?\)"):
        check_classes(["shufled-words"])
    with pytest.raises(ConfigError, match="there are last-mile, random, irrelevant,"):
        check_classes(["xyz"])
