"""Comparisons with scores: credit and chance, shares and differences with intervals that hold what they promise."""

import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_comparisons import draw_comparisons
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.comparison import Comparison
from prefline.data.ingestion import ingest
from prefline.data.intervals import wilson
from prefline.reward_model.objectives import find_credit, tabulate
from prefline.reward_model.scored import Scored, decide, difference_of, key_of, measure_accuracy, share_of

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
DIFFERENCES = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from([-1.0, -0.5, 0.0, 1.0])), min_size=1)


def score(scores: tuple[float, ...], *best: int, prompt: str = "p", **said: Any) -> Scored:
    said = ({} if best else {"undecided": "skipped"}) | said
    return Scored(Comparison(prompt, tuple("abcdef"[: len(scores)]), best, **said), scores)


@pytest.mark.parametrize(
    ("scores", "best", "credit", "chance"),
    [
        ((0.0, 1.0, -2.0), (1,), 1.0, 1 / 3),
        ((0.0, 1.0, -2.0), (0,), 0.0, 1 / 3),
        ((0.0, 1.0, -2.0), (1, 2), 1.0, 2 / 3),
        ((1.0, 1.0, -2.0), (1,), 0.5, 1 / 3),
        ((1.0, 1.0, -2.0), (0, 1), 1.0, 2 / 3),
        ((1.0, 1.0, 1.0, 0.0), (0, 3), 1 / 3, 1 / 2),
        ((0.0, 0.0), (1,), 0.5, 0.5),
        ((0.0, 1.0), (), None, None),
        ((0.0, 1.0), (0, 1), None, None),
    ],
)
def test_the_choice_is_right_by_the_share_of_the_highest_that_is_best(
    scores: tuple[float, ...], best: tuple[int, ...], credit: float | None, chance: float | None
) -> None:
    one = score(scores, *best)
    assert one.credit == credit
    assert one.chance == chance
    assert decide([one]) == ([] if credit is None else [one])


def test_credit_is_that_of_training() -> None:
    comparisons = draw_comparisons(300)
    chance = random.Random(1)
    scores = [[float(chance.randint(0, 3)) for _ in one.responses] for one in comparisons]
    told = find_credit(tabulate(torch.tensor([value for row in scores for value in row]), comparisons), comparisons)
    for comparison, own, credit in zip(comparisons, scores, told.tolist(), strict=True):
        found = Scored(comparison, tuple(own)).credit
        assert found == pytest.approx(credit) if found is not None else math.isnan(credit)


def test_a_model_that_scores_all_alike_is_right_as_often_as_chance() -> None:
    scored = [Scored(one, (0.25,) * len(one.responses)) for one in draw_comparisons(300)]
    found = measure_accuracy(scored)
    assert found is not None
    assert found["share"] == pytest.approx(found["chance"])
    assert found["of"] == len(decide(scored)) == 300


def test_nothing_decided_has_no_accuracy() -> None:
    assert measure_accuracy([score((0.0, 1.0)), score((0.0, 1.0), 0, 1)]) is None
    assert share_of([]) is None
    assert difference_of([]) is None


def test_the_accuracy_is_a_share_over_prompts() -> None:
    scored = [score((0.0, 1.0), 1, prompt=prompt) for prompt in "ab"] + [score((0.0, 1.0, 0.5), 0, prompt="a")]
    assert [key_of(one) for one in scored] == ["a", "b", "a"]
    found = measure_accuracy(scored)
    assert found == share_of([("a", 1.0, 0.5), ("b", 1.0, 0.5), ("a", 0.0, 1 / 3)])
    assert found is not None
    assert found["right"] == 2
    assert found["share"] == pytest.approx(2 / 3)
    assert found["chance"] == pytest.approx(4 / 9)


def test_a_share_of_prompts_of_their_own_has_the_interval_of_wilson() -> None:
    found = share_of((prompt, float(prompt < 7), 0.5) for prompt in range(10))
    low, high = wilson(7, 10)
    assert found is not None
    assert found == pytest.approx(
        {"right": 7, "of": 10, "share": 0.7, "low": low, "high": high, "chance": 0.5, "effective": 10}
    )


def test_cases_of_one_prompt_that_go_together_count_once() -> None:
    # One prompt right twice, one wrong twice: the variance over prompts is that of 2 cases.
    found = share_of([("a", 1.0, 0.5), ("a", 1.0, 0.5), ("b", 0.0, 0.5), ("b", 0.0, 0.5)])
    assert found is not None
    assert found["of"] == 4
    assert found["effective"] == pytest.approx(2)
    assert (found["low"], found["high"]) == pytest.approx(wilson(1, 2))


def test_a_difference_of_prompts_of_their_own_has_the_interval_of_agresti_and_min() -> None:
    # 3 up, 1 down, 4 alike: of 10 with the two that are added, 2 / 10 and (5 - 2 * 2 / 10) / 10^2.
    found = difference_of(enumerate([1.0, 1.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0]))
    reach = 1.959964 * math.sqrt(0.046)
    assert found == pytest.approx({"difference": 0.25, "low": 0.2 - reach, "high": 0.2 + reach, "of": 8})


