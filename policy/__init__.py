"""The policy: a causal language model, tuned by likelihood here, and by PPO with a KL penalty later.

May import prefline.data and prefline.reward_model. Names are imported when they are first used, so that settings can
be checked without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefline.policy.config import SupervisedConfig
    from prefline.policy.encoding import Encoded, Example, encode
    from prefline.policy.perplexity import Estimate, Perplexity, measure
    from prefline.policy.supervision import Step, train_lm
    from prefline.policy.tokenizing import train_tokenizer

_HOMES = {
    "Encoded": "encoding",
    "Estimate": "perplexity",
    "Example": "encoding",
    "Perplexity": "perplexity",
    "Step": "supervision",
    "SupervisedConfig": "config",
    "encode": "encoding",
    "measure": "perplexity",
    "train_lm": "supervision",
    "train_tokenizer": "tokenizing",
}

__all__ = [
    "Encoded",
    "Estimate",
    "Example",
    "Perplexity",
    "Step",
    "SupervisedConfig",
    "encode",
    "measure",
    "train_lm",
    "train_tokenizer",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
