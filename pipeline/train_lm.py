"""The stage `train-lm`: a causal language model is trained by likelihood, on texts or on prompts with references.

config.json, model.safetensors ...    the model, as AutoModelForCausalLM.from_pretrained takes it
tokenizer.json ...                    its tokenizer, as AutoTokenizer.from_pretrained takes it
adapter/                              what LoRA has learnt, as peft takes it; at the root it is merged already
evaluation.json                       perplexity on what was held out
rejected.jsonl                        each row that was refused, with the reason; there if one was
"""

from collections.abc import Collection
from typing import Annotated

from pydantic import BeforeValidator, Field

from prefline.data.errors import ConfigError
from prefline.pipeline.ingest import Columns, check_limit
from prefline.pipeline.jobs import Job
from prefline.pipeline.stages import FILE, MODEL, TEXTS, TOKENIZER, Outcome, Stage
from prefline.policy.config import SupervisedConfig

ADAPTER, EVALUATION = "adapter", "evaluation.json"
_SMALLEST = 258  # the bytes, the end of a text, and what fills up


class TrainLmParams(SupervisedConfig):
    """Settings of the stage `train-lm`: those of the training itself, and what it is trained on."""

    map: dict[str, Columns] = Field({}, description="The column of a role: prompt, reference or text.")
    prefix: str = Field("", description="What stands before each prompt; of prompts of an artifact, theirs.")
    suffix: str = Field(
        "", description="What stands after each prompt, such as ' TL;DR:'; of prompts of an artifact, theirs."
    )
    lead: str = Field("", description="What each response begins with, such as a space.")
    vocabulary: int | None = Field(
        None, ge=_SMALLEST, description="How many tokens to learn from the texts, where a config has no tokenizer."
    )
    encoding: str | None = Field(None, description="Such as cp1252; found out if not said.")
    held_out: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="The share of documents to measure perplexity on; of an artifact, what it holds out.",
    )
    evaluate_every: int = Field(
        0, ge=0, description="Measure perplexity after so many steps too; 0: only at the beginning and the end."
    )
    max_rejected: Annotated[str, BeforeValidator(check_limit)] = Field(
        "1%", description="How many rows may be refused: a number, or a share."
    )


def check_start(params: TrainLmParams, inputs: Collection[str]) -> None:
    """Refuse inputs that do not say, or say twice, what to begin with."""
    vocabulary = params.vocabulary
    if "model" in inputs and "config" in inputs:
        raise ConfigError("expected a model to go on with or the config of a new one, found both: leave one out")
    if "model" not in inputs and "config" not in inputs:
        raise ConfigError("expected a model to go on with (--model) or the config of a new one (--config), found none")
    if "model" in inputs:
        for given, what in (("tokenizer" in inputs, "a tokenizer"), (vocabulary is not None, "a vocabulary")):
            if given:
                raise ConfigError(f"a model comes with its own tokenizer, found {what} beside it: leave that out")
    elif "tokenizer" in inputs and vocabulary is not None:
        raise ConfigError("expected a tokenizer or the size of a vocabulary to learn, found both: leave one out")
    elif "tokenizer" not in inputs and vocabulary is None:
        raise ConfigError(
            "a config says nothing of words: give a tokenizer (--tokenizer), "
            "or the size of a vocabulary to learn from the texts (--vocabulary 8192)"
        )


def _run(job: Job) -> Outcome:
    from prefline.pipeline.training_lm import train_model  # torch, which no plan needs

    return train_model(job)


TRAIN_LM = Stage(
    "train-lm",
    1,
    TrainLmParams,
    _run,
    makes="model",
    takes={"texts": TEXTS, "model": MODEL, "config": FILE, "tokenizer": TOKENIZER},
    optional=frozenset({"model", "config", "tokenizer"}),
    seeded=True,
    check=check_start,
)
