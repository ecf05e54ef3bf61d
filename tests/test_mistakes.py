"""Wrong choices to read: which, in which order, and what is shown of them."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from prefline.data.comparison import Comparison
from prefline.data.contents import Message
from prefline.data.digests import Digests
from prefline.reward_model.mistakes import find_mistakes
from prefline.reward_model.scored import Scored

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def score(*scores: float, best: tuple[int, ...] = (0,), prompt: Any = "Q", **known: Any) -> Scored:
    responses = tuple(f"response {place}" for place in range(len(scores)))
    return Scored(Comparison(prompt, responses, best, **known), scores)


def test_the_surest_come_first_and_are_wrong() -> None:
    scored = [
        score(0, 1, prompt="A"),
        score(0, 2, prompt="B"),
        score(9, 0, prompt="C"),  # right
        score(1, 1, prompt="D"),  # right as often as not
        score(0, 1, 1, prompt="E"),  # wrong, whichever it takes
        score(0, 9, best=(), undecided="skipped", prompt="F"),
    ]
    found = find_mistakes(scored, sharpness=1.0)
    assert [one["prompt"] for one in found] == ["B", "A", "E"]
    # e^2 / (e^2 + 1), e / (e + 1), e / (2 e + 1)
    expected = [math.e**2 / (math.e**2 + 1), math.e / (math.e + 1), math.e / (2 * math.e + 1)]
    assert [one["confidence"] for one in found] == pytest.approx(expected)
    assert [one["prompt"] for one in find_mistakes(scored, sharpness=1.0, most=1)] == ["B"]
    assert find_mistakes(scored[2:4], sharpness=1.0) == []


def test_sharpness_says_how_sure_a_model_is() -> None:
    (mistake,) = find_mistakes([score(0, 0.5)], sharpness=4.0)
    assert mistake["confidence"] == pytest.approx(math.e**2 / (math.e**2 + 1))
    assert find_mistakes([score(0, 1e6)], sharpness=1e6)[0]["confidence"] == 1  # and no overflow


def test_where_scores_make_no_probability_the_widest_margin_comes_first() -> None:
    scored = [score(0, 2, prompt="A"), score(0, 3, 3, prompt="B"), score(0, 2.5, 0, prompt="C")]
    assert [one["prompt"] for one in find_mistakes(scored, 1.0)] == ["A", "C", "B"]
    found = find_mistakes(scored, None)
    assert [(one["prompt"], one["confidence"]) for one in found] == [("B", None), ("C", None), ("A", None)]


def test_one_mistake_of_a_prompt_is_shown() -> None:
    scored = [score(0, 1), score(0, 3), score(0, 2, prompt="other")]
    assert [one["chosen"]["score"] for one in find_mistakes(scored, 1.0)] == [3, 2]


def test_the_best_that_came_nearest_stands_against_the_choice() -> None:
    (mistake,) = find_mistakes([score(1, 2, 3, 0, best=(0, 1, 3))], 1.0)
    assert mistake["best"] == {"text": "response 1", "score": 2}
    assert mistake["chosen"] == {"text": "response 2", "score": 3}


def test_what_is_known_of_a_comparison_is_kept() -> None:
    known = {"annotator": "ann", "source": "forum", "systems": ("human", None), "categories": (None, "copied")}
    (mistake,) = find_mistakes([score(0, 1, id="row 7", **known)], 1.0)
    assert (mistake["id"], mistake["annotator"], mistake["source"]) == ("row 7", "ann", "forum")
    assert mistake["best"] == {"text": "response 0", "score": 0, "system": "human"}
    assert mistake["chosen"] == {"text": "response 1", "score": 1, "category": "copied"}
    bare = score(0, 1)
    (mistake,) = find_mistakes([bare], 1.0)
    assert mistake.keys() == {"id", "confidence", "prompt", "best", "chosen"}
    assert mistake["id"] == Digests.of(bare.comparison).item.hex()


def test_chats_and_token_ids_can_be_read() -> None:
    chat = (Message("user", "Hello"), Message("assistant", "Yes?"), Message("user", "Bye"))
    (mistake,) = find_mistakes([score(0, 1, prompt=chat)], 1.0)
    assert mistake["prompt"] == "user: Hello\n\nassistant: Yes?\n\nuser: Bye"
    (mistake,) = find_mistakes([Scored(Comparison((5, 17), ((1,), (2, 3)), (0,)), (0.0, 1.0))], 1.0)
    assert (mistake["prompt"], mistake["chosen"]["text"]) == ("5 17", "2 3")


def test_of_a_long_text_both_ends_are_shown() -> None:
    (mistake,) = find_mistakes([score(0, 1, prompt="a" * 2000 + "x" * 1234 + "b" * 2000)], 1.0)
    assert mistake["prompt"] == "a" * 2000 + " [... 1,234 characters ...] " + "b" * 2000
    whole = "ab" * 2000
    assert find_mistakes([score(0, 1, prompt=whole)], 1.0)[0]["prompt"] == whole


def test_mistakes_of_a_choice_by_length_on_real_summaries() -> None:
    path = SHARED / "summeval_bo4" / "comparisons.jsonl.gz"
    if not path.exists():
        pytest.skip("the shared data sets are not on this machine")
    scored = []
    for row in map(json.loads, gzip.decompress(path.read_bytes()).decode().strip().split("\n")):
        if row["best"] is not None:
            texts = tuple(row[f"sample{place}"] for place in range(4))
            comparison = Comparison(row["query"], texts, (row["best"],), systems=tuple(row["systems"]))
            scored.append(Scored(comparison, tuple(len(text) / 10 for text in texts)))
    found = find_mistakes(scored, 1.0, most=10)
    assert len({one["prompt"] for one in found}) == len(found) == 10
    sureness = [one["confidence"] for one in found]
    assert sureness == sorted(sureness, reverse=True)
    assert all(one["chosen"]["score"] > one["best"]["score"] for one in found)
    assert all(len(one["prompt"]) < 4040 for one in found)
