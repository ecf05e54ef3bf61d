"""What a report means, in words: each sentence where it is due, and not where it is not."""

import copy
from typing import Any, get_args

import pytest

from prefline.data.intervals import count_share
from prefline.data.verdict import describe_feedback, judge
from prefline.pipeline.feedback import Feedback


def share(wins: float, of: int, chance: float, **more: Any) -> dict[str, Any]:
    return count_share(wins, of, "wins") | {"chance": chance, **more}


# A report that gives no cause for concern: two annotators, a thousand comparisons, each with a prompt of its own.
FINE: dict[str, Any] = {
    "feedback": None,
    "rows": {"read": 1000, "accepted": 1000, "rejected": 0, "reasons": []},
    "comparisons": {
        "count": 1000,
        "decided": 1000,
        "annotators": 2,
        "ties": count_share(0, 1000, "ties"),
        "effective": {"of_prompts": 1000.0},
    },
    "agreement": {"ceiling": count_share(0, 0), "gold": None, "stand_out": {}},
    "bias": {"longest": None, "shortest": None, "position": None, "position_test": None, "systems": None},
    "duplicates": {
        "repeated": 0,
        "contradicting": 0,
        "best_has_twin": 0,
        "empty_candidates": 0,
        "empty_prompts": 0,
    },
    "truncation": None,
    "checks": [],
}
TAKEN = "1,000 of 1,000 rows were taken in."


def say(*changes: tuple[str, Any]) -> list[str]:
    """Return what is said of a report that is fine but for some figures."""
    report = copy.deepcopy(FINE)
    for path, value in changes:
        *above, last = path.split(".")
        here = report
        for key in above:
            here = here[key]
        here[last] = value
    return judge(report)


def add(path: str, value: Any) -> list[str]:
    """Return what one figure adds to what is said."""
    taken, *rest = say((path, value))
    assert taken == TAKEN
    return rest


def test_of_what_is_fine_there_is_little_to_say() -> None:
    assert say() == [TAKEN]


@pytest.mark.parametrize(
    ("read", "accepted", "said"),
    [
        (0, 0, "0 of 0 rows were taken in."),
        (1, 1, "1 of 1 row was taken in."),
        (2, 1, "1 of 2 rows was taken in; 1 was refused: no 'best'."),
        (3, 0, "0 of 3 rows were taken in; 3 were refused, most often: no 'best'."),
        (12345, 12344, "12,344 of 12,345 rows were taken in; 1 was refused: no 'best'."),
    ],
)
def test_rows(read: int, accepted: int, said: str) -> None:
    rejected = read - accepted
    reasons = [{"reason": "no 'best'", "rows": 2}, {"reason": "other", "rows": 1}] if rejected == 3 else []
    reasons = reasons or [{"reason": "no 'best'", "rows": rejected}]
    rows = {"read": read, "accepted": accepted, "rejected": read - accepted, "reasons": reasons}
    assert say(("rows", rows)) == [said]


@pytest.mark.parametrize(("often", "word"), [((2,), ""), ((1, 1), ", for example"), ((2, 1, 1), ", most often")])
def test_a_reason_came_most_often_only_if_no_other_came_as_often(often: tuple[int, ...], word: str) -> None:
    reasons = [{"reason": f"reason {number}", "rows": rows} for number, rows in enumerate(often)]
    rows = {"read": 9, "accepted": 9 - sum(often), "rejected": sum(often), "reasons": reasons}
    assert say(("rows", rows))[0].endswith(f"; {sum(often)} were refused{word}: reason 0.")


@pytest.mark.parametrize(
    ("decided", "said"),
    [
        (0, ["No comparison is decided: there is nothing to learn from."]),
        (1, ["Only 1 comparison is decided: most figures below are guesses."]),
        (199, ["Only 199 comparisons are decided: most figures below are guesses."]),
        (200, []),
    ],
)
def test_few_comparisons(decided: int, said: list[str]) -> None:
    effective = decided or None
    assert say(("comparisons.decided", decided), ("comparisons.effective.of_prompts", effective))[1:] == said


@pytest.mark.parametrize(("effective", "due"), [(None, False), (500.0, False), (499.9, True), (1.0, True)])
def test_comparisons_that_share_prompts(effective: float | None, due: bool) -> None:
    said = add("comparisons.effective.of_prompts", effective)
    assert [sentence.split(" on prompts")[0] for sentence in said] == (
        [f"1,000 decided comparisons say as much as {effective:,.0f}"] if due else []
    )


