"""Settings of tuning, of the reward model's training, and of how a scorer reads. Nothing here imports torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from prefline.data.configuration import Config
from prefline.reward_model.combining import Combination


class TuningConfig(Config):
    """What all training has in common.

    Weights and the optimiser's moments are float32 whatever `dtype` says: bfloat16 is what the model computes in.
    """

    epochs: int = Field(default=1, ge=1, description="How often each example is seen.")
    steps: int | None = Field(default=None, ge=1, description="Stop after so many steps, whatever the epochs.")
    dtype: Literal["float32", "bfloat16"] = Field(default="float32", description="What the model computes in.")
    lora_rank: int = Field(default=0, ge=0, description="Rank of adapters trained instead of the weights; 0: none.")
    lora_alpha: float | None = Field(default=None, gt=0, description="Adapters count alpha / rank times; else twice.")
    lora_targets: tuple[str, ...] = Field(default=(), description="Names of layers to adapt; none: every linear one.")
    gradient_checkpointing: bool = Field(default=False, description="Compute twice, and hold less in memory.")

    @model_validator(mode="after")
    def _refuse_idle_adapters(self) -> Self:
        for name in ("lora_alpha", "lora_targets"):
            if getattr(self, name) and not self.lora_rank:
                raise ValueError(f"{name} says how adapters are, and there are none: set lora_rank")
        return self


class RewardConfig(TuningConfig):
    """How a reward model is trained: the defaults are those of 2019."""

    batch: int = Field(default=32, ge=1, description="Comparisons of a step, at most.")
    loss: Literal["choice", "ranking", "rating", "difference"] = Field(
        default="choice", description="What is learnt: which is best, the whole ranking, ratings, or their differences."
    )
    margin: float = Field(
        default=0.0, ge=0, description="How far the best shall be ahead, times how far its rating is ahead."
    )
    learning_rate: float = Field(default=5e-5, gt=0, description="The learning rate at its peak.")
    schedule: Literal["linear", "cosine", "constant"] = Field(default="linear", description="How the rate falls.")
    warmup: float = Field(default=0.0, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    optimizer: Literal["adam", "adam-tf1"] = Field(
        default="adam", description="Adam as in PyTorch, or as in TensorFlow 1, with which 2019 was computed."
    )
    weight_decay: float = Field(default=0.0, ge=0, description="How much matrices decay; embeddings never do.")
    beta2: float = Field(default=0.999, gt=0, lt=1, description="How slowly Adam forgets squared gradients.")
    epsilon: float = Field(default=1e-5, gt=0, description="Adam divides by at least this.")
    clip: float = Field(default=0.0, ge=0, description="The largest norm of a gradient; 0: any.")
    dropout: float | None = Field(
        default=0.0, ge=0, lt=1, description="The share dropped out; none: as the config of the model says."
    )
    patience: int = Field(
        default=0, ge=0, description="Stop after so many measurements without a better loss on held-out; 0: never."
    )
    evaluate_every: int = Field(
        default=0, ge=0, description="Measure on held-out after so many steps; 0: after each epoch."
    )
    share_prompts: bool = Field(
        default=True, description="Compute each prompt once for all its responses, where the model can."
    )
    tokens_at_once: int | None = Field(
        default=None, ge=1, description="Tokens computed at once; else as suits the device."
    )

    @model_validator(mode="after")
    def _refuse_idle_margin(self) -> Self:
        if self.margin and self.loss != "choice":
            raise ValueError(f"margin is for the loss 'choice', found {self.loss!r}: leave it out")
        return self


class Reading(Combination):
    """How a scorer reads a prompt with a response, and what the scores of its heads come to, if it has several.

    It lies in the config.json of a saved scorer, under "prefline".
    """

    readout: Literal["last", "first", "mean"] = Field(
        description="Where the score is read: the last token; the first, of encoders; or the mean over the response."
    )
    lead: str = Field(default="", description="What each response begins with, such as a space.")
    end: bool = Field(default=False, description="Whether the end of a text follows each response.")
    prompt_length: int | None = Field(default=None, ge=1, description="Tokens kept of a prompt, its last.")
    response_length: int | None = Field(default=None, ge=1, description="Tokens kept of a response, its first.")
    offset: float | tuple[float, ...] = Field(
        default=0.0, description="What is added to a score, or that of each head, where no weight has a place for it."
    )
