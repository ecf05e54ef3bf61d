"""What a quality report means, in plain words: the sentences that a person reads if nothing else."""

from collections.abc import Iterator, Mapping
from typing import Any

from prefline.data.figures import format_figure, format_interval, format_share
from prefline.data.wording import count, shorten

_FEW = 200  # comparisons, below which most figures are guesses
_ENOUGH = 20  # cases; a share of fewer is worth no sentence
_MANY_TIES = 0.25
_MUCH = 0.01  # a share that is worth a word
_SURE = 0.001  # a p below which a test is worth a word
_CLEAR = 0.05  # how far above chance a system wins at the least, to be worth a word


def judge(report: Mapping[str, Any]) -> list[str]:
    """Say what a person should know before anything is trained."""
    return [sentence for part in _PARTS for sentence in part(report)]


def describe_feedback(feedback: Mapping[str, Any]) -> str:
    """Say who chose, and where nobody did, what stands in their place."""
    names = f" ({shorten(', '.join(feedback['by']), 200)})" if feedback["by"] else ""
    return f"{feedback['kind']}: {_FEEDBACK[feedback['kind']]}{names}"


_FEEDBACK = {
    "human": "people chose the best",
    "judge": "a language model chose the best",
    "mock": "no person chose, a program played the annotators",
    "rule": "no person chose, a rule or a metric did",
    "synthetic": "nobody chose, references are the best by construction, beside texts made to fail",
}


def describe_found(found: float | None) -> str:
    """Write what a check found."""
    return "nothing to measure" if found is None else format_figure(found)


def _judge_rows(report: Mapping[str, Any]) -> Iterator[str]:
    rows = report["rows"]
    were = "was" if rows["accepted"] == 1 else "were"
    taken = f"{rows['accepted']:,} of {count(rows['read'], 'row', 'rows')} {were} taken in"
    if rows["rejected"]:
        reason = shorten(rows["reasons"][0]["reason"], 120)
        often = _describe_frequency([reason["rows"] for reason in rows["reasons"]])
        yield f"{taken}; {count(rows['rejected'], 'was', 'were')} refused{often}: {reason}."
    else:
        yield f"{taken}."


def _describe_frequency(rows: list[int]) -> str:
    """Say how often the first reason came beside the others."""
    if len(rows) == 1:
        return ""
    return ", most often" if rows[0] > rows[1] else ", for example"


def _judge_size(report: Mapping[str, Any]) -> Iterator[str]:
    counts = report["comparisons"]
    decided = counts["decided"]
    if not decided:
        yield "No comparison is decided: there is nothing to learn from."
    elif decided < _FEW:
        yield f"Only {count(decided, 'comparison is', 'comparisons are')} decided: most figures below are guesses."
    effective = counts["effective"]["of_prompts"]
    if effective is not None and effective < 0.5 * decided:
        yield (
            f"{decided:,} decided comparisons say as much as {effective:,.0f} on prompts of their own would: many "
            "share a prompt, or a few weigh far more than the rest."
        )
    ties = counts["ties"]
    if ties["of"] >= _ENOUGH and ties["share"] > _MANY_TIES:
        yield (
            f"{format_share(ties['share'])} of the decided comparisons are ties, which teach little about what is "
            "better."
        )


def _judge_annotators(report: Mapping[str, Any]) -> Iterator[str]:
    if report["feedback"] and report["feedback"]["kind"] == "synthetic":
        return  # nobody was asked, so nobody could disagree
    agreement = report["agreement"]
    if agreement is None:
        yield (
            "No item was judged by two annotators who are named, so nobody knows how far people agree here, and how "
            "right a model can be."
        )
        return
    ceiling = agreement["ceiling"]
    if ceiling["of"] >= _ENOUGH:
        yield (
            f"An annotator chooses what the others put first in {format_share(ceiling['share'])} of the cases "
            f"where both have one best ({format_interval(ceiling)}): "
            "expect no reward model to be right more often on single judgements."
        )
    if gold := agreement["gold"]:
        yield (
            f"Annotators are right by gold in {format_share(gold['share'])} of {count(gold['of'], 'case', 'cases')} "
            f"({format_interval(gold)})."
        )
    for name, why in agreement["stand_out"].items():
        yield f"{shorten(name)} stands out: {why}."


def _judge_bias(report: Mapping[str, Any]) -> Iterator[str]:
    bias = report["bias"]
    for which in ("longest", "shortest"):
        found = bias[which]
        if found and found["of"] >= _ENOUGH and _find_lead(found) > 0:
            yield (
                f"The {which} response wins {format_share(found['share'])} of the time, by chance it would be "
                f"{format_share(found['chance'])}: a model may learn length instead of quality."
            )
    test, winner = bias["position_test"], _find_winner(bias["position"])
    if test and test["p"] < _SURE and winner and _find_lead(winner) > 0:
        yield (
            f"Position {winner['position']} wins {format_share(winner['share'])} of the time (by chance "
            f"{format_share(winner['chance'])}): annotators, or whoever ordered the responses, favour it."
        )
    winner = _find_winner(bias["systems"])
    if winner and _find_lead(winner) > _CLEAR:
        yield (
            f"Responses of {shorten(winner['system'])} win {format_share(winner['share'])} of the time (by chance "
            f"{format_share(winner['chance'])}): knowing who wrote a response says much about the choice."
        )


def _find_winner(shares: list[Mapping[str, Any]] | None) -> Mapping[str, Any] | None:
    """Return what surely wins most above chance, among what is there often enough."""
    return max((found for found in shares or () if found["of"] >= _ENOUGH), key=_find_lead, default=None)


def _find_lead(share: Mapping[str, Any]) -> float:
    return share["low"] - share["chance"]


def _judge_repeats(report: Mapping[str, Any]) -> Iterator[str]:
    found = report["duplicates"]
    total = report["comparisons"]["count"]
    if found["repeated"] > _MUCH * total:
        yield f"{count(found['repeated'], 'comparison repeats', 'comparisons repeat')} an earlier one word for word."
    if found["contradicting"]:
        who = "by the same annotator" if report["comparisons"]["annotators"] else "by annotators who are not named"
        yield f"{count(found['contradicting'], 'item was', 'items were')} judged in two ways {who}."
    if found["best_has_twin"]:
        several = count(found["best_has_twin"], "comparison", "comparisons")
        yield f"In {several} the best response is the very text of one that is not: no model can tell them apart."


def _judge_empties(report: Mapping[str, Any]) -> Iterator[str]:
    found = report["duplicates"]
    total = report["comparisons"]["count"]
    if found["empty_candidates"] > _MUCH * total:
        yield f"{count(found['empty_candidates'], 'comparison has', 'comparisons have')} an empty response."
    if found["empty_prompts"]:
        yield f"{count(found['empty_prompts'], 'comparison has', 'comparisons have')} an empty prompt."


def _judge_truncation(report: Mapping[str, Any]) -> Iterator[str]:
    found = report["truncation"]
    if found and found["identical"]:
        yield (
            f"Cut at {count(found['length'], 'token', 'tokens')}, "
            f"{count(found['identical'], 'comparison is', 'comparisons are')} void ({format_share(found['share'])}): "
            "the best response becomes the same tokens as another."
        )


def _judge_checks(report: Mapping[str, Any]) -> Iterator[str]:
    for check in report["checks"]:
        if not check["holds"]:
            yield f"Required: {check['require']}; found: {describe_found(check['found'])}."


_PARTS = (
    _judge_rows,
    _judge_size,
    _judge_annotators,
    _judge_bias,
    _judge_repeats,
    _judge_empties,
    _judge_truncation,
    _judge_checks,
)
