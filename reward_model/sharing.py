"""The prompt computed once for all its responses.

Comparisons lie end to end in a row (rows.py). Attention is computed for each comparison in two parts: a prompt attends
to itself, and responses to their prompt and each to itself. All else is computed once for each token, and what comes of
a response is what would come of it alone. The last block computes only what is read (trimming.py).

Whether a model can do so is tried out when it is loaded, and what cannot is computed response by response.
"""

from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from prefline.data.wording import shorten
from prefline.reward_model.encoding import Pair
from prefline.reward_model.rows import Block, Layout, Row, lay_out
from prefline.reward_model.trimming import LAYOUT, trim_last_block

ATTENTION = "prefline"  # the name under which transformers finds `attend`
_TOLERANCE = 1e-4  # of the spread of states: float32 is ten times better, a leak a hundred times worse

# What layers tell attention that changes nothing, or nothing as long as texts are shorter than windows.
_HARMLESS = {"is_causal", "position_ids", "use_cache", "output_attentions", "sliding_window", LAYOUT}


def read_states(model: Any, row: Row) -> torch.Tensor:
    """Return the states [S, D] that are read, of the body of a model that shares."""
    # A mask of four dimensions is taken as it is: none is made that nobody looks at.
    given = {"attention_mask": torch.ones(1, 1, 1, 1, device=row.tokens.device), LAYOUT: row.layout}
    states = model(input_ids=row.tokens, position_ids=row.positions, use_cache=False, **given).last_hidden_state
    return states[0, row.places]


def attend(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **given: Any) -> tuple[Any, None]:
    """Compute attention of a row, as transformers asks for it; without a layout as it does itself."""
    layout: Layout | None = given.get(LAYOUT)
    if layout is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **given)
    scale, dropout = given.pop("scaling", None), given.pop("dropout", 0.0)
    if odd := [name for name, value in given.items() if value is not None and name not in _HARMLESS]:
        raise ValueError(f"attention that depends on {', '.join(sorted(odd))} is not computed for rows")
    several = query.shape[1] // key.shape[1]  # heads that share keys and values
    key, value = (part.repeat_interleave(several, 1) if several > 1 else part for part in (key, value))

    def look(queries: Any, keys: Any, values: Any, mask: Any = None) -> torch.Tensor:
        given = queries, keys, values, mask
        made = functional.scaled_dot_product_attention(*given, dropout, is_causal=mask is None, scale=scale)
        return made.transpose(1, 2)

    parts = []
    # Not slices of the row: the gradient of each would be as long as the row.
    sizes = [block.end - block.first for block in layout.blocks]
    own = (part.split(sizes, 2) for part in (query, key, value))
    for block, queries, keys, values in zip(layout.blocks, *own, strict=True):
        prompt = block.responses - block.first
        if layout.only_reads:
            parts.append(look(queries[:, :, block.reads], keys, values, _mask_reads(block, prompt)))
            continue
        if prompt:
            parts.append(look(queries[:, :, :prompt], keys[:, :, :prompt], values[:, :, :prompt]))
        if block.responses < block.end:
            parts.append(look(queries[:, :, prompt:], keys, values, block.mask))
    made = torch.cat(parts, 1)
    if layout.only_reads:  # what nobody reads is there, as layers count on it, and is 0
        made = made.new_zeros(1, query.shape[2], *made.shape[2:]).index_copy(1, layout.reads, made)
    return made, None


def _mask_reads(block: Block, prompt: int) -> torch.Tensor:
    """Return what each token that is read may look at [reads, all tokens]; one of a prompt is its last."""
    of_prompt = torch.arange(block.end - block.first, device=block.mask.device) < prompt
    return torch.cat([of_prompt[None], block.mask])[(block.reads - prompt + 1).clamp(min=0)]


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def share_prompts(model: PreTrainedModel) -> str | None:
    """Let the body of a model take rows; return why it cannot, or None. What it computes otherwise stays the same."""
    before = model.config._attn_implementation
    if before == ATTENTION:  # it does already
        return None
    if before != "sdpa":
        return f"its attention is computed by {before!r}"
    training = model.training
    model.eval()
    hooks: list[Any] = []
    try:
        pairs = _choose_probes(model)
        alone = torch.cat([_read_alone(model, pair) for pair in pairs])
        model.config._attn_implementation = ATTENTION
        hooks = trim_last_block(model.base_model)
        with torch.no_grad():
            found = read_states(model.base_model, lay_out(pairs, whole=False, device=model.device))
        reason = None if _equal(found, alone) else "its responses see each other, or their positions do not begin anew"
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = shorten(str(error).partition("\n")[0], 200)
    model.train(training)
    if reason is not None:
        model.config._attn_implementation = before
        for hook in hooks:
            hook.remove()
    return reason


def find_window(model: PreTrainedModel) -> int | None:
    """Return how far attention reaches; a row takes no notice of it, so texts must be shorter."""
    config = model.config.get_text_config()
    limits = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return min((limit for limit in limits if isinstance(limit, int) and limit > 0), default=None)


def _choose_probes(model: PreTrainedModel) -> list[Pair]:
    """Return pairs of two prompts, of whatever words the model knows."""
    known: Any = model.get_input_embeddings()
    tokens = tuple(token % known.weight.shape[0] for token in range(2, 16))
    return [Pair(tokens[:4], tokens[4:7]), Pair(tokens[:4], tokens[7:9]), Pair(tokens[9:11], tokens[11:])]


@torch.no_grad()
def _read_alone(model: PreTrainedModel, pair: Pair) -> torch.Tensor:
    tokens = torch.tensor([[*pair.prompt, *pair.response]], device=model.device)
    return model.base_model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state[:, -1]


def _equal(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return found.shape == expected.shape and bool((found - expected).abs().max() <= _TOLERANCE * expected.std())
