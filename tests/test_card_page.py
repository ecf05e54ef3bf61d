"""The report card for people: hand-made cards, one with everything, one with everything optional absent."""

import copy
import json
import math
import unicodedata
from typing import Any

import pytest
from page_reader import Reader, check_links_and_names, check_self_contained

from prefline.pipeline.card_page import render_card

EVIL = "</title></style><script>alert('x')</script>\"'&\u202e\0\x1b[31m"


def share(right: float, of: int, chance: float | None = 0.25) -> dict[str, Any]:
    low, high = max(0.0, right / of - 0.06), min(1.0, right / of + 0.06)
    found = {"right": right, "of": of, "share": right / of, "low": low, "high": high, "effective": 0.9 * of}
    return found if chance is None else found | {"chance": chance}


def shortcut(name: str, kind: str, right: float, ahead: float, explained: float | None) -> dict[str, Any]:
    return {
        "name": name, "kind": kind, "accuracy": share(right, 480), "agrees": share(190, 480),
        "where_wrong": share(120, 300), "explained": explained,
        "ahead": {"difference": ahead, "low": ahead - 0.05, "high": ahead + 0.05, "of": 480},
    }  # fmt: skip


def spread(counts: list[int], mean: float) -> dict[str, Any]:
    bins = [{"low": -3 + place / 2, "high": -2.5 + place / 2, "of": of} for place, of in enumerate(counts)]
    return {
        "of": sum(counts), "mean": mean, "std": 0.9, "least": -2.9, "p5": mean - 1.5, "p25": mean - 0.6, "median": mean,
        "p75": mean + 0.6, "p95": mean + 1.5, "most": 2.8, "bins": bins,
    }  # fmt: skip


def response(text: str, score: float, **more: str) -> dict[str, Any]:
    return {"text": text, "score": score, **more}


LONG = "The plan was simple enough. " * 40
SPARSE: dict[str, Any] = {
    "schema": "prefline.report-card/1",
    "verdict": [{"finding": "unproven", "grade": "warning", "text": "Nothing is known of this model yet."}],
    "model": {},
    "data": {"comparisons": 3, "decided": 1, "prompts": 1, "passed_over": 2, "feedback": None, "side": "held_out"},
    "accuracy": {"right": 1, "of": 1, "share": 1.0, "low": 0.2, "high": 1.0, "chance": 0.5, "effective": 1},
    "ceiling": None, "log_loss": None, "calibration": None, "slices": {}, "length": None, "shortcuts": [],
    "probes": {"order": None, "swapped": None, "shuffled": None}, "leak": None, "train": None,
    "scores": {"best": None, "others": None}, "negatives": None, "mistakes": [], "best_of_n": None,
    "disagreement": None,
}  # fmt: skip

