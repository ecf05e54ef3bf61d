"""The stage `ingest`: what somebody has becomes comparisons that every later stage can trust, and a report on them.

train.jsonl, held_out.jsonl    the comparisons, split by prompt
rejected.jsonl                 each row that was refused, with the reason
quality.json, quality.html     what the comparisons are worth
tokenizer.json                 where comparisons are token ids: what they belong to
"""

import re
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from prefline.data.configuration import Config
from prefline.data.errors import ConfigError
from prefline.data.requirements import Requirement
from prefline.data.row_types import Format
from prefline.data.views import View
from prefline.pipeline.feedback import Feedback
from prefline.pipeline.jobs import Job
from prefline.pipeline.stages import FILES, FOLDER, TOKENIZER, Outcome, Stage

if TYPE_CHECKING:
    from prefline.data.labelling import Labeller

TRAIN, HELD_OUT, REJECTED = "train.jsonl", "held_out.jsonl", "rejected.jsonl"
REPORT, PAGE = "quality.json", "quality.html"


def count_allowed(limit: str, rows: int) -> int:
    """Return how many of so many rows may be refused: by `25` as many, by `1%` that share of them."""
    found = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(%?)\s*", limit)
    if found and found[2] and Fraction(found[1]) <= 100:
        return int(Fraction(found[1]) * rows / 100)  # of floats, 29% of 100 would be 28
    if found and found[1].isdigit() and not found[2]:
        return int(found[1])
    raise ValueError("expected a number of rows, such as 0 or 25, or a share of them, such as 1%")


def check_limit(given: object) -> str:
    """Return how many rows may be refused, as `count_allowed` reads it."""
    # In a pipeline file, 25 is a number.
    text = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(text, str):
        raise ValueError("expected a number of rows, such as 0 or 25, or a share of them, such as 1%")  # noqa: TRY004
    count_allowed(text, 0)
    return text


def _check_requirement(text: str) -> str:
    try:
        Requirement.parse(text)
    except ConfigError as error:  # to which pydantic adds the place, and again what was found
        raise ValueError(str(error).rpartition(", found ")[0]) from None
    return text


def _split_columns(given: object) -> object:
    if isinstance(given, str):
        return tuple(given.split(",")) if "," in given else given
    # A list of one is how to write the name of a column that has a comma in it.
    return given[0] if isinstance(given, list | tuple) and len(given) == 1 else given


Columns = Annotated[str | tuple[str, ...], BeforeValidator(_split_columns)]


def _split_list(given: object) -> object:
    if isinstance(given, str):
        given = [given]
    if isinstance(given, list | tuple) and all(isinstance(each, str) for each in given):
        return tuple(part.strip() for each in given for part in each.split(","))
    return given


def _check_negatives(names: tuple[str, ...]) -> tuple[str, ...]:
    if names:
        from prefline.data.synthesis import check_classes

        check_classes(names)
    return names


def find_labellers(specs: Sequence[str]) -> "tuple[Labeller, ...]":
    """Return the labellers that are named; those who know the built-in world are there too."""
    from prefline.data.labelling import HEURISTICS, parse_labellers, split_spec

    if {split_spec(spec)[0] for spec in specs} <= HEURISTICS.keys():
        return parse_labellers(specs)
    from prefline.pipeline.builtin.scoring import SCORERS

    return parse_labellers(specs, SCORERS)


def _check_labellers(specs: tuple[str, ...]) -> tuple[str, ...]:
    find_labellers(specs)
    return specs


_CHOSEN_BY = {"negatives": "synthetic", "labeller": "mock"}


