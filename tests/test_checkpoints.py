"""A run can go on from its newest checkpoint, whatever befell it: kills, failing calls, power cuts, rot, forgery."""

import errno
import itertools
import multiprocessing
import os
import resource
import runpy
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from prefline.data.errors import StoreError
from prefline.pipeline import Manifest, Recipe, filesystem
from prefline.pipeline.checkpoints import KIND, Checkpoint, Checkpoints
from prefline.pipeline.hashing import hash_and_sync
from prefline.pipeline.naming import MANIFEST
from prefline.pipeline.publishing import publishable_files, seal
from prefline.pipeline.state import STATE, TENSORS, write_state

# The same failing calls, and the same disk, as publishing is tried with.
FAULTS = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("test_faults.py"))))
POWER = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("test_power_cut.py"))))

RECIPE = Recipe(stage="train", stage_version=1, params={"steps": 9}, inputs={}, seed=3)
OTHER = RECIPE.model_copy(update={"seed": 4})
SAVING = [
    *("draft.writing", "publish.hashed", "publish.described", "publish.synced"),
    *("checkpoint.visible", "checkpoint.pruned"),
]
RUN = {"started": "2020-01-01T00:00:00Z"}
# A process with threads of its own is warned of forks; the children here only write files.
FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

Prepare = Callable[[Path], int | None]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no disk: what a sync saves is shown by the power cuts, which a model of a disk suffers."""
    monkeypatch.setattr(filesystem, "os", FAULTS.FailingOs("no call at all", 0, 0))
    monkeypatch.setattr(filesystem, "sys", SimpleNamespace(platform="linux"))  # a Mac syncs by another call


def state_of(step: int, by: str = "run") -> dict[str, Any]:
    """A state that shows of which step it is, and whose it is."""
    return {"by": by, "step": (step,), "weights": torch.full((5,), step), "bias": torch.full((3, 2), step / 7)}


def save(folder: Path, step: int, keep: int = 2, by: str = "run") -> None:
    """Save one state, as a process does that has begun anew."""
    Checkpoints(folder, RECIPE, keep).save(step, state_of(step, by), RUN)


def spell(state: dict[str, Any]) -> dict[str, Any]:
    """Write out tensors, which cannot be compared as they are."""
    return {name: value.tolist() if isinstance(value, torch.Tensor) else value for name, value in state.items()}


def newest(folder: Path) -> int | None:
    """Return the step of the newest checkpoint, having seen that it is whole and nothing was passed over."""
    told: list[str] = []
    found = Checkpoints(folder, RECIPE).newest(told.append)
    assert told == []
    return check(found)


def check(found: Checkpoint | None) -> int | None:
    """See that a checkpoint holds what was saved; return its step."""
    if found is None:
        return None
    assert spell(found.state) == spell(state_of(found.step, found.state["by"]))
    assert found.run == RUN
    return found.step


def place(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies, if the step was saved once."""
    return folder / "checkpoints" / f"{step:012d}"


def expect_saved(folder: Path, steps: list[int]) -> None:
    """See that just these steps are there, sound, and nothing else is."""
    assert Checkpoints(folder, RECIPE).steps() == steps
    assert newest(folder) == steps[-1]
    assert len(os.listdir(folder / "checkpoints")) == len(steps)
    assert os.listdir(folder) == ["checkpoints"]


