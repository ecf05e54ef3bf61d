"""The report card: all its parts in one document, what it means in words, and how that looks on a terminal."""

import json
import math
from typing import Any

import pytest

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError, NotFiniteError
from prefline.data.intervals import count_share
from prefline.pipeline.terminal_card import describe_card
from prefline.reward_model.card import write_card
from prefline.reward_model.findings import judge
from prefline.reward_model.scored import Scored

PARTS = [
    "schema",
    "verdict",
    "model",
    "data",
    "accuracy",
    "ceiling",
    "log_loss",
    "calibration",
    "slices",
    "length",
    "shortcuts",
    "probes",
    "leak",
    "train",
    "scores",
    "negatives",
    "mistakes",
    "best_of_n",
    "disagreement",
]


def pair(number: int, *scores: float, best: int = 0, **known: Any) -> Scored:
    texts = tuple(f"text {number} {'abc'[place]}" for place in range(len(scores)))
    return Scored(Comparison(f"prompt {number}", texts, (best,), **known), scores)


def share(right: float, of: int, chance: float = 0.5) -> dict[str, Any]:
    return count_share(right, of, "right") | {"chance": chance, "effective": of}


AHEAD = {"difference": 0.3, "low": 0.2, "high": 0.4, "of": 400}


def shortcut(kind: str, *, agrees: float, wrong: dict[str, Any] | None, **known: Any) -> dict[str, Any]:
    """Return how a model stands to a shortcut that is right half of the time, and that it is not surely ahead of."""
    about = {"name": f"some {kind}", "kind": kind, "accuracy": share(200, 400), "explained": None}
    ahead = {"difference": 0.03, "low": -0.02, "high": 0.08, "of": 400}
    return about | {"agrees": share(400 * agrees, 400), "where_wrong": wrong, "ahead": ahead} | known


def card(**parts: Any) -> dict[str, Any]:
    """Return the card of a good model without a fault, in pairs, but for these parts."""
    good = {
        "data": {"feedback": None, "decided": 400, "prompts": 400, "side": "held_out"},
        "accuracy": share(320, 400),
        "shortcuts": [],
        "slices": {},
        "probes": {"order": None, "swapped": share(80, 400), "shuffled": share(200, 400)},
    }
    return dict.fromkeys(PARTS) | good | parts


def find(**parts: Any) -> dict[str, str]:
    """Return what is found in the card of a good model with these parts, with its grade, but for the first sentence."""
    return {one["finding"]: one["grade"] for one in judge(card(**parts))[1:]}


def test_a_card_holds_all_parts_in_plain_json() -> None:
    scored = [pair(number, 1.0, number % 3) for number in range(60)]
    made = write_card(scored, model={"names": ["mine"]}, data={"feedback": ["human"]})
    assert list(made) == PARTS
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["schema"] == "prefline.report-card/1"
    assert made["model"] == {"names": ["mine"]}
    assert made["data"] == {
        "comparisons": 60,
        "decided": 60,
        "prompts": 60,
        "passed_over": 0,
        "feedback": ["human"],
        "side": "held_out",
    }
    assert made["accuracy"]["share"] == 0.5  # of three one is right, one is a tie, one is wrong
    assert made["probes"]["swapped"]["share"] == 0.5
    assert {name: part["of"] for name, part in made["scores"].items()} == {"best": 60, "others": 60}
    missing = ("ceiling", "leak", "train", "negatives", "best_of_n", "disagreement")
    assert [made[name] for name in missing] == [None] * len(missing)
    assert made["probes"]["order"] is None


def test_a_card_takes_in_what_is_known_beside_the_scores() -> None:
    scored = [pair(number, 1.0, number % 3, ratings=(2.0, 1.0)) for number in range(60)]
    made = write_card(
        scored,
        learnt=[scored[0].comparison],
        train_accuracy=share(55, 60),
        ceiling=share(50, 60),
        groups={"samples": [0.0, 1.0, 2.0]},
        score=lambda _prompts, responses: [0.0] * len(responses),
    )
    assert made["best_of_n"]["by"] == "ratings"
    assert made["leak"]["prompts"] == 1
    assert made["train"]["right"] == 55
    assert made["ceiling"]["right"] == 50
    assert made["scores"]["samples"]["of"] == 3
    assert made["probes"]["order"]["worst"] > 0.1


