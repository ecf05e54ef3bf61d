"""The training of a reward model: the softmax over candidates of Ziegler 2019, and what else may be learnt.

As in 2019: one epoch, dropout off, Adam with epsilon 1e-5, no weight decay, no clipping, and a rate that falls in a
line to 0, which it would reach after the last step; gain and bias are trained with the rest. It departs from 2019 in
that comparisons need not fill whole batches: an epoch is divided into steps as evenly as it goes.

The loss of a step is the mean over its comparisons by their weights, however many are computed at once; heads.py says
what several heads learn. All chance follows from the epoch, the step, or the number of a comparison. So weights,
optimiser, the number of the step, and the best weights so far are all that it takes to go on, bit for bit.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

from prefline.data.chance import Chance, from_seed
from prefline.data.comparison import Comparison
from prefline.data.errors import ConfigError, DataError
from prefline.reward_model.adam import AdamTF1
from prefline.reward_model.config import RewardConfig
from prefline.reward_model.encoding import EncodedComparison, encode_comparisons
from prefline.reward_model.epochs import count_steps, list_batches
from prefline.reward_model.evaluation import Evaluation, evaluate
from prefline.reward_model.gradients import Found, Numbered, add_gradient, require_finite
from prefline.reward_model.heads import draw_shares
from prefline.reward_model.model import RewardModel, choose_tokens
from prefline.reward_model.objectives import leads, teaches
from prefline.reward_model.optimising import (
    checkpoint_gradients,
    find_rate,
    group_parameters,
    list_trainable,
    read_trainable,
    restore_trainable,
    set_dropout,
    set_rate,
)

DEFAULTS = RewardConfig()


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the optimiser did. `save` returns all that it takes to go on; call it before the next step."""

    index: int  # how many steps are done
    of: int  # if it does not stop early
    epoch: int  # from 1
    loss: float  # before the step
    accuracy: float  # before the step, over the comparisons in which somebody chose; NaN where there is none
    learning_rate: float
    gradient_norm: float  # before it was clipped
    comparisons: int
    evaluation: Evaluation | None  # on what is held out, if it was time, after the step
    save: Callable[[], dict[str, Any]] = field(repr=False, compare=False)


class _Best(NamedTuple):
    """The best that was measured on what is held out."""

    loss: float
    step: int
    weights: dict[str, torch.Tensor]


class _Progress(NamedTuple):
    """What else than weights and moments it takes to go on."""

    step: int
    tokens_at_once: int
    best: _Best | None
    waited: int  # measurements since the best


class _Taken(NamedTuple):
    """What a step gave, and how many tokens it computed at once."""

    found: Found
    norm: float
    tokens_at_once: int


def train(
    model: RewardModel,
    comparisons: Sequence[Comparison | EncodedComparison],
    config: RewardConfig = DEFAULTS,
    chance: Chance = from_seed(0),
    *,
    held_out: Sequence[Comparison | EncodedComparison] = (),
    saved: Mapping[str, Any] | None = None,
) -> Iterator[Step]:
    """Train a model, which lies where it shall be trained, and yield a record for each step.

    Comparisons from which there is nothing to learn are passed over. To go on from what `Step.save` returned, give the
    same model, comparisons, settings and chance as before, and that.
    """
    todo = _select(model, comparisons, config, chance)
    measured = [one for one in encode_comparisons(held_out, model.encoder) if teaches(one, config.loss)]
    _check(model, config, todo, measured)
    per_epoch = count_steps(len(todo), config.batch)
    steps = config.steps or config.epochs * per_epoch
    _prepare(model, config)
    optimizer = _build_optimizer(model, config)
    now = _begin(model, config) if saved is None else _load(model, optimizer, saved)
    for batch in list_batches(todo, config.batch, steps, chance, done=now.step):
        if config.patience and now.waited >= config.patience:
            break
        rate = find_rate(config, now.step, steps)
        taken = _take_step(model, optimizer, batch, config, now, rate, chance)
        now = now._replace(step=now.step + 1, tokens_at_once=taken.tokens_at_once)
        evaluation = _measure(model, measured, config) if _is_time(config, now.step, per_epoch, steps) else None
        now = _note(now, evaluation, model, config)
        yield Step(
            index=now.step,
            of=steps,
            epoch=(now.step - 1) // per_epoch + 1,
            loss=taken.found.loss,
            accuracy=taken.found.accuracy,
            learning_rate=rate,
            gradient_norm=taken.norm,
            comparisons=len(batch),
            evaluation=evaluation,
            save=functools.partial(_save, model, optimizer, now),
        )
    if now.best is not None:
        restore_trainable(model, now.best.weights)
    model.eval()


