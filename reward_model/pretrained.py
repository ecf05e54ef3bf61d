"""Causal language models as folders of the Hugging Face kind: loaded, made from a config, saved.

Only local folders are read, only safetensors, and never code that came with a model: `reward_model/safety.py` looks
first. What was read must be all that the model needs, since a weight that is missing would be drawn at random without
a word. A saved folder names no machine and has the same bytes whenever the weights are the same.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from prefline.data.chance import Chance
from prefline.data.errors import ConfigError, DataError
from prefline.data.wording import did_you_mean, shorten
from prefline.reward_model.loading import REFUSALS, check_found, choose_attention, describe_refusal, quietly
from prefline.reward_model.safety import check_config, check_weights, explain_ensemble, read_config
from prefline.reward_model.seeding import seeded

_SPECIAL_NAMES = {
    "bos_token": ("<|begin_of_text|>", "<s>", "<bos>", "[BOS]", "<|endoftext|>"),
    "eos_token": ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[EOS]"),
    "pad_token": ("<|pad|>", "<pad>", "[PAD]"),
}
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model", "*.tiktoken", "tekken.json")


def load_causal_lm(folder: Path, *, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Load a causal language model from a local folder, in `dtype` whatever it was saved in."""
    document = read_config(folder)
    check_config(document, folder / "config.json")
    _check_architecture(document, folder)
    check_weights(folder)
    try:
        with quietly(), seeded(0):  # nothing random is kept, and nobody else's chance is spent
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                attn_implementation=choose_attention(config, MODEL_FOR_CAUSAL_LM_MAPPING),
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except REFUSALS as error:
        raise DataError(f"{folder}: the model cannot be read: {describe_refusal(error)}") from None
    model, found = loaded
    check_found(found["missing_keys"], found["unexpected_keys"], folder)
    return model


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """Load a fast tokenizer from a local folder, or from a file tokenizer.json alone."""
    if not path.exists():
        raise DataError(f"{path}: expected a folder with a tokenizer, or a tokenizer.json, found nothing")
    try:
        if path.is_file():
            return _load_file(path)
        if (path / "tokenizer_config.json").is_file():
            check_config(read_config(path, "tokenizer_config.json"), path / "tokenizer_config.json")
        if not any(next(path.glob(name), None) for name in _VOCABULARIES):
            # transformers would make one without a single word.
            lacking = "expected a tokenizer (tokenizer.json) in the folder of the model, found none"
            raise DataError(f"{path}: {lacking}{explain_ensemble(path)}")
        with quietly():
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001  tokenizers raises bare Exceptions
        raise DataError(f"{path}: the tokenizer cannot be read: {describe_refusal(error)}") from None
    if not tokenizer.is_fast:
        raise DataError(f"{path}: expected a fast tokenizer (tokenizer.json), found a {type(tokenizer).__name__}")
    return tokenizer


def build_causal_lm(
    config: Mapping[str, Any], chance: Chance, *, tokenizer: PreTrainedTokenizerBase | None = None
) -> PreTrainedModel:
    """Make a model from the document of a config.json, its weights drawn on the CPU so that every machine draws alike.

    What the config says nothing of, the tokenizer does: the size of the vocabulary, and which tokens are special.
    """
    where = "the config of the model"
    check_config(config, where)
    sizes = dict(config)
    kind = sizes.pop("model_type", None)
    if not isinstance(kind, str):
        raise ConfigError(f"{where}: expected a 'model_type' such as 'gpt2', found none")
    _check_architecture({"model_type": kind}, where)
    if tokenizer is not None:
        sizes = {"vocab_size": _count_tokens(tokenizer)} | sizes | _special_tokens(tokenizer)
    try:
        document = AutoConfig.for_model(kind, **sizes)
    except REFUSALS as error:
        raise ConfigError(f"{where}: {describe_refusal(error)}") from None
    _check_names(sizes, document, where)
    try:
        with seeded(chance("weights")):
            attention = choose_attention(document, MODEL_FOR_CAUSAL_LM_MAPPING)
            model = AutoModelForCausalLM.from_config(document, dtype=torch.float32, attn_implementation=attention)
    except REFUSALS as error:
        raise ConfigError(f"{where}: {describe_refusal(error)}") from None
    if tokenizer is not None:
        check_fit(model, tokenizer)
    return model


def check_fit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that knows more tokens than the model."""
    embeddings: Any = model.get_input_embeddings()
    known = embeddings.weight.shape[0]
    tokens = _count_tokens(tokenizer)
    if tokens > known:
        raise ConfigError(f"the tokenizer has {tokens:,} tokens and the model knows {known:,}: they do not fit")


def choose_fill(scorer: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """See that model and tokenizer agree on a token that fills up: without one transformers takes no batch."""
    config: Any = scorer.config.get_text_config()
    if tokenizer.pad_token_id is None:
        if config.pad_token_id is not None and 0 <= config.pad_token_id < len(tokenizer):
            tokenizer.pad_token = tokenizer.convert_ids_to_tokens(config.pad_token_id)
        elif tokenizer.eos_token is not None:
            tokenizer.pad_token = tokenizer.eos_token
        else:
            raise DataError("the tokenizer has neither a token that fills up nor one for the end of a text: name one")
    config.pad_token_id = scorer.config.pad_token_id = tokenizer.pad_token_id


def save(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Save a model, with other weights than its own if given, and its tokenizer, as transformers takes them."""
    if not isinstance(model, PreTrainedModel):
        raise TypeError(f"expected a PreTrainedModel, found a {type(model).__name__}: merge its adapters first")
    for name, token in _special_tokens(tokenizer).items():
        # A model may have several ends, or one that its tokenizer calls otherwise: what it has stays.
        for settings in (model.config, getattr(model, "generation_config", None)):
            if settings is not None and getattr(settings, name, None) is None:
                setattr(settings, name, token)
    for name in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(name, None)  # how it was loaded is no part of it
    with quietly():
        model.save_pretrained(folder, state_dict=weights)
        tokenizer.save_pretrained(folder)


def _load_file(path: Path) -> PreTrainedTokenizerBase:
    """Load a tokenizer.json, which says which tokens are special but not what for: their names do."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path))
    known = tokenizer.get_vocab()
    for role, names in _SPECIAL_NAMES.items():
        if name := next((name for name in names if name in known), None):
            setattr(tokenizer, role, name)
    return tokenizer


def _count_tokens(tokenizer: PreTrainedTokenizerBase) -> int:
    return 1 + max(tokenizer.get_vocab().values())


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The ids of the special tokens that the tokenizer has."""
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {name: token for name in names if (token := getattr(tokenizer, name)) is not None}


def _check_architecture(document: Mapping[str, Any], where: object) -> None:
    """Refuse what is no causal language model: transformers would put a random head on it."""
    kind, named = document.get("model_type"), document.get("architectures") or []
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        meant = did_you_mean(str(kind), MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
        raise DataError(f"{where}: expected a causal language model, found the model_type {kind!r}{meant}")
    expected = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[kind]
    if named and expected not in named:
        raise DataError(f"{where}: expected a causal language model ({expected}), found {shorten(', '.join(named))}")


def _check_names(sizes: Mapping[str, Any], config: PreTrainedConfig, where: str) -> None:
    """Refuse a size that is misspelt: transformers would keep it as a note, and use its own default."""
    known = set(config.__class__().to_dict()) | set(config.attribute_map)
    for name in sizes:
        if name not in known and (meant := did_you_mean(name, known - set(sizes), nearness=0.8)):
            raise ConfigError(f"{where}: unknown key {shorten(name)!r}{meant}")