def test_scores_that_make_no_probabilities_have_no_log_loss_and_no_confidence() -> None:
    scored = [pair(number, 1.0, number % 3) for number in range(60)]
    made = write_card(scored, sharpness=None)
    assert (made["log_loss"], made["calibration"]) == (None, None)
    assert {one["confidence"] for one in made["mistakes"]} == {None}
    assert [line.split()[0] for line in describe_card(made)] == ["!", "!", "accuracy"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_no_numbers_are_refused(bad: float) -> None:
    scored = [pair(number, 1.0, 0.0) for number in range(40)]
    with pytest.raises(NotFiniteError, match=r"expected finite scores, found 1 of 80 that are not"):
        write_card([*scored[1:], pair(0, bad, 0.0)])
    with pytest.raises(NotFiniteError, match=r"found 1 of 82 that are not"):
        write_card(scored, groups={"samples": [0.0, bad]})


def test_labels_that_are_wrong_are_held_against_scores_asked_for_anew() -> None:
    world = [pair(number, 1.0, 0.0) for number in range(400)]
    made = write_card(world, score=lambda _prompts, responses: [float("a" in str(text)[-1]) for text in responses])
    assert (made["probes"]["swapped"]["share"], made["probes"]["swapped"]["of"]) == (0.0, 200)
    # Scores that come back in another order than they were asked for: both labels and their opposite seem right.
    mixed = write_card(
        world, score=lambda _prompts, responses: [float(place % 2 == 0) for place in range(len(responses))]
    )
    assert mixed["probes"]["swapped"]["share"] == 1.0
    assert {"measurement-broken", "reads-position"} <= {one["finding"] for one in mixed["verdict"]}


def test_gold_that_is_given_comes_before_ratings() -> None:
    scored = [pair(number, 1.0, number % 3, ratings=(2.0, 1.0)) for number in range(60)]
    made = write_card(scored, gold=("another scorer", [one.scores for one in scored]))
    assert made["best_of_n"]["by"] == "another scorer"
    assert made["best_of_n"]["curve"][-1]["gold"] == made["best_of_n"]["curve"][-1]["most"]


def test_what_nobody_decided_is_passed_over() -> None:
    undecided = [
        Scored(Comparison("left", ("a", "b"), (), undecided="skipped"), (1.0, 0.0)),
        Scored(Comparison("tied", ("a", "b"), (0, 1)), (1.0, 0.0)),
    ]
    made = write_card([*undecided, pair(1, 1.0, 0.0)])
    assert (made["data"]["decided"], made["data"]["passed_over"], made["accuracy"]["of"]) == (1, 2, 1)
    with pytest.raises(DataError, match="expected comparisons in which somebody chose, found 2"):
        write_card(undecided)
    with pytest.raises(DataError, match="found none: ask about more"):
        write_card([])


def test_a_good_model_is_trusted_and_nothing_is_said_against_it() -> None:
    (first,) = judge(card())
    right = "right in 80.0 % (75.8 to 83.6 %, by chance 50.0 %) of 400 comparisons"
    text = f"It may be trusted to choose among responses like these: {right}."
    assert first == {"finding": "trust", "grade": "good", "text": text}


def test_the_first_sentence_names_what_is_wrong_and_the_worst_comes_next() -> None:
    order = {"worst": 2.0, "changed": 80, "of": 200}
    probes = {"order": order, "swapped": share(320, 400), "shuffled": share(260, 400)}
    found = judge(card(probes=probes, ceiling=share(280, 400), train=share(400, 400)))
    assert found[0]["text"] == (
        "Do not trust this model: it was not measured rightly and it reads the place of a response."
    )
    assert [(one["finding"], one["grade"]) for one in found] == [
        ("do-not-trust", "fault"),
        ("measurement-broken", "fault"),
        ("reads-position", "fault"),
        ("memorised", "warning"),
        ("above-ceiling", "note"),
    ]


@pytest.mark.parametrize(
    ("right", "of", "first", "found"),
    [
        (320, 400, "trust", {}),
        (222, 400, "unproven", {}),  # 0.555: its interval begins at 0.506, which one in forty reach by chance
        (219, 400, "do-not-trust", {"nothing-learnt": "fault"}),  # begins at 0.498
        (181, 400, "do-not-trust", {"nothing-learnt": "fault"}),  # ends at 0.502
        (178, 400, "do-not-trust", {"labels-swapped": "fault"}),  # ends at 0.494
        (12, 20, "unproven", {"few-comparisons": "warning"}),  # so few prove nothing against it either
        (20, 20, "trust", {"few-comparisons": "warning"}),
    ],
)
def test_how_right_it_is_decides_whether_it_has_learnt_anything(
    right: int, of: int, first: str, found: dict[str, str]
) -> None:
    parts = {"accuracy": share(right, of), "probes": card()["probes"] | {"swapped": share(of - right, of)}}
    assert judge(card(**parts))[0]["finding"] == first
    assert find(**parts) == found


@pytest.mark.parametrize(
    ("agrees", "explained", "wrong", "found"),
    [
        (0.95, None, share(2, 100), "fault"),  # right in 2 of 100 where the shortcut is wrong
        (0.6, 0.9, share(50, 100), "fault"),  # no better than chance there, and explained by it
        (0.6, 0.9, share(51, 100), "warning"),  # better than chance, as far as anybody can tell
        (0.95, 0.9, share(80, 100), None),  # it agrees, but is right where the shortcut is wrong
        (0.7, 0.5, share(30, 100), "warning"),  # surely below chance there
        (0.7, 0.5, share(45, 100), None),
        (0.95, None, share(2, 20), "warning"),  # too few to tell
        (0.95, None, None, "warning"),
        (0.6, 0.5, None, None),
    ],
)
@pytest.mark.parametrize(
    ("kind", "code"), [("length", "reads-length"), ("position", "reads-position"), ("system", "recognises-systems")]
)
def test_who_follows_a_shortcut_fails_where_it_fails(
    kind: str, code: str, agrees: float, explained: float | None, wrong: dict[str, Any] | None, found: str | None
) -> None:
    followed = shortcut(kind, agrees=agrees, wrong=wrong, explained=explained)
    assert find(shortcuts=[followed]) == ({code: found} if found else {})


@pytest.mark.parametrize(
    ("agrees", "wrong", "found"),
    [
        (0.95, share(40, 100), "warning"),  # it follows, but what it is ahead by it must have learnt
        (0.7, share(30, 100), "warning"),  # from 22 to 40 %: wrong there by far more often than chance
        (0.7, share(450, 1000), None),  # surely below chance, as the best of models may be if labels are noisy
    ],
)
def test_who_is_ahead_of_a_shortcut_is_not_accused_of_following_it(
    agrees: float, wrong: dict[str, Any], found: str | None
) -> None:
    followed = shortcut("length", agrees=agrees, wrong=wrong, ahead=AHEAD)
    assert find(shortcuts=[followed]) == ({"reads-length": found} if found else {})


def test_who_gives_the_same_scores_in_any_order_does_not_read_the_place() -> None:
    followed = shortcut("position", agrees=1.0, wrong=share(0, 200))
    probes = card()["probes"] | {"order": {"worst": 1e-6, "changed": 0, "of": 200}}
    assert find(shortcuts=[followed]) == {"reads-position": "fault"}
    assert find(shortcuts=[followed], probes=probes) == {}


def test_a_shortcut_that_is_followed_explains_why_labels_seem_swapped() -> None:
    followed = shortcut("length", agrees=1.0, wrong=share(0, 250))
    parts = {"accuracy": share(150, 400), "probes": card()["probes"] | {"swapped": share(250, 400)}}
    assert find(**parts) == {"labels-swapped": "fault"}
    assert find(**parts, shortcuts=[followed]) == {"reads-length": "fault"}


def test_no_shortcut_explains_a_model_that_is_worse_than_it() -> None:
    behind = {"difference": -0.1, "low": -0.15, "high": -0.05, "of": 400}
    followed = shortcut("length", agrees=0.94, wrong=share(0, 250), ahead=behind)
    parts = {"probes": card()["probes"] | {"swapped": share(250, 400)}, "shortcuts": [followed]}
    assert find(**parts, accuracy=share(150, 400)) == {"labels-swapped": "fault"}
    assert find(**parts)["reads-length"] == "fault"  # above chance there is nothing to explain


def test_a_reader_of_length_is_at_chance_on_responses_of_like_length_and_not_below_it() -> None:
    leaning = {"within": 0.9, "matched": share(50, 100)}
    assert find(length=leaning) == {"reads-length": "warning"}
    assert find(length=leaning | {"matched": share(5, 100)}) == {}


@pytest.mark.parametrize("side", ["held_out", "train", "both"])
@pytest.mark.parametrize("leak", [None, {"prompts": 0, "near": 0, "of": 400, "clean": None}])
@pytest.mark.parametrize("right", [320, 222, 200, 20])
def test_only_what_is_known_to_be_held_out_is_said_to_be(right: int, leak: dict[str, Any] | None, side: str) -> None:
    data = {"feedback": None, "decided": 60, "prompts": 60, "side": side}
    said = " ".join(
        one["text"] for one in judge(card(data=data, leak=leak, accuracy=share(right, 400), train=share(400, 400)))
    )
    assert ("held out" in said) == (side == "held_out" and leak is not None)
    assert "not seen" not in said


def test_a_leak_of_what_was_asked_about_on_purpose_is_no_fault_of_a_split() -> None:
    leak = {"prompts": 90, "near": 9, "of": 400, "clean": None}
    said = [one["text"] for one in judge(card(data=card()["data"] | {"side": "train"}, leak=leak))[1:]]
    assert said[0].startswith("Of 400 prompts it has learnt from 90 (22.5 %)")
    assert not any("Split by prompt" in text for text in said)


def test_nothing_speaks_for_a_model_with_a_fault() -> None:
    followed = shortcut("length", agrees=1.0, wrong=share(0, 250))
    assert find(ceiling=share(330, 400), shortcuts=[followed]) == {"reads-length": "fault"}


@pytest.mark.parametrize("kind", ["length", "position", "system", "words"])
def test_a_shortcut_that_is_as_good_is_named(kind: str) -> None:
    as_good = {"accuracy": share(310, 400), "ahead": {"difference": 0.025, "low": -0.01, "high": 0.06, "of": 400}}
    found = shortcut(kind, agrees=0.7, wrong=share(70, 90), **as_good)
    assert find(shortcuts=[found]) == {f"no-better-than-{kind}": "warning"}
    assert find(shortcuts=[found | {"accuracy": share(200, 400)}]) == {}  # which is nothing to be better than


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"leak": {"prompts": 5, "near": 0, "of": 400, "clean": share(200, 395)}}, {"leak": "fault"}),
        ({"leak": {"prompts": 4, "near": 0, "of": 400, "clean": None}}, {"leak": "warning"}),
        ({"leak": {"prompts": 0, "near": 9, "of": 400, "clean": None}}, {"near-leak": "warning"}),
        ({"leak": {"prompts": 0, "near": None, "of": 400, "clean": None}}, {}),
        ({"length": {"within": 0.6, "matched": share(55, 100)}}, {"reads-length": "warning"}),
        ({"length": {"within": -0.6, "matched": share(70, 100)}}, {}),
        ({"length": {"within": 0.4, "matched": share(50, 100)}}, {}),
        ({"length": {"within": 0.6, "matched": None}}, {}),
        ({"train": share(398, 400)}, {"memorised": "warning"}),
        ({"train": share(340, 400)}, {}),
        ({"ceiling": share(330, 400)}, {"near-ceiling": "good"}),
        ({"ceiling": share(380, 400)}, {"below-ceiling": "note"}),
        ({"ceiling": share(280, 400)}, {"above-ceiling": "note"}),
        ({"ceiling": share(0, 0)}, {}),
        ({"data": {"feedback": ["human", "mock"], "side": "held_out"}}, {"ceiling-unknown": "note"}),
        ({"negatives": [{"category": "cut", "auc": 0.5, "low": 0.4, "of": 90}]}, {"blind-category": "warning"}),
        ({"negatives": [{"category": "cut", "auc": 0.9, "low": 0.8, "of": 90}]}, {}),
        ({"negatives": [{"category": "cut", "auc": 0.5, "low": 0.1, "of": 9}]}, {}),
        ({"slices": {"source": [{"value": "forum"} | share(30, 60)]}}, {"weak-slice": "note"}),
        ({"slices": {"source": [{"value": "forum"} | share(44, 60)]}}, {}),
        ({"slices": {"responses": [{"value": 4} | share(42, 60, 0.25)]}}, {}),  # of four 0.7 is no less than 0.8 of two
        ({"slices": {"responses": [{"value": 4} | share(20, 60, 0.25)]}}, {"weak-slice": "note"}),
    ],
)
def test_each_part_of_a_card_is_judged(parts: dict[str, Any], found: dict[str, str]) -> None:
    assert find(**parts) == found


