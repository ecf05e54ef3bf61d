"""Comparisons from references: which negatives stand where, that chance decides it fairly, and nothing else does."""

import gzip
import json
import random
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.chance import from_seed
from prefline.data.comparison import Comparison
from prefline.data.contents import Message
from prefline.data.documents import Document
from prefline.data.errors import ConfigError, DataError
from prefline.data.negatives import CLASSES, find_family
from prefline.data.pieces import fold
from prefline.data.synthesis import Asked, Material, Positive, check_classes, synthesize

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
CHANCE = from_seed(0)
DOCUMENTS = [
    Document(
        f"On day {number} Ann asked Bob for {number} eggs. He had none. They ate bread. Then they slept.",
        (f"Ann wanted {number} eggs. Bob had none.", f"Bob had no eggs for Ann on day {number}. They had bread."),
        id=f"row-{number}",
        source="kitchen",
    )
    for number in range(20, 40)
]
MATERIAL = Material.collect(DOCUMENTS)


def check(document: Document, comparison: Comparison, reference: str) -> None:
    (best,) = comparison.best
    assert comparison.responses[best] == reference
    assert comparison.categories
    assert [place for place, category in enumerate(comparison.categories) if category == "reference"] == [best]
    assert set(comparison.categories) - {"reference"} <= set(CLASSES)
    folded = [fold(str(response)) for response in comparison.responses]
    assert len(set(folded)) == len(folded)
    others = {fold(text) for text in document.texts} - {fold(reference)}
    assert not others & set(folded)
    assert (comparison.prompt, comparison.id, comparison.source) == (document.prompt, document.id, document.source)
    assert comparison.systems is None


@pytest.mark.parametrize("classes", [("last-mile",), tuple(CLASSES), ("random-even",), ("over", "truncated")])
@pytest.mark.parametrize("choices", [2, 4, 6])
def test_each_reference_is_the_best_of_its_group(classes: tuple[str, ...], choices: int) -> None:
    for document in DOCUMENTS[:5]:
        comparisons = synthesize(document, MATERIAL, Asked(classes, choices), CHANCE)
        assert len(comparisons) == 2
        for comparison, reference in zip(comparisons, document.texts, strict=True):
            assert len(comparison.responses) == choices
            check(document, comparison, reference)


