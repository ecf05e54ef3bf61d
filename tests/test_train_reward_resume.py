"""Wherever the training of a reward model is killed, the same command goes on and ends in the same artifact.

The comparisons make 5 steps an epoch. After every third step it is measured on what is held out, and the best is that
after step 6: so training stops after step 12, long before its end. Saved is every second step.
"""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import be_command, exit_code, is_hit, time_to_finish
from reward_stage import compare, ingest, prove_here, train, write
from tiny_scorers import save_language_model

from prefline.pipeline import Artifact, Runtime, Store, checkpoints, find_faults, jobs
from prefline.pipeline.metrics import read_metrics

EVERY, STEPS, BEST, PER_EPOCH = 2, 12, 6, 5
PARAMS: dict[str, Any] = {
    "epochs": 6,
    "batch": 8,
    "tokens_at_once": 100,
    "learning_rate": 0.02,
    "schedule": "constant",
    "dropout": 0.1,
    "patience": 2,
    "evaluate_every": 3,
    "samples": 16,
}
SEED = 96  # the losses that decide lie far apart, so that rounding changes no decision


def ignore(_: str) -> None:
    """Take no notice."""


def go_on(root: Path, *, every: int = EVERY, **changed: Any) -> Artifact:
    """Train in a store that has the comparisons, beside the model, or go on there."""
    store = Store.open(root)
    (comparisons,) = (made for made in map(store.get, store.ids()) if made.manifest.kind == "comparisons")
    runtime = Runtime(device="cpu", checkpoint_every=every, tell=ignore)
    return train(store, comparisons, root / "lm", seed=SEED, runtime=runtime, **PARAMS | changed)


def metrics_of(root: Path, artifact: Artifact) -> list[dict[str, Any]]:
    path = root / "runs" / artifact.manifest.key.removeprefix("sha256:") / "metrics.jsonl"
    return [record | {"time": ""} for record in read_metrics(path)]


@dataclass(frozen=True)
class Whole:
    """What comes of a training that nobody kills, and a store in which all but that is."""

    begun: Path
    artifact: Artifact
    metrics: list[dict[str, Any]]

    def begin(self, root: Path) -> Path:
        """Return a store in which nothing is trained yet."""
        return shutil.copytree(self.begun, root)

    def expect_same(self, root: Path, **given: Any) -> Artifact:
        """Go on in a store, and see that the same comes of it."""
        made = go_on(root, **given)
        assert made.id == self.artifact.id
        assert metrics_of(root, made) == self.metrics
        assert all(note["not_bit_exact"] == [] for note in made.manifest.run.get("resumed", []))
        return made