RICH: dict[str, Any] = copy.deepcopy(SPARSE) | {
    "verdict": [
        {"finding": "do-not-trust", "grade": "fault", "text": "Do not trust this model: it reads length."},
        {"finding": "reads-length", "grade": "fault", "text": "It chooses as 'longest' would in 95.0 % of the "
         "comparisons, and where that is wrong it is right in 20.1 % (15.0 to 26.0 %), by chance 25.0 %: it reads "
         f"length and not quality. {EVIL}"},
        {"finding": "few-comparisons", "grade": "warning", "text": "Only 80 decided comparisons are held out."},
        {"finding": "near-ceiling", "grade": "good", "text": "It is as right as can be expected of anybody."},
        {"finding": "overconfident", "grade": "note", "text": "It is surer of its choices than it is right."},
    ],
    "model": {"names": [EVIL, "gpt2"], "kind": "reward-model", "members": 3, "rule": "mean", "parameters": 372_000_000,
              "reading": {"readout": "last", "response_length": 24}, "cost": 3.0, "adapters": None},
    "data": {"comparisons": 502, "decided": 480, "prompts": 431, "passed_over": 22, "feedback": ["human"],
             "side": "held_out"},
    "accuracy": share(278, 480), "train": share(350, 500), "ceiling": share(960, 1424, None),
    "log_loss": {"loss": 1.089, "chance": 1.386, "floor": 0.612, "of": 480},
    "calibration": {
        "ece": 0.047, "temperature": 1.42, "factor": 0.7, "loss_at_temperature": 1.071, "of": 480,
        "bins": [{"confidence": 0.3 + 0.065 * at, "accuracy": 0.31 + 0.05 * at, "low": 0.2 + 0.05 * at,
                  "high": 0.42 + 0.05 * at, "of": 48} for at in range(10)],
    },
    "slices": {
        "source": [{"value": "tldr", **share(200, 340)}, {"value": EVIL, **share(60, 140)}],
        "system": [{"value": f"system {number}", **share(9, 12)} for number in range(39)]
                  + [{"value": "w" * 60, **share(0, 5)}],
        "length": [{"value": f"{low} to {low + 90} characters", **share(55 + low / 10, 120)} for low in (10, 101, 192)],
        "responses": [{"value": 2, **share(40, 80, 0.5)}, {"value": 4, **share(238, 400)}],
        "agreement": [{"value": "all agree", **share(120, 150)}, {"value": "split", **share(60, 150)}],
        "category": [{"value": "عربي", **share(0, 50)}, {"value": "chat", **share(50, 50)}],
        "annotator": [{"value": "w1", **share(12, 20)}, {"value": "w2", **share(20, 40)}],
    },
    "length": {"pearson": 0.312, "spearman": 0.289, "within": None, "matched": share(130, 240, 0.5), "tolerance": 0.1,
               "unit": "characters"},
    "shortcuts": [
        shortcut("most-winning system", "system", 210, 0.14, 0.412), shortcut("words", "words", 190, 0.183, None),
        shortcut("longest", "length", 171, 0.223, 0.21), shortcut("position 1", "position", 119, 0.33, 0.0),
        shortcut("shortest", "length", 70, 0.43, 0.21) | {"where_wrong": None},
    ],
    "probes": {"order": {"worst": 1.3e-6, "changed": 0, "of": 200}, "swapped": share(101, 480, 0.75),
               "shuffled": share(121, 480)},
    "leak": {"prompts": 3, "of": 431, "responses": 11, "near": 5, "shared": share(7, 9), "clean": share(271, 471)},
    "scores": {
        "best": spread([0, 1, 4, 12, 40, 90, 130, 110, 60, 25, 8, 0], 0.4),
        "others": spread([5, 30, 90, 180, 280, 310, 250, 150, 90, 40, 12, 3], -0.3),
        "samples": spread([0, 2, 10, 30, 60, 70, 50, 20, 10, 4, 0, 0], -0.1),
        "references": spread([0, 0, 0, 5, 20, 60, 90, 60, 15, 5, 1, 0], 0.6),
    },
    "negatives": [{"category": name, "auc": auc, "low": auc - 0.05, "high": min(1.0, auc + 0.05), "of": 96,
                   "auc_all": auc}
                  for name, auc in (("last-mile", 0.48), ("entity-swap", 0.71), (EVIL, 0.93), ("random", 1.0))],
    "mistakes": [
        {"id": EVIL, "confidence": 0.9713, "annotator": "w7", "source": "tldr", "prompt": f"one\ntwo {EVIL} {LONG}",
         "best": response("Short and right.", -0.812, system="ours", category="reference"),
         "chosen": response(LONG, 2.4125, system="T5")},
        {"id": "b", "confidence": 0.88, "prompt": "عربي " * 20, "best": response("", 0.1),
         "chosen": response("w" * 300, 0.9)},
    ],
    "best_of_n": {
        "by": "ratings", "of": 400, "left_out": 80,
        "curve": [{"n": n, "gold": gold, "low": gold - 0.06, "high": gold + 0.06, "most": most, "kl": kl}
                  for n, gold, most, kl in ((1, 0.0, 0.0, 0.0), (2, 0.31, 0.55, 0.193), (3, 0.42, 0.83, 0.432),
                                            (4, 0.45, 1.02, 0.636))],
    },
    "disagreement": {
        "auc": 0.664, "low": 0.61, "high": 0.714, "of": 480, "margin": {"auc": 0.641, "low": 0.59, "high": 0.69},
        "spread": {"auc": 0.52, "low": 0.47, "high": 0.57},
        "bins": [{"dissent": 0.08 + 0.11 * at, "accuracy": 0.74 - 0.07 * at, "low": 0.65 - 0.07 * at,
                  "high": 0.82 - 0.07 * at, "of": 96} for at in range(5)],
    },
}  # fmt: skip

