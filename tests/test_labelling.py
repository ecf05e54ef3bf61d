"""Mock labellers: what they choose, how often they err, and that only they and the texts decide."""

import math
import random
from collections import Counter
from collections.abc import Callable
from statistics import pstdev

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prefline.data.chance import from_seed
from prefline.data.comparison import Comparison
from prefline.data.contents import Message
from prefline.data.errors import ConfigError, DataError
from prefline.data.labelling import (
    HEURISTICS,
    Labeller,
    Score,
    Spreads,
    label,
    parse_labellers,
    relabel,
    score_all,
    score_copying,
)

CHANCE = from_seed(1)
LENGTH = Labeller("length", HEURISTICS["length"])
TEXTS = st.lists(st.text("ab ", max_size=4), min_size=2, max_size=5).filter(lambda texts: len(set(texts)) > 1)


def choose(responses: tuple[str, ...], labeller: Labeller, prompt: str = "p", seed: int = 1) -> tuple[int, ...]:
    return label(prompt, responses, labeller, from_seed(seed)).best


def test_a_labeller_says_what_scores_highest_under_its_name() -> None:
    found = label("p", ("a", "abc", "ab"), LENGTH, CHANCE, id="7", systems=("x", "y", None))
    assert found == Comparison("p", ("a", "abc", "ab"), (1,), annotator="length", id="7", systems=("x", "y", None))


def test_the_first_wins_where_the_place_alone_counts() -> None:
    first = Labeller("first", HEURISTICS["first"])
    assert {choose(responses, first) for responses in (("a", "b"), ("b", "a"), ("", "aaaa", "a"))} == {(0,)}
    assert score_all("p", ("a", "b", "c"), first) == [0.0, -1.0, -2.0]


@pytest.mark.parametrize(
    ("prompt", "response", "expected"),
    [
        ("The cat sat on the mat.", "the CAT sat on", 1.0),
        ("The cat sat on the mat.", "A cat sat on the mat", 2 / 3),  # a cat sat on: no; cat sat on the, sat on the mat
        ("The cat sat on the mat.", "on mat", 0.0),  # runs of two, as there are no more words
        ("The cat sat on the mat.", "the mat!", 1.0),
        ("The cat sat on the mat.", "dog", 0.0),
        ("The cat sat on the mat.", "", 0.0),
        ("", "the mat", 0.0),
        ((Message("user", "The cat sat"), Message("assistant", "on the mat")), "cat sat on the", 1.0),
    ],
)
def test_copying_is_the_share_of_runs_that_stand_in_the_prompt(
    prompt: str | tuple[Message, ...], response: str, expected: float
) -> None:
    assert score_copying(prompt, response) == pytest.approx(expected)


def test_ties_are_broken_evenly_or_all_named() -> None:
    tied = Labeller("length", HEURISTICS["length"], ties=True)
    assert choose(("ab", "a", "cd"), tied) == (0, 2)
    chosen = Counter(choose(("ab", "a", "cd"), LENGTH, seed=seed) for seed in range(400))
    assert set(chosen) == {(0,), (2,)}
    assert 160 < chosen[0,] < 240  # four standard deviations: 200 +- 4 * 10
    nothing = Labeller("random", HEURISTICS["random"])
    by_chance = Counter(choose(("a", "b", "c", "d"), nothing, str(seed)) for seed in range(400))
    assert set(by_chance.values()) <= set(range(65, 136))  # 100 +- 4 * 8.7


def test_the_noise_is_that_of_a_softmax() -> None:
    """With noise 0.5 and spread 2, scores 1 and 2 differ by one unit: the better wins with 1 / (1 + 1/e) = 0.731."""
    noisy = Labeller("noisy", lambda _prompt, response: float(response), noise=0.5, spread=2.0)
    wins = sum(choose(("1", "2"), noisy, str(number)) == (1,) for number in range(2000))
    assert abs(wins / 2000 - 1 / (1 + math.exp(-1))) < 4 * math.sqrt(0.731 * 0.269 / 2000)
    assert choose(("1", "2"), Labeller("calm", noisy.score, noise=1e-6)) == (1,)


@pytest.mark.parametrize(("noise", "true_best", "agree"), [(0.25, 0.86, 0.78), (0.5, 0.71, 0.59), (1.0, 0.55, 0.41)])
def test_normal_scores_give_the_ceilings_that_were_measured(noise: float, true_best: float, agree: float) -> None:
    """Best of 4, 8 % of sets with a tied best: scores are rounded so that about as many tie.

    The figures are those measured on a grammar, of which this is an idealisation: hence the width.
    """
    draw = random.Random(3)
    sets = [tuple(f"{number} {draw.gauss(0, 1):.1f}" for number in range(4)) for _ in range(1500)]
    one, other = (
        Labeller(name, lambda _prompt, response: float(response.split()[1]), noise) for name in ("one", "other")
    )
    right = same = 0
    for number, responses in enumerate(sets):
        scores = score_all("", responses, one)
        first, second = (label(str(number), responses, each, CHANCE).best[0] for each in (one, other))
        right += scores[first] == max(scores)
        same += first == second
    assert abs(right / len(sets) - true_best) < 0.05
    assert abs(same / len(sets) - agree) < 0.05


NOISY: list[tuple[str, Score | None]] = [(name, HEURISTICS[name]) for name in ("length", "copy", "random")]


