"""How the quality report looks on a terminal: the verdict, then the figures that matter."""

import shutil
import textwrap
from collections.abc import Mapping
from typing import Any

from prefline.data.figures import (
    format_coefficient,
    format_interval,
    format_number,
    format_probability,
    format_share,
)
from prefline.data.verdict import describe_feedback, describe_found
from prefline.data.wording import count, printable, shorten
from prefline.pipeline.quality_shares import COEFFICIENTS, UNLIKELY, is_known, list_agreement

Report = Mapping[str, Any]

_WIDTH, _NARROWEST = 100, 40
_MOST_SHARES = 4  # of anything that there may be many of
_MOST_OTHERS = 3
_AGREEMENT = ("exact", "signs", "ceiling")


def describe_quality(report: Report) -> list[str]:
    """Return the lines."""
    lines = [line for sentence in report["verdict"] for line in _wrap("* ", sentence)]
    facts = [line for label, text in _find_facts(report) for line in _wrap(f"{label:<13}", text)]
    return [*lines, "", *facts, *_list_shares(_find_shares(report)), *_list_checks(report["checks"])]


def _wrap(before: str, text: str) -> list[str]:
    width = max(_NARROWEST, min(_WIDTH, shutil.get_terminal_size((_WIDTH, 0)).columns))
    return textwrap.wrap(printable(text), width, initial_indent=before, subsequent_indent=" " * len(before))


def _find_facts(report: Report) -> list[tuple[str, str]]:
    facts = [
        *([("feedback", describe_feedback(report["feedback"]))] if report["feedback"] else []),
        ("rows", _describe_rows(report["rows"])),
        *(("", reason) for reason in _list_reasons(report["rows"]["reasons"])),
        ("comparisons", _describe_comparisons(report["comparisons"])),
        ("decided", _describe_decided(report["comparisons"])),
        *_list_lengths(report["lengths"]),
        ("duplicates", _describe_duplicates(report["duplicates"])),
        *(("empty", said) for said in _list_empties(report["duplicates"])),
    ]
    if report["split"]:
        facts.append(("split", _describe_split(report["split"])))
    if report["truncation"]:
        facts.append(("truncation", _describe_truncation(report["truncation"])))
    if report["agreement"]:
        facts.append(("agreement", _describe_agreement(report["agreement"])))
        facts += [("", line) for line in _list_outliers(report["agreement"]["stand_out"])]
        facts += [("gold", line) for line in _list_gold(report["agreement"]["gold"])]
    return [*facts, ("positions", _describe_positions(report["bias"]))]


def _describe_positions(bias: Report) -> str:
    test = bias["position_test"]
    if test is None:
        return f"unknown: {bias['position_missing']}"
    even = "win unevenly, beyond chance" if test["p"] < UNLIKELY else "win evenly, as far as chance tells"
    return f"{even} ({format_probability(test['p'])})"


def _list_gold(gold: Report | None) -> list[str]:
    if gold is None:
        return []
    cases = count(gold["of"], "case", "cases")
    return [f"annotators are right in {format_share(gold['share'])} of {cases} ({format_interval(gold)})"]


def _describe_rows(rows: Report) -> str:
    return f"{rows['read']:,} read, {rows['accepted']:,} accepted, {rows['rejected']:,} rejected"


def _list_reasons(reasons: list[Report]) -> list[str]:
    shown = [
        f"{reason['rows']:,}: {shorten(reason['reason'], 120)} ({shorten(reason['file'])}, line {reason['line']:,})"
        for reason in reasons[:_MOST_OTHERS]
    ]
    more = len(reasons) - len(shown)
    return [*shown, *([f"and {count(more, 'reason', 'reasons')} more"] if more else [])]


def _describe_comparisons(counts: Report) -> str:
    sizes = sorted(counts["responses"].items(), key=lambda size: int(size[0]))
    listed = ", ".join(f"{number:,} of {size}" for size, number in sizes[:_MOST_SHARES])
    more = ", and other sizes" if len(sizes) > _MOST_SHARES else ""
    prompts = count(counts["prompts"], "prompt", "prompts")
    by = f"; {count(counts['annotators'], 'annotator', 'annotators')}" if counts["annotators"] else ""
    return f"{counts['count']:,} on {prompts}; responses: {listed or 'none'}{more}{by}"


def _describe_decided(counts: Report) -> str:
    undecided = "".join(f", {number:,} {why}" for why, number in counts["undecided"].items() if number)
    effective = counts["effective"]
    said = "".join(
        f"; {format_number(effective[key])} effective {of}"
        for key, of in (("of_weights", "by weight"), ("of_prompts", "prompts"))
        if effective[key] is not None
    )
    ties = f"; {format_share(counts['ties']['share'])} tie" if is_known(counts["ties"]) else ""
    return f"{counts['decided']:,}{undecided}{ties}{said}"


