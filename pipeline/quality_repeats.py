"""The sections of the quality report on what is the same: duplicates, the split that must not part them, truncation."""

from collections.abc import Mapping
from typing import Any

from prefline.data.figures import format_number, format_share
from prefline.data.wording import count
from prefline.pipeline.axes import Axis
from prefline.pipeline.page import Section, example, facts, isolate, paragraph, quote, table
from prefline.pipeline.plots import Line, Point, draw_lines

Report = Mapping[str, Any]


def describe_duplicates(found: Report) -> Section:
    """Build the section on what is there more than once."""
    about = (
        "What is there more than once. Worry about comparisons that contradict each other, and about a best response "
        "that has a twin among the others: no model can tell them apart."
    )
    rows = [(name, format_number(found[key]), note) for key, name, note in _DUPLICATES]
    parts = [facts("Duplicates", rows)]
    near = found["near"]
    if near is not None:
        parts.append(paragraph(_describe_near(near)))
        parts += [
            example(f"Similarity {pair['similarity']:.2f}", *(quote("prompt", text) for text in pair["prompts"]))
            for pair in near.get("examples", ())
        ]
    return Section("Duplicates", about, parts)


def _describe_near(near: Report) -> str:
    similar = f"of similarity {near['threshold']:g} or more, where 1 is the same words in the same order"
    if not near["prompts"]:
        return f"No prompt is nearly the same as another: there are none {similar}."
    prompts = count(near["prompts"], "prompt is", "prompts are")
    return f"{prompts} nearly the same as another: {count(near['clusters'], 'group', 'groups')} {similar}."


_DUPLICATES = (
    ("repeated", "Repeated comparisons", "the same annotator said the same of the same responses"),
    ("contradicting", "Contradicted items", "the same annotator said something else of the same responses"),
    ("prompts_again", "Prompts that come again", "in several comparisons"),
    ("identical_candidates", "Comparisons with identical responses", "two responses or more are the same text"),
    ("best_has_twin", "The best has a twin", "among the responses that are not best"),
    ("responses_again", "Responses that come again", "the same text answers several prompts"),
    ("empty_responses", "Empty responses", ""),
    ("empty_candidates", "Comparisons with an empty response", ""),
    ("empty_prompts", "Empty prompts", ""),
)


def describe_split(split: Report | None) -> Section | None:
    """Build the section on the part to learn from and the part to be tested on."""
    if split is None:
        return None
    about = (
        "Which comparisons a model learns from, and which it is tested on. Prompts that are the same, or nearly, stay "
        "on one side; otherwise a model would be tested on what it has seen."
    )
    train, held_out = split["train"], split["held_out_part"]
    rows = [
        ("Train", format_number(train["comparisons"]), f"comparisons, of {train['prompts']:,} prompts"),
        ("Held out", format_number(held_out["comparisons"]), f"comparisons, of {held_out['prompts']:,} prompts"),
        (
            "Share held out",
            format_share(held_out["share"]),
            f"of the comparisons; {format_share(split['held_out'])} asked for",
        ),
        ("Kept together", format_number(split["kept_together"]), "prompts in train since one nearly the same is there"),
        (
            "Would leak",
            format_number(split["split_by_rows_would_leak"]),
            "held-out comparisons whose prompt would be in train as well, had rows been split",
        ),
    ]
    return Section("Split", about, [facts("Parts", rows)])


def describe_truncation(found: Report | None) -> Section | None:
    """Build the section on what becomes the same when texts are cut."""
    if found is None:
        return None
    about = (
        "Texts are cut at a number of tokens, and then the best response may be the same as another, which teaches "
        "nothing. Worry if more than a few in a hundred are."
    )
    parts = [paragraph("Tokenizer: ", isolate(found["tokenizer"]), ".")]
    if found["identical"] is not None:
        told = f"Cut at {found['length']:,} tokens, {count(found['identical'], 'comparison is', 'comparisons are')}"
        parts.append(paragraph(f"{told} no longer told apart."))
    if found["never_apart"]:
        never = count(found["never_apart"], "comparison is", "comparisons are")
        parts.append(paragraph(f"{never} never told apart by this tokenizer, however long."))
    if found["curve"]:
        points = [Point(point["length"], point["share"]) for point in found["curve"]]
        rows = [(point["length"], point["identical"], format_share(point["share"])) for point in found["curve"]]
        used = "; the dashes stand at the length that is used" if found["length"] else ""
        across, up = Axis("length in tokens", "logarithmic"), Axis("identical", "share", (0, max(p.y for p in points)))
        caption = f"What becomes identical by the length at which texts are cut{used}"
        parts.append(draw_lines(caption, across, up, [Line("comparisons", points)], mark=found["length"]))
        parts.append(table("Identical by length", ("tokens", "identical", "share"), rows, "rrr"))
    return Section("Truncation", about, parts)