@given(TEXTS, st.sampled_from(NOISY), st.sampled_from([0.0, 0.3, 2.0]), st.randoms(use_true_random=False))
def test_the_order_of_responses_changes_no_choice(
    responses: list[str], heuristic: tuple[str, Score | None], noise: float, shuffling: random.Random
) -> None:
    labeller = Labeller(*heuristic, noise=noise)
    moved = shuffling.sample(responses, len(responses))
    (here,), (there,) = (choose(tuple(order), labeller, "a b ab") for order in (responses, moved))
    assert responses[here] == moved[there]


@given(TEXTS, st.integers(0, 9))
def test_a_text_that_is_there_twice_is_chosen_at_either_place(responses: list[str], seed: int) -> None:
    assume(len(set(responses)) == len(responses))
    longest = max(responses, key=len)
    twins = (longest, *[text for text in responses if len(text) < len(longest)], longest)
    assume(len(set(twins)) > 1)
    assert choose(twins, LENGTH, seed=seed)[0] in (0, len(twins) - 1)


def test_neither_twin_is_favoured() -> None:
    first = sum(choose(("ab", "a", "ab"), LENGTH, str(number)) == (0,) for number in range(400))
    assert 160 < first < 240


def test_labellers_items_and_seeds_draw_apart() -> None:
    def said(name: str, seed: int, prompts: range) -> list[tuple[int, ...]]:
        return [choose(("a", "b"), Labeller(name, HEURISTICS["random"]), str(prompt), seed) for prompt in prompts]

    assert said("one", 1, range(40)) == said("one", 1, range(40))
    others = [said("other", 1, range(40)), said("one", 2, range(40)), said("one", 1, range(40, 80))]
    assert said("one", 1, range(40)) not in others


def test_spreads_are_standard_deviations_whatever_the_order() -> None:
    labellers = parse_labellers(["length:0.5", "length", "first:1"])
    rows = [("p", ("a" * number, "b" * (number * number % 7))) for number in range(50)]
    measured: list[tuple[Labeller, ...]] = []
    for order in (rows, rows[::-1]):
        spreads = Spreads(labellers)
        for prompt, responses in order:
            spreads.observe(prompt, responses)
        measured.append(spreads.measured())
    assert measured[0] == measured[1]
    lengths = [len(text) for _, responses in rows for text in responses]
    assert measured[0][0].spread == pytest.approx(pstdev(lengths))
    assert (measured[0][1].spread, measured[0][2].spread) == (1.0, 0.5)  # places 0 and -1
    assert Spreads(labellers).measured() == labellers  # nothing seen
    flat = Spreads(labellers)
    flat.observe("p", ("a", "b"))
    assert flat.measured()[0].spread == 0
    assert choose(("a", "b"), flat.measured()[0]) in {(0,), (1,)}


def test_what_others_said_is_forgotten_and_what_is_known_is_kept() -> None:
    before = Comparison(
        *("p", ("a", "abc"), (0,)),
        ranks=(0, 1),
        ratings=(2.0, 1.0),
        systems=("x", "y"),
        categories=("c", None),
        annotator="ann",
        id="7",
        source="web",
        weight=2.0,
    )
    kept = {"systems": ("x", "y"), "categories": ("c", None), "id": "7", "source": "web", "weight": 2.0}
    first = Labeller("first", None)
    assert relabel(before, (LENGTH, first), CHANCE) == [
        Comparison("p", ("a", "abc"), (1,), annotator="length", **kept),
        Comparison("p", ("a", "abc"), (0,), annotator="first", **kept),
    ]
    undecided = Comparison("p", ("a", "abc"), (), undecided="all bad")
    assert relabel(undecided, (LENGTH,), CHANCE) == [Comparison("p", ("a", "abc"), (1,), annotator="length")]


def test_labellers_are_named_as_people_write_them() -> None:
    def flat(_prompt: object, _response: str) -> float:
        return 0.0

    found = parse_labellers(["copy", "mine:0.5", "mine:0.5", "copy", "mine:1", "mine:0.5"], {"mine": flat})
    assert [(each.name, each.noise) for each in found] == [
        ("copy", 0.0),
        ("mine:0.5", 0.5),
        ("mine:0.5 #2", 0.5),
        ("copy #2", 0.0),
        ("mine:1", 1.0),
        ("mine:0.5 #3", 0.5),
    ]
    assert found[1].score is flat


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("lenght", r"unknown labeller 'lenght' \(did you mean 'length'\?\): there are length, copy, first, random"),
        ("", "unknown labeller ''"),
        ("length:", "expected NAME or NAME:NOISE, such as length or length:0.5, found 'length:'"),
        ("length:-1", "expected NAME or NAME:NOISE"),
        ("length:nan", "expected NAME or NAME:NOISE"),
        ("length:1:2", "expected NAME or NAME:NOISE"),
        ("length:1001", "expected a noise from 0 to 1000"),
    ],
)
def test_what_is_no_labeller_is_refused(spec: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_labellers([spec])


@pytest.mark.parametrize("score", [lambda *_: math.nan, lambda *_: math.inf], ids=["nan", "inf"])
def test_a_score_that_is_no_number_is_refused(score: Callable[..., float]) -> None:
    with pytest.raises(DataError, match="the labeller 'odd' must give a finite score, found"):
        label("p", ("a", "b"), Labeller("odd", score), CHANCE)


def test_token_ids_are_read_by_place_alone() -> None:
    with pytest.raises(DataError, match="the labeller 'length' reads texts, found token ids: decode them first"):
        label((1,), ((1,), (2,)), LENGTH, CHANCE)
    assert label((1,), ((1,), (2,)), Labeller("first", None), CHANCE).best == (0,)