def test_pairs_are_the_group_taken_apart() -> None:
    for document in DOCUMENTS:
        group = synthesize(document, MATERIAL, Asked(("last-mile",)), CHANCE)
        pairs = synthesize(document, MATERIAL, Asked(("last-mile",), form="pairs"), CHANCE)
        assert [len(pair.responses) for pair in pairs] == [2] * 6
        for number, pair in enumerate(pairs):
            check(document, pair, document.texts[number // 3])
        negatives = [{*comparison.responses} - {*document.texts} for comparison in (*group, *pairs)]
        assert negatives[:2] == [set().union(*negatives[2:5]), set().union(*negatives[5:])]


def test_families_are_drawn_evenly_and_without_replacement() -> None:
    """3 of 5 families: each in 3/5 of the groups; 240 groups, so that 0.13 is four standard errors."""
    asked = Asked(("last-mile",))
    groups = [
        [find_family(category or "") for category in comparison.categories or () if category != "reference"]
        for seed in range(6)
        for document in DOCUMENTS
        for comparison in synthesize(document, MATERIAL, asked, from_seed(seed))
    ]
    assert all(len(set(group)) == 3 for group in groups)
    counts = Counter(family for group in groups for family in group)
    assert set(counts) == {"random", "irrelevant", "shuffled", "repetitive", "copied"}
    assert all(count / len(groups) == pytest.approx(3 / 5, abs=0.13) for count in counts.values())


def test_where_there_are_fewer_families_than_negatives_each_comes_as_often() -> None:
    asked = Asked(("shuffled", "copied", "empty"), choices=7)
    for document in DOCUMENTS[:5]:
        for comparison in synthesize(document, MATERIAL, asked, CHANCE):
            categories = [category for category in comparison.categories or () if category != "reference"]
            assert len(set(categories)) == len(categories)  # the members of a family take turns
            counts = Counter(map(find_family, filter(None, categories)))
            assert counts == {"shuffled": 3, "copied": 2, "empty": 1} or counts == {
                "shuffled": 2,
                "copied": 3,
                "empty": 1,
            }


def test_the_best_is_at_each_place_as_often() -> None:
    """A quarter of 480; three standard errors are 0.06."""
    places = Counter(
        comparison.best[0]
        for seed in range(12)
        for document in DOCUMENTS
        for comparison in synthesize(document, MATERIAL, Asked(("empty", "repetitive", "random")), from_seed(seed))
    )
    assert all(places[place] / 480 == pytest.approx(1 / 4, abs=0.06) for place in range(4))


def test_a_row_gives_the_same_whatever_the_order_of_rows_and_the_seed_alone_changes_it() -> None:
    backwards = Material.collect(reversed(DOCUMENTS))
    asked = Asked(tuple(CLASSES))
    first = [synthesize(document, MATERIAL, asked, CHANCE) for document in DOCUMENTS]
    assert [synthesize(document, backwards, asked, CHANCE) for document in reversed(DOCUMENTS)] == first[::-1]
    assert [synthesize(document, MATERIAL, asked, from_seed(1)) for document in DOCUMENTS] != first
    named = Asked((*tuple(CLASSES)[::-1], "last-mile"))
    assert [synthesize(document, MATERIAL, named, CHANCE) for document in DOCUMENTS] == first


def test_references_of_the_same_prompt_in_other_rows_are_no_negatives() -> None:
    rows = [Document("the same prompt", (text,)) for text in ("One two.", "Three four.", "Five six.")]
    material = Material.collect([*rows, Document("another", ("Seven.",))])
    (comparison,) = synthesize(rows[0], material, Asked(("irrelevant-any",), choices=2), CHANCE)
    assert set(comparison.responses) == {"One two.", "Seven."}


@pytest.mark.parametrize("rows", [[("a b", "b a")], [("a b",), ("b A",)]], ids=["one row", "two rows"])
def test_what_is_a_reference_of_the_prompt_is_no_negative_however_it_is_made(rows: list[tuple[str, ...]]) -> None:
    documents = [Document("x", texts) for texts in rows]
    material = Material.collect(documents)
    with pytest.raises(DataError, match="1 negative is needed, and none could be made of the classes shuffled-words; "):
        synthesize(documents[0], material, Asked(("shuffled-words",), choices=2), CHANCE)


def test_white_space_around_a_reference_is_around_its_negatives() -> None:
    """Else a model could tell them apart by it; nothing is nothing all the same."""
    documents = [document._replace(texts=(f" {document.texts[0]}\n",)) for document in DOCUMENTS]
    asked = Asked(("shuffled-words", "truncated", "empty"))
    (comparison,) = synthesize(documents[0], Material.collect(documents), asked, CHANCE)
    assert documents[0].texts[0] in comparison.responses
    for response in filter(None, comparison.responses):
        assert isinstance(response, str)
        assert (response[0], response[-1]) == (" ", "\n")
        assert response[1:-1] == response.strip()


def test_chats_are_their_contents() -> None:
    chat = (Message("user", "Ann asked for eggs."), Message("user", "Bob had none, he said."))
    document = Document(chat, ("No eggs.",))
    (comparison,) = synthesize(document, MATERIAL, Asked(("copied-whole",), choices=2), CHANCE)
    assert comparison.prompt == chat
    assert set(comparison.responses) == {"No eggs.", "Ann asked for eggs.\nBob had none, he said."}


def test_a_document_that_is_not_in_the_material_is_as_good() -> None:
    document = Document("On day 99 Ann asked for eggs.", ("She wanted 2 eggs.",))
    (comparison,) = synthesize(document, MATERIAL, Asked(("irrelevant", "over-long", "random"), choices=5), CHANCE)
    check(document, comparison, "She wanted 2 eggs.")


def test_the_same_reference_twice_counts_once() -> None:
    document = DOCUMENTS[0]._replace(texts=("Bob had none.", "Bob had none."))
    assert len(synthesize(document, MATERIAL, Asked(("last-mile",)), CHANCE)) == 1


def backwards(positive: Positive, _material: Material, _chance: random.Random) -> str | None:
    """The words of the reference from the last to the first."""
    return " ".join(reversed(positive.reference.split()))


def test_a_class_of_ones_own() -> None:
    asked = Asked(("backwards", "empty"), choices=3, table={**CLASSES, "backwards": backwards})
    document = Document("x", ("a b c",))
    (comparison,) = synthesize(document, MATERIAL, asked, CHANCE)
    assert set(comparison.responses) == {"a b c", "c b a", ""}
    assert set(comparison.categories or ()) == {"reference", "backwards", "empty"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document(None, ("a",)), "found one text without a prompt"),
        (Document("a", ()), "found a prompt alone"),
        (Document((1, 2), ("a",)), "found a prompt of token ids"),
        (Document("a", ("b", " \n")), "found one without a word"),
        (
            Document("", ("Yes",)),
            "3 negatives are needed, and only 'empty' could be made of the classes copied-prefix, .*, empty, "
            "swapped-numbers; ask for more classes, or for fewer choices",
        ),
    ],
)
def test_what_no_comparison_can_be_made_of(document: Document, message: str) -> None:
    with pytest.raises(DataError, match=message):
        synthesize(document, MATERIAL, Asked(("copied", "empty", "swapped-numbers")), CHANCE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ("empty",), "choices": 1}, "'choices' must be at least 2"),
        ({"classes": ("empty",), "form": "triple"}, "'form' must be 'group' or 'pairs', found 'triple'"),
        ({"classes": ()}, "must name a class of negatives, found none"),
        ({"classes": ("emty",)}, r"unknown class of negatives 'emty' \(did you mean 'empty'\?\)"),
    ],
)
def test_what_cannot_be_asked_for(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Asked(**settings)  # type: ignore[arg-type]


@given(
    texts=st.lists(st.text(st.sampled_from("ab .,A1é你\n"), min_size=1, max_size=30), min_size=1, max_size=5),
    classes=st.sets(st.sampled_from(sorted(CLASSES)), min_size=1),
    choices=st.integers(2, 6),
    seed=st.integers(0, 3),
)
def test_any_row_gives_a_sound_comparison_or_a_reason(
    texts: list[str], classes: set[str], choices: int, seed: int
) -> None:
    documents = [Document(text, (text[::-1],)) for text in texts]
    material = Material.collect(documents)
    for document in documents:
        try:
            comparisons = synthesize(document, material, Asked(tuple(classes), choices), from_seed(seed))
        except DataError:
            continue
        for comparison in comparisons:
            assert len(comparison.responses) == choices
            check(document, comparison, document.texts[0])
            assert Comparison.from_row(json.loads(json.dumps(comparison.to_row()))) == comparison


@pytest.mark.parametrize(
    ("file", "prompt", "reference"),
    [
        ("summ_scitldr/scitldr_a.jsonl.gz", "source", "references"),
        ("summ_dialogsum/dialogsum.jsonl.gz", "dialogue", "summaries"),
    ],
)
def test_real_references(file: str, prompt: str, reference: str) -> None:
    path = SHARED / file
    if not path.exists():
        pytest.skip("the shared data sets are not on this machine")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(300), strict=False)]
    documents = [Document(row[prompt], tuple(row[reference])) for row in rows]
    material = Material.collect(documents)
    asked = Asked(tuple(CLASSES))
    seen: Counter[str | None] = Counter()
    for document in documents:
        comparisons = synthesize(document, material, asked, CHANCE)
        assert len(comparisons) == len(set(document.texts))
        for comparison, text in zip(comparisons, dict.fromkeys(document.texts), strict=True):
            check(document, comparison, text)
            seen.update(comparison.categories or ())
    assert set(seen) == {*CLASSES, "reference"}


def test_names_stand_for_the_same_whatever_their_order() -> None:
    for names in combinations(("last-mile", "empty", "swapped", "random-even"), 2):
        assert check_classes(names) == check_classes(names[::-1]) == Asked(names).classes