@pytest.mark.parametrize(
    ("ties", "of", "due"), [(250, 1000, False), (251, 1000, True), (19, 19, False), (20, 20, True)]
)
def test_ties(ties: int, of: int, due: bool) -> None:
    said = add("comparisons.ties", count_share(ties, of, "ties"))
    assert [sentence.partition(" % ")[2] for sentence in said] == (
        ["of the decided comparisons are ties, which teach little about what is better."] if due else []
    )


def test_without_two_annotators_nobody_knows_the_ceiling() -> None:
    assert add("agreement", None) == [
        "No item was judged by two annotators who are named, so nobody knows how far people agree here, and how right "
        "a model can be."
    ]


def test_of_annotators_nothing_is_said_where_nobody_was_asked() -> None:
    assert len(say(("agreement", None), ("feedback", {"kind": "mock", "by": ["first"]}))) == 2
    assert say(("agreement", None), ("feedback", {"kind": "synthetic", "by": ["copied"]})) == [TAKEN]


@pytest.mark.parametrize(
    ("kind", "by", "said"),
    [
        ("human", [], "human: people chose the best"),
        ("mock", [], "mock: no person chose, a program played the annotators"),
        (
            "mock",
            ["length", "copy:0.5"],
            "mock: no person chose, a program played the annotators (length, copy:0.5)",
        ),
        (
            "synthetic",
            ["last-mile"],
            "synthetic: nobody chose, references are the best by construction, beside texts made to fail (last-mile)",
        ),
    ],
)
def test_who_chose(kind: str, by: list[str], said: str) -> None:
    assert describe_feedback({"kind": kind, "by": by}) == said


def test_every_kind_of_feedback_can_be_put_into_words() -> None:
    for kind in get_args(Feedback):
        assert describe_feedback({"kind": kind, "by": []}).startswith(f"{kind}: ")


def test_a_ceiling_needs_more_than_a_handful_of_cases() -> None:
    assert add("agreement.ceiling", count_share(19, 19)) == []
    assert add("agreement.ceiling", count_share(10, 20)) == [
        "An annotator chooses what the others put first in 50.0 % of the cases where both have one best (29.9 to "
        "70.1 %): expect no reward model to be right more often on single judgements."
    ]


def test_how_often_annotators_are_right_by_gold() -> None:
    assert add("agreement.gold", count_share(10, 20)) == [
        "Annotators are right by gold in 50.0 % of 20 cases (29.9 to 70.1 %)."
    ]


def test_who_stands_out_is_named() -> None:
    assert add("agreement.stand_out", {"w7": "agrees less", "w" * 99: "too"}) == [
        "w7 stands out: agrees less.",
        f"{'w' * 57}... stands out: too.",
    ]


@pytest.mark.parametrize("which", ["longest", "shortest"])
def test_length_that_wins(which: str) -> None:
    assert add(f"bias.{which}", share(600, 1000, 0.5)) == [
        f"The {which} response wins 60.0 % of the time, by chance it would be 50.0 %: a model may learn length instead "
        "of quality."
    ]
    # Not by luck, not where it loses, not from a handful.
    for quiet in (share(530, 1000, 0.5), share(400, 1000, 0.5), share(19, 19, 0.5), None):
        assert add(f"bias.{which}", quiet) == []
    assert len(add(f"bias.{which}", share(20, 20, 0.5))) == 1


def positions(*wins: int, of: int = 1000) -> tuple[str, Any]:
    return "bias.position", [share(won, of, 1 / len(wins), position=place) for place, won in enumerate(wins, 1)]


@pytest.mark.parametrize(
    ("wins", "of", "p", "due"),
    [
        ((400, 600), 1000, 1e-9, True),
        ((400, 600), 1000, 0.001, False),  # not unlikely enough
        ((0, 19), 19, 1e-9, False),  # from a handful
        ((480, 520), 1000, 1e-9, False),  # what makes it unlikely is something else
    ],
)
def test_a_position_that_wins(wins: tuple[int, ...], of: int, p: float, due: bool) -> None:
    taken, *said = say(positions(*wins, of=of), ("bias.position_test", {"p": p}))
    assert taken == TAKEN
    assert said == (
        [
            "Position 2 wins 60.0 % of the time (by chance 50.0 %): annotators, or whoever ordered the responses, "
            "favour it."
        ]
        if due
        else []
    )


