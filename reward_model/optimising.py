"""The parts of a step of the optimiser that all training has in common: its rate, what it decays, memory, dropout."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from prefline.data.errors import ConfigError
from prefline.reward_model.seeding import seeded

Result = TypeVar("Result")


class Schedule(Protocol):
    """How a learning rate goes up and down."""

    @property
    def learning_rate(self) -> float:
        """The rate at its peak."""
        ...

    @property
    def schedule(self) -> str:
        """How it falls: cosine, linear or constant."""
        ...

    @property
    def warmup(self) -> float:
        """The share of the steps in which it rises."""
        ...


def list_trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name; what is shared stands there once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def read_trainable(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights that are trained, as they are now and not as they were: they change with the next step."""
    return {name: parameter.detach() for name, parameter in list_trainable(model).items()}


@torch.no_grad()
def restore_trainable(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Set the weights that are trained."""
    for name, parameter in list_trainable(model).items():
        parameter.copy_(weights[name])


def group_parameters(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return what is trained in groups. Matrices decay; embeddings (a head tied to them too), norms, biases do not."""
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    decaying: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in list_trainable(model).values():
        decays = parameter.ndim >= 2 and id(parameter) not in embeddings
        (decaying if decays else others).append(parameter)
    groups = [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def find_rate(config: Schedule, step: int, steps: int) -> float:
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
        case other:
            raise ValueError(f"expected cosine, linear or constant, found {other!r}")


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all groups of an optimiser the same rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


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


def checkpoint_gradients(model: Any) -> None:
    """Let a model compute its activations twice rather than hold them."""
    # transformers has changed its name for it: the old one warns, and older releases lack the new one.
    enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
    enable({"use_reentrant": False})


def compute_within_memory(
    compute: Callable[[int], Result], amount: int, model: nn.Module, dtype: torch.dtype, seed: int, *, least: int = 1
) -> tuple[Result, int]:
    """Add a gradient with so much computed at once, or less where memory runs out; return what was taken, too.

    It begins anew then, with the same chance and no gradient. That changes bits and nothing else.
    """
    device = next(model.parameters()).device

    def attempt(at_once: int) -> Result:
        with seeded(seed, device), torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            return compute(at_once)

    return halve_until_it_fits(attempt, amount, least=least, forget=model.zero_grad)


def halve_until_it_fits(
    compute: Callable[[int], Result], amount: int, *, least: int = 1, forget: Callable[[], object] = lambda: None
) -> tuple[Result, int]:
    """Call `compute` with how much to take at once, with half of it where memory runs out; return what it did take."""
    while True:
        try:
            return compute(amount), amount
        except torch.OutOfMemoryError:
            if amount <= least:
                raise ConfigError(
                    "not even the smallest part of a step fits into the memory of the device: "
                    "set a smaller length, gradient_checkpointing, dtype bfloat16 or lora_rank, or take a smaller model"
                ) from None
        # Not in the except clause: there the error still holds the frames, and they the tensors.
        forget()
        torch.cuda.empty_cache()
        amount = max(least, math.ceil(amount / 2))
