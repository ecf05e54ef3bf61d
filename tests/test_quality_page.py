"""The quality report for people: hand-made documents, small, rich, and with everything optional absent."""

import copy
import json
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_reader import Reader, check_links_and_names, check_self_contained

from prefline.data.wording import printable
from prefline.pipeline.page import Html, element, escape, table
from prefline.pipeline.quality_page import render_quality
from prefline.pipeline.terminal_quality import describe_quality

EVIL = "</title></style><script>alert('x')</script>\"'&\u202e\0\x1b[31m"
LENGTHS = {"least": 1, "median": 9, "mean": 10.5, "p95": 30, "most": 18233}


def share(wins: float, of: int, chance: float | None = None, **more: Any) -> dict[str, Any]:
    found = {"wins": wins, "of": of, "share": wins / of, "low": wins / of * 0.9, "high": min(1.0, wins / of * 1.1)}
    return found | ({} if chance is None else {"chance": chance}) | more


SMALL: dict[str, Any] = {
    "schema": "prefline.quality/1",
    "verdict": ["Three comparisons are too few to judge."],
    "feedback": None,
    "rows": {"read": 3, "accepted": 3, "rejected": 0, "reasons": []},
    "comparisons": {
        "count": 3, "prompts": 3, "items": 3, "responses": {"2": 3}, "decided": 0,
        "ties": {"ties": 0, "of": 0, "share": None, "low": None, "high": None},
        "undecided": {"all bad": 3, "skipped": 0}, "annotators": 0, "kinds": {"text": 3, "chat": 0, "tokens": 0},
        "effective": {"of_weights": None, "of_prompts": None},
    },
    "lengths": {"unit": "characters", "prompt": LENGTHS, "response": None},
    "bias": {
        "longest": None, "shortest": None, "position": None, "position_test": None, "systems": None,
        "position_missing": "no comparison has one best", "systems_left_out": 0, "categories": None,
    },
    "duplicates": {
        "repeated": 0, "contradicting": 0, "prompts_again": 0, "identical_candidates": 0, "best_has_twin": 0,
        "empty_responses": 0, "empty_candidates": 0, "empty_prompts": 0, "responses_again": 0,
        "near": {"threshold": 0.8, "clusters": 0, "prompts": 0, "examples": []},
    },
    "split": {
        "held_out": 0.1, "train": {"comparisons": 3, "prompts": 3},
        "held_out_part": {"comparisons": 0, "prompts": 0, "share": 0.0}, "kept_together": 0,
        "split_by_rows_would_leak": 0,
    },
    "truncation": None, "agreement": None, "odd": [], "checks": [],
}  # fmt: skip

PERSON = {
    "annotator": EVIL, "judgements": 852, "decided": 800, "ties": share(52, 852), "exact": share(520, 780),
    "signs": share(6400, 7600), "stands_out": True, "why": EVIL, "first": share(210, 800), "gold": None,
    "without": {"alpha_nominal": 0.3, "exact": None, "changed_majorities": 3},
    "self_consistency": {"agree": 0, "of": 0, "share": None, "low": None, "high": None},
}  # fmt: skip