SECTIONS = {
    "shortcuts": "Shortcuts", "slices": "Slices", "length": "Length", "scores": "Scores", "negatives": "Negatives",
    "disagreement": "Disagreement", "best_of_n": "Best of n", "mistakes": "Mistakes",
}  # fmt: skip
ALWAYS = ["Accuracy", "Probes and leak", "Model and data"]

CARDS = pytest.mark.parametrize("card", [SPARSE, RICH], ids=["sparse", "rich"])


def list_sections(page: str) -> list[str]:
    return [attributes["id"] or "" for tag, attributes in Reader(page).tags if tag == "section" and "id" in attributes]


def name_anchors(titles: list[str]) -> list[str]:
    return [title.lower().replace(" ", "-") for title in titles]


@CARDS
def test_a_page_needs_nothing_else_and_runs_nothing(card: dict[str, Any]) -> None:
    check_self_contained(render_card(card))


@CARDS
def test_links_lead_somewhere_and_drawings_have_names(card: dict[str, Any]) -> None:
    check_links_and_names(render_card(card))


@CARDS
def test_the_same_card_gives_the_same_bytes(card: dict[str, Any]) -> None:
    assert render_card(json.loads(json.dumps(card))) == render_card(card)


def test_a_rich_card_has_every_section_and_a_sparse_one_those_it_can_fill() -> None:
    everything = [*ALWAYS, *SECTIONS.values(), "Calibration"]
    assert sorted(list_sections(render_card(RICH))) == sorted(name_anchors(everything))
    assert list_sections(render_card(SPARSE)) == name_anchors(ALWAYS)


@pytest.mark.parametrize("part", SECTIONS)
def test_what_was_not_measured_leaves_its_section_out(part: str) -> None:
    page = render_card(RICH | {part: SPARSE[part]})
    missing = {*list_sections(render_card(RICH))} - {*list_sections(page)}
    assert missing == {*name_anchors([SECTIONS[part]])}


def test_calibration_is_left_out_only_where_nothing_is_known_of_it() -> None:
    without = [RICH | dict.fromkeys(parts) for parts in (["log_loss"], ["calibration"], ["log_loss", "calibration"])]
    assert ["calibration" in list_sections(render_card(card)) for card in without] == [True, True, False]


def test_texts_of_strangers_are_shown_and_never_obeyed() -> None:
    read = Reader(render_card(RICH))
    assert "</title></style><script>alert('x')</script>\"'&\\u202e\\u0000\\u001b[31m" in read.text
    assert "one\ntwo" in read.text
    assert {c for c in read.text if unicodedata.category(c) in ("Cc", "Cf")} == {"\n"}


def test_the_verdict_comes_first_and_not_by_colour_alone() -> None:
    text = Reader(render_card(RICH)).text
    signs = [
        "✗ fault Do not trust",
        "✗ fault It chooses",
        "! warning Only 80",
        "✓ good It is as right",
        "· note It is surer",
    ]
    places = [text.index(sign) for sign in signs]
    assert places == sorted(places)
    assert places[-1] < text.index("How often a choice is right")


