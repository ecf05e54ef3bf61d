"""What words alone tell: TF-IDF and logistic regression, the least that a reward model should beat.

A response is its words and pairs of neighbouring words, weighed by TF-IDF, and its score is a linear function of them.
It is fitted on pairs of a best and another of its comparison, as Bradley and Terry (1952) have it: on differences, and
without an intercept. The words of the prompt are left out, since in a linear score they are the same for all responses
of a comparison, and choose nothing.

It is there to be compared with, so it must not take long: of each response the first words are read, and of many
comparisons some are left out, both in learning and in choosing.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, islice, pairwise

import numpy as np

from prefline.data.comparison import Comparison
from prefline.data.contents import Response
from prefline.data.digests import Digests
from prefline.data.pieces import list_words

_MOST_ASKED = 6_000  # responses that are scored at once, or a few more
_READ = 200  # words of a response, or tokens
_FEWEST = 20  # decided comparisons, from which it is worth fitting
_MANY = 200  # texts, from which a word counts that at least two of them have
_TOLERANCE = 1e-8  # of the gradient, whose parts are small where each word is rare: the usual 1e-4 stops at once
_DIGITS = 9  # that scores are told apart by, so that the last bits of a machine decide nothing

# Scores each response of each comparison; None is for a comparison that is left out.
Score = Callable[[Sequence[Comparison]], list[tuple[float, ...] | None]]


def fit_words(train: Sequence[Comparison], *, most: int = 10_000) -> Score | None:
    """Return what scores the responses of comparisons by their words; None where there is too little to learn from.

    It learns from about `most` responses at most, and scores about 6,000 at once. Comparisons are chosen for either by
    their digests, so that their order is nothing.
    """
    decided = [one for one in train if 0 < len(one.best) < len(one.responses)]
    if len(decided) < _FEWEST:
        return None
    return _fit([decided[place] for place in _choose(decided, most)])


def _choose(comparisons: Sequence[Comparison], most: int) -> list[int]:
    """Return the places of comparisons with `most` responses or a few more, in the order of their digests."""
    digests = [Digests.of(one).item for one in comparisons]
    order = sorted(range(len(comparisons)), key=digests.__getitem__)
    before = accumulate((len(comparisons[place].responses) for place in order), initial=0)
    return [place for place, responses in zip(order, before, strict=False) if responses < most]


def _fit(comparisons: Sequence[Comparison]) -> Score | None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts = list(dict.fromkeys(response for one in comparisons for response in one.responses))
    # What is said of its types in the library allows no function.
    weigh = TfidfVectorizer(analyzer=_list_terms, sublinear_tf=True, min_df=2 if len(texts) >= _MANY else 1)  # type: ignore[arg-type]
    try:
        weighed = weigh.fit_transform(texts).tocsr()
    except ValueError:  # there is not a word in all of them
        return None
    better, worse, weights = _pair_up(comparisons, {text: row for row, text in enumerate(texts)})
    # A pair says the same whichever of the two comes first, but two classes are asked for.
    signs = np.where(np.arange(len(better)) % 2, 1.0, -1.0)
    differences = (weighed[better] - weighed[worse]).multiply(signs[:, None]).tocsr()
    found = LogisticRegression(fit_intercept=False, tol=_TOLERANCE, max_iter=1000).fit(differences, signs, weights)
    effect = found.coef_[0]

    def score(asked: Sequence[Comparison]) -> list[tuple[float, ...] | None]:
        places = _choose(asked, _MOST_ASKED)
        responses = [response for place in places for response in asked[place].responses]
        scores = iter((weigh.transform(responses) @ effect).round(_DIGITS).tolist() if responses else ())
        found = {place: tuple(islice(scores, len(asked[place].responses))) for place in places}
        return [found.get(place) for place in range(len(asked))]

    return score


def _pair_up(comparisons: Sequence[Comparison], rows: dict[Response, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of the better and the worse of each pair, and its weight: 1 in all for a mean comparison."""
    better: list[int] = []
    worse: list[int] = []
    weights: list[float] = []
    mean = sum(one.weight for one in comparisons) / len(comparisons)
    for one in comparisons:
        others = [place for place in range(len(one.responses)) if place not in one.best]
        pairs = [(best, other) for best in one.best for other in others]
        better += [rows[one.responses[best]] for best, _ in pairs]
        worse += [rows[one.responses[other]] for _, other in pairs]
        weights += [one.weight / mean / len(pairs)] * len(pairs)
    return np.array(better), np.array(worse), np.array(weights)


def _list_terms(response: Response) -> list[str]:
    """Return words and pairs of neighbouring words; a token id is a word by itself."""
    start = response[: 10 * _READ]  # few words are longer than 10 with the blank before
    words = (list_words(start) if isinstance(start, str) else list(map(str, start)))[:_READ]
    return words + [f"{first} {second}" for first, second in pairwise(words)]
