"""Models that give one number: what transformers calls ...ForSequenceClassification, with one label.

One is made of a language model, causal or not, by putting a new head on it, or loaded with the head that it has. As in
2019 a new head's weights are drawn with the deviation 1 / sqrt(width + 1), and its bias, if it has one, is 0. The head
computes in float32 whatever the rest does. Several heads are several rows of one layer, each drawn apart, and labels of
the config; only what we have saved ourselves may have several.
"""

import math
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.activations import NewGELUActivation
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from prefline.data.chance import Chance
from prefline.data.errors import ConfigError, DataError
from prefline.data.wording import did_you_mean
from prefline.reward_model.loading import REFUSALS, check_found, choose_attention, describe_refusal, quietly
from prefline.reward_model.safety import check_config, check_weights, read_config
from prefline.reward_model.seeding import generator, seeded

OURS = "prefline-"  # before the kind of a model that plain transformers would read wrongly, so that it does not
_POOLER = "pooler"  # what encoders may have between their states and their head, and count to the body
_TOLERANCE = 1e-5


class Head(nn.Linear):
    """A linear layer that computes in float32 or better, also where the rest of the model does not."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002  as torch has it
        """Return the number of each head for each state."""
        dtype = torch.promote_types(input.dtype, torch.float32)
        bias = None if self.bias is None else self.bias.to(dtype)
        with torch.autocast(input.device.type, enabled=False):
            return functional.linear(input.to(dtype), self.weight.to(dtype), bias)


def load_scorer(folder: Path, chance: Chance, heads: int | None = None) -> PreTrainedModel:
    """Load a scorer from a local folder, or a language model to become one: its new heads follow from `chance`.

    If nothing is said of heads, a scorer has those it was saved with, and what becomes one has one.
    """
    document = read_config(folder)
    check_config(document, folder / "config.json")
    kind = str(document.get("model_type") or "").removeprefix(OURS)
    _check_architecture(kind, folder)
    check_weights(folder)
    is_scorer = has_head(document)
    labels = _count_heads(document, heads, folder)
    try:
        given = {**document, "model_type": kind, "num_labels": labels, "id2label": None}
        config = CONFIG_MAPPING[kind].from_dict(given)
        with quietly(), seeded(chance("head")):  # some encoders have layers of a head that are drawn by transformers
            loaded: Any = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                attn_implementation=_choose_attention(config),
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except REFUSALS as error:
        raise DataError(f"{folder}: the model cannot be read: {describe_refusal(error)}") from None
    model, found = loaded
    _check_found(model, found, folder, is_scorer)
    _fuse_activations(model)
    name = _replace_head(model)
    if not is_scorer:
        draw_head(model.get_submodule(name), chance)
    return model.eval()


def has_head(document: Mapping[str, Any]) -> bool:
    """Say whether a config is that of a scorer, rather than of a language model."""
    return any(str(name).endswith("ForSequenceClassification") for name in document.get("architectures") or ())


def count_heads(model: PreTrainedModel) -> int:
    """Return how many numbers a scorer gives."""
    heads: Any = model.config.num_labels
    return heads


def find_head(model: PreTrainedModel) -> str:
    """Return the name of the linear layer that gives the one number, or that of each head."""
    body, heads = f"{model.base_model_prefix}.", count_heads(model)
    found = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == heads and not name.startswith(body)
    ]
    if len(found) != 1:
        wanted = "one number" if heads == 1 else f"{heads:,} numbers"
        raise ConfigError(f"{type(model).__name__}: expected one layer that gives {wanted}, found {len(found)}")
    return found[0]


def list_head_parts(model: PreTrainedModel) -> list[str]:
    """Return the names of all modules with weights that a language model may lack: the head, and a pooler before it."""
    body = model.base_model_prefix
    parts = [name for name, _ in model.named_children() if name != body]
    parts += [f"{body}.{name}" for name, _ in model.base_model.named_children() if name == _POOLER]
    return [name for name in parts if any(True for _ in model.get_submodule(name).parameters())]


@torch.no_grad()
def draw_head(head: Any, chance: Chance) -> None:
    """Draw each head as in 2019, on the CPU so that every machine draws alike; how many there are changes none."""
    width = head.in_features
    drawn = [torch.randn(width, generator=generator(chance, "head", place)) for place in range(head.out_features)]
    head.weight.copy_(torch.stack(drawn) / math.sqrt(width + 1))
    if head.bias is not None:
        head.bias.zero_()


@torch.no_grad()
def is_causal(model: PreTrainedModel) -> bool:
    """Say whether a token is seen by those after it alone: tried out, as configs do not always tell."""
    embeddings: Any = model.get_input_embeddings()
    special = {model.config.pad_token_id, model.config.eos_token_id, model.config.bos_token_id}
    some = [token for token in range(embeddings.weight.shape[0]) if token not in special][:6]
    tokens = torch.tensor([some, [*some[:-1], some[0]]], device=model.device)
    given: dict[str, Any] = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    if "use_cache" in signature(model.base_model.forward).parameters:
        given["use_cache"] = False
    training = model.training
    model.eval()
    try:
        states = model.base_model(**given).last_hidden_state[:, :-1]
    except REFUSALS as error:
        raise DataError(f"{type(model).__name__}: it cannot read plain tokens: {describe_refusal(error)}") from None
    finally:
        model.train(training)
    if not bool(states.isfinite().all()):
        raise DataError(f"{type(model).__name__}: it computes numbers that are not finite: its weights are broken")
    return bool((states[0] - states[1]).abs().max() <= _TOLERANCE * states.std())


def count_positions(model: PreTrainedModel) -> int | None:
    """Return how many tokens a model has positions for, or None where there is no limit.

    LongRoPE turns all positions otherwise as soon as one text of a batch is longer than those of its first training:
    it has positions for these, so that no score depends on what it is computed with.
    """
    config = model.config.get_text_config()
    limits = [getattr(config, "max_position_embeddings", None), *_list_rope_limits(config)]
    for name, module in model.named_modules():
        # RoBERTa counts its positions from the one after the pad's.
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            limits.append(module.num_embeddings - module.padding_idx - 1)
    return min((limit for limit in limits if isinstance(limit, int) and limit > 0), default=None)


def _list_rope_limits(config: PreTrainedConfig) -> list[int | None]:
    """Return how far each kind of LongRoPE that a model has goes without a change; layers may have their own."""
    parameters: Any = getattr(config, "rope_parameters", None) or {}
    every = (parameters, *(value for value in parameters.values() if isinstance(value, dict)))
    return [one.get("original_max_position_embeddings") for one in every if one.get("rope_type") == "longrope"]


def _fuse_activations(model: PreTrainedModel) -> None:
    """Compute GPT-2's activation in one go rather than in eight: the same formula, and it has no weights."""
    for name, part in list(model.named_modules()):
        if isinstance(part, NewGELUActivation):
            model.set_submodule(name, nn.GELU(approximate="tanh"))


