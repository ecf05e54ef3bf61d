"""What comparisons are worth: the report that every later stage, and every GPU hour, is better started after.

All of it is computed from a survey (survey.py), so that a million comparisons need no more memory than a few
thousand. What could not be measured, for want of annotators or a tokenizer, is None.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prefline.data.agreement import Agreement
from prefline.data.biases import Bias
from prefline.data.comparison import Comparison
from prefline.data.contents import Prompt, Response
from prefline.data.digests import Digests
from prefline.data.errors import ConfigError, DataError
from prefline.data.near_duplicates import Clusters, cluster
from prefline.data.oddities import Oddities, Oddity
from prefline.data.repeats import Repeats, describe_split, effective_prompts, find_agreement, find_repeats
from prefline.data.requirements import Requirement
from prefline.data.sketches import SketchFile, flatten_prompt, sketch_prompts
from prefline.data.splitting import assign_all
from prefline.data.survey import NameTables, Survey
from prefline.data.survey import survey as describe
from prefline.data.tallies import Counts, Lengths
from prefline.data.truncation import NEVER, count_identical, load_tokenizer, measure
from prefline.data.verdict import judge
from prefline.data.wording import did_you_mean, shorten

SCHEMA = "prefline.quality/1"
_SHOWN = 400  # characters of a text
_LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096, 8192)  # in tokens, of the curve
_EXAMPLES = 5


class Asked(NamedTuple):
    """What a report is to look at, beside the comparisons themselves."""

    held_out: float = 0.1
    near: float = 0.8  # from which similarity on prompts are near duplicates
    places: bool = True  # whether the order of responses is one that annotators saw
    gold: str | None = None  # the annotator whose word is the truth
    tokenizer: str | None = None
    length: int | None = None  # in tokens, what a model will see
    require: Sequence[str] = ()
    feedback: str | None = None  # who chose (pipeline/feedback.py); None where nobody has said
    chosen_by: Sequence[str] = ()  # the labellers that were played, or the classes of negatives


class Assessed(NamedTuple):
    """A report, and the digests of the prompts that are held out, sorted."""

    report: dict[str, Any]
    held_out: np.ndarray


Fetch = Callable[[Sequence[int]], list[Comparison]]  # returns comparisons by their places among all, from 0


def report(
    comparisons: Sequence[Comparison],
    *,
    held_out: float = 0.1,
    near: float = 0.8,
    tokenizer: str | Path | None = None,
    length: int | None = None,
    gold: str | None = None,
    places: bool = True,
    require: Sequence[str] = (),
) -> dict[str, Any]:
    """Write the report on comparisons that are in memory.

    `tokenizer` is a tokenizer.json, or the folder that holds one, and `length` how much of prompt and response a model
    will see, in its tokens. `gold` names the annotator whose word is the truth. `places` says whether the order of the
    responses is one that annotators saw. `require` holds what the figures must be, such as
    'bias.longest.share <= 0.6'.
    """
    if length is not None and tokenizer is None:
        raise ConfigError("a length is counted in tokens: give the tokenizer, or leave the length out")
    digests = [Digests.of(comparison) for comparison in comparisons]
    names = NameTables.empty()
    piece = describe(comparisons, digests, names)
    if tokenizer is not None:
        piece.comparisons["needed"] = measure(comparisons, load_tokenizer(Path(tokenizer))).needed
    prompts = {digest.prompt: one.prompt for digest, one in zip(digests, comparisons, strict=True)}
    sketches = sketch_prompts(prompts)
    asked = Asked(held_out, near, places, gold, None if tokenizer is None else Path(tokenizer).name, length, require)

    def fetch(wanted: Sequence[int]) -> list[Comparison]:
        found = [(comparisons[place], digests[place]) for place in wanted]
        return [replace(one, id=one.id or digest.item.hex()) for one, digest in found]

    rows = {"read": len(comparisons), "accepted": len(comparisons), "rejected": 0, "reasons": []}
    return assess(Survey(lambda: iter([piece]), names), sketches, asked, fetch, rows=rows).report


def assess(
    survey: Survey,
    sketches: np.ndarray | SketchFile,
    asked: Asked,
    fetch: Fetch,
    *,
    rows: dict[str, Any],
    judged: Survey | None = None,
) -> Assessed:
    """Write the report. `judged` is what each annotator said, where the comparisons combine that."""
    _check_gold(asked.gold, judged or survey)
    requirements = [Requirement.parse(text) for text in asked.require]
    near = cluster(sketches, asked.near)
    agreement = Agreement(asked.gold)
    if judged is not None:
        find_agreement(judged, agreement)
    bias = Bias(survey.names.systems, survey.names.categories)
    repeats = find_repeats(survey, agreement if judged is None else None, bias)
    held = assign_all(repeats.prompts.digests, near, asked.held_out)
    feedback = None if asked.feedback is None else {"kind": asked.feedback, "by": list(asked.chosen_by)}
    report = {"schema": SCHEMA, "verdict": [], "feedback": feedback, "rows": rows}
    oddities = _tally(report, survey, repeats, bias, asked)
    report["duplicates"]["near"] = _describe_near(survey, near, asked, fetch)
    report["split"] = describe_split(repeats.prompts, held, near, asked.held_out)
    report["agreement"] = agreement.result()
    report["odd"] = list(_describe_oddities(oddities, fetch))
    report["checks"] = [requirement.check(report) for requirement in requirements]
    report["verdict"] = judge(report)
    return Assessed(report, repeats.prompts.digests[held])


def _check_gold(gold: str | None, judged: Survey) -> None:
    annotators = [name for name in judged.names.annotators.texts if name is not None]
    if gold is not None and gold not in annotators:
        known = shorten(", ".join(annotators), 200) or "none is named"
        raise DataError(f"no annotator is called {gold!r}{did_you_mean(gold, annotators)}: {known}")


def _tally(report: dict[str, Any], survey: Survey, repeats: Repeats, bias: Bias, asked: Asked) -> list[Oddity]:
    """Go through all comparisons once, and add to the report what was counted on the way."""
    counts, lengths, oddities = Counts(), Lengths(), Oddities()
    needed = [np.zeros(0, np.int32)]
    for piece in survey.pieces():
        for tally in (counts, lengths, oddities):
            tally.add(piece)
        needed.append(piece.comparisons["needed"])
    effective = {"of_weights": counts.effective, "of_prompts": effective_prompts(repeats.prompts)}
    about = {"prompts": len(repeats.prompts.digests), "items": repeats.items, "effective": effective}
    report["comparisons"] = counts.result() | about
    all_tokens = 0 < report["comparisons"]["kinds"]["tokens"] == counts.comparisons
    report["lengths"] = {"unit": "tokens" if all_tokens else "characters", **lengths.result()}
    report["bias"] = bias.result(places=asked.places)
    report["duplicates"] = repeats.result() | counts.twins | {"empty_candidates": counts.empty_candidates}
    report["truncation"] = _describe_truncation(np.concatenate(needed), asked)
    return oddities.result()


def _describe_truncation(needed: np.ndarray, asked: Asked) -> dict[str, Any] | None:
    if asked.tokenizer is None:
        return None
    lengths = sorted({*_LENGTHS, asked.length or _LENGTHS[0]})
    curve = count_identical(needed, lengths)
    at_length = next((found for found in curve if found["length"] == asked.length), {})
    return {
        "tokenizer": asked.tokenizer,
        "length": asked.length,
        "identical": at_length.get("identical"),
        "share": at_length.get("share"),
        "never_apart": int((needed == NEVER).sum()),
        "curve": curve,
    }


def _describe_near(survey: Survey, near: Clusters, asked: Asked, fetch: Fetch) -> dict[str, Any]:
    examples = near.examples[:_EXAMPLES]
    wanted = np.array([digest for pair in examples for digest in (pair.first, pair.second)], np.uint64)
    places = _find_prompts(survey, wanted)
    prompts = [comparison.prompt for comparison in fetch(places)]
    return {
        "threshold": asked.near,
        "clusters": len(np.unique(near.clusters)),
        "prompts": len(near.prompts),
        "examples": [
            {"similarity": pair.similarity, "prompts": excerpt_both(*both)}
            for pair, both in zip(examples, zip(prompts[::2], prompts[1::2], strict=True), strict=True)
        ],
    }


def _find_prompts(survey: Survey, digests: np.ndarray) -> list[int]:
    """Return for each prompt the place of the first comparison that has it."""
    found: dict[int, int] = {}
    seen = 0
    for piece in survey.pieces() if len(digests) else ():
        prompts = piece.comparisons["prompt"]
        for index in np.flatnonzero(np.isin(prompts, digests)).tolist():
            found.setdefault(int(prompts[index]), seen + index)
        seen += len(prompts)
    return [found[digest] for digest in digests.tolist()]


def _describe_oddities(oddities: Sequence[Oddity], fetch: Fetch) -> Iterator[dict[str, Any]]:
    comparisons = fetch([oddity.comparison for oddity in oddities])
    for oddity, comparison in zip(oddities, comparisons, strict=True):
        yield {
            "why": oddity.why,
            "value": oddity.value,
            "id": comparison.id,
            "prompt": excerpt(comparison.prompt),
            "response": excerpt(comparison.responses[oddity.response]),
        }


def excerpt(content: Prompt | Response) -> str:
    """Return the beginning of a text, of a chat, or of token ids."""
    return shorten(flatten_prompt(content), _SHOWN)


def excerpt_both(first: Prompt, second: Prompt) -> list[str]:
    """Return of two prompts what surrounds the first place where they differ."""
    texts = flatten_prompt(first), flatten_prompt(second)
    pairs = enumerate(zip(*texts, strict=False))
    same = next((place for place, (one, other) in pairs if one != other), min(map(len, texts)))
    start = same - _SHOWN // 4 if same > _SHOWN // 2 else 0
    return [shorten(f"...{text[start:]}" if start else text, _SHOWN) for text in texts]