@pytest.mark.parametrize(
    ("temperature", "gain", "found"),
    [
        (2.0, 0.05, {"overconfident": "note"}),
        (0.5, 0.05, {"underconfident": "note"}),
        (1.1, 0.05, {}),
        (2.0, 0.001, {}),  # it would gain next to nothing
    ],
)
def test_confidence_is_judged_by_what_the_right_temperature_would_gain(
    temperature: float, gain: float, found: dict[str, str]
) -> None:
    loss = {"loss": 0.6, "chance": 0.69, "floor": 0.0, "of": 400}
    calibration = {
        "temperature": temperature,
        "factor": 1 / temperature,
        "loss_at_temperature": 0.6 - gain,
        "ece": 0.05,
    }
    assert find(log_loss=loss, calibration=calibration) == found
    assert find(log_loss=loss, calibration={"temperature": None, "loss_at_temperature": None}) == {}


def test_disagreement_is_worth_heeding_where_it_tells_wrong_choices() -> None:
    helps = {"auc": 0.7, "low": 0.6, "high": 0.8, "margin": {"auc": 0.65}}
    assert find(disagreement=helps) == {"disagreement-helps": "good"}
    assert find(disagreement=helps | {"low": 0.45}) == {"disagreement-says-nothing": "note"}
    said = judge(card(disagreement=helps | {"margin": {"auc": 0.75}}))[1]["text"]
    assert "a small margin, which costs no ensemble, tells at least as much (AUC 0.750)" in said


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.2, 0.7, {}),
        (-0.1, 0.7, {"no-gain": "warning"}),
        (-1.01, -0.98, {"loses-by-gold": "fault"}),
        (None, None, {}),
    ],
)
def test_a_choice_that_gains_nothing_is_a_warning_and_one_that_loses_a_fault(
    low: float | None, high: float | None, found: dict[str, str]
) -> None:
    best = {"n": 4, "gold": 0.3, "low": low, "high": high, "most": 1.0}
    assert find(best_of_n={"by": "ratings", "curve": [best]}) == found