def _replace_head(model: PreTrainedModel) -> str:
    """Let the head compute in float32; its weights keep their names. Return the name of the head."""
    name = find_head(model)
    old: Any = model.get_submodule(name)
    new = Head(old.in_features, old.out_features, bias=old.bias is not None, device="meta")
    new.weight, new.bias = old.weight, old.bias
    model.set_submodule(name, new)
    return name


def _check_architecture(kind: str, where: object) -> None:
    if kind not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        meant = did_you_mean(kind, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)
        raise DataError(
            f"{where}: expected a model for which transformers has a form that gives one number "
            f"(...ForSequenceClassification), found the model_type {kind!r}{meant}"
        )


def _count_heads(document: Mapping[str, Any], wanted: int | None, folder: Path) -> int:
    """Return how many heads a model shall have; a scorer has those it has."""
    if wanted is not None and wanted < 1:
        raise ConfigError(f"heads: expected at least one, found {wanted}")
    if not has_head(document):
        return wanted or 1
    labels = _count_labels(document)
    if labels != 1 and not str(document.get("model_type")).startswith(OURS):
        raise DataError(f"{folder}: expected a model that gives one number, found one of {labels}")
    if wanted not in (None, labels):
        raise ConfigError(f"{folder}: heads: expected {labels}, which the scorer has, found {wanted}: leave it out")
    return labels


def _count_labels(document: Mapping[str, Any]) -> int:
    """Return how many numbers a scorer gives: 2 where its config says nothing, by the custom of transformers."""
    labels = document.get("id2label")
    return len(labels) if isinstance(labels, Mapping) else int(document.get("num_labels") or 2)


def _choose_attention(config: PreTrainedConfig) -> str:
    if getattr(config, "is_encoder_decoder", False):
        kind: Any = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
        raise ValueError(f"a {kind.__name__} has an encoder and a decoder: take a model that has one of them")
    return choose_attention(config, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING)


def _check_found(model: PreTrainedModel, found: Any, folder: Path, is_scorer: bool) -> None:
    """Refuse a model of which a weight would be random, unless it is one of the new head."""
    body = f"{model.base_model_prefix}."
    lacking = [name for name in found["missing_keys"] if is_scorer or _is_of_body(name, body)]
    odd = [name for name in found["unexpected_keys"] if is_scorer or name.startswith(body)]
    check_found(lacking, odd, folder)


def _is_of_body(name: str, body: str) -> bool:
    """Say whether a weight is one that a language model has too; it has no pooler."""
    return name.startswith(body) and not name.startswith(body + _POOLER)
