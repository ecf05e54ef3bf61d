"""The reward model: a softmax over the candidates of a comparison; and what both model packages stand on.

The reward model itself does not live here yet; CHANGELOG.md says what this release holds. May import prefline.data.
Names are imported when they are first used, so that nobody pays for torch before there is work for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefline.reward_model.pretrained import build_causal_lm, load_causal_lm, load_tokenizer, save

_HOMES = {
    "build_causal_lm": "pretrained",
    "load_causal_lm": "pretrained",
    "load_tokenizer": "pretrained",
    "save": "pretrained",
}

__all__ = ["build_causal_lm", "load_causal_lm", "load_tokenizer", "save"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
