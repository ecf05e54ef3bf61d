"""Wherever a pipeline is killed, the same command goes on from what was saved and ends in the same artifacts.

The toy training has 4 batches in an epoch and 4 epochs; the toy sampling has 7 steps. Saved is every third step: one
before the end of an epoch (3, 15), in the middle of one (6), one after its beginning (9) and at its end (12).
"""

import itertools
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines import THREE_STAGES, Pipeline, metrics_of
from processes import be_command, every_kill, is_hit, run_command, time_to_finish

from prefline.pipeline import Artifact, Store, checkpoints, jobs, make, publishing
from prefline.pipeline.checkpoints import Checkpoint, Checkpoints
from prefline.pipeline.failpoints import NAMES
from prefline.pipeline.runtime import Runtime

EVERY = 3
TRAINING, SAMPLING = 16, 7  # steps
REACHED = [name for name in NAMES if not name.startswith("gc.")]
COUNTED = "step.finished"  # which is tried with a number for each of its steps
# What is reached for every file of every checkpoint is tried every second or third time. The numbers are published at
# the first time of "publish.described", the training at the 7th and the samples at the 10th: between are checkpoints.
STRIDES = {"draft.writing": 2, "publish.hashed": 2, "publish.described": 3, "publish.synced": 2}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The pipeline, run once without a kill."""
    pipeline = Pipeline.begin(tmp_path_factory.mktemp("pipeline"), THREE_STAGES, EVERY)
    steps = [[record["step"] for record in records] for records in pipeline.metrics]
    assert steps == [[], [*range(1, TRAINING + 1)], [*range(1, SAMPLING + 1)]]
    return pipeline


# --- kills ---


@pytest.mark.parametrize("name", [name for name in REACHED if name != COUNTED])
def test_a_pipeline_killed_here_goes_on_from_what_was_saved_and_ends_in_the_same_artifacts(
    name: str, pipeline: Pipeline, tmp_path: Path
) -> None:
    stride = STRIDES.get(name, 1)
    for root in every_kill(name, lambda root, place: pipeline.run(root, failpoint=place).code, tmp_path, stride):
        left = pipeline.look(root)
        pipeline.expect_finished(root, pipeline.run(root), left)
        shutil.rmtree(root)


@pytest.mark.parametrize("step", range(1, TRAINING + SAMPLING + 1))
def test_what_is_lost_at_a_kill_is_what_came_after_the_last_step_that_was_saved(
    step: int, pipeline: Pipeline, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    assert pipeline.run(root, failpoint=f"{COUNTED}:{step}").code == -9
    stage, done = (1, step) if step <= TRAINING else (2, step - TRAINING)
    before = (done - 1) // EVERY * EVERY  # the last step itself is done, but not saved
    assert pipeline.look(root) == [None, None if stage == 2 else before, before if stage == 2 else 0]
    said = pipeline.run(root)
    assert (f"goes on after step {before}\n" in said.err) == (before > 0)
    assert pipeline.resumed(root, stage) == ([before] if before else [])
    pipeline.expect_finished(root, said)


def test_a_pipeline_killed_at_any_time_ends_in_the_same_artifacts(pipeline: Pipeline, tmp_path: Path) -> None:
    roots = (tmp_path / str(number) for number in itertools.count())

    def command_at(root: Path) -> tuple[Any, ...]:
        return be_command, pipeline.words(root), pipeline.streams(root)

    longest = min(time_to_finish(*command_at(root)) for root in itertools.islice(roots, 2))
    dice = random.Random(22)
    hits, resumed = 0, 0
    for root in itertools.islice(roots, 20):
        hits += is_hit(dice.uniform(0, longest), *command_at(root))
        left = pipeline.look(root)
        resumed += any(left)
        pipeline.expect_finished(root, pipeline.run(root), left)
    assert hits, "every kill came too late to show anything"
    assert resumed, "every kill came before anything was saved"


def test_a_pipeline_killed_again_and_again_ends_in_the_same_artifacts(pipeline: Pipeline, tmp_path: Path) -> None:
    others = [tmp_path / "other", tmp_path / "another"]
    longest = min(time_to_finish(be_command, pipeline.words(other), pipeline.streams(other)) for other in others)
    dice = random.Random(23)
    kills, resumed = 0, 0
    for number in range(4):
        root = tmp_path / str(number)
        while is_hit(dice.uniform(0, longest / 2), be_command, pipeline.words(root), pipeline.streams(root)):
            kills += 1
            resumed += any(pipeline.look(root))
        pipeline.expect_finished(root, pipeline.run(root))
    assert kills, "every kill came too late to show anything"
    assert resumed, "every kill came before anything was saved"


# --- what a state must hold ---


@dataclass(frozen=True)
class Stopped:
    """A store in which a stage was killed after a step had been saved."""

    root: Path
    stage: Any
    inputs: dict[str, Artifact]
    params: dict[str, Any]
    expected: str  # the id of what comes of it

    def go_on(self, root: Path) -> Artifact:
        """Go on in a copy."""
        shutil.copytree(self.root, root)
        return self.finish(Store.open(root))

    def finish(self, store: Store) -> Artifact:
        """Make the artifact."""
        runtime = Runtime(checkpoint_every=EVERY, tell=ignore)
        return make(store, self.stage, params=self.params, inputs=self.inputs, seed=7, runtime=runtime).artifact


@pytest.fixture(scope="module")
def stop(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Stopped]:
    """Have a stage of the pipeline killed one step after one that is saved: stop(stage, step)."""
    done: dict[tuple[int, int], Stopped] = {}

    def stop(stage: int, step: int) -> Stopped:
        if (stage, step) not in done:
            root = tmp_path_factory.mktemp("stopped") / "store"
            count = step + 1 + (TRAINING if stage == 2 else 0)
            assert pipeline.run(root, failpoint=f"step.finished:{count}").code == -9
            assert pipeline.saved(root, stage)[-1] == step
            source = Store.open(root).get(pipeline.ids[stage - 1])
            recipe = pipeline.manifest(pipeline.file.parent / "store", stage).recipe
            of, role = (toy.TRAIN, "numbers") if stage == 1 else (toy.SAMPLE, "model")
            done[stage, step] = Stopped(root, of, {role: source}, dict(recipe.params), pipeline.ids[stage])
        return done[stage, step]

    return stop


EACH = "*"
PARTS = [
    ("model",),
    ("model", "0.weight"),
    ("model", "0.bias"),
    ("model", "3.weight"),
    ("model", "3.bias"),
    ("optimizer",),
    ("optimizer", "state"),
    ("optimizer", "state", EACH, "exp_avg"),
    ("optimizer", "state", EACH, "exp_avg_sq"),
    ("optimizer", "state", EACH, "step"),
    *(("optimizer", "state", number, "exp_avg") for number in range(4)),
    ("optimizer", "state", 3, "exp_avg_sq"),
    ("optimizer", "state", 3, "step"),
    ("optimizer", "param_groups", 0, "lr"),
    ("scheduler",),
    ("scheduler", "last_epoch"),
    ("running",),
    ("running", "mean"),
    ("running", "best"),
    ("replay",),
    ("replay", 0),
    ("replay", 1),
    ("replay", 2),
]


def forget(saved: Any, fresh: Any, part: tuple[str | int, ...]) -> Any:
    """Return a state in which one part is as it is before the first step, and all else as it was saved."""
    if not part:
        return 0 * saved if fresh is None else fresh  # moments are made at the first step, as zeros
    first, *rest = part
    changed = saved.copy()
    for key in list(saved) if first == EACH else [first]:
        known: dict[Any, Any] = dict(fresh) if isinstance(fresh, dict) else dict(enumerate(fresh or ()))
        changed[key] = forget(saved[key], known.get(key), tuple(rest))
    return changed


SAVED_WITHIN = [pytest.param(6, id="within an epoch")]
SAVED_AT_BORDERS = [pytest.param(12, id="at its end"), pytest.param(15, id="one before its end")]
STEPS = [*SAVED_WITHIN, *SAVED_AT_BORDERS]


@pytest.mark.parametrize("step", STEPS)
def test_with_all_parts_of_its_state_a_training_ends_in_the_same_artifact(
    step: int, stop: Callable[[int, int], Stopped], tmp_path: Path
) -> None:
    stopped = stop(1, step)
    assert stopped.go_on(tmp_path / "store").id == stopped.expected


@pytest.mark.parametrize("part", PARTS, ids=lambda part: ".".join(map(str, part)))
@pytest.mark.parametrize("step", STEPS)
def test_without_any_one_part_of_its_state_a_training_ends_elsewhere(
    step: int,
    part: tuple[str | int, ...],
    stop: Callable[[int, int], Stopped],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped, load = stop(1, step), toy.Training.load
    forgotten: list[bool] = []

    def load_without(training: toy.Training, state: dict[str, Any]) -> None:
        forgotten.append(True)
        load(training, forget(state, training.save(), part))

    monkeypatch.setattr(toy.Training, "load", load_without)
    assert stopped.go_on(tmp_path / "store").id != stopped.expected
    assert forgotten


@pytest.mark.parametrize("step", [3, 6])
def test_without_its_lines_a_sampling_ends_elsewhere(
    step: int, stop: Callable[[int, int], Stopped], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, read_state = stop(2, step), checkpoints.read_state
    assert stopped.go_on(tmp_path / "whole").id == stopped.expected
    monkeypatch.setattr(checkpoints, "read_state", lambda path: forget(read_state(path), {"lines": []}, ("lines",)))
    assert stopped.go_on(tmp_path / "store").id != stopped.expected


@pytest.mark.parametrize("wrong", ["forgotten", "one less", "one more"])
@pytest.mark.parametrize(("stage", "step"), [(1, 6), (1, 12), (1, 15), (2, 3), (2, 6)])
def test_without_the_right_number_of_its_step_a_run_ends_elsewhere(
    stage: int,
    step: int,
    wrong: str,
    stop: Callable[[int, int], Stopped],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped, newest = stop(stage, step), Checkpoints.newest
    other = {"forgotten": 0, "one less": step - 1, "one more": step + 1}[wrong]

    def newest_elsewhere(saved: Checkpoints, tell: Callable[[str], None]) -> Checkpoint | None:
        found = newest(saved, tell)
        assert found
        assert found.step == step
        return replace(found, step=other)

    monkeypatch.setattr(Checkpoints, "newest", newest_elsewhere)
    assert stopped.go_on(tmp_path / "store").id != stopped.expected


# --- checkpoints that must not be used ---


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
@pytest.mark.parametrize("file", ["manifest.json", "state.json", "tensors.safetensors"])
def test_if_the_newest_checkpoint_is_damaged_the_run_goes_on_from_the_one_before(
    file: str,
    damage: Callable[[Path], None],
    pipeline: Pipeline,
    stop: Callable[[int, int], Stopped],
    tmp_path: Path,
) -> None:
    root = shutil.copytree(stop(1, 15).root, tmp_path / "store")
    _, newest = pipeline.checkpoints(root, 1)
    damage(newest / file)
    said = pipeline.run(root)
    assert f"the checkpoint {newest} was passed over: " in said.err
    assert "train: goes on after step 12\n" in said.err
    assert "Traceback" not in said.err
    pipeline.expect_finished(root, said, [None, 12, 0])


def test_if_all_checkpoints_are_damaged_the_run_begins_anew(
    pipeline: Pipeline, stop: Callable[[int, int], Stopped], tmp_path: Path
) -> None:
    root = shutil.copytree(stop(1, 15).root, tmp_path / "store")
    folders = pipeline.checkpoints(root, 1)
    for folder in folders:
        flip(folder / "tensors.safetensors")
    said = pipeline.run(root)
    assert said.err.count("was passed over: ") == len(folders) == 2
    assert "train: goes on after" not in said.err
    pipeline.expect_finished(root, said, [None, 0, 0])


def test_a_checkpoint_of_another_recipe_is_not_gone_on_from(
    pipeline: Pipeline, stop: Callable[[int, int], Stopped], tmp_path: Path
) -> None:
    root, other = shutil.copytree(stop(1, 15).root, tmp_path / "store"), tmp_path / "other"
    words = [*pipeline.words(other), "--set", "seed=8"]
    assert run_command(words, tmp_path / "other said", failpoint="step.finished:16").code == -9
    (foreign,) = other.glob("runs/*/checkpoints/000000000015")
    _, newest = pipeline.checkpoints(root, 1)
    stranger = shutil.copytree(foreign, newest.with_name(f"{newest.name}.1"))  # as if it were the newer of the two
    said = pipeline.run(root)
    assert f"the checkpoint {stranger} was passed over: its recipe is " in said.err
    pipeline.expect_finished(root, said, [None, 15, 0])


def test_with_another_setting_nothing_is_gone_on_from_and_the_checkpoints_wait_for_the_old_one(
    pipeline: Pipeline, stop: Callable[[int, int], Stopped], tmp_path: Path
) -> None:
    root = shutil.copytree(stop(1, 15).root, tmp_path / "store")
    changed = run_command([*pipeline.words(root), "--set", "stages.train.params.epochs=5"], tmp_path / "changed said")
    assert changed.code == 0, changed.err
    assert ": goes on after" not in changed.err
    assert changed.ids[1] != pipeline.ids[1]
    said = pipeline.run(root)
    assert "train: goes on after step 15\n" in said.err
    assert said.ids == pipeline.ids


def test_forced_anew_a_run_goes_on_from_nothing(
    pipeline: Pipeline, stop: Callable[[int, int], Stopped], tmp_path: Path
) -> None:
    root = shutil.copytree(stop(1, 15).root, tmp_path / "store")
    forced = run_command([*pipeline.words(root), "--force"], tmp_path / "said")
    assert ": goes on after" not in forced.err
    pipeline.expect_finished(root, forced, [0, 0, 0])


def test_forced_anew_and_killed_a_run_goes_on_from_what_the_forced_one_has_saved(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    pipeline.run(root)
    words = [*pipeline.words(root), "--force", "--only", "train"]
    assert run_command(words, tmp_path / "forced", failpoint="step.finished:8").code == -9
    assert pipeline.look(root) == [None, 6, None]
    pipeline.expect_finished(root, pipeline.run(root), [None, 6, None])


# --- any steps, any intervals, any deaths ---


def ignore(_: str) -> None:
    """Take no notice."""


class DeadError(BaseException):
    """What stands for the end of a process."""


@dataclass
class Death:
    """The end of a process when it reaches a failpoint for the n-th time."""

    name: str
    count: int

    def reach(self, name: str) -> None:
        """Die here, perhaps."""
        self.count -= name == self.name
        if self.count == 0 and name == self.name:
            raise DeadError


DEATHS = st.builds(
    Death, st.sampled_from(["step.finished", "checkpoint.visible", "checkpoint.pruned"]), st.integers(1, 12)
)


@settings(max_examples=30, deadline=None)
@given(
    steps=st.integers(1, 12),
    every=st.lists(st.integers(1, 13), min_size=1),
    keep=st.integers(1, 3),
    deaths=st.lists(DEATHS, max_size=5),
)
def test_with_any_steps_intervals_and_deaths_the_end_is_the_same(
    steps: int, every: list[int], keep: int, deaths: list[Death]
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for module in (jobs, publishing):
            patch.setattr(module, "describe_environment", dict)  # it takes most of the time
        walk = {"params": {"steps": steps}, "inputs": {}, "seed": 1}
        quiet = Runtime(checkpoint_every=100, tell=ignore)
        expected = make(Store.create(Path(folder, "reference")), toy.WALK, **walk, runtime=quiet).artifact
        store, intervals = Store.create(Path(folder, "store")), itertools.cycle(every)
        made = None
        for death in [*deaths, None]:
            with patch.context() as mortal:
                for module in (jobs, checkpoints):
                    mortal.setattr(module, "reach", replace(death).reach if death else ignore)
                try:
                    runtime = replace(quiet, checkpoint_every=next(intervals), keep_checkpoints=keep)
                    made = make(store, toy.WALK, **walk, runtime=runtime).artifact
                except DeadError:
                    continue
        assert made
        assert made.id == expected.id
        key = made.manifest.key.removeprefix("sha256:")
        assert metrics_of(store.root, key) == metrics_of(Path(folder, "reference"), key)
        assert [record["step"] for record in metrics_of(store.root, key)] == [*range(1, steps + 1)]
        assert sorted(path.name for path in (store.root / "runs" / key).iterdir()) == ["lock", "metrics.jsonl"]
        assert store.entries("tmp") == []
