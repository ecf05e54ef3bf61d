"""The quality report as a page: from the parsed `quality.json` to HTML, which adds no number of its own."""

from collections.abc import Mapping
from typing import Any

from prefline.data.figures import format_interval, format_number, format_share
from prefline.data.verdict import describe_feedback, describe_found
from prefline.data.wording import count
from prefline.pipeline.charts import draw_bars, draw_spreads
from prefline.pipeline.page import (
    Figure,
    Html,
    Section,
    element,
    example,
    facts,
    isolate,
    join,
    paragraph,
    quote,
    render_page,
    table,
)
from prefline.pipeline.quality_repeats import describe_duplicates, describe_split, describe_truncation
from prefline.pipeline.quality_shares import describe_agreement, describe_bias

Report = Mapping[str, Any]


def render_quality(report: Report) -> str:
    """Write the page."""
    sections = (
        _describe_checks(report["checks"]),
        _describe_rows(report["rows"]),
        _describe_comparisons(report["comparisons"]),
        _describe_lengths(report["lengths"]),
        describe_bias(report["bias"]),
        describe_duplicates(report["duplicates"]),
        describe_split(report["split"]),
        describe_truncation(report["truncation"]),
        describe_agreement(report["agreement"]),
        _describe_odd(report["odd"]),
    )
    lead = "What the comparisons hold, and what could mislead a model that learns from them."
    if report["feedback"]:
        lead += f" Feedback is {describe_feedback(report['feedback'])}."
    figures = _find_key_figures(report)
    shown = [section for section in sections if section is not None]
    return render_page("Quality of the comparisons", lead, report["verdict"], figures, shown)


def _find_key_figures(report: Report) -> list[Figure]:
    counts, checks, truncation = report["comparisons"], report["checks"], report["truncation"]
    figures = [
        Figure("Comparisons", format_number(counts["count"]), f"of {count(counts['prompts'], 'prompt', 'prompts')}"),
        Figure("Decided", format_number(counts["decided"]), "with a best response"),
        _figure_of("Ties", counts["ties"]),
        _figure_of("The longest is best", report["bias"]["longest"]),
        Figure("Rows rejected", format_number(report["rows"]["rejected"]), f"of {report['rows']['read']:,} read"),
    ]
    if counts["annotators"]:
        figures.append(Figure("Annotators", format_number(counts["annotators"])))
    if report["agreement"]:
        figures.append(_figure_of("Two annotators agree", report["agreement"]["exact"]))
    if truncation and truncation["identical"] is not None:
        cut = f"cut at {truncation['length']:,} tokens"
        figures.append(Figure("Identical when cut", format_number(truncation["identical"]), cut))
    if checks:
        held = sum(check["holds"] for check in checks)
        figures.append(Figure("Checks that hold", f"{held} of {len(checks)}"))
    return [figure for figure in figures if figure is not None]


def _figure_of(label: str, share: Mapping[str, Any] | None) -> Figure | None:
    if share is None or share["share"] is None:
        return None
    notes = [format_interval(share)] if format_interval(share) else []
    notes += [f"chance {format_share(share['chance'])}"] if share.get("chance") is not None else []
    return Figure(label, format_share(share["share"]), "; ".join(notes))


def _describe_checks(checks: list[Report]) -> Section | None:
    if not checks:
        return None
    signs = {True: element("span", "✓ holds", class_="good"), False: element("span", "✗ fails", class_="bad")}
    rows = (
        (signs[check["holds"]], element("code", check["require"]), describe_found(check["found"])) for check in checks
    )
    about = "What was required of the data. Where a check fails, the data are not what somebody said they must be."
    return Section("Checks", about, [table("Requirements", ("", "required", "found"), rows, "llr")])


def _describe_rows(rows: Report) -> Section:
    about = (
        "Every row of the files was read and checked. A few rejected rows are no harm; many, or many with one reason, "
        "mean that the file is not what it was taken for."
    )
    parts = [
        facts(
            "Rows",
            [
                ("Read", format_number(rows["read"]), ""),
                ("Accepted", format_number(rows["accepted"]), ""),
                ("Rejected", format_number(rows["rejected"]), ""),
            ],
        )
    ]
    if rows["reasons"]:
        listed = (
            (reason["rows"], reason["reason"], isolate(f"{reason['file']}, line {reason['line']:,}"))
            for reason in rows["reasons"]
        )
        parts.append(table("Why rows were rejected", ("rows", "reason", "for example"), listed, "rll"))
    return Section("Rows", about, parts)


def _describe_comparisons(counts: Report) -> Section:
    about = (
        "How much there is to learn from. Worry if the effective number of prompts is far below their number: then few "
        "prompts, or few heavy rows, make up most of the data."
    )
    effective = counts["effective"]
    undecided = [(f"Undecided, {why}", format_number(number), "") for why, number in counts["undecided"].items()]
    kinds = [(f"Kind: {kind}", format_number(number), "") for kind, number in counts["kinds"].items() if number]
    ties = counts["ties"]
    rows = [
        ("Comparisons", format_number(counts["count"]), "one prompt, its responses, and what one annotator said"),
        ("Prompts", format_number(counts["prompts"]), "different ones"),
        ("Items", format_number(counts["items"]), "different sets of responses to a prompt"),
        ("Decided", format_number(counts["decided"]), "at least one response is best"),
        ("Ties", format_share(ties["share"]), f"several are best; 95 % interval {format_interval(ties) or 'unknown'}"),
        *undecided,
        ("Annotators", format_number(counts["annotators"]), ""),
        *kinds,
        *(
            (f"Effective number {of}", format_number(effective[key]), note)
            for key, of, note in _EFFECTIVE
            if effective[key] is not None
        ),
    ]
    sizes = sorted(counts["responses"].items(), key=lambda size: int(size[0]))
    chart = draw_bars("How many responses are compared", "responses", sizes)
    return Section("Comparisons", about, [facts("What was compared", rows), chart])


_EFFECTIVE = (
    ("of_weights", "by weight", "as many comparisons of equal weight say as much"),
    ("of_prompts", "of prompts", "as many prompts that come equally often say as much"),
)


def _describe_lengths(lengths: Report | None) -> Section | None:
    if lengths is None:
        return None
    about = "How long texts are. Worry if the longest are far beyond what the model takes in: they will be cut."
    spreads = [(f"{role}s", lengths[role]) for role in ("prompt", "response") if lengths[role] is not None]
    return Section("Lengths", about, [draw_spreads(f"Length in {lengths['unit']}", "", spreads)])


def _describe_odd(odd: list[Report]) -> Section | None:
    if not odd:
        return None
    about = "The extremes, to be looked at by eye: a mistake of a file often shows here first."
    return Section("Odd ones", about, [_build_odd(one) for one in odd])


def _build_odd(one: Report) -> Html:
    place = join(("id ", isolate(one["id"])))
    texts = (quote("prompt", one["prompt"]), quote("response", one["response"]))
    return example(join((one["why"], ": ", one["value"])), paragraph(place, class_="note"), *texts)
