"""The gain of the best of n: against all ways to draw, by hand, in simulation and on real ratings."""

import gzip
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.comparison import Comparison
from prefline.reward_model.best_of_n import favour, gold_of_ratings, measure_best_of_n
from prefline.reward_model.scored import Scored

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TIED = st.lists(st.integers(0, 3).map(float), min_size=2, max_size=6)


def score(*scores: float, prompt: str = "Q", ratings: tuple[float | None, ...] | None = None) -> Scored:
    responses = tuple(f"response {place}" for place in range(len(scores)))
    return Scored(Comparison(prompt, responses, (), undecided="skipped", ratings=ratings), scores)


def measure(scored: list[Scored], gold: list[Any]) -> dict[str, Any]:
    found = measure_best_of_n(scored, gold, "gold")
    assert found is not None
    return found


def favour_by_drawing(scores: list[float], n: int) -> list[float]:
    shares = [0.0] * len(scores)
    draws = list(itertools.combinations(range(len(scores)), n))
    for draw in draws:
        highest = max(scores[place] for place in draw)
        tied = [place for place in draw if scores[place] == highest]
        for place in tied:
            shares[place] += 1 / len(tied) / len(draws)
    return shares


@given(TIED, st.data())
def test_favourites_are_those_of_all_draws(scores: list[float], data: st.DataObject) -> None:
    others = data.draw(st.lists(st.integers(0, 3).map(float), min_size=len(scores), max_size=len(scores)))
    shares = [*favour(np.array([scores, others]))]
    assert len(shares) == len(scores)
    for n, found in enumerate(shares, 1):
        assert found[0] == pytest.approx(favour_by_drawing(scores, n))
        assert found[1] == pytest.approx(favour_by_drawing(others, n))


def test_favourites_by_hand() -> None:
    scores = np.array([[4.0, 1.0, 3.0, 2.0], [1.0, 1.0, 0.0, 0.0]])
    # Of 6 twos of 4 responses the best is in 3, the second leads 2, the third 1.
    # Of two that tie ahead: 5 of 6 twos hold at least one of them; the others lead where they meet.
    halves = [5 / 12, 5 / 12, 1 / 12, 1 / 12]
    _, of_two, *_ = favour(scores)
    assert of_two == pytest.approx(np.array([[1 / 2, 0, 1 / 3, 1 / 6], halves]))


def test_the_gain_by_hand() -> None:
    # The gold is 0, 0, 2, 2: its mean is 1 and its deviation 1, so the gains are -1, -1, 1, 1.
    scored = [score(1, 2, 3, 4, prompt="A"), score(4, 3, 2, 1, prompt="B"), score(1, 3, 2, 4, prompt="C")]
    found = measure(scored, [(0, 0, 2, 2)] * 3)
    assert (found["by"], found["of"], found["left_out"]) == ("gold", 3, 0)
    curve = found["curve"]
    assert [one["n"] for one in curve] == [1, 2, 3, 4]
    # The favourite of two is the best of A with 1/2, then 1/3, 1/6, 0: it gains 1/2 + 1/3 - 1/6 = 2/3. B loses as much.
    # C has its second best where the gold is low: 1/2 - 1/3 + 1/6 = 1/3. Of three: 3/4 + 1/4 = 1, -1, and 3/4 - 1/4.
    assert [one["gold"] for one in curve] == pytest.approx([0, (2 / 3 - 2 / 3 + 1 / 3) / 3, (1 - 1 + 1 / 2) / 3, 1 / 3])
    # The gold takes a good one unless all that are drawn are bad: 1 - 2/6 of twos, always of three.
    assert [one["most"] for one in curve] == pytest.approx([0, 5 / 6 - 1 / 6, 1, 1])
    assert [one["kl"] for one in curve] == pytest.approx(
        [0, math.log(2) - 1 / 2, math.log(3) - 2 / 3, math.log(4) - 0.75]
    )
    # Gains of three prompts at n = 4: 1, -1, 1. Their variance is 4/3, that of the mean 4/9; t of 2 degrees is 4.3027.
    reach = 2 / 3 * 4.3027
    assert (curve[3]["low"], curve[3]["high"]) == pytest.approx((1 / 3 - reach, 1 / 3 + reach))
    assert curve[0]["low"] == pytest.approx(0, abs=1e-12)
    assert curve[0]["high"] == pytest.approx(0, abs=1e-12)


@given(st.lists(st.tuples(*[st.tuples(st.integers(0, 5), st.integers(0, 5))] * 3), min_size=1, max_size=6))
def test_the_units_of_scores_and_gold_do_not_matter(rows: list[Any]) -> None:
    def curve(scale: float, shift: float) -> list[float] | None:
        scored = [score(*(scale * row[0] + shift for row in some), prompt=f"{at}") for at, some in enumerate(rows)]
        gold = [tuple(scale * row[1] + shift for row in some) for some in rows]
        found = measure_best_of_n(scored, gold, "gold")
        return None if found is None else [one["gold"] for one in found["curve"]]

    once, again = curve(1, 0), curve(4, 32)
    assert (once is None) == (again is None) == all(len({row[1] for row in some}) == 1 for some in rows)
    assert once == pytest.approx(again)


