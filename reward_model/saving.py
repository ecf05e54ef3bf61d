"""A reward model as a folder that others can use without prefline.

The gain is folded into the weights of the head. What is added to the score is put where the model has a place for it:
into the bias of the head (encoders), or else into that of the last norm, in the direction of the head (GPT-2,
GPT-NeoX). Some have neither (Llama, Mistral, Qwen: their norms have no bias, and transformers gives their heads none).
There it lies in config.json, as the `offset` under "prefline", and plain transformers gives scores that are all lower
by it, which no comparison and no gradient notices.

Plain transformers would read a model of the mean at its last token, and say nothing. So config.json names a kind of
model that it does not know: it refuses, and the name says who can read it. So it is with several heads, of which each
has an offset, where the head has no bias.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from prefline.reward_model.combining import Combination
from prefline.reward_model.model import ABOUT, RewardModel
from prefline.reward_model.pretrained import save
from prefline.reward_model.scorers import OURS

_LABEL = "score"


@torch.no_grad()
def save_scorer(model: RewardModel, folder: Path) -> None:
    """Save a reward model without adapters: those are merged first."""
    scorer = model.scorer
    if not isinstance(scorer, PreTrainedModel):
        raise TypeError("expected a reward model without adapters: merge them first, with model.merge()")
    weights, offset = _fold(model, scorer)
    reading = model.reading.model_copy(update={"offset": offset})
    config: Any = scorer.config
    labels = [_LABEL] if model.heads == 1 else [f"{_LABEL} {number}" for number in range(1, model.heads + 1)]
    config.num_labels = model.heads
    config.id2label, config.label2id = dict(enumerate(labels)), {label: place for place, label in enumerate(labels)}
    config.problem_type = "regression"  # so that a pipeline leaves scores as they are
    idle = {*Combination.model_fields} if model.heads == 1 else None
    setattr(config, ABOUT, reading.model_dump(exclude=idle))
    save(scorer, model.tokenizer, folder, weights=weights)
    if not model.loads_anywhere:
        _rename_kind(folder / "config.json")


def _fold(model: RewardModel, scorer: PreTrainedModel) -> tuple[dict[str, torch.Tensor], float | tuple[float, ...]]:
    """Return the weights with gain and bias in them, and what of the bias has no place there."""
    weights = dict(scorer.state_dict())
    head = f"{model.head}.weight"
    weights[head] = weights[head] * model.gain.reshape(-1, 1)
    if (bias := f"{model.head}.bias") in weights:
        weights[bias] = weights[bias] * model.gain + model.bias
        return weights, 0.0
    if model.heads > 1:
        return weights, tuple(model.bias.tolist())
    norm, direction = _find_last_norm(model, scorer), weights[head][0].double()
    if norm is None or not model.bias or not direction.any():
        return weights, model.bias.item()
    shift = model.bias.double() * direction / direction.square().sum()
    weights[norm] = (weights[norm].double() + shift).to(weights[norm].dtype)
    return weights, 0.0


def _find_last_norm(model: RewardModel, scorer: PreTrainedModel) -> str | None:
    """Return the name of the bias of the norm that makes the states that the head is given; None if it has none."""
    found: list[tuple[str, Any]] = []
    norms = {name: part for name, part in scorer.named_modules() if isinstance(part, nn.LayerNorm)}
    handles = [
        part.register_forward_hook(lambda _part, _given, made, name=name: found.append((name, made)))
        for name, part in norms.items()
        if part.bias is not None
    ]
    try:
        tokens = torch.tensor([[0, 1]], device=model.device)
        states = scorer.base_model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
    finally:
        for handle in handles:
            handle.remove()
    return next((f"{name}.bias" for name, made in found if torch.equal(made, states)), None)


def _rename_kind(path: Path) -> None:
    document = json.loads(path.read_bytes())
    document["model_type"] = OURS + document["model_type"]
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