def test_figures_are_shown_as_they_are_in_the_card() -> None:
    text = Reader(render_card(RICH)).text
    for words in (
        "57.9 %",  # 278 of 480
        "51.9 to 63.9 %",
        "+14.0 (+9.0 to +19.0)",  # ahead of the most-winning system, in points
        "41.2 %",  # explained
        "1.42",  # temperature
        "undefined",  # a correlation of what does not vary
        "< 0.001",  # how far scores move
        "of 431 prompts, nearly the same",
        "97.1 % sure of the wrong one",
        "best, score -0.812, system ours, category reference",
        "372,000,000",
        "Reading, response length",
        "; 80 of another size, or without values, left out",
        "+0.31",
    ):
        assert words in text, words
    assert "Adapters" not in text


def test_of_a_mistake_nobody_says_how_sure_the_model_was_where_that_is_not_known() -> None:
    text = Reader(render_card(RICH | {"mistakes": [one | {"confidence": None} for one in RICH["mistakes"]]})).text
    assert "sure of the wrong one" not in text
    assert "surest" not in text
    assert "The wrong one" in text
    assert "unknown" not in text


@pytest.mark.parametrize("side", ["held_out", "train", "both"])
def test_only_what_is_known_to_be_held_out_is_said_to_be(side: str) -> None:
    card = RICH | {"data": RICH["data"] | {"side": side}, "verdict": []}

    def say(leak: dict[str, Any] | None) -> str:
        return Reader(render_card(card | {"leak": leak})).text.partition("Accuracy")[0]

    unknown, clean, leaked = (say(leak) for leak in (None, RICH["leak"] | {"prompts": 0}, RICH["leak"]))
    assert "whether it has learnt from their prompts is not known." in unknown
    assert ["held out" in text for text in (unknown, clean, leaked)] == [False, side == "held_out", False]
    assert "it has learnt from 3 of their 431 prompts." in leaked


def test_no_gain_is_not_a_loss() -> None:
    nothing = {"n": 1, "gold": -1e-17, "low": -0.1, "high": 0.1, "most": 0.0, "kl": 0.0}
    text = Reader(render_card(RICH | {"best_of_n": RICH["best_of_n"] | {"curve": [nothing]}})).text
    assert "+0.00-0.10 to +0.10+0.000.00" in text
    assert "-0.00" not in text


def test_a_leak_is_told_apart_from_what_is_not_known() -> None:
    unknown = "Whether it has seen these prompts is not known"
    assert unknown in Reader(render_card(RICH | {"leak": None})).text
    none = {"prompts": 0, "of": 431, "responses": 0, "near": None, "shared": None, "clean": share(271, 471)}
    text = Reader(render_card(RICH | {"leak": none})).text
    assert unknown not in text
    assert "Prompts nearly learnt from" not in text
    assert "on other prompts" not in text


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_extremes_are_drawn_within_their_plots(end: float) -> None:
    certain = {"share": end, "low": end, "high": end, "of": 1, "chance": end, "right": end, "effective": 1}
    bins = [{"confidence": end, "accuracy": end, "low": end, "high": end, "of": 1, "dissent": 0.0}]
    alike = {"low": 0.0, "high": 0.0, "of": 4}
    card = RICH | {
        "accuracy": certain, "ceiling": certain, "train": certain,
        "calibration": RICH["calibration"] | {"ece": end, "temperature": None, "factor": None, "of": 1, "bins": bins},
        "disagreement": RICH["disagreement"] | {"bins": bins, "low": None, "high": None},
        "scores": {"best": spread([4], 0.0) | {"bins": [alike]}, "others": None},
        "best_of_n": {"by": "", "of": 1, "left_out": 0, "curve": [
            {"n": 1, "gold": 0.0, "low": None, "high": None, "most": 0.0, "kl": 0.0}]},
    }  # fmt: skip
    page = render_card(card)
    places = [
        float(value.removesuffix("%"))
        for _, attributes in Reader(page).tags
        for name, value in attributes.items()
        if name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height") and value and value.endswith("%")
    ]
    assert places
    assert all(math.isfinite(place) and 0 <= place <= 101 for place in places)
    check_links_and_names(page)
