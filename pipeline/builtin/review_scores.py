"""How good a review says that a thing is, and how much it shows: known from its words alone, whoever wrote them.

Each word of the response that `lexicon.py` lists adds its weight. Said again, a word counts half as much each time,
so that no score grows without end. A word for how good something is counts the other way round if one of the three
words before it denies it, and more or less if the word before it says how much; both within the same clause. The
openings of reviews, which are prompts, count for nothing.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping

from prefline.data.contents import Prompt
from prefline.pipeline.builtin.lexicon import DEGREES, DETAIL, NEGATIONS, SENTIMENT

_REACH = 3  # how many words a denial reaches ahead
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_CLAUSE = re.compile(r"[.,;:!?\n]|\b(?:but|and|yet|although|because)\b", re.IGNORECASE)


def score_sentiment(prompt: Prompt, response: str) -> float:  # noqa: ARG001  whoever scores is given both
    """Say how good the thing is: above 0 where the response praises it."""
    return _add_up(response, SENTIMENT, _weigh)


def score_descriptiveness(prompt: Prompt, response: str) -> float:  # noqa: ARG001
    """Say how much there is to be pictured."""
    return _add_up(response, DETAIL, lambda _: 1.0)


def _add_up(text: str, weights: Mapping[str, float], weigh: Callable[[list[str]], float]) -> float:
    seen: Counter[str] = Counter()
    total = 0.0
    for clause in _CLAUSE.split(text.lower()):
        words = _WORD.findall(clause)
        for index, word in enumerate(words):
            if word in weights:
                total += weights[word] * weigh(words[max(0, index - _REACH) : index]) * 0.5 ** seen[word]
                seen[word] += 1
    return total


def _weigh(before: list[str]) -> float:
    """Return what the words before a word make of its weight."""
    degree = DEGREES.get(before[-1], 1.0) if before else 1.0
    denied = sum(word in NEGATIONS or word.endswith(("n't", "n\u2019t")) for word in before)
    return degree * (-1) ** denied
