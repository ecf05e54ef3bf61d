"""What words alone tell: planted words are found, and what must not matter does not."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.feature_extraction.text import TfidfVectorizer

from prefline.data.comparison import Comparison
from prefline.data.ingestion import ingest
from prefline.data.splitting import split
from prefline.reward_model import word_baseline as module
from prefline.reward_model.scored import Scored, measure_accuracy
from prefline.reward_model.shortcuts import describe_shortcuts
from prefline.reward_model.word_baseline import Score, fit_words

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
WORDS = ["the", "one", "dog", "cat", "house", "ran", "sat", "blue", "green", "old"]


def draw_comparisons(count: int, seed: int = 0, size: int = 3) -> list[Comparison]:
    """Return comparisons in which the response that says thanks is the best."""
    generator = random.Random(seed)
    drawn: list[Comparison] = []
    while len(drawn) < count:
        best = generator.randrange(size)
        texts = [generator.choices(WORDS, k=6) + (["thanks"] if place == best else []) for place in range(size)]
        responses = tuple(" ".join(generator.sample(words, len(words))) for words in texts)
        drawn.append(Comparison(f"p{len(drawn)}", responses, (best,)))
    return drawn


def score_all(score: Score, asked: list[Comparison]) -> list[tuple[float, ...]]:
    scores = [row for row in score(asked) if row is not None]
    assert len(scores) == len(asked)
    return scores


def find_accuracy(train: list[Comparison], test: list[Comparison]) -> float:
    score = fit_words(train)
    assert score is not None
    share = measure_accuracy(map(Scored, test, score_all(score, test)))
    assert share is not None
    return share["share"]


def test_a_word_that_wins_is_found() -> None:
    assert find_accuracy(draw_comparisons(100), draw_comparisons(100, seed=1)) == 1


def test_an_order_of_words_that_wins_is_found() -> None:
    best, other = "the dog sat on the old house", "the old dog sat on the house"
    train = [Comparison(f"p{row}", (best, other)[:: 1 if row % 2 else -1], (1 - row % 2,)) for row in range(40)]
    assert find_accuracy(train, train) == 1


def test_token_ids_are_words() -> None:
    generator = random.Random(0)
    drawn: list[Comparison] = []
    for row in range(60):
        best = generator.randrange(2)
        responses = tuple((*generator.choices(range(20), k=5), 777 if place == best else 778) for place in range(2))
        drawn.append(Comparison((1, row), responses, (best,)))
    assert find_accuracy(drawn[:40], drawn[40:]) == 1


def test_scores_minimise_the_loss_over_pairs() -> None:
    """Held against the loss of Bradley and Terry, written out and minimised by scipy."""
    train = [replace(one, weight=1.0 + row % 3) for row, one in enumerate(draw_comparisons(30, size=2))]
    train = [replace(one, best=(1 - one.best[0],)) if row % 4 == 0 else one for row, one in enumerate(train)]
    score = fit_words(train)
    assert score is not None
    vectorizer: Any = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    vectorizer.fit([response for one in train for response in one.responses])
    best = vectorizer.transform([one.responses[one.best[0]] for one in train]).toarray()
    other = vectorizer.transform([one.responses[1 - one.best[0]] for one in train]).toarray()
    weights = np.array([one.weight for one in train]) / 2  # 2 is their mean

    def lose(effect: np.ndarray) -> tuple[float, np.ndarray]:
        margins = (best - other) @ effect
        slope = effect - (weights * expit(-margins)) @ (best - other)
        return float(weights @ np.logaddexp(0, -margins) + effect @ effect / 2), slope

    effect = minimize(lose, np.zeros(best.shape[1]), jac=True, tol=1e-9).x
    for one, found in zip(train, score_all(score, train), strict=True):
        expected = vectorizer.transform(one.responses).toarray() @ effect
        assert found == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_comparison_counts_once_however_many_pairs_it_has() -> None:
    # As many choose the cat as choose the dog, and some of them against three dogs at once.
    dogs = [Comparison(f"d{row}", ("dog", "cat"), (0,)) for row in range(20)]
    cats = [Comparison(f"c{row}", ("cat", "dog"), (0,)) for row in range(20)]
    wide = [replace(one, responses=("cat", "dog", "dog", "dog")) for one in cats]
    for train in (dogs + cats, dogs + wide):
        score = fit_words(train)
        assert score is not None
        ((dog, cat),) = score_all(score, dogs[:1])
        assert dog == pytest.approx(cat, abs=1e-6)


def test_what_must_not_matter_does_not() -> None:
    train, test = draw_comparisons(80), draw_comparisons(20, seed=1)
    score, turned, elsewhere, twice_as_heavy = (
        fit_words(some)
        for some in (
            train,
            train[::-1],
            [replace(one, prompt=f"quite another {row}") for row, one in enumerate(train)],
            [replace(one, weight=2.0) for one in train],
        )
    )
    assert score is not None
    assert turned is not None
    assert elsewhere is not None
    assert twice_as_heavy is not None
    assert turned(test) == score(test)
    assert twice_as_heavy(test) == score(test)
    assert np.array(elsewhere(test)) == pytest.approx(np.array(score(test)), abs=1e-6)
    assert score(test[:3]) == score(test)[:3]
    assert score([]) == []


def test_there_must_be_something_to_learn_from() -> None:
    train = draw_comparisons(20)
    assert fit_words(train) is not None
    assert fit_words([*train[:19], replace(train[19], best=(), undecided="skipped")]) is None
    assert fit_words([*train[:19], replace(train[19], best=(0, 1, 2))]) is None
    assert fit_words([]) is None
    assert fit_words([Comparison(f"p{row}", ("!", "?"), (0,)) for row in range(40)]) is None  # not a word in them


def test_at_most_so_many_responses_are_learnt_from() -> None:
    # The last words are alone in their comparisons: a score of 0 says that nothing was learnt of them.
    train = [Comparison(f"p{row}", (f"one{row}", f"two{row}"), (0,)) for row in range(60)]
    score = fit_words(train, most=50)
    assert score is not None
    known = sum(best > 0 > other for best, other in score_all(score, train))
    assert known == 25


def test_at_most_so_many_responses_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = draw_comparisons(60), draw_comparisons(50, seed=1)
    score = fit_words(train)
    assert score is not None
    whole = score_all(score, test)
    monkeypatch.setattr(module, "_MOST_ASKED", 29)
    some = score(test)
    assert sum(row is not None for row in some) == 10  # of three responses each, the last a little too many
    assert all(row in (None, expected) for row, expected in zip(some, whole, strict=True))
    assert score(test[::-1]) == some[::-1]  # whatever their order
    # What is left out counts nowhere, neither for the shortcut nor for the model that is held against it.
    scored = [Scored(one, tuple(map(float, range(3)))) for one in test]
    (words,) = (one for one in describe_shortcuts(scored, train) if one["kind"] == "words")
    assert words["accuracy"]["of"] == words["ahead"]["of"] == 10


@pytest.mark.parametrize("kind", ["words", "tokens"])
def test_the_first_words_of_a_response_are_read(kind: str) -> None:
    def write(last: str, before: int) -> str | tuple[int, ...]:
        return f"{'a ' * before}{last}" if kind == "words" else (*[7] * before, len(last))

    prompt = "p" if kind == "words" else (1,)
    for before, told in ((199, True), (200, False)):
        train = [Comparison(prompt, (write("good", before), write("not", before)), (0,))] * 30
        score = fit_words(train)
        assert score is not None
        assert all((best > other) is told for best, other in score_all(score, train))


@pytest.mark.parametrize("seed", range(3))
def test_weights_of_any_size_are_taken_in(seed: int) -> None:
    generator = random.Random(seed)
    train = [replace(one, weight=10 ** generator.uniform(-6, 6)) for one in draw_comparisons(300, seed)]
    score = fit_words(train)
    assert score is not None
    assert np.isfinite(np.array(score(train))).all()


def test_words_tell_something_of_real_preferences() -> None:
    path = SHARED / "hh_harmless_pairs" / "harmless_test.jsonl.gz"
    if not path.exists():
        pytest.skip("the shared data sets are not on this machine")
    train, held_out = split(ingest(path).comparisons, 0.3)
    assert 0.55 < find_accuracy(train, held_out) < 0.7
