"""Leaks: prompts and responses that a model has learnt from and is tested on."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.comparison import Comparison
from prefline.data.contents import Message, Prompt
from prefline.data.ingestion import ingest
from prefline.data.splitting import split
from prefline.reward_model.leaks import find_leak
from prefline.reward_model.scored import Scored, measure_accuracy

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
PROMPTS = st.lists(st.sampled_from("abcdef"), max_size=8)
LONG = "Write a short note to the neighbours, which says that the lift will be repaired next Monday, and thank them."


def compare(prompt: Prompt, best: str = "yes", other: str = "no") -> Comparison:
    return Comparison(prompt, (best, other), (0,))


def score(comparison: Comparison, *, right: bool = True) -> Scored:
    return Scored(comparison, (1.0, 0.0) if right else (0.0, 1.0))


def test_counts_by_hand() -> None:
    train = [compare("one", "good", "bad"), compare("two", "fine", "poor"), compare(LONG)]
    held_out = [
        score(compare("one", "new", "newer")),  # its prompt is in train
        score(compare("one", "fine", "new"), right=False),  # so is that, and its best response on another prompt
        score(compare("three", "poor", "new")),  # its best response was the worse in train
        score(compare("four", "new", "good"), right=False),  # what is not best says nothing
        score(compare(LONG.replace("them", "everybody"), "new", "newer")),  # nearly a prompt of train
    ]
    found = find_leak(held_out, train)
    shared, clean = found.pop("shared"), found.pop("clean")
    assert found == {"prompts": 1, "of": 4, "responses": 2, "near": 1}
    assert (shared["right"], shared["of"], clean["right"], clean["of"]) == (2, 3, 1, 2)
    found = find_leak(held_out, train, near=None)
    shared, clean = found.pop("shared"), found.pop("clean")
    assert found == {"prompts": 1, "of": 4, "responses": 2, "near": None}
    assert (shared["right"], shared["of"], clean["right"], clean["of"]) == (1, 2, 2, 3)


def test_a_text_is_no_chat_and_no_token_ids() -> None:
    chat = (Message("user", "hi"),)
    train = [compare("hi"), Comparison((1, 2), ((1,), (2,)), (0,))]
    held_out = [Scored(compare(chat), (1.0, 0.0)), Scored(compare("12", "(1,)", "2"), (1.0, 0.0))]
    assert find_leak(held_out, train, near=None)["prompts"] == 0
    assert find_leak(held_out, [compare(chat)])["prompts"] == 1
    assert find_leak([Scored(train[1], (1.0, 0.0))], train)["prompts"] == 1


def test_any_of_several_best_responses_that_is_known_counts_once() -> None:
    held_out = [Scored(Comparison("p", ("a", "b", "c"), (0, 1)), (1.0, 0.0, 0.0))]
    assert find_leak(held_out, [compare("q", "b", "a")])["responses"] == 1
    assert find_leak(held_out, [compare("q", "c", "d")])["responses"] == 0


def test_what_nobody_decided_is_a_prompt_all_the_same() -> None:
    undecided = Comparison("p", ("a", "b"), (), undecided="skipped")
    found = find_leak([Scored(undecided, (1.0, 0.0))], [compare("p")])
    assert found == {"prompts": 1, "of": 1, "responses": 0, "near": 0, "shared": None, "clean": None}


def test_nothing_on_either_side() -> None:
    nothing = {"prompts": 0, "of": 0, "responses": 0, "near": 0, "shared": None, "clean": None}
    assert find_leak([], []) == nothing
    assert find_leak([], [compare("p")]) == nothing
    alone = find_leak([score(compare("p"))], [])
    assert (alone["prompts"], alone["near"], alone["clean"]["of"]) == (0, 0, 1)


@given(PROMPTS, PROMPTS, st.sampled_from([None, 0.8]))
def test_each_prompt_counts_once_and_each_comparison_on_one_side(
    asked: list[str], known: list[str], near: float | None
) -> None:
    held_out = [score(compare(prompt), right=prompt < "d") for prompt in asked]
    found = find_leak(held_out, [compare(prompt) for prompt in known], near)
    assert (found["prompts"], found["of"]) == (len({*asked} & {*known}), len({*asked}))
    assert found["responses"] == (len(asked) if known else 0)
    whole = measure_accuracy(held_out)
    parts = [part for part in (found["shared"], found["clean"]) if part is not None]
    assert sum(part["of"] for part in parts) == len(asked)
    assert whole is None or sum(part["right"] for part in parts) == whole["right"]


def test_our_own_split_leaks_nothing_and_a_split_of_rows_does() -> None:
    path = SHARED / "pandalm_pairs" / "pairs.jsonl.gz"
    if not path.exists():
        pytest.skip("the shared data sets are not on this machine")
    comparisons = ingest(path).comparisons
    train, held_out = split(comparisons, 0.3)
    found = find_leak([score(one) for one in held_out], train)
    assert (found["prompts"], found["near"], found["shared"]) == (0, 0, None)
    found = find_leak([score(one) for one in comparisons[::5]], [one for row, one in enumerate(comparisons) if row % 5])
    assert found["prompts"] > 0.9 * found["of"]