RICH: dict[str, Any] = copy.deepcopy(SMALL) | {
    "verdict": ["The longest response is best in 71.0 % of comparisons.", EVIL],
    "feedback": {"kind": "mock", "by": ["length", EVIL]},
    "rows": {
        "read": 1234567, "accepted": 1234566, "rejected": 1,
        "reasons": [{"reason": EVIL, "rows": 1, "file": EVIL, "line": 1414}] * 20,
    },
    "bias": {
        "longest": share(71, 100, 0.5), "shortest": share(20, 100, 0.5),
        "position": [share(30, 100, 0.25, position=place) for place in range(1, 9)],
        "position_test": {"p": 1e-9}, "position_missing": None,
        "systems": [share(30, 100, 0.25, system=f"{EVIL} {'w' * 60} {number}", shown=100) for number in range(40)],
        "systems_left_out": 17, "categories": [share(30, 100, 0.25, category="عربي")],
    },
    "duplicates": SMALL["duplicates"] | {
        "contradicting": 45, "empty_candidates": 7, "empty_prompts": 1,
        "near": {"threshold": 0.8, "clusters": 1, "prompts": 2,
                 "examples": [{"similarity": 0.93, "prompts": [EVIL, "b"]}]},
    },
    "truncation": {
        "tokenizer": EVIL, "length": 512, "identical": 38, "never_apart": 3,
        "curve": [{"length": 64, "identical": 380, "share": 0.38}, {"length": 512, "identical": 38, "share": 0.038}],
    },
    "agreement": {
        "items": 852, "annotators": 3, "judgements": 2556, "exact": share(761, 1157),
        "exact_with_ties": share(1400, 2400), "signs": share(9584, 11396),
        "pairs_with_ties": {"agree": 0, "of": 0, "share": None, "low": None, "high": None},
        "unanimous": share(300, 852), "chance": {"by_position": 0.251, "uniform": 0.25}, "fleiss_kappa": None,
        "alpha_nominal": 0.4981, "alpha_ordinal": 0.611, "ceiling": share(960, 1424),
        "ceiling_majority": share(940.5, 1424), "people": [PERSON], "people_left_out": 9, "stand_out": {EVIL: EVIL},
        "gold": share(30, 40),
    },
    "odd": [{"why": "the longest response", "value": "18,233", "id": EVIL, "prompt": f"one\ntwo {EVIL}",
             "response": ""}],
    "checks": [{"require": "bias.longest.share <= 0.6", "found": 0.71, "holds": False},
               {"require": EVIL, "found": None, "holds": False},
               {"require": "rows.rejected <= 100", "found": 1, "holds": True}],
}  # fmt: skip

BARE = copy.deepcopy(SMALL) | {"lengths": None, "split": None, "duplicates": SMALL["duplicates"] | {"near": None}}
DOCUMENTS = pytest.mark.parametrize("report", [SMALL, RICH, BARE], ids=["small", "rich", "bare"])


@pytest.fixture(scope="module", autouse=True)
def a_wide_terminal() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")
        yield


@DOCUMENTS
def test_a_page_needs_nothing_else_and_runs_nothing(report: dict[str, Any]) -> None:
    check_self_contained(render_quality(report))


@DOCUMENTS
def test_links_lead_somewhere_and_drawings_have_names(report: dict[str, Any]) -> None:
    check_links_and_names(render_quality(report))


@DOCUMENTS
def test_the_same_report_gives_the_same_bytes(report: dict[str, Any]) -> None:
    assert render_quality(json.loads(json.dumps(report))) == render_quality(report)


def test_texts_of_strangers_are_shown_and_never_obeyed() -> None:
    read = Reader(render_quality(RICH))
    assert "</title></style><script>alert('x')</script>\"'&\\u202e\\u0000\\u001b[31m" in read.text
    assert "one\ntwo" in read.text
    assert {c for c in read.text if unicodedata.category(c) in ("Cc", "Cf")} == {"\n"}


def test_a_rich_page_holds_every_section_and_a_small_one_says_what_is_not_known() -> None:
    rich, small = Reader(render_quality(RICH)).text, Reader(render_quality(SMALL)).text
    for words in ("Checks", "✗ fails", "1 of 3", "1,234,567", "65.8 %", "undefined", "17 systems", "93", "0.498"):
        assert words in rich
    assert "Nothing can be said of positions" in small
    for words in ("Truncation", "Annotators stand out", "Checks", "Odd ones"):
        assert words not in small


def test_whoever_stands_out_is_named_even_where_not_listed() -> None:
    agreement = RICH["agreement"] | {"people": [], "stand_out": {"w7": "agrees less"}}
    assert "w7: agrees less" in Reader(render_quality(RICH | {"agreement": agreement})).text
    assert "w7: agrees less" in "\n".join(describe_quality(RICH | {"agreement": agreement}))


@DOCUMENTS
def test_a_terminal_gets_some_lines_that_fit(report: dict[str, Any]) -> None:
    lines = describe_quality(report)
    assert len(lines) <= 50
    for line in lines:
        assert len(line) <= 100
        assert not [c for c in line if unicodedata.category(c) in ("Cc", "Cf")]