@given(st.lists(st.tuples(TIED, st.integers()), min_size=1, max_size=5))
def test_nothing_gains_more_than_the_gold_itself(rows: list[tuple[list[float], int]]) -> None:
    size = max(len(gold) for gold, _ in rows)
    gold = [(gold * size)[:size] for gold, _ in rows]
    scored = [score(*np.random.default_rng(abs(seed)).normal(size=size), prompt=f"{seed}") for _, seed in rows]
    found = measure_best_of_n(scored, gold, "gold")
    if found is not None:
        most = [one["most"] for one in found["curve"]]
        assert all(one <= other + 1e-9 for one, other in itertools.pairwise(most))
        assert all(one["gold"] <= one["most"] + 1e-9 for one in found["curve"])


def test_comparisons_of_another_size_or_without_gold_are_left_out() -> None:
    scored = [score(1, 2), score(1, 2, 3), score(2, 1, prompt="B"), score(3, 2, prompt="C")]
    found = measure(scored, [(0, 1), (5, 6, 7), (0, 1), None])
    assert (found["of"], found["left_out"], len(found["curve"])) == (2, 2, 2)
    found = measure(scored[:2], [(0, 1), (5, 6, 7)])  # as many of either: the larger has more to say
    assert (found["of"], len(found["curve"])) == (1, 3)
    assert (found["curve"][2]["low"], found["curve"][2]["high"]) == (None, None)  # one prompt shows no variance


def test_gold_that_tells_no_two_apart_says_nothing() -> None:
    assert measure_best_of_n([], [], "gold") is None
    assert measure_best_of_n([score(1, 2)], [None], "gold") is None
    # A mean of three 0.1 is not 0.1, and prompts that differ say nothing of a choice.
    assert measure_best_of_n([score(1, 2, 3), score(1, 2, 3)], [(0.1,) * 3, (0.7,) * 3], "gold") is None


def test_ratings_are_gold_where_all_responses_have_one() -> None:
    rated, partly, bare = score(1, 2, ratings=(3, 4.5)), score(1, 2, ratings=(3, None)), score(1, 2)
    assert gold_of_ratings([bare, rated, partly]) == [None, (3, 4.5), None]
    assert gold_of_ratings([bare, partly]) is None
    assert gold_of_ratings([]) is None


def test_two_prompts_say_little() -> None:
    # The gold is 0 and 2, then 0 and 4: its mean is 1.5, its deviation sqrt(2.75). Gains 1 and 2 over it have a mean of
    # 1.5 and a deviation of sqrt(1/2), that of the mean is 1/2; t of 1 degree is 12.7063.
    found = measure([score(0, 1, prompt="A"), score(0, 1, prompt="B")], [(0, 2), (0, 4)])["curve"][1]
    assert found["high"] - found["gold"] == pytest.approx(12.7063 / 2 / math.sqrt(2.75), rel=1e-4)


@pytest.mark.parametrize(("prompts", "each"), [(8, 1), (15, 4), (80, 2)])
def test_intervals_hold_the_truth_95_times_in_100(prompts: int, each: int) -> None:
    generator = np.random.default_rng(prompts)
    scored = [score(0, 0, prompt=f"{place}") for place in range(prompts) for _ in range(each)]
    held = 0
    for _ in range(400):
        # How much the score helps differs between prompts: by 0.5 on average, which is the gain of the best of two.
        helps = np.repeat(0.5 + generator.normal(size=prompts) / 2, each) + generator.normal(size=prompts * each) / 2
        gold = np.stack((-helps, helps), 1)
        some = [one._replace(scores=(0.0, 1.0)) for one in scored]
        found = measure(some, gold.tolist())["curve"][1]
        held += found["low"] * gold.std() <= 0.5 <= found["high"] * gold.std()
    assert 0.92 <= held / 400 <= 0.98


def test_real_ratings_gain_by_themselves_and_less_by_length() -> None:
    path = SHARED / "summeval_bo4" / "comparisons.jsonl.gz"
    if not path.exists():
        pytest.skip("the shared data sets are not on this machine")
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().strip().split("\n")]
    gold = [row["mean_scores"] for row in rows]
    by_length = [score(*(len(row[f"sample{place}"]) for place in range(4)), prompt=row["query"]) for row in rows]
    by_gold = [score(*row["mean_scores"], prompt=row["query"]) for row in rows]
    length, itself = measure(by_length, gold)["curve"], measure(by_gold, gold)["curve"]
    assert [one["gold"] for one in itself] == pytest.approx([one["most"] for one in itself])
    # The longest of four is the best less often than by chance here, and no better by ratings.
    assert length[3]["gold"] < 0.3 < 0.7 < itself[3]["gold"]
    assert [one["most"] for one in length] == pytest.approx([one["most"] for one in itself])
