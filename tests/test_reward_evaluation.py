"""What is learnt from comparisons, and how well a model agrees with them, worked out by hand."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_comparisons import draw_comparisons
from hypothesis import given
from hypothesis import strategies as st
from tiny_scorers import build_scorer

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError, NotFiniteError
from prefline.data.intervals import wilson
from prefline.reward_model import evaluation
from prefline.reward_model.encoding import EncodedComparison, Pair
from prefline.reward_model.evaluation import evaluate
from prefline.reward_model.model import RewardModel
from prefline.reward_model.objectives import Loss, Table, find_credit, find_losses, tabulate, teaches


def compare(best: tuple[int, ...], size: int = 3, **said: Any) -> Comparison:
    undecided = None if best else "skipped"
    return Comparison("a", tuple("bcdef"[:size]), best, undecided=undecided, **said)


def encode(comparison: Comparison, *responses: tuple[int, ...]) -> EncodedComparison:
    return EncodedComparison(comparison, tuple(Pair((4,), response) for response in responses))


def test_scores_stand_side_by_side_however_many_there_are() -> None:
    table = tabulate(torch.arange(1.0, 10.0), [compare((0,), size) for size in (2, 4, 3)])
    assert table.scores.tolist() == [[1, 2, 0, 0], [3, 4, 5, 6], [7, 8, 9, 0]]
    assert table.mask.long().tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]


def find_loss(scores: list[float], comparison: Comparison, loss: Loss, margin: float = 0.0) -> float:
    table = tabulate(torch.tensor(scores, dtype=torch.float64), [comparison])
    return find_losses(table, [comparison], loss, margin).item()


def test_each_loss_by_hand() -> None:
    # e^0 + e^ln2 + e^ln5 = 8.
    scores = [0.0, math.log(2), math.log(5)]
    assert find_loss(scores, compare((1,)), "choice") == pytest.approx(math.log(8 / 2))
    assert find_loss(scores, compare((0, 1)), "choice") == pytest.approx(math.log(8) - math.log(2) / 2)
    voted = compare((2,), votes=(1.0, 0.0, 3.0))
    assert find_loss(scores, voted, "choice") == pytest.approx(math.log(8) - 3 * math.log(5) / 4)
    # First one of all three, then one of the first two, and of one alone there is no choice.
    ranked = compare((2,), ranks=(1, 2, 0))
    assert find_loss(scores, ranked, "ranking") == pytest.approx(math.log(8 / 5) + math.log(3 / 1))
    # Where only the best is known, the ranking says what the choice does.
    assert find_loss(scores, compare((1,)), "ranking") == pytest.approx(math.log(8 / 2))
    rated = compare((0,), ratings=(1.0, None, 0.0))
    assert find_loss([3.0, 9.0, 1.0], rated, "rating") == pytest.approx((4 + 1) / 2)
    assert find_loss([3.0, 9.0, 1.0], rated, "difference") == pytest.approx((-2 + 1) ** 2)


def test_a_margin_is_how_far_the_best_is_ahead_by_its_rating() -> None:
    # The others get 0.5 (3 - 1) and nothing, as what has no rating is behind by nobody knows how much.
    scores = [math.log(4), math.log(2) - 1, math.log(2)]
    rated = compare((0,), ratings=(3.0, 1.0, None))
    assert find_loss(scores, rated, "choice", margin=0.5) == pytest.approx(math.log(8 / 4))
    pair = compare((0,), 2, ratings=(3.0, 1.0))
    # As for Llama 2: -log sigmoid(1 - 0.25 * 2).
    assert find_loss([1.5, 0.5], pair, "choice", margin=0.25) == pytest.approx(math.log1p(math.exp(-0.5)))
    # Who is best has no margin to itself, nor has who is rated above the best, nor anybody without ratings.
    for comparison in (compare((0, 1), 2, ratings=(3.0, 1.0)), compare((1,), 2, ratings=(3.0, 1.0)), compare((0,), 2)):
        assert find_loss([1.5, 0.5], comparison, "choice", margin=2.0) == find_loss([1.5, 0.5], comparison, "choice")


@pytest.mark.parametrize(
    ("scores", "best", "expected"),
    [
        ([1.0, 2.0, 3.0], (2,), 1.0),
        ([1.0, 2.0, 3.0], (0,), 0.0),
        ([1.0, 2.0, 3.0], (0, 2), 1.0),
        ([3.0, 2.0, 3.0], (0,), 0.5),
        ([3.0, 2.0, 3.0], (0, 2), 1.0),
        ([2.0, 2.0, 2.0], (1,), 1 / 3),  # as often as chance
        ([-9.0, -8.0, -7.0], (2,), 1.0),  # what fills up the table is 0, and higher
    ],
)
def test_the_credit_is_the_share_of_the_highest_that_is_best(
    scores: list[float], best: tuple[int, ...], expected: float
) -> None:
    comparisons = [compare(best), compare((), 2), compare((0, 1), 2)]
    found = find_credit(tabulate(torch.tensor([*scores, 0.0, 0.0, 1.0, 0.0]), comparisons), comparisons)
    assert found[0].item() == pytest.approx(expected)
    assert found[1:].isnan().all()  # where none is best, or all are


TEACHES: list[tuple[Comparison, set[str]]] = [
    (compare((0,)), {"choice", "ranking"}),
    (compare((0, 1, 2)), {"choice"}),
    (compare(()), set()),
    (compare((), ranks=(1, 0, None)), {"ranking"}),
    (compare((), ranks=(1, 1, 1)), set()),
    (compare((), ratings=(1.0, None, None)), {"rating"}),
    (compare((), ratings=(1.0, None, 0.0)), {"rating", "difference"}),
    (compare((), ratings=(None, None, None)), set()),
]


@pytest.mark.parametrize(("comparison", "expected"), TEACHES)
def test_what_a_comparison_teaches(comparison: Comparison, expected: set[str]) -> None:
    losses: tuple[Loss, ...] = ("choice", "ranking", "rating", "difference")
    assert {loss for loss in losses if teaches(encode(comparison, (5,), (6,), (7,)), loss)} == expected
    # Of responses that are the same to the model no order can be learnt, though what they are worth can.
    void = {loss for loss in losses if teaches(encode(comparison, (5,), (5,), (5,)), loss)}
    assert void == expected - {"choice", "ranking"}


def give_scores(model: RewardModel, scores: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "score_pairs", lambda pairs, **_: torch.tensor(scores[: len(pairs)]))


def test_an_evaluation_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_scorer("gpt2", tmp_path)
    comparisons = [compare((0,), 2, weight=3.0), compare((), 2), compare((1,), 2), compare((0,), 2)]
    give_scores(model, [math.log(3), 0.0, math.log(3), 0.0, 1.0, 1.0], monkeypatch)
    found = evaluate(model, comparisons)
    # Right, wrong, and half right by a tie: 1.5 of 3. Losses ln 4/3, ln 4, ln 2, the first three times.
    assert (found.comparisons, found.decided, found.accuracy) == (3, 3, 0.5)
    assert found.loss == pytest.approx((3 * math.log(4 / 3) + math.log(4) + math.log(2)) / 5)
    assert (found.low, found.high) == wilson(0.5, 1)  # of one prompt, they say no more than one comparison does


def test_where_nobody_chose_there_is_a_loss_and_no_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_scorer("gpt2", tmp_path)
    give_scores(model, [1.0, 2.0, 9.0], monkeypatch)
    found = evaluate(model, [compare((), ratings=(1.0, 0.0, None))], loss="rating")
    assert found == (1, 2.0, 0, None, None, None, pytest.approx(-1))
    with pytest.raises(
        DataError, match="expected comparisons to measure a reward model on, found none that say anything"
    ):
        evaluate(model, [compare((), ratings=(1.0, 0.0, None))])


def test_scores_go_with_ratings_as_far_as_both_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_scorer("gpt2", tmp_path)
    give_scores(model, [1.0, 2.0, 9.0, 3.0, 8.0], monkeypatch)
    comparisons = [compare((0,), ratings=(2.0, 1.0, None)), compare((0,), 2, ratings=(4.0, None))]
    # The scores 1, 2, 3 and the ratings 2, 1, 4: covariance 2, variances 2 and 14/3, in sums.
    assert evaluate(model, comparisons).correlation == pytest.approx(2 / math.sqrt(2 * 14 / 3))
    give_scores(model, [1.0, 1.0, 9.0, 1.0, 8.0], monkeypatch)
    assert evaluate(model, comparisons).correlation is None
    give_scores(model, [1.0, 0.0], monkeypatch)
    assert evaluate(model, [compare((0,), 2)]).correlation is None


def test_scores_that_are_no_numbers_are_no_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_scorer("gpt2", tmp_path)
    give_scores(model, [1.0, math.nan, math.inf, 2.0], monkeypatch)
    with pytest.raises(NotFiniteError, match="expected finite scores, found 2 of 4 that are not"):
        evaluate(model, [compare((0,), 2), compare((1,), 2)])


@pytest.mark.parametrize("loss", ["choice", "ranking", "rating", "difference"])
def test_an_evaluation_is_the_same_at_any_size_and_in_any_order(loss: Loss, tmp_path: Path) -> None:
    model, comparisons = build_scorer("llama", tmp_path), draw_comparisons(20)
    expected = evaluate(model, comparisons, loss=loss)
    for tokens_at_once in (1, 50):
        found = evaluate(model, comparisons[::-1], loss=loss, tokens_at_once=tokens_at_once)
        assert found == pytest.approx(expected, rel=1e-5)
    margin = evaluate(model, comparisons, loss=loss, margin=1.0) if loss == "choice" else expected
    assert (margin.loss > expected.loss) == (loss == "choice")
    assert margin.accuracy == expected.accuracy


@pytest.mark.parametrize("loss", ["choice", "ranking"])
def test_one_long_comparison_makes_no_wide_table_of_all(
    loss: Loss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, comparisons = build_scorer("gpt2", tmp_path), draw_comparisons(30)
    long = Comparison("a", tuple("bcdef" * 4)[:5] + tuple(f"b {word}" for word in "bcdef"), (6,), weight=2.0)
    comparisons = [*comparisons[:7], long, *comparisons[7:]]
    expected = evaluate(model, comparisons, loss=loss)
    shapes = []

    def look(table: Table, some: Any, *rest: Any) -> torch.Tensor:
        shapes.append([*table.scores.shape])
        return find_losses(table, some, *rest)

    monkeypatch.setattr(evaluation, "find_losses", look)
    monkeypatch.setattr(evaluation, "_AT_ONCE", 4)
    assert evaluate(model, comparisons, loss=loss) == pytest.approx(expected, rel=1e-12)
    assert sum(rows for rows, _ in shapes) == expected.comparisons
    assert max(rows for rows, _ in shapes) <= 4
    assert [width for _, width in shapes] == sorted(width for _, width in shapes)
    assert shapes[0][1] < shapes[-1][1] == 10


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=2, max_size=5), st.data())
def test_who_scores_all_alike_is_right_as_often_as_chance(scores: list[float], data: Any) -> None:
    size = len(scores)
    best = tuple(sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=size - 1))))
    comparison = Comparison("a", tuple("bcdef"[:size]), best)
    same = find_credit(tabulate(torch.full((size,), 0.5), [comparison]), [comparison]).item()
    assert same == pytest.approx(len(best) / size)
    # Over all orders of the scores, any scores are.
    turned = [
        find_credit(tabulate(torch.tensor(scores[turn:] + scores[:turn]), [comparison]), [comparison]).item()
        for turn in range(size)
    ]
    assert sum(turned) / size == pytest.approx(len(best) / size)
