"""The likelihood of tokens: -log p of each that is learnt, exact and without the memory.

Only the states before learnt tokens are taken to the vocabulary, and of a large vocabulary a few tokens at a time:
their logits are computed once more for the gradient rather than kept, so logits in float32 never exist for all tokens.

Shapes: N learnt tokens, D the width of the model, V its vocabulary.
"""

from collections.abc import Callable

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from prefline.policy.packing import IGNORED

Head = Callable[[torch.Tensor], torch.Tensor]

MOST_LOGITS = 2**24  # of so many numbers are the logits that exist at once: 64 MiB in float32


def token_losses(states: torch.Tensor, head: Head, targets: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """Return -log p of each target [N], in float32 or better, where head(states [N, D]) are the logits [N, V]."""
    if states.ndim != 2 or targets.shape != states.shape[:1]:
        raise ValueError(f"expected states [N, D] and targets [N], found {[*states.shape]} and {[*targets.shape]}")
    size = max(1, MOST_LOGITS // vocabulary)
    if len(targets) <= size:
        return _losses(states, head, targets)
    if not torch.is_grad_enabled():
        parts = zip(states.split(size), targets.split(size), strict=True)
        return torch.cat([_losses(some, head, wanted) for some, wanted in parts])
    return torch.cat(
        [
            checkpoint(_losses, some, head, wanted, use_reentrant=False, preserve_rng_state=False)
            for some, wanted in zip(states.split(size), targets.split(size), strict=True)
        ]
    )


def select_learnt(values: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what stands before each learnt token [N, ...], and these tokens [N], row by row."""
    learnt = labels[:, 1:] != IGNORED
    return values[:, :-1][learnt], labels[:, 1:][learnt]


def _losses(states: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
    logits = head(states)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return functional.cross_entropy(logits, targets, reduction="none")