def _list_lengths(lengths: Report | None) -> list[tuple[str, str]]:
    if lengths is None:
        return []
    return [
        (
            f"{role}s",
            f"median {format_number(spread['median'])} {lengths['unit']}, 95 % up to {format_number(spread['p95'])}, "
            f"most {format_number(spread['most'])}",
        )
        for role in ("prompt", "response")
        for spread in (lengths[role],)
        if spread is not None
    ]


def _describe_duplicates(found: Report) -> str:
    kinds = (
        ("repeated", "repeated"),
        ("contradicting", "contradicting"),
        ("identical_candidates", "with identical responses"),
        ("best_has_twin", "whose best has a twin"),
    )
    listed = [f"{found[key]:,} {name}" for key, name in kinds if found[key]]
    if found["near"] and found["near"]["prompts"]:
        listed.append(f"{count(found['near']['prompts'], 'prompt', 'prompts')} nearly the same as another")
    return ", ".join(listed) or "none"


def _list_empties(found: Report) -> list[str]:
    kinds = (("empty_candidates", "response"), ("empty_prompts", "prompt"))
    said = [
        f"{count(found[key], 'comparison', 'comparisons')} with an empty {name}" for key, name in kinds if found[key]
    ]
    return [", ".join(said)] if said else []


def _describe_split(split: Report) -> str:
    train, held_out = split["train"], split["held_out_part"]
    kept = f"; {count(split['kept_together'], 'prompt', 'prompts')} kept together" if split["kept_together"] else ""
    share = format_share(held_out["share"])
    return f"{train['comparisons']:,} train, {held_out['comparisons']:,} held out ({share}){kept}"


def _describe_truncation(found: Report) -> str:
    if found["identical"] is not None:
        said = f"{found['identical']:,} identical when cut at {found['length']:,} tokens"
    else:
        points = [f"{format_share(point['share'])} at {point['length']:,} tokens" for point in found["curve"]]
        said = f"identical when cut: {', '.join(points[:_MOST_SHARES])}"
    return said + (f"; {found['never_apart']:,} never told apart by the tokenizer" if found["never_apart"] else "")


def _describe_agreement(found: Report) -> str:
    items = count(found["items"], "item in common", "items in common")
    known = [f"{name} {format_coefficient(found[key])}" for key, name, _ in COEFFICIENTS[:2] if found[key] is not None]
    return "; ".join([items, *known])


def _list_outliers(stand_out: Mapping[str, str]) -> list[str]:
    shown = [f"{shorten(name)}: {why}" for name, why in list(stand_out.items())[:_MOST_OTHERS]]
    more = len(stand_out) - len(shown)
    return [*shown, *([f"and {count(more, 'annotator', 'annotators')} more"] if more else [])]


def _find_shares(report: Report) -> list[tuple[str, Report]]:
    bias = report["bias"]
    found = [(f"the {name} response is best", bias[name]) for name in ("longest", "shortest")]
    found += [(f"position {share['position']} is best", share) for share in (bias["position"] or [])[:_MOST_SHARES]]
    for role, key in (("system", "systems"), ("category", "categories")):
        found += [(f"{role} {share[role]}", share) for share in (bias[key] or [])[:_MOST_OTHERS]]
    if report["agreement"]:
        shares = list_agreement(report["agreement"])
        found += [
            (f"annotators: {name[0].lower()}{name[1:]}", share) for key, name, share in shares if key in _AGREEMENT
        ]
    return [(name, share) for name, share in found if is_known(share)]


def _list_shares(shares: list[tuple[str, Report]]) -> list[str]:
    if not shares:
        return []
    rows = [("share", "95 % interval", "chance", "of")]
    for _, share in shares:
        chance = format_share(share["chance"]) if share.get("chance") is not None else "-"
        rows.append((format_share(share["share"]), format_interval(share), chance, format_number(share["of"])))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    room = _WIDTH - sum(widths) - 2 * len(widths)
    # Names come last: they may be wide, or written from the right, which would disturb what follows them.
    names = ["", *(shorten(printable(name), room) for name, _ in shares)]
    numbers = ("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return ["", *(f"{line}  {name}".rstrip() for line, name in zip(numbers, names, strict=True))]


def _list_checks(checks: list[Report]) -> list[str]:
    if not checks:
        return []
    failed = [check for check in checks if not check["holds"]]
    held = len(checks) - len(failed)
    lines = ["", f"{held} of {count(len(checks), 'check holds', 'checks hold')}"]
    for check in failed:
        lines += _wrap("failed: ", f"{shorten(check['require'], 70)}, found: {describe_found(check['found'])}")
    return lines
