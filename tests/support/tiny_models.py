"""Tiny models of five architectures, and a tokenizer, for tests that need no more than their shape."""

from typing import Any

import torch
from transformers import PreTrainedModel

from prefline.data.chance import from_seed
from prefline.policy.encoding import Example
from prefline.reward_model.pretrained import build_causal_lm

WORDS = 61  # a number that no size divides
_LIKE_LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
# Weights are drawn larger than is usual: so small a model would hardly attend to anything.
ARCHITECTURES = {
    "gpt2": {"n_layer": 2, "n_embd": 32, "n_head": 2, "n_positions": 64},
    "llama": _LIKE_LLAMA,
    "mistral": {**_LIKE_LLAMA, "sliding_window": 40},
    "qwen2": _LIKE_LLAMA,
    "gpt_neox": {name: size for name, size in _LIKE_LLAMA.items() if name != "num_key_value_heads"},
}


def build_tiny(kind: str, dtype: torch.dtype = torch.float32, /, **settings: Any) -> PreTrainedModel:
    """Return a model without dropout, unless `settings` say otherwise."""
    document = {
        "model_type": kind,
        "vocab_size": WORDS,
        "initializer_range": 0.2,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 1,
        **ARCHITECTURES.get(kind, {}),
        **(dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.0) if kind == "gpt2" else {}),
        **settings,
    }
    model: Any = build_causal_lm(document, from_seed(1))
    return model.to(dtype)


def draw_examples(count: int, *, longest: int = 12, seed: int = 0) -> list[Example]:
    """Return examples of 2 to `longest` tokens, some with a prompt; each is a document of its own."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    examples = []
    for document in range(count):
        length = draw(2, longest + 1)
        tokens = tuple(draw(2, WORDS) for _ in range(length))
        examples.append(Example(tokens, draw(1, length), document, length))
    return examples