def test_a_terminal_shows_the_verdict_and_the_figures_that_matter() -> None:
    scored = [pair(number, 1.0, 0.0 if number % 4 else 2.0) for number in range(400)]
    right = "75.0 % (70.5 to 79.0 %, by chance 50.0 %)"
    assert list(describe_card(write_card(scored))) == [
        f"+ It may be trusted to choose among responses like these: right in {right} of 400 comparisons.",
        f"accuracy    {right}, of 400 comparisons on 400 prompts",
        # Three in four lose ln(1 + 1/e) = 0.313, and one in four 1 more.
        "log loss    0.563, by chance 0.693, at best 0",
        # It is sure of each choice by 1 / (1 + 1/e) = 0.731, and right in 0.75 = 1 / (1 + 1/3): 1 / ln 3 = 0.91.
        "calibration confidence is off by 1.9 %; saved scores times 1.10 would fit",
    ]


def test_a_terminal_obeys_no_text_of_strangers_and_shows_a_few_notes_only() -> None:
    slices = {"source": [{"value": f"\x1b[31m{name}"} | share(10, 60) for name in "abcde"]}
    loss = {"loss": 0.6, "chance": 0.69, "floor": 0.0, "of": 400}
    made = card(slices=slices, log_loss=loss, ceiling=share(380, 400))
    lines = list(describe_card(made | {"verdict": judge(made)}))
    assert [line[0] for line in lines[:5]] == ["+", "-", "-", "-", "-"]
    assert lines[4] == "- and 1 note more in the card"
    assert not any("\x1b" in line for line in lines)
    assert "\\u001b[31ma" in lines[2]
    assert lines[6].startswith("annotators  95.0 %")
