"""The stage `train-reward`: a reward model is trained on comparisons.

config.json, model.safetensors ...    the model, as AutoModelForSequenceClassification.from_pretrained takes it
tokenizer.json ...                    its tokenizer, as AutoTokenizer.from_pretrained takes it
adapter/                              what LoRA has learnt, as peft takes it; at the root it is merged already
evaluation.json                       loss and accuracy on what was held out, before, on the way, and after
scores.jsonl                          the scores of what was held out, a line for each comparison
card.json, card.html                  how far the model can be trusted, on what was held out (report_card.py)
"""

from collections.abc import Collection
from typing import Literal

from pydantic import Field

from prefline.data.configuration import Config
from prefline.data.errors import ConfigError
from prefline.pipeline.jobs import Job
from prefline.pipeline.stages import MODEL, REWARD_MODEL, TEXTS, Outcome, Stage
from prefline.reward_model.combining import Rule
from prefline.reward_model.config import RewardConfig

ADAPTER, EVALUATION = "adapter", "evaluation.json"
_OF_TEXTS = ("texts", "references")


class SamplingParams(Config):
    """How samples are drawn of a language model."""

    samples: int = Field(256, ge=2, description="How many samples are drawn, or other texts taken.")
    sample_length: int | None = Field(None, ge=1, description="Tokens of a sample; else as many as a response has.")
    temperature: float = Field(0.7, gt=0, description="How bold samples are.")
    prefix: str = Field(
        "", description="What samples see before a prompt; of a model of ours, what it was trained with."
    )
    suffix: str = Field(
        "", description="What samples see after a prompt; of a model of ours, what it was trained with."
    )


class TrainRewardParams(SamplingParams, RewardConfig):
    """Settings of the stage `train-reward`: of the training, of how texts are read, and of the scale of scores."""

    readout: Literal["last", "first", "mean"] | None = Field(
        None,
        description="Where the score is read: the last token (of encoders the first), which loads anywhere; or the "
        "mean over the response, which learns from fewer comparisons and needs prefline.",
    )
    lead: str | None = Field(
        None, description="What each response begins with, such as a space; else nothing, or as a scorer has it."
    )
    end: bool | None = Field(
        None, description="Whether the end of a text follows each response; else not, or as a scorer has it."
    )
    prompt_length: int | None = Field(None, ge=1, description="Tokens kept of a prompt, its last; else what fits.")
    response_length: int | None = Field(None, ge=1, description="Tokens kept of a response, its first; else what fits.")
    heads: int | None = Field(
        None,
        ge=1,
        description="How many heads the model gets, each of which learns with weights of its own: a cheap ensemble. "
        "Else one, or as a scorer has.",
    )
    rule: Rule | None = Field(
        None,
        description="What the scores of heads come to: their mean, their minimum, or cautious: the mean less "
        "disagreement; else the mean, or as a scorer has it.",
    )
    caution: float | None = Field(
        None, ge=0, description="How many deviations of disagreement the rule 'cautious' takes off the mean; else 1."
    )
    normalize: Literal["samples", "responses", "texts", "references", "none"] | None = Field(
        None,
        description="Whose scores get mean 0 and deviation 1: those of samples of the model that training begins "
        "with, of the responses of the comparisons, or of texts; of references, mean 0 alone. "
        "Else samples, or responses where the model writes nothing.",
    )
    most: int | None = Field(
        None,
        ge=1,
        description="Learn from so many comparisons at most, drawn by the seed; more of them hold those of fewer.",
    )
    shuffle_labels: bool = Field(
        False, description="Deal the labels anew by chance: a probe, which must learn nothing."
    )


def check_inputs(params: TrainRewardParams, inputs: Collection[str]) -> None:
    """Want a model to begin with, and texts where they are used, and refuse them where they are not."""
    if "model" not in inputs:
        raise ConfigError("expected a model to begin with (--model), found none")
    if params.normalize in _OF_TEXTS and "texts" not in inputs:
        raise ConfigError(f"normalize {params.normalize!r} needs texts: give them (--texts)")
    if params.normalize not in _OF_TEXTS and "texts" in inputs:
        raise ConfigError("texts are for normalize 'texts' or 'references', and it is neither: leave them out")
    if params.heads == 1 and params.rule not in (None, "mean"):
        raise ConfigError(f"rule: {params.rule!r} is for the scores of several heads, found one: leave it out")
    check_heads(params, params.heads or 1)


def check_heads(params: TrainRewardParams, heads: int) -> None:
    """Refuse heads that nothing puts on one scale: what they came to would be that of the highest, or the lowest."""
    if heads > 1 and params.normalize == "none" and params.loss != "rating":
        raise ConfigError(
            f"normalize: expected a scale that {heads} heads have in common, found 'none': only by the loss 'rating' "
            "do they learn one; take another"
        )


def _run(job: Job) -> Outcome:
    from prefline.pipeline.training_reward import train_reward  # torch, which no plan needs

    return train_reward(job)


TRAIN_REWARD = Stage(
    "train-reward",
    2,
    TrainRewardParams,
    _run,
    makes=REWARD_MODEL,
    takes={"comparisons": "comparisons", "model": MODEL, "texts": TEXTS},
    optional=frozenset({"model", "texts"}),
    seeded=True,
    check=check_inputs,
)
