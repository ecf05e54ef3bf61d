"""The reward model: a softmax over the candidates of a comparison; and what both model packages stand on.

May import prefline.data. Names are imported when they are first used, so that nobody pays for torch before there is
work for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefline.reward_model.card import write_card
    from prefline.reward_model.config import Reading, RewardConfig
    from prefline.reward_model.ensembles import Ensemble, open_scorer, score_comparisons
    from prefline.reward_model.evaluation import Evaluation, evaluate
    from prefline.reward_model.model import RewardModel
    from prefline.reward_model.normalization import Moments, center, normalize
    from prefline.reward_model.preflight import check_pad, check_reading
    from prefline.reward_model.pretrained import build_causal_lm, load_causal_lm, load_tokenizer, save
    from prefline.reward_model.scored import Scored
    from prefline.reward_model.training import Step, train

_HOMES = {
    "Ensemble": "ensembles",
    "Evaluation": "evaluation",
    "Moments": "normalization",
    "Reading": "config",
    "RewardConfig": "config",
    "RewardModel": "model",
    "Scored": "scored",
    "Step": "training",
    "build_causal_lm": "pretrained",
    "center": "normalization",
    "check_pad": "preflight",
    "check_reading": "preflight",
    "evaluate": "evaluation",
    "load_causal_lm": "pretrained",
    "load_tokenizer": "pretrained",
    "normalize": "normalization",
    "open_scorer": "ensembles",
    "save": "pretrained",
    "score_comparisons": "ensembles",
    "train": "training",
    "write_card": "card",
}

__all__ = [
    "Ensemble",
    "Evaluation",
    "Moments",
    "Reading",
    "RewardConfig",
    "RewardModel",
    "Scored",
    "Step",
    "build_causal_lm",
    "center",
    "check_pad",
    "check_reading",
    "evaluate",
    "load_causal_lm",
    "load_tokenizer",
    "normalize",
    "open_scorer",
    "save",
    "score_comparisons",
    "train",
    "write_card",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
