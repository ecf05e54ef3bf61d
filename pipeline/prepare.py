"""The stage `prepare`: texts become prompts, cleaned and cut as asked, and split into those to train on and others.

train.jsonl, held_out.jsonl    the prompts, with their references where there are any
rejected.jsonl                 each row that was refused, with the reason
format.json                    how prompts were cut, and what the policy sees around them
tokenizer.json                 where one was given: what prompts were cut and counted with
"""

from collections.abc import Collection, Iterable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from prefline.data.cleaning import expand_cleanups
from prefline.data.errors import ConfigError
from prefline.data.prompts import PromptFormat
from prefline.pipeline.ingest import Columns, check_limit
from prefline.pipeline.jobs import Job
from prefline.pipeline.stages import FILES, TOKENIZER, Outcome, Stage


def _split_names(given: object) -> object:
    if isinstance(given, str):
        return tuple(given.split(","))
    if isinstance(given, list | tuple) and all(isinstance(names, str) for names in given):
        return tuple(name for names in given for name in names.split(","))
    return given


def _expand_cleanups(names: Iterable[str]) -> tuple[str, ...]:
    try:
        return expand_cleanups(names)
    except ConfigError as error:  # to which pydantic adds the place
        raise ValueError(str(error)) from None


class PrepareParams(PromptFormat):
    """Settings of the stage `prepare`: the format of prompts, and these."""

    clean: Annotated[tuple[str, ...], BeforeValidator(_split_names), AfterValidator(_expand_cleanups)] = Field(
        default=(),
        description="Clean-ups in their order, such as ftfy,breaks,ends, or news: docs/prompts.md has them all.",
    )
    passage_words: int | None = Field(
        default=None, ge=1, description="Join and cut texts of one source to passages of about so many words."
    )
    map: dict[str, Columns] = Field(default={}, description="The column of a role: prompt, reference, text.")
    encoding: str | None = Field(default=None, description="Such as cp1252; found out if not said.")
    held_out: float = Field(default=0.1, ge=0, lt=1, description="The share of prompts to keep from training.")
    near_duplicates: float = Field(
        default=0.8, ge=0.5, le=1, description="From which similarity on prompts stay on one side, 0.5 to 1."
    )
    max_rejected: Annotated[str, BeforeValidator(check_limit)] = Field(
        default="1%", description="How many rows may be refused: a number, or a share."
    )

    @property
    def format(self) -> PromptFormat:
        """What of it is the format of prompts."""
        return PromptFormat.parse({name: getattr(self, name) for name in PromptFormat.model_fields})


def _check(params: PrepareParams, inputs: Collection[str]) -> None:
    if params.trims and "tokenizer" not in inputs:
        raise ConfigError(
            "prompts are cut and counted in tokens: give the tokenizer (--tokenizer), or leave out length, "
            "start_after, end_at and shortest"
        )


def _run(job: Job) -> Outcome:
    from prefline.pipeline.preparing import prepare  # numpy and the readers, which no plan needs

    return prepare(job)


PREPARE = Stage(
    "prepare",
    1,
    PrepareParams,
    _run,
    makes="prompts",
    takes={"source": FILES, "tokenizer": TOKENIZER},
    optional=frozenset({"tokenizer"}),
    computes=False,
    stepwise=False,
    check=_check,
)
