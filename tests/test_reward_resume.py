"""A training that was interrupted goes on bit for bit, and nothing of what it saves could be left out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_comparisons import draw_comparisons
from tiny_scorers import save_language_model
from torch import nn

from prefline.data.chance import from_seed
from prefline.reward_model.batching import Batch
from prefline.reward_model.config import Reading, RewardConfig
from prefline.reward_model.model import RewardModel
from prefline.reward_model.rows import Row
from prefline.reward_model.training import Step, train

CHANCE = from_seed(3)
COMPARISONS = draw_comparisons(12)
# Three steps an epoch. After the fourth it gets worse on what is held out, and after four more it stops: so with these
# seeds, where prompts are computed once and where they are not.
HELD_OUT = {shares: draw_comparisons(8, seed=seed) for shares, seed in ((True, 5), (False, 37))}
MEMORY = {True: 40, False: 70}  # of the device, in tokens: less than a step, and no less than what half and half leaves
SETTINGS: dict[str, Any] = {"batch": 4, "epochs": 20, "learning_rate": 3e-3, "patience": 4, "evaluate_every": 1}
DROPOUT = {"attn_pdrop": 0.1, "embd_pdrop": 0.1, "resid_pdrop": 0.1}
Result = tuple[dict[str, torch.Tensor], list[Step]]


class Small(RewardModel):
    """A reward model on a device whose memory holds so many tokens at once."""

    most: int

    def score_heads(self, batch: Batch | Row) -> torch.Tensor:
        if self.training and batch.tokens.numel() > self.most:
            raise torch.OutOfMemoryError("the device is full")
        return super().score_heads(batch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_language_model("gpt2", tmp_path_factory.mktemp("lm"), **DROPOUT)


def load(folder: Path) -> Small:
    return Small.from_pretrained(folder, reading=Reading(readout="last"), chance=CHANCE)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def clone(value: Any) -> Any:
    """Copy a state as writing and reading it does."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    assert value is None or isinstance(value, bool | int | float | str | torch.Tensor | tuple)
    return value.clone() if isinstance(value, torch.Tensor) else value


def same(one: Result, other: Result) -> bool:
    return one[1] == other[1] and all(torch.equal(weight, other[0][name]) for name, weight in one[0].items())


def run(model: RewardModel, config: RewardConfig, saved: dict[str, Any] | None = None) -> Iterator[Step]:
    return train(model, COMPARISONS, config, CHANCE, held_out=HELD_OUT[config.share_prompts], saved=saved)


@pytest.fixture(scope="module", params=["adam", "adam-tf1"])
def uninterrupted(request: pytest.FixtureRequest, folder: Path) -> tuple[RewardConfig, Result, dict[int, Any]]:
    """The settings and the whole of a training, and what it saved after each step."""
    config = RewardConfig(**SETTINGS, dropout=None, optimizer=request.param, share_prompts=request.param == "adam")
    model, steps, saved = load(folder), list[Step](), dict[int, Any]()
    model.most = MEMORY[config.share_prompts]
    for step in run(model, config):
        steps.append(step)
        saved[step.index] = clone(step.save())
    return config, (weights(model), steps), saved


def go_on(folder: Path, config: RewardConfig, saved: dict[str, Any], steps: list[Step]) -> Result:
    """Go on with a new model, on a device that has more memory than that on which it began."""
    torch.manual_seed(99)  # whatever torch's own generator says, it is not asked
    model = load(folder)
    model.most = 10_000
    steps = [*steps, *run(model, config, saved)]
    return weights(model), steps


def test_the_training_is_one_in_which_all_of_its_state_counts(uninterrupted: Any) -> None:
    config, (_, steps), saved = uninterrupted
    losses = [step.evaluation.loss for step in steps]
    assert losses.index(min(losses)) == 3
    assert saved[6]["progress"]["waited"] == 2
    assert [step.epoch for step in steps] == [1, 1, 1, 2, 2, 2, 3, 3]
    halved = 32 if config.share_prompts else 64
    assert {state["progress"]["tokens_at_once"] for state in saved.values()} == {halved}


@pytest.mark.parametrize("at", [1, 2, 3, 5, 6, 7, 8])
def test_what_was_interrupted_goes_on_bit_for_bit(folder: Path, uninterrupted: Any, at: int) -> None:
    config, expected, saved = uninterrupted
    assert same(go_on(folder, config, clone(saved[at]), expected[1][:at]), expected)


def lose(saved: dict[str, Any], lost: str, fresh: dict[str, torch.Tensor]) -> dict[str, Any]:
    saved, progress = clone(saved), dict(saved["progress"])
    match lost:
        case "optimizer":
            saved["optimizer"]["state"] = {}
        case "weights":
            saved["weights"] = fresh
        case "step":
            progress["step"] -= 1
        case "best":
            progress["best"] = None
        case "waited":
            progress["waited"] = 0
        case "tokens_at_once":
            progress["tokens_at_once"] = 1024
    return saved | {"progress": progress}


@pytest.mark.parametrize("lost", ["optimizer", "weights", "step", "best", "waited", "tokens_at_once"])
@pytest.mark.parametrize("at", [5, 6], ids=["inside", "border"])
def test_no_part_of_what_is_saved_could_be_left_out(folder: Path, uninterrupted: Any, lost: str, at: int) -> None:
    config, expected, saved = uninterrupted
    assert set(saved[at]["progress"]) == {"step", "tokens_at_once", "best", "waited"}
    assert set(saved[at]) == {"progress", "weights", "optimizer"}
    found = go_on(folder, config, lose(saved[at], lost, weights(load(folder))), expected[1][:at])
    assert not same(found, expected)
