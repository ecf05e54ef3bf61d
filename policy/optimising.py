"""The parts of a step of the optimiser: its gradient, its rate, what it decays, and how much is dropped out."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from prefline.data.errors import ConfigError
from prefline.policy.config import SupervisedConfig
from prefline.policy.model import Reading
from prefline.policy.packing import Row, collate, count_learnt
from prefline.reward_model.seeding import seeded


def list_trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name; what is shared stands there once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def build_optimizer(model: nn.Module, config: SupervisedConfig) -> torch.optim.AdamW:
    """Return AdamW for what is trained. Matrices decay; embeddings (a head tied to them too), norms, biases do not."""
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    decaying: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in list_trainable(model).values():
        decays = parameter.ndim >= 2 and id(parameter) not in embeddings
        (decaying if decays else others).append(parameter)
    groups = [
        {"params": decaying, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(0.9, config.beta2),
        eps=config.epsilon,
        fused=True,
    )


def find_rate(config: SupervisedConfig, step: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0: it rises in a line, then falls, to 0 after the last step."""
    rising = round(config.warmup * steps)
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    done = (step - rising) / (steps - rising)
    match config.schedule:
        case "cosine":
            return config.learning_rate * (1 + math.cos(math.pi * done)) / 2
        case "linear":
            return config.learning_rate * (1 - done)
        case "constant":
            return config.learning_rate


def set_dropout(model: nn.Module, share: float | None) -> None:
    """Set every dropout of a model, though not in its config, which is saved; None leaves all as it is."""
    if share is None:
        return
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        for name, value in vars(module).items():
            # Functions of attention read the share from an attribute of their module: attention_dropout, dropout.
            if name.endswith("dropout") and isinstance(value, int | float) and not isinstance(value, bool):
                setattr(module, name, share)


def add_gradient(
    model: nn.Module, read: Reading, rows: Sequence[Row], micro_batch: int, dtype: torch.dtype, seed: int
) -> tuple[float, int]:
    """Add the gradient of the mean loss over the learnt tokens of `rows`; return the loss, and the micro-batch used.

    Where memory runs out, the step begins anew with half the rows at once. That changes bits and nothing else.
    """
    device = next(model.parameters()).device
    while True:
        try:
            with seeded(seed, device), torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                return _add_gradient(read, rows, micro_batch, device), micro_batch
        except torch.OutOfMemoryError:
            if micro_batch == 1:
                raise ConfigError(
                    "not even one row fits into the memory of the device: "
                    "set a smaller length, gradient_checkpointing, dtype bfloat16 or lora_rank, or take a smaller model"
                ) from None
        # Not in the except clause: there the error still holds the frames, and they the tensors.
        model.zero_grad()
        torch.cuda.empty_cache()
        micro_batch = math.ceil(min(micro_batch, len(rows)) / 2)


def _add_gradient(read: Reading, rows: Sequence[Row], micro_batch: int, device: torch.device) -> float:
    learnt = count_learnt(rows)
    total = torch.zeros((), dtype=torch.float64)
    for first in range(0, len(rows), micro_batch):
        loss = read(collate(rows[first : first + micro_batch], device)).sum() / learnt
        loss.backward()
        total += loss.detach().to(total)
    return total.item()