def run_whole(folder: Path, **changed: Any) -> Whole:
    begun = folder / "begun"
    ingest(Store.create(begun), write(folder / "rows.jsonl", compare(50)))
    save_language_model("gpt2", begun / "lm", n_layer=1, n_embd=16)
    root = shutil.copytree(begun, folder / "whole")
    artifact = go_on(root, **changed)
    return Whole(begun, artifact, metrics_of(root, artifact))


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    prove_here(monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The training, run once without a kill."""
    with pytest.MonkeyPatch.context() as patch:
        prove_here(patch)
        found = run_whole(tmp_path_factory.mktemp("whole"))
    curve = json.loads((found.artifact.path / "evaluation.json").read_bytes())["curve"]
    assert found.artifact.manifest.data["steps"] == STEPS
    assert min(curve, key=lambda point: point["loss"])["step"] == BEST
    return found


class DeadError(BaseException):
    """What stands for the end of a process."""


def die_at(module: Any, name: str, count: int, work: Callable[..., Any], *args: Any, **given: Any) -> None:
    """Let this process seem to die when it comes to a failpoint for the n-th time."""
    seen: Iterator[int] = iter(range(1, 1000))

    def reach(reached: str) -> None:
        if reached == name and next(seen) == count:
            raise DeadError

    with pytest.MonkeyPatch.context() as mortal:
        mortal.setattr(module, "reach", reach)
        with pytest.raises(DeadError):
            work(*args, **given)


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_after_an_end_at_any_step_the_same_artifact_is_made(step: int, whole: Whole, tmp_path: Path) -> None:
    root = whole.begin(tmp_path / "store")
    die_at(jobs, "step.finished", step, go_on, root)
    made = whole.expect_same(root)
    before = (step - 1) // EVERY * EVERY  # the step itself is done, but not saved
    assert [note["from_step"] for note in made.manifest.run.get("resumed", [])] == ([before] if before else [])


@pytest.mark.parametrize("step", [PER_EPOCH, STEPS], ids=["the border of an epoch", "where it is to stop"])
def test_after_an_end_at_a_step_that_was_saved_the_same_artifact_is_made(
    step: int, whole: Whole, tmp_path: Path
) -> None:
    root = whole.begin(tmp_path / "store")
    die_at(checkpoints, "checkpoint.visible", 1, go_on, root, every=step)
    assert whole.expect_same(root).manifest.run["resumed"][0]["from_step"] == step


def test_saving_at_other_times_changes_nothing(whole: Whole, tmp_path: Path) -> None:
    whole.expect_same(whole.begin(tmp_path / "store"), every=1000)


@pytest.mark.parametrize("step", [3, 7], ids=["within an epoch", "past its border"])
def test_adapters_go_on_too(step: int, whole: Whole, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    settings = {"lora_rank": 2, "patience": 0, "epochs": 2}
    expected = go_on(whole.begin(tmp_path / "whole"), **settings)
    assert expected.id != whole.artifact.id
    root = whole.begin(tmp_path / "store")
    die_at(jobs, "step.finished", step, go_on, root, **settings)
    made = go_on(root, **settings)
    assert made.id == expected.id
    assert made.manifest.run["resumed"][0]["from_step"] == (step - 1) // EVERY * EVERY


# --- what a state must hold ---

# After which step it is lost. Until the end the best is of use, and afterwards nothing else of the weights.
LOST: dict[str, tuple[int, Callable[[dict[str, Any]], Any]]] = {
    "weights": (3, lambda state: state["training"]["weights"]["scorer.score.weight"].zero_()),
    "bias": (3, lambda state: state["training"]["weights"]["bias"].zero_()),
    "moments": (3, lambda state: state["training"]["optimizer"].update(state={})),
    "the best": (STEPS, lambda state: state["training"]["progress"].update(best=None)),
    "its weights": (STEPS, lambda state: state["training"]["progress"]["best"]["weights"]["gain"].zero_()),
    "its loss": (3, lambda state: state["training"]["progress"]["best"].update(loss=0.0)),
    "what was waited": (STEPS, lambda state: state["training"]["progress"].update(waited=0)),
    "before": (3, lambda state: state["noted"].update(before=None)),
    "scale": (3, lambda state: state["noted"].update(scale=None)),
    "curve": (3, lambda state: state["noted"].update(curve=[])),
    "loss": (STEPS, lambda state: state["noted"].update(loss=None)),
    "steps": (STEPS, lambda state: state["noted"].update(steps=0)),
}


@pytest.mark.parametrize("name", LOST)
def test_without_a_part_of_its_state_it_ends_elsewhere(
    name: str, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, (step, lose) = whole.begin(tmp_path / "store"), LOST[name]
    die_at(checkpoints, "checkpoint.visible", 1, go_on, root, every=step)
    read_state = checkpoints.read_state

    def read_without(path: Path) -> dict[str, Any]:
        state = read_state(path)
        lose(state)
        return state

    monkeypatch.setattr(checkpoints, "read_state", read_without)
    assert go_on(root).id != whole.artifact.id


# --- processes that are killed ---

LONGER: dict[str, Any] = {"epochs": 8, "patience": 0, "evaluate_every": 0}


def test_killed_when_all_is_done_but_published_it_ends_in_the_same_artifact(whole: Whole, tmp_path: Path) -> None:
    root = whole.begin(tmp_path / "store")
    before = set(Store.open(root).ids())
    for failpoint in ("step.finished:7", "draft.written:1"):
        assert exit_code(go_on, root, failpoint=failpoint) == -9
        assert set(Store.open(root).ids()) == before
    assert [note["from_step"] for note in whole.expect_same(root).manifest.run["resumed"]] == [6, STEPS]


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A longer training, run once without a kill."""
    with pytest.MonkeyPatch.context() as patch:
        prove_here(patch)
        return run_whole(tmp_path_factory.mktemp("longer"), **LONGER)


def command_at(root: Path) -> tuple[Any, ...]:
    """Return the command of that training, which saves each step, as a child is given it."""
    store = Store.open(root)
    (comparisons,) = (made for made in store.ids() if store.get(made).manifest.kind == "comparisons")
    words: list[Any] = ["train-reward", comparisons, "--model", root / "lm", "--store", root, "--seed", SEED]
    for name, value in (PARAMS | LONGER).items():
        words += [f"--{name.replace('_', '-')}", value]
    words += ["--device", "cpu", "--checkpoint-every", 1]
    return be_command, [str(word) for word in words], root.with_name(f"{root.name} said")


def look(root: Path) -> bool:
    """Find whole all that can be seen, and say whether there is something to go on from."""
    store = Store.open(root)
    for made in store.ids():
        assert find_faults(store.folder_of(made), expected_id=made) == []
    return any(root.glob("runs/*/checkpoints/*"))


@pytest.mark.parametrize("times", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_killed_at_any_time_it_ends_in_the_same_artifact(longer: Whole, tmp_path: Path, times: int) -> None:
    first = longer.begin(tmp_path / "first")
    longest = time_to_finish(*command_at(first))
    assert longer.artifact.id in Store.open(first).ids()  # as a fresh process has proved it
    dice = random.Random(24)
    hits, saved = 0, 0
    for number in range(times):
        root = longer.begin(tmp_path / str(number))
        for _ in range(4):
            # Half of the time goes into the proof, which changes nothing.
            hits += is_hit(dice.uniform(0, longest / 2), *command_at(root))
            saved += look(root)
        longer.expect_same(root, **LONGER)
    assert hits, "every kill came too late to show anything"
    assert saved, "every kill came before anything was saved"
