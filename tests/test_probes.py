"""Probes: what must come out comes out, and what is planted is found."""

import random
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pytest
from drawn_comparisons import draw_comparisons
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.chance import from_seed
from prefline.data.comparison import Comparison
from prefline.data.contents import Prompt, Response
from prefline.reward_model.probes import Score, probe_order, probe_shuffled, probe_swapped, score_turned
from prefline.reward_model.scored import Scored, decide, measure_accuracy

LETTERS = st.lists(st.integers(0, 3), min_size=2, max_size=5)


def read_length(_: Sequence[Prompt], responses: Sequence[Response]) -> list[float]:
    return [float(len(response)) for response in responses]


def read_place(prompts: Sequence[Prompt], responses: Sequence[Response]) -> list[float]:
    """Score the first of all responses to a prompt highest, and by length a little."""
    places = [place for _, group in groupby(prompts) for place, _ in enumerate(group)]
    return [len(response) / 100 - place for place, response in zip(places, responses, strict=True)]


def give(score: Score, comparisons: Sequence[Comparison]) -> list[Scored]:
    found: list[Scored] = []
    for one in comparisons:
        prompts = [one.prompt] * len(one.responses)
        found.append(Scored(one, tuple(score(prompts, one.responses))))
    return found


def draw(count: int) -> list[Comparison]:
    return [
        Comparison(f"p{row}", one.responses, one.best) for row, one in enumerate(draw_comparisons(count))
    ]  # each with a prompt of its own


def pick(scores: Sequence[int], best: set[int], prompt: str = "p") -> Scored:
    responses = tuple("abcdef"[: len(scores)])
    return Scored(
        Comparison(prompt, responses, tuple(sorted(best)), undecided=None if best else "skipped"),
        tuple(map(float, scores)),
    )


def probe(score: Score, scored: Sequence[Scored], most: int = 200) -> dict[str, Any] | None:
    return probe_order(score_turned(score, scored, most))


# --- the order of responses ---


def test_a_score_of_the_response_alone_is_the_same_in_any_order() -> None:
    assert probe(read_length, give(read_length, draw(50))) == {"worst": 0.0, "changed": 0, "of": 50}


def test_a_score_of_the_place_is_found() -> None:
    found = probe(read_place, give(read_place, draw(50)))
    assert found is not None
    assert found["changed"] == found["of"] == 50
    assert found["worst"] > 1