def test_a_position_that_was_there_thrice_is_not_the_one_that_is_named() -> None:
    path, found = positions(400, 200, 200, 200)
    said = say((path, [*found, share(3, 3, 0.2, position=5)]), ("bias.position_test", {"p": 0.0}))[1:]
    assert [sentence.split(" wins")[0] for sentence in said] == ["Position 1"]


def test_a_system_that_wins() -> None:
    often = share(500, 1000, 0.5, system="often")
    best, loser = share(400, 500, 0.5, system="best"), share(100, 500, 0.5, system="loser")
    assert add("bias.systems", [often, loser, best, share(3, 3, 0.5, system="thrice")]) == [
        "Responses of best win 80.0 % of the time (by chance 50.0 %): knowing who wrote a response says much about the "
        "choice."
    ]
    # Sure to be above chance, but not by 5 points.
    assert add("bias.systems", [share(5500, 10000, 0.5, system="slight"), often, loser]) == []
    assert add("bias.systems", [share(19, 19, 0.5, system="rare")]) == []


@pytest.mark.parametrize(
    ("repeated", "said"),
    [(10, []), (11, ["11 comparisons repeat an earlier one word for word."])],
)
def test_repeats(repeated: int, said: list[str]) -> None:
    assert add("duplicates.repeated", repeated) == said


def test_one_repeat_among_few() -> None:
    said = say(("comparisons.count", 20), ("duplicates.repeated", 1))
    assert said[1:] == ["1 comparison repeats an earlier one word for word."]


@pytest.mark.parametrize(
    ("items", "annotators", "said"),
    [
        (1, 2, "1 item was judged in two ways by the same annotator."),
        (1234, 2, "1,234 items were judged in two ways by the same annotator."),
        (2, 0, "2 items were judged in two ways by annotators who are not named."),
    ],
)
def test_contradictions(items: int, annotators: int, said: str) -> None:
    assert say(("duplicates.contradicting", items), ("comparisons.annotators", annotators))[1:] == [said]


@pytest.mark.parametrize(("twins", "several"), [(1, "1 comparison"), (2, "2 comparisons")])
def test_twins(twins: int, several: str) -> None:
    assert add("duplicates.best_has_twin", twins) == [
        f"In {several} the best response is the very text of one that is not: no model can tell them apart."
    ]


@pytest.mark.parametrize(
    ("path", "number", "said"),
    [
        ("empty_candidates", 10, []),
        ("empty_candidates", 11, ["11 comparisons have an empty response."]),
        ("empty_prompts", 1, ["1 comparison has an empty prompt."]),
        ("empty_prompts", 2, ["2 comparisons have an empty prompt."]),
    ],
)
def test_empties(path: str, number: int, said: list[str]) -> None:
    assert add(f"duplicates.{path}", number) == said


@pytest.mark.parametrize(
    ("identical", "length", "said"),
    [
        (None, None, []),  # no length was asked for
        (0, 64, []),
        (1, 1, ["Cut at 1 token, 1 comparison is void (0.1 %): the best response becomes the same tokens as another."]),
        (
            20,
            1024,
            [
                "Cut at 1,024 tokens, 20 comparisons are void (2.0 %): the best response becomes the same tokens as "
                "another."
            ],
        ),
    ],
)
def test_truncation(identical: int | None, length: int | None, said: list[str]) -> None:
    found = None if identical is None else identical / 1000
    assert add("truncation", {"length": length, "identical": identical, "share": found}) == said


def test_what_was_required_and_is_not_so() -> None:
    checks = [
        {"require": "rows.rejected <= 100", "found": 38129, "holds": False},
        {"require": "bias.longest.share <= 0.6", "found": 0.60004, "holds": False},
        {"require": "agreement.exact.share >= 0.6", "found": None, "holds": False},
        {"require": "rows.read > 0", "found": 1000, "holds": True},
    ]
    assert add("checks", checks) == [
        "Required: rows.rejected <= 100; found: 38,129.",
        "Required: bias.longest.share <= 0.6; found: 0.60004.",
        "Required: agreement.exact.share >= 0.6; found: nothing to measure.",
    ]
