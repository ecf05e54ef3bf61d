"""Accuracy by slices: which there are, what counts in each, and in what order."""

from pathlib import Path
from typing import Any

import pytest
from drawn_comparisons import draw_comparisons
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.comparison import Comparison
from prefline.data.ingestion import ingest
from prefline.reward_model.scored import Scored, decide, measure_accuracy
from prefline.reward_model.slices import describe_slices

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def score(*best: int, right: bool = True, lengths: tuple[int, ...] = (3, 5), **said: Any) -> Scored:
    said = ({} if best else {"undecided": "skipped"}) | said
    responses = tuple("abcdef"[place] * length for place, length in enumerate(lengths))
    scores = tuple(float((place in best) == right) for place in range(len(lengths)))
    return Scored(Comparison("p", responses, best, **said), scores)


def brief(rows: list[dict[str, Any]]) -> list[tuple[str | int, float, int]]:
    return [(row["value"], row["right"], row["of"]) for row in rows]


def test_a_slice_holds_the_accuracy_of_its_comparisons() -> None:
    web = [score(0, source="web"), score(0, source="web", right=False), score(0, source="web", right=False)]
    found = describe_slices([*web, score(1, source="book"), score(source="radio"), score(0)])
    assert found.keys() == {"source"}
    assert brief(found["source"]) == [("web", 1, 3), ("book", 1, 1)]
    assert found["source"][0] == {"value": "web", **(measure_accuracy(web) or {})}


def test_one_value_is_no_slice() -> None:
    assert describe_slices([score(0, source="web"), score(1, annotator="ann")]) == {}
    assert describe_slices([score(), score()]) == {}
    assert describe_slices([]) == {}


def test_systems_and_categories_are_those_of_the_best() -> None:
    found = describe_slices(
        [
            score(0, systems=("x", "y"), categories=("old", None)),
            score(1, systems=("x", "y"), categories=("old", None)),
            score(0, systems=("x", "x"), categories=("new", "new"), right=False),
            score(0, 2, systems=("x", "y", "y"), lengths=(3, 4, 5)),
            score(0, 1, systems=("y", "y", None), lengths=(3, 4, 5)),  # once, though two of its best are of y
        ]
    )
    assert brief(found["system"]) == [("x", 2, 3), ("y", 3, 3)]
    assert brief(found["category"]) == [("new", 0, 1), ("old", 1, 1)]


def test_what_has_an_order_is_in_order() -> None:
    five, two = score(0, lengths=(6, 6, 6, 6, 6)), score(0, lengths=(6, 6))
    assert brief(describe_slices([five, five, two])["responses"]) == [(2, 1, 1), (5, 2, 2)]
    assert brief(describe_slices([five, two, two])["responses"]) == [(2, 2, 2), (5, 1, 1)]


def test_agreement_is_by_how_much_of_the_votes_the_best_got() -> None:
    found = describe_slices(
        [
            score(0, votes=(3.0, 0.0)),
            score(0, votes=(2.0, 1.0), right=False),
            score(0, 1, votes=(1.0, 1.0, 0.0), lengths=(3, 4, 5)),
            score(1, votes=(1.0, 2.0, 1.0), lengths=(3, 4, 5)),  # half is not most
            score(0, votes=(1.0, 0.0)),  # one vote agrees with itself
            score(0),
        ]
    )
    assert brief(found["agreement"]) == [("all agree", 1, 1), ("most agree", 0, 1), ("split", 2, 2)]


def test_lengths_are_cut_into_quarters() -> None:
    scored = [score(0, lengths=(length, length)) for length in range(1, 9)]
    found = describe_slices(scored)["length"]
    assert [row["value"] for row in found] == [
        "1 to 2 characters",
        "3 to 4 characters",
        "5 to 6 characters",
        "7 to 8 characters",
    ]
    assert [row["of"] for row in found] == [2, 2, 2, 2]


def test_equal_lengths_are_not_parted() -> None:
    scored = [score(0, lengths=(length, length)) for length in (*[4] * 9, 1999, 1000, 1001)]
    found = describe_slices(scored)["length"]
    assert [(row["value"], row["of"]) for row in found] == [("4 characters", 9), ("1,000 to 1,999 characters", 3)]
    assert "length" not in describe_slices(scored[:9])


def test_lengths_of_token_ids_are_in_tokens() -> None:
    scored = [Scored(Comparison((1,), ((2,) * length, (3,) * length), (0,)), (1.0, 0.0)) for length in (2, 9)]
    assert [row["value"] for row in describe_slices(scored)["length"]] == ["2 tokens", "9 tokens"]


def test_of_many_values_the_less_frequent_are_taken_together() -> None:
    scored = [score(0, annotator=f"{name:02}") for name in range(60) for _ in range(1 + (name >= 30))]
    found = describe_slices(scored)["annotator"]
    assert [row["value"] for row in found] == [*(f"{name:02}" for name in (*range(30, 60), *range(10))), "20 others"]
    assert sum(row["of"] for row in found) == len(scored)
    # Two of the rest are best in one comparison, which is one case of the rest all the same.
    names = [(f"{name:02}", f"{name + 1:02}") for name in range(0, 84, 2)]
    both = [
        Scored(Comparison(name, ("a", "b", "c"), (0, 1), systems=(name, other, "z")), (1, 1, 0))
        for name, other in names
    ]
    assert {"value": "44 others", "of": 22}.items() <= describe_slices(both)["system"][-1].items()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=60))
def test_every_comparison_is_in_one_part_by_length(lengths: list[tuple[int, int]]) -> None:
    found = describe_slices([score(0, lengths=(1 + one, 1 + other)) for one, other in lengths]).get("length")
    if found is None:  # all are as long
        assert len({round((one + other) / 2 + 1) for one, other in lengths}) < len(lengths) or len(lengths) == 1
        return
    assert sum(row["of"] for row in found) == len(lengths)
    assert len({row["value"] for row in found}) == len(found) <= 4


def test_slices_do_not_depend_on_the_order_of_comparisons() -> None:
    scored = [Scored(one, tuple(map(float, map(len, one.responses)))) for one in draw_comparisons(200)]
    found = describe_slices(scored)
    assert found.keys() == {"length", "responses"}
    assert describe_slices(reversed(scored)) == found
    assert sum(row["of"] for row in found["responses"]) == len(decide(scored))


def test_real_comparisons_by_their_systems() -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared data sets are not on this machine")
    comparisons = ingest(SHARED / "summeval_bo4/comparisons.jsonl.gz").comparisons
    scored = [Scored(one, tuple(float(len(text)) for text in one.responses)) for one in comparisons]
    found = describe_slices(scored)
    assert len(found["system"]) == 12
    assert len(decide(scored)) < sum(row["of"] for row in found["system"]) < 1.2 * len(decide(scored))  # some tie
    assert len(found["length"]) == 4
