"""Every stage there is, by name: adding one is a module and a line here.

The modules are imported when a stage is asked for. They are light: what is heavy, torch above all, is
imported inside the function that runs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from prefline.data.errors import ConfigError
from prefline.data.wording import did_you_mean

if TYPE_CHECKING:
    from prefline.pipeline.stages import Stage


class Listed(NamedTuple):
    """Where a stage is, and what it does in one sentence."""

    home: str  # module:name
    does: str


STAGES = {
    "ingest": Listed(
        "prefline.pipeline.ingest:INGEST",
        "Take in comparisons as people have them, say what they are worth, and make them an artifact.",
    ),
    "prepare": Listed(
        "prefline.pipeline.prepare:PREPARE",
        "Make prompts of texts: trimmed, cleaned, split into those to train on and those held out.",
    ),
    "train-lm": Listed(
        "prefline.pipeline.train_lm:TRAIN_LM",
        "Train a causal language model by likelihood, on texts or on prompts with references.",
    ),
    "train-reward": Listed(
        "prefline.pipeline.train_reward:TRAIN_REWARD",
        "Train a reward model on comparisons: a softmax over the responses of each.",
    ),
    "ensemble": Listed(
        "prefline.pipeline.ensemble:ENSEMBLE",
        "Put reward models together as one, which also says by how much they disagree.",
    ),
    "report-card": Listed(
        "prefline.pipeline.report_card:REPORT_CARD",
        "Say how far a reward model can be trusted, and what it merely learnt, on what is held out.",
    ),
}


def find_stage(name: str) -> "Stage":
    """Return a stage by its name."""
    if name not in STAGES:
        stages = ", ".join(STAGES)
        raise ConfigError(f"expected a stage ({stages}), found {name!r}{did_you_mean(name, STAGES)}")
    module, _, attribute = STAGES[name].home.partition(":")
    return getattr(import_module(module), attribute)