def test_a_terminal_says_the_verdict_first_and_what_failed_last() -> None:
    lines = describe_quality(RICH)
    assert lines[0] == "* The longest response is best in 71.0 % of comparisons."
    assert "failed: bias.longest.share <= 0.6, found: 0.71" in lines
    assert " ".join(map(str.strip, lines[-2:])).endswith(", found: nothing to measure")
    assert "1 of 3 checks hold" in lines
    assert "empty        7 comparisons with an empty response, 1 comparison with an empty prompt" in lines
    assert "gold         annotators are right in 75.0 % of 40 cases (67.5 to 82.5 %)" in lines
    assert "71.0 %  63.9 to 78.1 %  50.0 %     100  the longest response is best" in lines
    assert "65.8 %  59.2 to 72.4 %  25.1 %   1,157  annotators: the same best" in lines


def test_a_small_report_is_short() -> None:
    assert describe_quality(SMALL) == [
        "* Three comparisons are too few to judge.",
        "",
        "rows         3 read, 3 accepted, 0 rejected",
        "comparisons  3 on 3 prompts; responses: 3 of 2",
        "decided      0, 3 all bad",
        "prompts      median 9 characters, 95 % up to 30, most 18,233",
        "duplicates   none",
        "split        3 train, 0 held out (0.0 %)",
        "positions    unknown: no comparison has one best",
    ]


def test_one_check_holds() -> None:
    assert describe_quality(SMALL | {"checks": RICH["checks"][2:]})[-1] == "1 of 1 check holds"


@pytest.mark.parametrize(("columns", "most"), [("20", 40), ("60", 60), ("300", 100)])
def test_lines_are_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: str, most: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = describe_quality(SMALL | {"verdict": ["word " * 50]})
    assert most - 5 < max(map(len, lines)) <= most


def test_who_chose_is_said_first() -> None:
    synthetic = SMALL | {"feedback": {"kind": "synthetic", "by": ["last-mile"]}}
    said = "synthetic: nobody chose, references are the best by construction"
    header = render_quality(synthetic).partition("</header>")[0]
    assert f"Feedback is {said}" in header
    assert "(last-mile)." in header
    assert describe_quality(synthetic)[2].startswith(f"feedback     {said}")
    page = render_quality(SMALL)
    assert "Feedback" not in page.partition("</header>")[0]
    assert "somebody chose" not in page


def test_why_nothing_is_known_of_positions_is_said() -> None:
    missing = "the best always comes first, so the order is not one that annotators saw"
    report = SMALL | {"bias": SMALL["bias"] | {"position_missing": missing}}
    assert f"Nothing can be said of positions: {missing}." in Reader(render_quality(report)).text
    assert "positions    unknown: the best always comes first" in "\n".join(describe_quality(report))


@pytest.mark.parametrize(("p", "said"), [(0.04, "further from chance"), (0.4, "as luck would have them")])
def test_the_test_of_positions_is_put_into_words(p: float, said: str) -> None:
    assert said in render_quality(RICH | {"bias": RICH["bias"] | {"position_test": {"p": p}}})


@given(st.text(st.characters()))
@settings(max_examples=200)
def test_a_text_is_read_back_from_its_markup(text: str) -> None:
    markup = element("p", text)
    assert Reader(markup).text == "\n".join(printable(line) for line in text.split("\n"))
    assert markup.count("<") == 2
    markup.encode()  # a lone half of a surrogate pair would not be written


def test_only_markup_is_left_as_it_is() -> None:
    assert element("td", "<b>", Html("<i></i>"), class_='"', title=None) == '<td class="&quot;">&lt;b&gt;<i></i></td>'
    assert element("td", escape(escape("&"))) == "<td>&amp;</td>"


def test_numbers_of_a_table_stand_to_the_right() -> None:
    assert '<td>a</td><td class="number">60,000</td>' in table("Some", ("name", "number"), [("a", 60000)], "lr")
