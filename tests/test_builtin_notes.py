import random
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prefline.pipeline.builtin.note_words import REFUSALS, VALUES
from prefline.pipeline.builtin.notes import Note, write_note
from prefline.pipeline.builtin.summaries import Fact, SummaryScore, find_facts, score_summary

seeds = st.integers(0, 2**63 - 1)
notes = seeds.map(lambda seed: write_note(random.Random(seed)))
PERFECT = SummaryScore(right=6, wrong=0, missing=0, extra=0, ended=True, sentences=1)

NOTE = """Anna: Hello, Ben. Shall we have lunch at the library on Monday?
Ben: I cannot come on Monday. How about Friday?
Anna: Friday is fine. Let us bring the blue folder.
Ben: See you then."""
SUMMARY = "Anna and Ben will have lunch at the library on Friday and bring the blue folder."


def test_two_thousand_references_are_perfect() -> None:
    generator = random.Random(0)
    for _ in range(2000):
        note = write_note(generator)
        assert score_summary(note.text, note.summary) == PERFECT, note


def test_a_perfect_summary_has_quality_one_and_no_faults() -> None:
    assert (PERFECT.quality, PERFECT.faults) == (1.0, ())


@given(notes)
def test_notes_and_summaries_are_correct_english(note: Note) -> None:
    text = note.text + "\n" + note.summary
    assert "  " not in text
    assert not re.search(r"[<>{}*]", text)
    for line in text.split("\n"):
        assert re.fullmatch(r"(?:[A-Z][a-z]+: )?(?:[A-Z][A-Za-z, ]*[a-z][.?!] ?)+", line), line
        assert line == line.strip()
    assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", text)
    assert not re.search(r"(?i)\b(\w+) \1\b", text)
    assert 25 <= len(note.text.split()) <= 70
    assert 14 <= len(note.summary.split()) <= 20


@given(notes)
def test_a_note_holds_two_names_and_one_of_everything_else(note: Note) -> None:
    kinds = sorted(fact.kind for fact in find_facts(note.text))
    assert kinds == ["activity", "day", "item", "name", "name", "place"]


def test_a_minority_of_notes_refuses_something() -> None:
    generator = random.Random(0)
    written = [write_note(generator).text for _ in range(2000)]
    refusing = [text for text in written if not REFUSALS.isdisjoint(re.findall(r"\w+", text.lower()))]
    # 3/6 of the notes are talks, 3/8 of which refuse; 2/6 letters, 2/7; 1/6 memos, 1/3.
    assert len(refusing) / 2000 == pytest.approx(3 / 16 + 2 / 21 + 1 / 18, abs=0.04)


def test_values_are_told_apart() -> None:
    assert len(VALUES["name"]) >= 40
    words = [set(" ".join(values).lower().split()) - {"the"} for values in VALUES.values()]
    assert sum(map(len, words)) == len(set().union(*words))
    assert all(len(set(values)) == len(values) for values in VALUES.values())


def test_what_a_note_refuses_is_no_fact_of_it() -> None:
    assert find_facts(NOTE) == {
        Fact("name", "anna"), Fact("name", "ben"), Fact("activity", "have lunch"),
        Fact("place", "library"), Fact("day", "friday"), Fact("item", "blue folder"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("summary", "score", "quality", "faults"),
    [
        (SUMMARY, PERFECT, 1, ()),
        (" " + SUMMARY + "\n", PERFECT, 1, ()),
        # 5 right of 5 + 1 wrong + 1 missing
        (SUMMARY.replace("Ben", "Carla"), (5, 1, 1, 0, True, 1), 5 / 7, ("wrong facts", "missing facts")),
        (SUMMARY.replace("Friday", "Monday"), (5, 1, 1, 0, True, 1), 5 / 7, ("wrong facts", "missing facts")),
        (SUMMARY.replace(" on Friday", ""), (5, 0, 1, 0, True, 1), 5 / 6, ("missing facts",)),
        (
            SUMMARY.replace("blue folder", "folder"),
            (5, 0, 1, 1, True, 1),
            5 / 6 / 1.1,
            ("missing facts", "extra words"),
        ),
        (SUMMARY[:-1], (6, 0, 0, 0, False, 1), 0.5, ("not ended",)),
        # "See you soon." is three words and a sentence too many.
        (SUMMARY + " See you soon.", (6, 0, 0, 3, True, 2), 1 / 2 / 1.3, ("extra words", "several sentences")),
        (SUMMARY.replace("Anna", "Anna Anna"), (6, 0, 0, 1, True, 1), 1 / 1.1, ("extra words",)),
        # "will" can be needed twice.
        ("Anna will will will will.", (1, 0, 5, 2, True, 1), 1 / 6 / 1.2, ("missing facts", "extra words")),
        ("", (0, 0, 6, 0, False, 0), 0, ("missing facts", "not ended")),
        ("...", (0, 0, 6, 0, True, 0), 0, ("missing facts",)),
        ("The plot was dull.", (0, 0, 6, 3, True, 1), 0, ("missing facts", "extra words")),
    ],
    ids=range(13),
)
def test_summaries_scored_by_hand(
    summary: str, score: tuple[object, ...], quality: float, faults: tuple[str, ...]
) -> None:
    found = score_summary(NOTE, summary)
    assert found == score
    assert found.quality == pytest.approx(quality)
    assert found.faults == faults


def swap(kind: str, note: Note, chosen: int) -> str:
    """Replace a value of one kind by another that the note knows nothing of."""
    value = next(value for value in VALUES[kind] if re.search(rf"\b{value}\b", note.summary))
    others = [other for other in VALUES[kind] if other not in note.text]
    return re.sub(rf"\b{value}\b", others[chosen % len(others)], note.summary)


@given(notes, st.sampled_from(sorted(VALUES)), st.integers(0, 99))
def test_a_swapped_value_is_a_wrong_fact(note: Note, kind: str, chosen: int) -> None:
    score = score_summary(note.text, swap(kind, note, chosen))
    assert (score.right, score.wrong, score.missing) == (5, 1, 1)
    assert score.quality < 1
    assert "wrong facts" in score.faults


@given(notes, st.integers(1, 18))
def test_a_cut_summary_is_worse(note: Note, words: int) -> None:
    kept = note.summary.split()[:words]
    assume(len(kept) < len(note.summary.split()))
    score = score_summary(note.text, " ".join(kept))
    assert score.quality <= 0.5
    assert "not ended" in score.faults


@given(notes, notes)
def test_the_summary_of_another_note_is_bad(note: Note, other: Note) -> None:
    score = score_summary(note.text, other.summary)
    assume(find_facts(note.text) != find_facts(other.text))
    assert score.quality < 1
    assert {"wrong facts", "missing facts"} <= set(score.faults)


@given(notes)
def test_a_note_copied_whole_is_no_summary(note: Note) -> None:
    score = score_summary(note.text, note.text)
    assert score.quality < 0.3
    assert {"extra words", "several sentences"} <= set(score.faults)


@given(notes, st.randoms(use_true_random=False))
def test_shuffled_words_are_worse(note: Note, chance: random.Random) -> None:
    words = note.summary[:-1].split()
    chance.shuffle(words)
    shuffled = " ".join(words) + "."
    phrases = [fact.value for fact in find_facts(note.text) if " " in fact.value]
    assume(not all(phrase in shuffled.lower() for phrase in phrases))
    assert score_summary(note.text, shuffled).quality < 1


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_has_a_quality(note: str, summary: str) -> None:
    assert 0 <= score_summary(note, summary).quality <= 1