def flip(path: Path, offset: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


# --- what stands when a save begins, and what is saved ---


def nothing(folder: Path) -> int | None:
    """There is no checkpoint yet."""
    return None


def two_earlier(folder: Path) -> int | None:
    """As many as are kept are there."""
    save(folder, 1)
    save(folder, 2)
    return 2


def left_by_a_kill(folder: Path) -> int | None:
    """So is what a killed process was writing."""
    two_earlier(folder)
    shutil.copytree(place(folder, 2), folder / "writing" / "new")
    return 2


def the_same_step(folder: Path) -> int | None:
    """The step was saved before, with another state."""
    save(folder, 3, by="an earlier one")
    return 3


BEFORE = pytest.mark.parametrize("before", [nothing, two_earlier, left_by_a_kill, the_same_step])
KEEP = pytest.mark.parametrize("keep", [1, 2])


def check_before_or_after(folder: Path, before: int | None) -> None:
    """The newest is the one before or the new one, and the next save works."""
    assert newest(folder) in (before, 3)
    save(folder, 3)
    save(folder, 4)
    expect_saved(folder, [3, 4])


# --- kills ---


def fate(work: Callable[[], None]) -> int | None:
    """Do something in a process of its own; return its exit code."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    return process.exitcode


def every_kill(folder: Path, work: Callable[[Path, int], None], before: Prepare) -> Iterator[tuple[Path, int | None]]:
    """Kill one save at the first occasion, another at the second, and so on; yield what each kill has left."""
    for turn in itertools.count(1):
        run = folder / f"{before.__name__} {turn}"
        run.mkdir()
        stood = before(run)
        code = fate(lambda run=run, turn=turn: work(run, turn))
        if code == 0:
            expect_saved(run, Checkpoints(run, RECIPE).steps())
            assert newest(run) == 3
            return
        assert code == -signal.SIGKILL
        yield run, stood


@FORKS
@pytest.mark.parametrize("name", SAVING)
def test_a_save_killed_here_leaves_the_one_before_or_the_new_one(name: str, tmp_path: Path) -> None:
    def work(folder: Path, turn: int) -> None:
        os.environ["PREFLINE_FAILPOINT"] = f"{name}:{turn}"
        save(folder, 3)

    kills = 0
    for folder, before in every_kill(tmp_path, work, two_earlier):
        assert newest(folder) == (3 if name.startswith("checkpoint.") else before)
        check_before_or_after(folder, before)
        kills += 1
    assert kills, f"{name} was never reached"


class KillingOs:
    """What a module takes for `os`: the process dies before its N-th call that changes a disk."""

    def __init__(self, number: int) -> None:
        self._calls = itertools.count(1)
        self._number = number

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in FAULTS.CALLS:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            if next(self._calls) == self._number:
                os.kill(os.getpid(), signal.SIGKILL)
            return None if name == "fsync" else real(*args, **kwargs)

        self.__dict__[name] = call  # kept, because the standard library compares functions by their identity
        return call


@FORKS
@BEFORE
def test_a_save_killed_before_any_call_leaves_the_one_before_or_the_new_one(before: Prepare, tmp_path: Path) -> None:
    def work(folder: Path, turn: int) -> None:
        filesystem.os = shutil.os = KillingOs(turn)  # pyright: ignore[reportAttributeAccessIssue]
        save(folder, 3, keep=1)  # where a moment without one would show

    kills = 0
    for folder, stood in every_kill(tmp_path, work, before):
        check_before_or_after(folder, stood)
        kills += 1
    assert kills > 20


# --- calls that fail ---


@pytest.mark.parametrize("code", FAULTS.ADVICE, ids=errno.errorcode.get)
@BEFORE
def test_whichever_call_fails_a_save_is_done_or_undone_and_can_be_repeated(
    before: Prepare, code: int, tmp_path: Path
) -> None:
    template, folder = tmp_path / "template", tmp_path / "run"
    template.mkdir()
    stood = before(template)
    tried = 0
    for failing in FAULTS.failures(code):
        shutil.copytree(template, folder)
        files_open = FAULTS.count_open_files()
        # Where closing fails, the standard library closes the same folder once more; that is not ours to test.
        modules = [filesystem] if "close" in repr(failing) else [filesystem, shutil]
        with FAULTS.noted(failing):
            message = ""
            try:
                with FAULTS.injected(failing, *modules):
                    save(folder, 3)
            except StoreError as error:
                message = str(error)
                FAULTS.check_message(message, code, *failing.failed, folder / "writing")
            assert FAULTS.count_open_files() == files_open
            assert message or newest(folder) == 3
            check_before_or_after(folder, stood)
        tried += bool(failing.failed)
        shutil.rmtree(folder)
    assert tried > 20


def test_a_save_that_fails_gives_its_room_back(tmp_path: Path) -> None:
    save(tmp_path, 1)
    failing = FAULTS.FailingOs("write", 3, errno.ENOSPC)
    with FAULTS.injected(failing, filesystem), pytest.raises(StoreError, match="Free some there"):
        save(tmp_path, 2)
    expect_saved(tmp_path, [1])


@pytest.mark.parametrize("code", FAULTS.ADVICE, ids=errno.errorcode.get)
def test_a_call_that_fails_is_never_taken_for_damage(code: int, tmp_path: Path) -> None:
    two_earlier(tmp_path)
    tried = 0
    for failing in FAULTS.failures(code):
        told: list[str] = []
        message = ""
        files_open = FAULTS.count_open_files()
        with FAULTS.noted(failing):
            try:
                with FAULTS.injected(failing, filesystem):
                    assert check(Checkpoints(tmp_path, RECIPE).newest(told.append)) == 2
            except StoreError as error:
                message = str(error)
                FAULTS.check_message(message, code, *failing.failed)
            assert bool(message) == bool(failing.failed)
            assert told == []
            assert FAULTS.count_open_files() == files_open
        tried += bool(failing.failed)
    assert tried > 4


def assert_says_why(message: str) -> None:
    """One line, with the system's reason."""
    assert os.strerror(errno.EMFILE) in message
    assert "\n" not in message


def test_a_process_with_too_many_open_files_takes_nothing_for_damaged(tmp_path: Path) -> None:
    two_earlier(tmp_path)
    newest(tmp_path)  # imports what it needs
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    outcomes: list[int | None] = []
    told: list[str] = []
    while outcomes[-1:] != [2]:
        used = {int(name) for name in os.listdir("/dev/fd")}
        free = itertools.islice((number for number in itertools.count() if number not in used), len(outcomes), None)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (next(free), hard))
            outcomes.append(check(Checkpoints(tmp_path, RECIPE).newest(told.append)))
        except StoreError as error:
            assert_says_why(str(error))
            outcomes.append(None)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert told == []
    assert len(outcomes) > 1


