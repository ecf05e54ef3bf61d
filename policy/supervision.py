"""Supervised tuning: a causal language model made to find examples likely.

The loss of a step is the mean of -log p over all learnt tokens of its rows, however they are computed: sums over
micro-batches divided by the count of the step, and not a mean of means. AdamW (Loshchilov 2019), with weight decay on
matrices alone: embeddings, norms and biases are left where likelihood puts them. Rows are packed once; their order is
drawn for each epoch, and an epoch is divided into steps as evenly as it goes, so none has a rest of a few rows.

All chance follows from the epoch or the step. So the weights, the optimiser and the number of the step are all that it
takes to go on, bit for bit.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

from prefline.data.chance import Chance, generator
from prefline.data.errors import DataError
from prefline.policy.config import SupervisedConfig
from prefline.policy.encoding import Example
from prefline.policy.model import Reading, check_length, choose_reading
from prefline.policy.optimising import add_gradient, build_optimizer
from prefline.policy.packing import Row, count_learnt, pack
from prefline.reward_model.adapters import unwrap
from prefline.reward_model.epochs import count_steps, list_batches
from prefline.reward_model.optimising import (
    checkpoint_gradients,
    find_rate,
    list_trainable,
    read_trainable,
    restore_trainable,
    set_dropout,
    set_rate,
)

_NEAR = 1024  # tokens; in benchmarks/packing.py four times as many at once are slower


class Plan(NamedTuple):
    """What a training will go through."""

    rows: list[Row]
    steps_per_epoch: int
    steps: int
    tokens: int  # of all examples
    learnt: int  # of these, the tokens that are learnt
    padding: float  # the share of the rows that is empty


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the optimiser did. `save` returns all that it takes to go on; call it before the next step."""

    index: int  # how many steps are done
    of: int
    epoch: int  # from 1
    loss: float  # nats for each learnt token, before the step
    learning_rate: float
    gradient_norm: float  # before it was clipped
    tokens: int  # that were learnt
    save: Callable[[], dict[str, Any]] = field(repr=False, compare=False)


def plan(examples: Sequence[Example], config: SupervisedConfig, chance: Chance) -> Plan:
    """Pack examples into rows, and count the steps that they make."""
    if not examples:
        raise DataError("expected examples with tokens to learn, found none")
    order = list(examples)
    generator(chance, "packing").shuffle(order)
    rows = pack(order, config.length)
    steps_per_epoch = count_steps(len(rows), config.batch)
    tokens = sum(len(example.tokens) for example in examples)
    return Plan(
        rows,
        steps_per_epoch,
        config.steps or config.epochs * steps_per_epoch,
        tokens,
        count_learnt([examples]),
        1 - tokens / (len(rows) * config.length),
    )


def train_lm(
    model: nn.Module,
    examples: Sequence[Example],
    config: SupervisedConfig,
    chance: Chance,
    *,
    saved: Mapping[str, Any] | None = None,
) -> Iterator[Step]:
    """Train a model, which lies where it shall be trained, and yield a record for each step.

    Parameters that need no gradient stay as they are, so of a model with adapters the adapters are trained. To go on
    from what `Step.save` returned, give the same model, examples, settings and chance as before, and that.
    """
    todo = plan(examples, config, chance)
    read, optimizer = _prepare(unwrap(model), config), build_optimizer(model, config)
    done, micro_batch = 0, _choose_micro_batch(config, unwrap(model).device)
    if saved is not None:
        done, micro_batch = _load(model, optimizer, saved)
    for index, rows in enumerate(list_batches(todo.rows, config.batch, todo.steps, chance, done=done), done):
        model.train()  # whoever looked at the model between two steps may have left it otherwise
        rate = find_rate(config, index, todo.steps)
        set_rate(optimizer, rate)
        seed = chance("dropout", index)
        loss, micro_batch = add_gradient(model, read, rows, micro_batch, getattr(torch, config.dtype), seed)
        norm = nn.utils.clip_grad_norm_(list_trainable(model).values(), config.clip or math.inf)
        optimizer.step()
        optimizer.zero_grad()
        yield Step(
            index=index + 1,
            of=todo.steps,
            epoch=index // todo.steps_per_epoch + 1,
            loss=loss,
            learning_rate=rate,
            gradient_norm=norm.item(),
            tokens=count_learnt(rows),
            save=functools.partial(_save, model, optimizer, micro_batch, index + 1),
        )
    model.eval()


def _prepare(model: PreTrainedModel, config: SupervisedConfig) -> Reading:
    """Set a model up for training, and return how its losses are read."""
    check_length(model, config.length)
    set_dropout(model, config.dropout)
    if config.gradient_checkpointing:
        checkpoint_gradients(model)
    return choose_reading(model)


def _choose_micro_batch(config: SupervisedConfig, device: torch.device) -> int:
    """Return how many rows are computed at once: on a CPU, unless told otherwise, so few that caches hold them."""
    few = max(1, _NEAR // config.length) if device.type == "cpu" else config.batch
    return config.micro_batch or min(few, config.batch)


def _save(model: nn.Module, optimizer: torch.optim.Optimizer, micro_batch: int, step: int) -> dict[str, Any]:
    weights, moments = read_trainable(model), optimizer.state_dict()
    return {"step": step, "micro_batch": micro_batch, "weights": weights, "optimizer": moments}


def _load(model: nn.Module, optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> tuple[int, int]:
    """Take up what was saved; return how many steps were done, and how many rows are computed at once."""
    restore_trainable(model, saved["weights"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["step"], saved["micro_batch"]