def test_both_orders_are_asked_for_and_the_scores_put_back() -> None:
    asked: list[tuple[list[Prompt], list[Response]]] = []

    def watch(prompts: Sequence[Prompt], responses: Sequence[Response]) -> list[float]:
        asked.append(([*prompts], [*responses]))
        return [{"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0, "e": 10.0}[str(response)] for response in responses]

    scored = [
        Scored(Comparison("p", ("a", "b", "c"), (0,)), (0.0, 1.0, 2.0)),
        Scored(Comparison("q", ("d", "e"), (0,)), (3.0, 4.0)),
    ]
    found = probe(watch, scored)
    assert asked == [
        (["p", "p", "p", "q", "q"], ["c", "b", "a", "e", "d"]),
        (["p", "p", "p", "q", "q"], ["b", "c", "a", "e", "d"]),
    ]
    # One score is 10 now and was 4: the deviation of 0 1 2 3 4 and twice 0 1 2 3 10 is sqrt(258 / 15 - 2.8^2).
    mean = (10 + 16 + 16) / 15
    spread = ((30 + 114 + 114) / 15 - mean**2) ** 0.5
    assert found == {"worst": pytest.approx(6 / spread), "changed": 0, "of": 2}


def test_a_choice_changes_only_if_it_lies_clearly_below_another() -> None:
    scored = [pick((0, 10), {0}, "p"), pick((5, 5), {0}, "q"), pick((4, 6), {0}, "r")]

    def change(extra: float) -> int:
        known = {("p", "a"): 0.0, ("p", "b"): 10.0, ("q", "a"): 5.0, ("q", "b"): 5.0, ("r", "b"): 6.0}
        found = probe(lambda *asked: [known.get(pair, 6 + extra) for pair in zip(*asked, strict=True)], scored)
        assert found is not None
        return found["changed"]

    assert (change(-1), change(0), change(1e-4), change(0.1)) == (0, 0, 0, 1)


def test_scores_that_are_all_alike_are_no_fault() -> None:
    def read_nothing(_: Sequence[Prompt], responses: Sequence[Response]) -> list[float]:
        return [1.0] * len(responses)

    assert probe(read_nothing, give(read_nothing, draw(5))) == {"worst": 0.0, "changed": 0, "of": 5}


def test_at_most_so_many_are_scored_again_from_all_over_the_data() -> None:
    seen: set[Prompt] = set()

    def watch(prompts: Sequence[Prompt], responses: Sequence[Response]) -> list[float]:
        seen.update(prompts)
        return read_length(prompts, responses)

    found = probe(watch, give(read_length, draw(25)), most=10)
    assert found == {"worst": 0.0, "changed": 0, "of": 10}
    assert seen == {f"p{row}" for row in (0, 2, 5, 7, 10, 12, 15, 17, 20, 22)}


def test_nothing_to_score_again() -> None:
    assert probe(read_length, []) is None


def test_labels_go_along_with_the_responses() -> None:
    scored = [
        Scored(Comparison("p", ("aaa", "b", "cc"), (0, 2), votes=(1, 0, 1)), (3.0, 1.0, 2.0)),
        Scored(Comparison("q", ("d", "ee"), (), undecided="skipped"), (1.0, 2.0)),
    ]
    turned = score_turned(read_length, scored)
    assert turned.given == scored
    assert turned.reversed == [
        Scored(Comparison("p", ("cc", "b", "aaa"), (0, 2)), (2.0, 1.0, 3.0)),
        Scored(Comparison("q", ("ee", "d"), (), undecided="skipped"), (2.0, 1.0)),
    ]
    assert turned.rotated == [
        Scored(Comparison("p", ("b", "cc", "aaa"), (1, 2)), (1.0, 2.0, 3.0)),
        Scored(Comparison("q", ("ee", "d"), (), undecided="skipped"), (2.0, 1.0)),
    ]


def test_scores_that_do_not_go_with_their_responses_make_labels_and_their_opposite_seem_right() -> None:
    pairs = [pick((1, 0), {0}, f"p{row}") for row in range(50)]
    right, mixed = (
        score_turned(score, pairs).reversed
        for score in (
            lambda _, responses: [float(response == "a") for response in responses],
            lambda _, responses: [float(place % 2 == 0) for place in range(len(responses))],
        )
    )
    accuracy = measure_accuracy(pairs)
    assert accuracy is not None
    assert accuracy["share"] == 1
    for scored, share in ((right, 0.0), (mixed, 1.0)):
        swapped = probe_swapped(scored)
        assert swapped is not None
        assert swapped["share"] == share


# --- labels swapped ---


@given(st.lists(st.tuples(LETTERS, st.sets(st.integers(0, 4))), max_size=8))
def test_with_labels_swapped_what_was_right_is_wrong(drawn: list[tuple[list[int], set[int]]]) -> None:
    scored = [
        pick(scores, {place for place in best if place < len(scores)}, f"p{row % 3}")
        for row, (scores, best) in enumerate(drawn)
    ]
    accuracy, swapped = measure_accuracy(scored), probe_swapped(scored)
    if accuracy is None or swapped is None:
        assert accuracy is swapped is None
    else:
        assert swapped["share"] == pytest.approx(1 - accuracy["share"])
        assert swapped["chance"] == pytest.approx(1 - accuracy["chance"])
        assert (swapped["of"], swapped["low"]) == (accuracy["of"], pytest.approx(1 - accuracy["high"]))


def test_what_is_said_beside_the_best_does_not_hinder_swapping() -> None:
    scored = give(read_length, draw_comparisons(30))
    assert any(one.comparison.ranks for one in decide(scored))
    voted = Scored(Comparison("p", ("a", "b", "c"), (0,), votes=(2, 1, 0)), (3.0, 2.0, 1.0))
    accuracy, swapped = measure_accuracy([*scored, voted]), probe_swapped([*scored, voted])
    assert accuracy is not None
    assert swapped is not None
    assert swapped["right"] == pytest.approx(accuracy["of"] - accuracy["right"])


# --- labels dealt by chance ---


@pytest.mark.parametrize("count", [1, 30, 600])
@pytest.mark.parametrize("seed", range(5))
def test_labels_dealt_by_chance_bring_any_model_down_to_chance(seed: int, count: int) -> None:
    generator = random.Random(seed)
    scored = [pick(generator.sample(range(9), 4), {generator.randrange(4)}, f"p{row}") for row in range(count)]
    perfect = [one._replace(scores=tuple(map(float, one.comparison.target or ()))) for one in scored]
    for some in (scored, perfect):
        found = probe_shuffled(some, from_seed(seed))
        assert found is not None
        assert found["of"] == count
        assert found["share"] == pytest.approx(0.25, abs=0.02)  # 10,000 deals: 0.02 is more than four deviations
        assert found["low"] < found["chance"] == 0.25 < found["high"]


def test_the_deals_follow_from_chance_alone() -> None:
    scored = give(read_length, draw(40))
    assert probe_shuffled(scored, from_seed(1)) == probe_shuffled(scored, from_seed(1))
    assert probe_shuffled(scored, from_seed(1)) != probe_shuffled(scored, from_seed(2))


def test_nothing_decided_to_shuffle() -> None:
    assert probe_shuffled([pick((1, 2), set())], from_seed(0)) is None
    assert probe_swapped([]) is None