# --- power cuts ---


@KEEP
@BEFORE
def test_wherever_the_power_fails_the_newest_is_the_one_before_or_the_new_one(
    before: Prepare, keep: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "disk"
    folder = top / POWER.STORE
    folder.mkdir(parents=True)
    stood = before(folder)
    with POWER.watched(top) as disk:
        save(folder, 3, keep)
        returned = len(disk.moments)
    for cut, how, tree in POWER.survivors(disk, disk.moments):
        with POWER.found(tree, tmp_path, how) as root:
            found = newest_of_all(root)
            assert found in (stood, 3)
            assert found == 3 or cut < returned, "what was reported as saved was lost"


def newest_of_all(folder: Path) -> int | None:
    """Return the step of the newest that is whole. What was being taken away may be damaged, and is older."""
    return check(Checkpoints(folder, RECIPE).newest(lambda _: None))


# --- damage ---

DAMAGE: dict[str, Callable[[Path], Any]] = {
    "truncated": lambda path: (path.chmod(0o644), os.truncate(path, path.stat().st_size - 1)),
    "emptied": lambda path: (path.chmod(0o644), os.truncate(path, 0)),
    "prolonged": lambda path: (path.chmod(0o644), path.write_bytes(path.read_bytes() + b"\n")),
    "its first bit flipped": lambda path: flip(path, 0),
    "a bit in the middle flipped": lambda path: flip(path, path.stat().st_size // 2),
    "its last bit flipped": lambda path: flip(path, -1),
    "missing": Path.unlink,
    "extra": lambda path: shutil.copy(path, path.with_name("extra.json")),
    "a link": lambda path: path.rename(path.parent.parent / "away") and path.symlink_to(path.parent.parent / "away"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("name", [STATE, TENSORS, MANIFEST])
@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_one_is_passed_over_and_goes_with_the_next_save(how: str, name: str, tmp_path: Path) -> None:
    two_earlier(tmp_path)
    DAMAGE[how](place(tmp_path, 2) / name)
    checkpoints, told = Checkpoints(tmp_path, RECIPE), list[str]()
    assert check(checkpoints.newest(told.append)) == 1
    (line,) = told
    assert line.startswith(f"the checkpoint {place(tmp_path, 2)} was passed over: ")
    assert ("extra.json" if how == "extra" else name) in line
    assert "\n" not in line
    checkpoints.save(2, state_of(2), RUN)
    for left in (tmp_path / "checkpoints").glob("away"):
        left.unlink()
    expect_saved(tmp_path, [1, 2])


def test_a_damaged_one_does_not_count_among_those_that_are_kept(tmp_path: Path) -> None:
    two_earlier(tmp_path)
    flip(place(tmp_path, 2) / TENSORS, -1)
    checkpoints = Checkpoints(tmp_path, RECIPE)
    assert check(checkpoints.newest(lambda _: None)) == 1
    checkpoints.save(3, state_of(3), RUN)
    expect_saved(tmp_path, [1, 3])


def test_a_name_that_would_break_the_line_is_shown_as_its_code(tmp_path: Path) -> None:
    two_earlier(tmp_path)
    (place(tmp_path, 2) / "a\nb.txt").write_bytes(b"")
    expect_passed_over(tmp_path, "a\\u000ab.txt: is extra")


def test_where_all_are_damaged_each_is_told_and_there_is_none(tmp_path: Path) -> None:
    two_earlier(tmp_path)
    for step in (1, 2):
        flip(place(tmp_path, step) / STATE, 0)
    told: list[str] = []
    assert Checkpoints(tmp_path, RECIPE).newest(told.append) is None
    assert [str(place(tmp_path, 2)) in told[0], str(place(tmp_path, 1)) in told[1]] == [True, True]


def test_a_file_or_a_link_in_the_place_of_a_checkpoint_is_passed_over_and_replaced(tmp_path: Path) -> None:
    save(tmp_path, 1)
    place(tmp_path, 2).write_bytes(b"")
    place(tmp_path, 3).symlink_to(place(tmp_path, 1))
    checkpoints, told = Checkpoints(tmp_path, RECIPE), list[str]()
    assert check(checkpoints.newest(told.append)) == 1
    assert len(told) == 2
    checkpoints.save(2, state_of(2), RUN)
    expect_saved(tmp_path, [1, 2])


# --- forgery ---


def forge(folder: Path, step: int, *, kind: str = KIND, recipe: Recipe = RECIPE, claims: Any = None) -> Path:
    """Put what is whole, but not what it should be, in the place of a checkpoint."""
    path = place(folder, step)
    path.mkdir(parents=True)
    write_state(path, state_of(step))
    files = hash_and_sync(path, publishable_files(path))
    data = {"step": step} if claims is None else claims
    manifest = Manifest.build(kind=kind, feedback=(), files=files, data=data, recipe=recipe, run=RUN)
    seal(path, manifest.to_bytes())
    return path


def expect_passed_over(folder: Path, reason: str) -> None:
    """See that the newest was passed over for a reason, and the one before is used."""
    told: list[str] = []
    assert check(Checkpoints(folder, RECIPE).newest(told.append)) == 1
    (line,) = told
    assert reason in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        ({"recipe": OTHER}, f"its recipe is {OTHER.key}, expected {RECIPE.key}"),
        ({"kind": "model"}, "it is a model with {'step': 5}, expected a checkpoint of step 5"),
        ({"claims": {"step": 4}}, "it is a checkpoint with {'step': 4}, expected a checkpoint of step 5"),
        ({"claims": {}}, "it is a checkpoint with {}, expected a checkpoint of step 5"),
    ],
    ids=["of another recipe", "of another kind", "of another step", "of no step"],
)
def test_a_forged_one_is_passed_over(forged: dict[str, Any], reason: str, tmp_path: Path) -> None:
    save(tmp_path, 1)
    forge(tmp_path, 5, **forged)
    expect_passed_over(tmp_path, reason)


def test_one_that_is_whole_but_holds_no_state_is_passed_over(tmp_path: Path) -> None:
    save(tmp_path, 1)
    path = forge(tmp_path, 5)
    (path / MANIFEST).unlink()
    (path / TENSORS).unlink()
    files = hash_and_sync(path, [STATE])
    seal(path, Manifest.build(kind=KIND, feedback=(), files=files, data={"step": 5}, recipe=RECIPE, run=RUN).to_bytes())
    expect_passed_over(tmp_path, "state.json: state.weights: the tensor '0' is missing")


# --- which are there ---


@pytest.mark.parametrize("keep", [1, 2, 3, 4, 9])
def test_the_newest_are_kept(keep: int, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, RECIPE, keep)
    assert checkpoints.steps() == []
    assert newest(tmp_path) is None
    for step in range(0, 60, 10):
        checkpoints.save(step, state_of(step), RUN)
        assert checkpoints.steps() == list(range(0, step + 1, 10))[-keep:]
        assert newest(tmp_path) == step
    expect_saved(tmp_path, [0, 10, 20, 30, 40, 50][-keep:])


def test_keeping_none_and_steps_before_the_first_are_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected to keep at least one checkpoint, found keep=0"):
        Checkpoints(tmp_path, RECIPE, 0)
    with pytest.raises(ValueError, match="expected a step of 0 or more, found -1"):
        save(tmp_path, -1)


def test_steps_of_any_size_are_in_order(tmp_path: Path) -> None:
    for step in (9, 10, 10**12, 2**53 - 1):
        save(tmp_path, step, keep=9)
    expect_saved(tmp_path, [9, 10, 10**12, 2**53 - 1])


def test_a_step_saved_again_takes_the_place_of_the_earlier_one(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path, 1, by=str(number))
        found = Checkpoints(tmp_path, RECIPE).newest(pytest.fail)
        assert found is not None
        assert found.state["by"] == str(number)
        expect_saved(tmp_path, [1])


def test_those_of_later_steps_go_when_a_run_was_rewound(tmp_path: Path) -> None:
    for step in (1, 5, 6):
        save(tmp_path, step, keep=3)
    save(tmp_path, 2, keep=3)
    expect_saved(tmp_path, [1, 2])


def test_what_is_no_checkpoint_is_left_alone(tmp_path: Path) -> None:
    save(tmp_path, 1, keep=1)
    (tmp_path / "checkpoints" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "checkpoints" / "notes").mkdir()
    assert newest(tmp_path) == 1
    save(tmp_path, 2, keep=1)
    assert sorted(os.listdir(tmp_path / "checkpoints")) == [".DS_Store", place(tmp_path, 2).name, "notes"]


def test_erasing_takes_all_away_and_a_run_can_begin_again(tmp_path: Path) -> None:
    left_by_a_kill(tmp_path)
    for _ in range(2):
        Checkpoints(tmp_path, RECIPE).erase()
        assert os.listdir(tmp_path) == []
        assert newest(tmp_path) is None
    save(tmp_path, 1)
    expect_saved(tmp_path, [1])


def test_a_state_that_cannot_be_saved_leaves_nothing(tmp_path: Path) -> None:
    save(tmp_path, 1)
    with pytest.raises(TypeError, match=r"^state\.seen: expected .*, found set"):
        Checkpoints(tmp_path, RECIPE).save(2, {"weights": torch.zeros(3), "seen": {1}}, RUN)
    expect_saved(tmp_path, [1])


def test_the_files_are_read_only_and_the_same_whenever_they_are_written(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        save(tmp_path / name, 1)
    for path in place(tmp_path / "first", 1).iterdir():
        assert path.stat().st_mode & 0o222 == 0
        assert path.read_bytes() == (place(tmp_path / "second", 1) / path.name).read_bytes()


# --- what it is for ---


class Training:
    """A tiny model with an optimizer that remembers, a schedule and chance."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Dropout(0.3), torch.nn.Linear(5, 1))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.1, amsgrad=True)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 20)
        self.parts = {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}

    def step(self, number: int) -> None:
        """Take one step; its chance comes from its number."""
        with torch.random.fork_rng():
            torch.manual_seed(number)
            loss = self.model(torch.randn(4, 3)).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()


def test_training_that_goes_on_from_a_checkpoint_ends_in_the_same_bits(tmp_path: Path) -> None:
    straight = Training()
    for number in range(10):
        straight.step(number)
    training = Training()
    for number in range(10):
        training, checkpoints = Training(), Checkpoints(tmp_path, RECIPE)  # as a process does that has begun anew
        found = checkpoints.newest(pytest.fail)
        assert (found.step if found else 0) == number
        for name, part in training.parts.items() if found else ():
            part.load_state_dict(found.state[name])  # pyright: ignore[reportOptionalMemberAccess]
        training.step(number)
        checkpoints.save(number + 1, {name: part.state_dict() for name, part in training.parts.items()}, RUN)
    for one, other in zip(straight.model.parameters(), training.model.parameters(), strict=True):
        assert one.detach().numpy().tobytes() == other.detach().numpy().tobytes()
    assert str(straight.optimizer.state_dict()) == str(training.optimizer.state_dict())


def test_the_tests_have_a_state_with_a_file_for_tensors_and_one_for_the_rest(tmp_path: Path) -> None:
    save(tmp_path, 1)
    assert sorted(os.listdir(place(tmp_path, 1))) == sorted([MANIFEST, STATE, TENSORS])
    assert "pickle" not in (place(tmp_path, 1) / MANIFEST).read_text()
    assert sys.byteorder == "little", "the bytes of tensors are written as they lie in memory"
