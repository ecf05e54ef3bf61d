"""The last block of a model given only the states that are read, while keys and values are made of all.

The block is given the states that are read, its first norm all of them, so attention sees all; and from what attention
gives, only those are taken that the block has. These are hooks of an object that has no state but during a call, one
for each thread, so that a model can still be copied, pickled, and used by several threads.
"""

from threading import get_ident
from typing import Any, NamedTuple

import torch
from torch import nn

from prefline.reward_model.rows import Layout

LAYOUT = "prefline_layout"  # the keyword that takes a layout through all layers

# Where the blocks are, and in each its first norm and its attention; a model of any other kind is not trimmed.
_BLOCKS = {
    "gpt2": ("h", "ln_1", "attn"),
    "gpt_neox": ("layers", "input_layernorm", "attention"),
    "llama": ("layers", "input_layernorm", "self_attn"),
    "mistral": ("layers", "input_layernorm", "self_attn"),
    "qwen2": ("layers", "input_layernorm", "self_attn"),
    "qwen3": ("layers", "input_layernorm", "self_attn"),
}


def trim_last_block(body: Any) -> list[Any]:
    """Let the last block compute no more than what is read; return the hooks, so that they can be taken away."""
    if body.config.model_type not in _BLOCKS:
        return []
    blocks, norm, attention = _BLOCKS[body.config.model_type]
    block: nn.Module = getattr(body, blocks)[-1]
    trim = _Trim()
    return [
        block.register_forward_pre_hook(trim.enter, with_kwargs=True),
        block.get_submodule(norm).register_forward_pre_hook(trim.give_all),
        block.get_submodule(attention).register_forward_hook(trim.take_read),
        block.register_forward_hook(trim.leave, always_call=True),  # also where memory has run out
    ]


class _Call(NamedTuple):
    """A call that is under way."""

    states: torch.Tensor  # [1, T, D], all
    reads: torch.Tensor  # the places of those that are read


class _Trim:
    """The hooks of one block."""

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}  # by thread

    def __getstate__(self) -> dict[str, Any]:
        """A copy has no call under way."""
        return {"_calls": {}}

    def enter(self, block: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """Give the block the states that are read, unless its activations are computed twice: hooks would be, too."""
        layout: Layout | None = given.get(LAYOUT)
        if layout is None or (block.training and getattr(block, "gradient_checkpointing", False)):
            return None
        states = args[0] if args else given["hidden_states"]
        self._calls[get_ident()] = _Call(states, layout.reads)
        read, given = states[:, layout.reads], given | {LAYOUT: layout._replace(only_reads=True)}
        return ((read, *args[1:]), given) if args else (args, given | {"hidden_states": read})

    def give_all(self, _norm: nn.Module, _args: Any) -> Any:
        """Give the first norm all states."""
        call = self._calls.get(get_ident())
        return call and (call.states,)

    def take_read(self, _attention: nn.Module, _args: Any, made: tuple[Any, ...]) -> Any:
        """Take from what attention gives what the block has."""
        call = self._calls.get(get_ident())
        return call and (made[0][:, call.reads], *made[1:])

    def leave(self, _block: nn.Module, _args: Any, made: torch.Tensor | None) -> Any:
        """Put the states that were read back to their places."""
        call = self._calls.pop(get_ident(), None)
        if call is None or made is None:
            return None
        return made.new_zeros(call.states.shape).index_copy(1, call.reads, made)