def _take_step(
    model: RewardModel,
    optimizer: torch.optim.Optimizer,
    batch: Sequence[Numbered],
    config: RewardConfig,
    now: _Progress,
    rate: float,
    chance: Chance,
) -> _Taken:
    model.train()  # whoever looked at the model between two steps may have left it otherwise
    found, at_once = add_gradient(model, batch, config, now.tokens_at_once, chance("dropout", now.step))
    norm = nn.utils.clip_grad_norm_(list_trainable(model).values(), config.clip or math.inf).item()
    require_finite(now.step + 1, batch, found, norm)
    set_rate(optimizer, rate)
    optimizer.step()
    optimizer.zero_grad()
    return _Taken(found, norm, at_once)


def _select(
    model: RewardModel, comparisons: Sequence[Comparison | EncodedComparison], config: RewardConfig, chance: Chance
) -> list[Numbered]:
    encoded = encode_comparisons(comparisons, model.encoder)
    return [
        Numbered(number, one, draw_shares(chance, number, model.heads))
        for number, one in enumerate(encoded, 1)
        if teaches(one, config.loss)
    ]


def check_held_out(config: RewardConfig, measured: Sequence[EncodedComparison]) -> None:
    """Refuse settings of what is measured on the way where nothing is held out that says something."""
    for name in ("patience", "evaluate_every"):
        if getattr(config, name) and not measured:
            raise ConfigError(f"{name} needs comparisons that are held out, found none: leave it out")


def _check(
    model: RewardModel, config: RewardConfig, todo: Sequence[Numbered], measured: Sequence[EncodedComparison]
) -> None:
    if not todo:
        raise DataError(f"expected comparisons that say something for the loss {config.loss!r}, found none")
    check_held_out(config, measured)
    check_margin(config, [one.encoded.comparison for one in todo])
    if config.lora_rank and isinstance(model.scorer, PreTrainedModel):
        raise ConfigError("lora_rank: the model has no adapters: call model.adapt(config, chance) first")


def check_margin(config: RewardConfig, comparisons: Iterable[Comparison]) -> None:
    """Refuse a margin where no rating says how far a best is ahead."""
    if config.margin and not any(leads(one) for one in comparisons):
        raise ConfigError("margin: expected comparisons whose best is rated above others, found none: leave it out")


def _prepare(model: RewardModel, config: RewardConfig) -> None:
    set_dropout(model, config.dropout)
    model.share(config.share_prompts)
    if config.gradient_checkpointing:
        checkpoint_gradients(model.inner)


def _build_optimizer(model: RewardModel, config: RewardConfig) -> torch.optim.Optimizer:
    groups = group_parameters(model, config.weight_decay)
    betas = (0.9, config.beta2)
    if config.optimizer == "adam-tf1":
        return AdamTF1(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon, fused=True)


def _begin(model: RewardModel, config: RewardConfig) -> _Progress:
    return _Progress(0, config.tokens_at_once or choose_tokens(model.device), None, 0)


def _is_time(config: RewardConfig, step: int, per_epoch: int, steps: int) -> bool:
    return step == steps or step % (config.evaluate_every or per_epoch) == 0


def _measure(model: RewardModel, measured: Sequence[EncodedComparison], config: RewardConfig) -> Evaluation | None:
    if not measured:
        return None
    return evaluate(model, measured, loss=config.loss, margin=config.margin, tokens_at_once=config.tokens_at_once)


def _note(now: _Progress, found: Evaluation | None, model: RewardModel, config: RewardConfig) -> _Progress:
    """Keep the weights that are the best so far, where training may stop early."""
    if not config.patience or found is None:
        return now
    if now.best is not None and not found.loss < now.best.loss:
        return now._replace(waited=now.waited + 1)
    weights = {name: weight.clone() for name, weight in read_trainable(model).items()}
    return now._replace(best=_Best(found.loss, now.step, weights), waited=0)


def _save(model: RewardModel, optimizer: torch.optim.Optimizer, now: _Progress) -> dict[str, Any]:
    progress = now._asdict() | {"best": now.best and now.best._asdict()}
    return {"progress": progress, "weights": read_trainable(model), "optimizer": optimizer.state_dict()}


def _load(model: RewardModel, optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> _Progress:
    """Take up what was saved."""
    restore_trainable(model, saved["weights"])
    optimizer.load_state_dict(saved["optimizer"])
    progress = saved["progress"]
    return _Progress(**{**progress, "best": progress["best"] and _Best(**progress["best"])})