class IngestParams(Config):
    """Settings of the stage `ingest`."""

    # Who chose the best response. The file cannot tell, so whoever ingests it must know.
    feedback: Feedback = Field("human", description="Who chose the best: human, judge, mock, rule or synthetic.")
    negatives: Annotated[tuple[str, ...], BeforeValidator(_split_list), AfterValidator(_check_negatives)] = Field(
        (), description="Make texts that fail beside references, of these classes: last-mile, random, copied ..."
    )
    choices: int = Field(4, ge=2, description="How many responses a reference is one of.")
    form: Literal["group", "pairs"] = Field(
        "group", description="group: one comparison of all choices; pairs: one of each negative."
    )
    labeller: Annotated[tuple[str, ...], BeforeValidator(_split_list), AfterValidator(_check_labellers)] = Field(
        (), description="Let a program choose in the place of people: length, copy:0.5 ..."
    )
    layout: str | None = Field(None, description="How rows are written, by name; found out if not said.")
    map: dict[str, Columns] = Field({}, description="The column of a role, or several: responses=left,right.")
    format: Format | None = Field(None, description="jsonl, json, csv, tsv, parquet or dataset; found out if not said.")
    encoding: str | None = Field(None, description="Such as cp1252; found out if not said.")
    delimiter: str | None = Field(None, description="What stands between the cells of a table.")
    quoting: bool | None = Field(None, description="Whether cells of a table may stand in quotes: yes or no.")
    header: bool | None = Field(None, description="Whether the first row of a table names the columns: yes or no.")
    pad: int = Field(50259, ge=0, description="The token id that fills up, in the layout of 2019.")
    view: View = Field("each", description="What each annotator said, or combined: each, majority or weighted.")
    gold: str | None = Field(None, description="The annotator whose word is the truth.")
    held_out: float = Field(0.1, ge=0, lt=1, description="The share of prompts to keep from training.")
    near_duplicates: float = Field(
        0.8, ge=0.5, le=1, description="From which similarity on prompts stay on one side, 0.5 to 1."
    )
    length: int | None = Field(None, ge=1, description="How many tokens of prompt and response a model will see.")
    max_rejected: Annotated[str, BeforeValidator(check_limit)] = Field(
        "1%", description="How many rows may be refused: a number, or a share."
    )
    require: tuple[Annotated[str, AfterValidator(_check_requirement)], ...] = Field(
        (), description="What the report must say, such as 'bias.longest.share <= 0.6'."
    )

    @model_validator(mode="before")
    @classmethod
    def _say_who_chose(cls, given: object) -> object:
        """Write down what follows from other settings: the same must not have two recipes."""
        if isinstance(given, Mapping) and "feedback" not in given:
            chosen = next((who for name, who in _CHOSEN_BY.items() if given.get(name)), None)
            return {**given, "feedback": chosen} if chosen else given
        return given

    @model_validator(mode="after")
    def _check_who_chose(self) -> Self:
        """Refuse what contradicts itself, or would be of no use."""
        if self.negatives and self.labeller:
            raise ConfigError("negatives and labeller exclude each other: the best is the reference, or is chosen")
        for name, who in _CHOSEN_BY.items():
            if getattr(self, name) and self.feedback != who:
                raise ConfigError(f"with {name}, feedback can only be {who!r}, found {self.feedback!r}: leave it out")
        idle = {"choices", "form"} & self.model_fields_set
        if idle and not self.negatives:
            raise ConfigError(f"{min(idle)} says how negatives are put together: name their classes (negatives) too")
        return self


def _check(params: IngestParams, inputs: Collection[str]) -> None:
    if params.length is not None and "tokenizer" not in inputs:
        raise ConfigError("a length is counted in tokens: give the tokenizer (--tokenizer), or leave the length out")


def _run(job: Job) -> Outcome:
    from prefline.pipeline.ingesting import ingest  # numpy and the readers, which no plan needs

    return ingest(job)


INGEST = Stage(
    "ingest",
    4,
    IngestParams,
    _run,
    makes="comparisons",
    takes={"source": FILES, "tokenizer": TOKENIZER, "texts": FOLDER},
    optional=frozenset({"tokenizer", "texts"}),
    seeded=lambda params: bool(params.negatives or params.labeller),
    computes=False,
    check=_check,
)
