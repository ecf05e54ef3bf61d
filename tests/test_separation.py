"""Where scores lie, and who outscores whom: against numbers by hand and scikit-learn."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.comparison import Comparison
from prefline.reward_model.scored import Scored
from prefline.reward_model.separation import describe_negatives, describe_scores

SCORES = st.lists(st.floats(-10, 10), min_size=1, max_size=30)
FEW = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=12)  # which tie


def score(*scores: float, categories: tuple[str | None, ...] | None, best: Any = (0,), prompt: str = "Q") -> Scored:
    responses = tuple(f"response {place}" for place in range(len(scores)))
    undecided = None if best else "skipped"
    return Scored(Comparison(prompt, responses, best, undecided=undecided, categories=categories), scores)


def describe(scores: list[float]) -> dict[str, Any]:
    found = describe_scores({"best": scores})["best"]
    assert found is not None
    return found


def test_scores_by_hand() -> None:
    found = describe_scores({"best": [4.0, 1.0, 3.0, 2.0], "others": [0.0, 24.0], "samples": []})
    best, others = found["best"], found["others"]
    assert best is not None
    assert others is not None
    assert found["samples"] is None
    numbers = {name: value for name, value in best.items() if name != "bins"}
    assert numbers == pytest.approx(
        {
            "of": 4,
            "mean": 2.5,
            "std": math.sqrt(1.25),  # of 2.25, 0.25, 0.25, 2.25
            "least": 1,
            "p5": 1.15,  # 5 % of the way from the first to the last of 4, which is 3 steps
            "p25": 1.75,
            "median": 2.5,
            "p75": 3.25,
            "p95": 3.85,
            "most": 4,
        }
    )
    assert [(bin_["low"], bin_["high"]) for bin_ in best["bins"]] == [(low, low + 1) for low in range(24)]
    assert [bin_["of"] for bin_ in best["bins"]] == [0, 1, 1, 1, 1] + [0] * 19
    assert [bin_["of"] for bin_ in others["bins"]] == [1] + [0] * 22 + [1]  # the last bin holds its upper end


@given(SCORES, SCORES)
def test_bins_are_shared_and_hold_all(one: list[float], other: list[float]) -> None:
    found = describe_scores({"one": one, "other": other})
    edges = []
    for name, scores in (("one", one), ("other", other)):
        group = found[name]
        assert group is not None
        assert sum(bin_["of"] for bin_ in group["bins"]) == len(scores) == group["of"]
        edges.append([(bin_["low"], bin_["high"]) for bin_ in group["bins"]])
    assert edges[0] == edges[1]
    assert all(low < high for low, high in edges[0])
    assert edges[0][0][0] <= min(one + other) <= max(one + other) <= edges[0][-1][1]


@pytest.mark.parametrize("scores", [[3.0, 3.0], [1.0, math.nextafter(1.0, 2)], [1e12, 1e12], [0.0]])
def test_scores_that_are_hardly_apart_have_bins_too(scores: list[float]) -> None:
    assert sum(bin_["of"] for bin_ in describe(scores)["bins"]) == len(scores)


def test_without_any_score_nothing_is_described() -> None:
    assert describe_scores({"samples": []}) == {"samples": None}
    assert describe_scores({}) == {}


def test_negatives_by_hand() -> None:
    kinds = ("good", "cut", "copied", None)
    scored = [
        score(3, 1, 3, 9, categories=kinds, prompt="A"),  # ahead of cut, level with copied
        score(5, 6, 1, 9, categories=kinds, prompt="B"),  # behind cut, ahead of copied
        score(0, 8, 4, 2, categories=("good", "good", "cut", "cut"), best=(0, 1), prompt="C"),  # half, half
        score(0, 1, categories=("good", "cut"), best=(), prompt="D"),  # nobody chose
        score(0, 1, categories=("good", "cut"), best=(0, 1), prompt="E"),  # nothing is worse
    ]
    cut, copied = describe_negatives(scored) or []
    assert (cut["category"], cut["auc"], cut["of"]) == ("cut", 0.5, 4)  # 1, 0, 0.5, 0.5
    assert (copied["category"], copied["auc"], copied["of"]) == ("copied", 0.75, 2)  # 0.5, 1
    assert cut["low"] < 0.5 < cut["high"]
    # Bests 3, 5, 0, 8. Of cuts 1, 6, 4, 2: 3 is above two, 5 above three, 0 above none, 8 above all.
    assert cut["auc_all"] == (2 + 3 + 0 + 4) / 16
    # Of copied 3, 1: 3 is above one and level with one, 5 and 8 above both.
    assert copied["auc_all"] == (1.5 + 2 + 0 + 2) / 8


def test_prompts_that_score_high_do_not_hide_what_is_told_apart() -> None:
    kinds = ("good", "cut")
    scored = [score(10.0 * place + 1, 10.0 * place, categories=kinds, prompt=f"{place}") for place in range(20)]
    (cut,) = describe_negatives(scored) or []
    assert cut["auc"] == 1
    assert cut["auc_all"] == (20 + 190) / 400  # a best is above its own negative and all of lower prompts


def test_the_same_prompt_again_makes_nothing_surer() -> None:
    generator = np.random.default_rng(0)
    once = [score(*generator.normal(size=2), categories=("good", "cut"), prompt=f"{place}") for place in range(40)]
    (one,), (other,) = describe_negatives(once) or [], describe_negatives(once * 3) or []
    assert (other["low"], other["high"]) == pytest.approx((one["low"], one["high"]))
    assert other["of"] == 3 * one["of"]


def test_without_categories_there_are_no_negatives() -> None:
    assert describe_negatives([]) is None
    assert describe_negatives([score(1, 0, categories=None)]) is None
    assert describe_negatives([score(1, 0, categories=("good", None))]) is None


def test_of_many_categories_the_less_frequent_are_taken_together() -> None:
    # The last 11 come once, with 1 above the best in one of them; those before come twice.
    names = [f"kind {place:02}" for place in range(50) for _ in range(1 + (place < 39))]
    scored = [score(1, 2 * (name == "kind 49"), 0, categories=(None, name, "frequent")) for name in names]
    found = describe_negatives(scored) or []
    assert [one["category"] for one in found] == ["11 others", "frequent", *(f"kind {place:02}" for place in range(39))]
    assert (found[0]["of"], found[0]["auc"]) == (11, 10 / 11)
    assert found[0]["auc_all"] == pytest.approx(10 / 11)  # all bests are 1
    assert found[1]["of"] == len(names)
