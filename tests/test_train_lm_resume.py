"""Wherever the training of a language model is killed, the same command goes on and ends in the same artifact.

The texts make 5 steps an epoch, and there are 2 epochs; saved is every second step: within an epoch (2, 4, 8), one
after its border (6), and at the end (10). Perplexity is measured after every third step.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import exit_code

from prefline.pipeline import Artifact, Runtime, Store, checkpoints, jobs, make
from prefline.pipeline.metrics import read_metrics
from prefline.pipeline.provided import read_source
from prefline.pipeline.train_lm import TRAIN_LM

EVERY, STEPS, PER_EPOCH = 2, 10, 5
CONFIG = {"model_type": "gpt2", "n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": 32, "resid_pdrop": 0.1}
PARAMS: dict[str, Any] = {
    "epochs": 2,
    "length": 32,
    "batch": 8,
    "micro_batch": 3,
    "learning_rate": 3e-3,
    "held_out": 0.2,
    "evaluate_every": 3,
    "vocabulary": 270,
}


def ignore(_: str) -> None:
    """Take no notice."""


def train(folder: Path, root: Path, every: int = EVERY, **changed: Any) -> Artifact:
    """Train on the texts of a folder, and save after so many steps."""
    inputs = {"texts": read_source(folder / "texts.jsonl"), "config": read_source(folder / "config.json")}
    runtime = Runtime(device="cpu", checkpoint_every=every, tell=ignore)
    return make(
        Store.create(root), TRAIN_LM, params={**PARAMS, **changed}, inputs=inputs, seed=3, runtime=runtime
    ).artifact


def metrics_of(root: Path, artifact: Artifact) -> list[dict[str, Any]]:
    path = root / "runs" / artifact.manifest.key.removeprefix("sha256:") / "metrics.jsonl"
    return [record | {"time": ""} for record in read_metrics(path)]


@dataclass(frozen=True)
class Whole:
    """What comes of a training that nobody stops, and where it came from."""

    folder: Path
    artifact: Artifact
    metrics: list[dict[str, Any]]

    def expect_same(self, root: Path) -> Artifact:
        """Go on in a store, and see that the same comes of it."""
        made = train(self.folder, root)
        assert made.id == self.artifact.id
        assert metrics_of(root, made) == self.metrics
        assert all(note["not_bit_exact"] == [] for note in made.manifest.run.get("resumed", []))
        return made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The training, run once without a stop."""
    folder = tmp_path_factory.mktemp("whole")
    draw = random.Random(5)
    with (folder / "texts.jsonl").open("w") as out:
        for _ in range(60):
            words = draw.choices(["red", "boats", "sail", "slowly", "over", "cold", "water"], k=draw.randint(4, 9))
            out.write(json.dumps({"text": " ".join(words)}) + "\n")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    artifact = train(folder, folder / "store")
    assert artifact.manifest.data["steps"] == STEPS
    return Whole(folder, artifact, metrics_of(folder / "store", artifact))


class DeadError(BaseException):
    """What stands for the end of a process."""


def die_at(patch: pytest.MonkeyPatch, module: Any, name: str, count: int) -> None:
    """Let this process seem to die when it comes to a failpoint for the n-th time."""
    seen: Iterator[int] = iter(range(1, 1000))

    def reach(reached: str) -> None:
        if reached == name and next(seen) == count:
            raise DeadError

    patch.setattr(module, "reach", reach)


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_after_an_end_at_any_step_the_same_artifact_is_made(
    step: int, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    with monkeypatch.context() as mortal:
        die_at(mortal, jobs, "step.finished", step)
        with pytest.raises(DeadError):
            train(whole.folder, root)
    made = whole.expect_same(root)
    before = (step - 1) // EVERY * EVERY  # the step itself is done, but not saved
    assert [note["from_step"] for note in made.manifest.run.get("resumed", [])] == ([before] if before else [])


def test_after_an_end_when_the_last_step_was_saved_the_same_artifact_is_made(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    with monkeypatch.context() as mortal:
        die_at(mortal, checkpoints, "checkpoint.visible", STEPS // EVERY)
        with pytest.raises(DeadError):
            train(whole.folder, root)
    assert whole.expect_same(root).manifest.run["resumed"][0]["from_step"] == STEPS


def test_killed_again_and_again_it_ends_in_the_same_artifact(whole: Whole, tmp_path: Path) -> None:
    root = tmp_path / "store"
    # Past the border of an epoch, and when all is done but published; all other places are above, in less time.
    for failpoint in ("step.finished:7", "draft.written:1"):
        assert exit_code(train, whole.folder, root, failpoint=failpoint) == -9
        assert not list(Store.open(root).ids())
    made = whole.expect_same(root)
    assert [note["from_step"] for note in made.manifest.run["resumed"]] == [6, 10]


@pytest.mark.parametrize("name", ["training", "curve", "loss", "tokens"])
def test_without_a_part_of_its_state_it_ends_elsewhere(
    name: str, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    with monkeypatch.context() as mortal:
        die_at(mortal, checkpoints, "checkpoint.visible", STEPS // EVERY)
        with pytest.raises(DeadError):
            train(whole.folder, root)
    read_state = checkpoints.read_state
    fresh = {"curve": [], "loss": None, "tokens": 0}

    def read_without(path: Path) -> dict[str, Any]:
        state = read_state(path)
        if name == "training":
            weights = state["training"]["weights"]
            weights[min(weights)] = 0 * weights[min(weights)]
        else:
            state["noted"][name] = fresh[name]
        return state

    monkeypatch.setattr(checkpoints, "read_state", read_without)
    assert train(whole.folder, root).id != whole.artifact.id


@pytest.mark.parametrize("step", [3, 7], ids=["within an epoch", "past its border"])
def test_adapters_go_on_too(step: int, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    expected = train(whole.folder, tmp_path / "whole", lora_rank=2)
    assert expected.id != whole.artifact.id
    with monkeypatch.context() as mortal:
        die_at(mortal, jobs, "step.finished", step)
        with pytest.raises(DeadError):
            train(whole.folder, tmp_path / "store", lora_rank=2)
    made = train(whole.folder, tmp_path / "store", lora_rank=2)
    assert made.id == expected.id
    assert made.manifest.run["resumed"][0]["from_step"] == (step - 1) // EVERY * EVERY


def test_saving_at_other_times_changes_nothing(whole: Whole, tmp_path: Path) -> None:
    made = train(whole.folder, tmp_path / "store", every=1000)
    assert made.id == whole.artifact.id