def test_a_few_differences_that_are_all_alike_are_not_sure() -> None:
    for value in (-1.0, 0.0, 1.0):
        found = difference_of((prompt, value) for prompt in range(4))
        assert found is not None
        assert found["difference"] == value
        assert found["high"] - found["low"] > 0.5


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_saying_all_three_times_over_makes_no_share_surer(cases: list[bool]) -> None:
    rows = [(prompt, float(right), 0.5) for prompt, right in enumerate(cases)]
    once, thrice = share_of(rows), share_of(rows * 3)
    assert once is not None
    assert thrice == pytest.approx(once | {"right": 3 * once["right"], "of": 3 * once["of"]})


@given(DIFFERENCES)
def test_saying_all_three_times_over_makes_no_difference_surer(cases: list[tuple[str, float]]) -> None:
    once = difference_of(cases)
    assert once is not None
    assert difference_of(cases * 3) == pytest.approx(once | {"of": 3 * once["of"]})


@given(DIFFERENCES, st.randoms(use_true_random=False))
def test_a_difference_lies_in_its_interval_whatever_the_order_of_cases(
    cases: list[tuple[str, float]], chance: random.Random
) -> None:
    found = difference_of(cases)
    assert found is not None
    assert -1 <= found["low"] <= found["difference"] <= found["high"] <= 1
    chance.shuffle(cases)
    assert difference_of(cases) == pytest.approx(found)


def draw_right(chance: random.Random, own: bool, true: float) -> float:
    """Draw whether a case is right: half of the time it is what its prompt is."""
    return float(own if chance.random() < 0.5 else chance.random() < true)


def draw_cases(chance: random.Random) -> list[tuple[int, float, float]]:
    """Draw 60 prompts of 1 to 6 cases, which two models judge: 0.7 and 0.6 right."""
    cases = []
    for prompt in range(60):
        own, other = chance.random() < 0.7, chance.random() < 0.6
        size = chance.randint(1, 6)
        cases += [(prompt, draw_right(chance, own, 0.7), draw_right(chance, other, 0.6)) for _ in range(size)]
    return cases


def test_intervals_of_cases_that_hang_together_hold_the_truth_as_often_as_they_say() -> None:
    chance, times = random.Random(5), 500
    shares = differences = naive = 0
    for _ in range(times):
        cases = draw_cases(chance)
        share = share_of((prompt, own, 0.5) for prompt, own, _ in cases) or {}
        shares += share["low"] <= 0.7 <= share["high"]
        difference = difference_of((prompt, own - other) for prompt, own, other in cases) or {}
        differences += difference["low"] <= 0.1 <= difference["high"]
        low, high = wilson(share["right"], share["of"])
        naive += (low or 0) <= 0.7 <= (high or 1)
    assert 0.92 <= shares / times <= 0.98
    assert 0.92 <= differences / times <= 0.98
    assert naive / times < 0.92  # the cases taken for independent: what the test would not miss


def test_intervals_of_few_cases_hold_the_truth_at_least_as_often() -> None:
    chance, times = random.Random(6), 500
    held = 0
    for _ in range(times):
        values = [float(chance.random() < 0.9) - float(chance.random() < 0.85) for _ in range(8)]
        found = difference_of(enumerate(values)) or {}
        held += found["low"] <= 0.05 <= found["high"]
    assert held / times > 0.95


@pytest.mark.parametrize(
    ("file", "accuracy", "chance"),
    [("oasst1_en_ranked/ranked.jsonl.gz", 161 / 275, 0.39), ("summeval_bo4/comparisons.jsonl.gz", 168.5 / 766, 0.25)],
    ids=["oasst1", "summeval"],
)
def test_a_model_that_reads_the_length_on_real_comparisons(file: str, accuracy: float, chance: float) -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared data sets are not on this machine")
    comparisons = [one for one in ingest(SHARED / file).comparisons if len(one.best) == 1]
    found = measure_accuracy(Scored(one, tuple(float(len(text)) for text in one.responses)) for one in comparisons)
    assert found is not None
    assert found["share"] == pytest.approx(accuracy)  # as the quality report counts how often the longest wins
    assert found["chance"] == pytest.approx(chance, abs=0.01)
    assert found["low"] < found["share"] < found["high"]
    assert found["effective"] <= found["of"]


def test_the_statistics_of_a_card_cost_no_torch() -> None:
    names = ", ".join(f"prefline.reward_model.{name}" for name in ("scored", "slices", "calibration", "length_bias"))
    heavy = "{'torch', 'transformers', 'sklearn', 'scipy', 'pandas'}"
    program = f"import sys, {names}; sys.exit(str({heavy} & sys.modules.keys() or 0).replace('0', '') or 0)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
