"""Whatever stops a run, or gets in its way, nothing half-made is seen, and the same command ends in the same artifacts.

The commands here are real processes. Where the moment counts, they wait at a gate until the test has done its deed.
"""

import errno
import functools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import toy
from pipelines import THREE_STAGES, Pipeline
from processes import TOY, be_command, command, run_command, time_to_finish, wait_at_gate

from prefline.pipeline import Store, metrics, trackers
from prefline.pipeline.inspection import inspect

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]  # of which the exit codes are 130, 143 and 129
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
by_name = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)

WALK = """
schema: prefline.pipeline/1
seed: 5
stages:
  numbers: {stage: toy-numbers, inputs: {source: numbers.txt}}
  walk: {stage: toy-walk, name: end}
"""


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Two stages that need no torch: numbers, and a walk of 10 steps, of which the 4th and the 8th are saved."""
    return Pipeline.begin(tmp_path_factory.mktemp("walk"), WALK, 4)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Three stages: numbers, a training of 16 steps and a sampling of 7, of which every third is saved."""
    return Pipeline.begin(tmp_path_factory.mktemp("training"), THREE_STAGES, 3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A place for a store."""
    return tmp_path / "my störe"


def expect_nothing_half(root: Path) -> None:
    """See that what can be seen is whole, and that no draft is left."""
    store = Store.open(root)
    assert inspect(store, [], quick=False).sound
    assert store.entries("tmp") == []


# --- one signal ---


@by_name
@pytest.mark.parametrize(("count", "stage", "step"), [(6, "train", 6), (8, "train", 8), (18, "sample", 2)])
def test_a_signal_lets_the_step_end_and_saves_it_and_the_same_command_goes_on(
    number: signal.Signals, count: int, stage: str, step: int, training: Pipeline, root: Path
) -> None:
    with command(training.words(root), training.streams(root), gate=f"step.finished:{count}") as running:
        running.wait_until_at_gate()
        running.send(number)
        running.wait_until_said(f"prefline: {number.name}: finishing this step and saving it; once more to leave at")
        running.go_on()
        said = running.end()
    assert said.code == CODES[number]
    at = ["numbers", "train", "sample"].index(stage)
    assert said.ids == training.ids[:at]
    last = f"stopped by {number.name} after step {step} of {stage}, which is saved: the same command goes on from there"
    assert said.err.splitlines()[-1] == f"prefline: {last}"
    assert "Traceback" not in said.err
    expect_nothing_half(root)
    left = training.look(root)
    assert left == [None, *[None] * (at - 1), step, *[0] * (2 - at)]
    again = training.run(root)
    assert f"{stage}: goes on after step {step}\n" in again.err
    training.expect_finished(root, again, left)


@by_name
def test_a_signal_to_a_stage_that_waits_for_another_process_makes_it_leave_at_once(
    number: signal.Signals, walk: Pipeline, root: Path, tmp_path: Path
) -> None:
    with command(walk.words(root), walk.streams(root), gate="step.finished:2") as holder:
        holder.wait_until_at_gate()
        with command(walk.words(root), tmp_path / "waiter") as waiter:
            waiter.wait_until_said("walk: another process is making this very artifact; waiting for it")
            waiter.send(number)
            said = waiter.end()
        assert (said.code, said.ids) == (CODES[number], walk.ids[:1])
        assert said.err.endswith(f"prefline: stopped by {number.name}; nothing half-made was published\n")
        holder.go_on()
        walk.expect_finished(root, holder.end())


class SlowFinder:
    """Makes an import last."""

    @staticmethod
    def find_spec(name: str, *_: object) -> ModuleSpec | None:
        if name == "safetensors.torch":
            wait_at_gate()
        return None


def import_slowly() -> None:
    sys.modules.pop("safetensors.torch", None)
    sys.meta_path.insert(0, SlowFinder)


@by_name
def test_a_signal_while_a_stage_imports_what_it_needs_makes_it_leave_at_once(
    number: signal.Signals, training: Pipeline, root: Path
) -> None:
    with command(training.words(root), training.streams(root), prepare=import_slowly) as running:
        running.wait_until_at_gate()
        running.send(number)
        said = running.end()
    assert (said.code, said.ids) == (CODES[number], training.ids[:1])
    assert said.err.endswith(f"prefline: stopped by {number.name}; nothing half-made was published\n")
    expect_nothing_half(root)
    training.expect_finished(root, training.run(root), [None, 0, 0])


@by_name
@pytest.mark.parametrize("place", ["run.claimed:1", "draft.opened:1", "draft.written:1"])
def test_a_signal_to_a_stage_without_steps_makes_it_leave_at_once(
    place: str, number: signal.Signals, walk: Pipeline, root: Path
) -> None:
    with command(walk.words(root), walk.streams(root), gate=place) as running:
        running.wait_until_at_gate()
        running.send(number)
        said = running.end()
    assert (said.code, said.out) == (CODES[number], "")
    assert said.err.endswith(f"prefline: stopped by {number.name}; nothing half-made was published\n")
    assert list(Store.open(root).ids()) == []
    expect_nothing_half(root)
    walk.expect_finished(root, walk.run(root), [0, 0])


@pytest.mark.parametrize(
    ("place", "is_visible", "is_known"),
    [
        ("draft.written:2", False, False),
        ("publish.described:4", False, False),  # two are those of checkpoints, and one is that of the numbers
        ("publish.synced:4", False, False),
        ("publish.renamed:2", True, False),
        ("publish.recorded:2", True, True),
        ("publish.named:1", True, True),
        ("run.finished:2", True, True),
    ],
)
def test_a_signal_while_a_stage_is_published_leaves_it_published_or_not_and_never_half(
    place: str, is_visible: bool, is_known: bool, walk: Pipeline, root: Path
) -> None:
    with command(walk.words(root), walk.streams(root), gate=place) as running:
        running.wait_until_at_gate()
        running.send(signal.SIGTERM)
        said = running.end()
    assert (said.code, said.ids) == (143, walk.ids[:1])
    assert said.err.endswith("prefline: stopped by SIGTERM; nothing half-made was published\n")
    expect_nothing_half(root)
    assert Store.open(root).has(walk.ids[1]) == is_visible
    left = walk.look(root)
    assert left == [None, None if is_known else 8]
    walk.expect_finished(root, walk.run(root), left)


def wait_before_the_end() -> None:
    """Have the walk wait when all its steps are done."""
    create_file = toy.create_file

    def create_late(path: Path) -> Any:
        if path.name == "place.json":
            wait_at_gate()
        return create_file(path)

    toy.create_file = create_late


@by_name
def test_a_signal_after_the_last_step_is_obeyed_when_the_stage_is_published(
    number: signal.Signals, walk: Pipeline, root: Path
) -> None:
    with command(walk.words(root), walk.streams(root), prepare=wait_before_the_end) as running:
        running.wait_until_at_gate()
        running.send(number)
        running.wait_until_said("finishing and publishing, as the last step is done")
        running.go_on()
        said = running.end()
    assert said.err.endswith(f"prefline: stopped by {number.name} after walk: the same command goes on from there\n")
    walk.expect_finished(root, said, code=CODES[number])


def test_a_signal_at_the_last_step_saves_it_and_the_same_command_only_publishes(walk: Pipeline, root: Path) -> None:
    with command(walk.words(root), walk.streams(root), gate="step.finished:10") as running:
        running.wait_until_at_gate()
        running.send(signal.SIGTERM)
        running.wait_until_said("finishing this step")
        running.go_on()
        assert running.end().code == 143
    assert walk.look(root) == [None, 10]
    walk.expect_finished(root, walk.run(root), [None, 10])


def ignore_hangups() -> None:
    """Begin as under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_under_nohup_a_run_goes_on_when_the_terminal_goes(walk: Pipeline, root: Path) -> None:
    with command(walk.words(root), walk.streams(root), gate="step.finished:5", prepare=ignore_hangups) as running:
        running.wait_until_at_gate()
        for _ in range(3):
            running.send(signal.SIGHUP)
        running.go_on()
        said = running.end()
    assert "SIGHUP" not in said.err
    walk.expect_finished(root, said)


# --- a second signal ---


@pytest.mark.parametrize("second", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("first", SIGNALS, ids=lambda number: number.name)
def test_a_second_signal_makes_a_run_leave_at_once_even_from_a_long_call_into_c(
    first: signal.Signals, second: signal.Signals, walk: Pipeline, root: Path
) -> None:
    with command(walk.words(root), walk.streams(root), gate="step.finished:6", blocks=True) as running:
        running.wait_until_at_gate()
        running.send(first)
        running.wait_until_said(f"prefline: {first.name}: finishing this step and saving it")
        running.send(second)
        said = running.end()
    assert (said.code, said.ids) == (CODES[second], walk.ids[:1])
    assert said.err.endswith(f"prefline: left at once at a second {second.name}; what was saved before is whole\n")
    assert walk.look(root) == [None, 4]
    walk.expect_finished(root, walk.run(root), [None, 4])


@pytest.mark.parametrize("place", ["publish.described:3", "publish.synced:3", "checkpoint.visible:2"])
def test_a_second_signal_while_a_checkpoint_is_saved_leaves_it_whole_or_unseen(
    place: str, walk: Pipeline, root: Path
) -> None:
    with command(walk.words(root), walk.streams(root), gate=place) as running:
        running.wait_until_at_gate()
        running.send(signal.SIGINT)
        running.wait_until_said("finishing this step")
        running.send(signal.SIGINT)
        assert running.end().code == 130
    left = [None, 8 if place.startswith("checkpoint") else 4]
    assert walk.look(root) == left
    walk.expect_finished(root, walk.run(root), left)


# --- two at once ---


def test_of_two_runs_of_the_same_one_computes_and_the_other_waits_and_reuses(
    walk: Pipeline, root: Path, tmp_path: Path
) -> None:
    with (
        command(walk.words(root), walk.streams(root), gate="step.finished:5") as holder,
        ExitStack() as stack,
    ):
        holder.wait_until_at_gate()
        waiter = stack.enter_context(command(walk.words(root), tmp_path / "waiter"))
        waiter.wait_until_said("walk: another process is making this very artifact; waiting for it\n")
        holder.go_on()
        walk.expect_finished(root, holder.end())
        said = waiter.end()
    walk.expect_finished(root, said)
    assert "walk: reused " in said.err
    assert "10/10" not in said.err  # no step was shown, and none was logged twice


def test_if_the_one_that_works_is_killed_the_one_that_waits_goes_on_from_its_checkpoint(
    walk: Pipeline, root: Path, tmp_path: Path
) -> None:
    with (
        command(walk.words(root), walk.streams(root), gate="step.finished:7") as holder,
        ExitStack() as stack,
    ):
        holder.wait_until_at_gate()
        waiter = stack.enter_context(command(walk.words(root), tmp_path / "waiter"))
        waiter.wait_until_said("waiting for it\n")
        holder.send(signal.SIGKILL)
        said = waiter.end()
    assert "walk: goes on after step 4\n" in said.err
    walk.expect_finished(root, said, [None, 4])


def test_in_rounds_of_two_runs_and_random_kills_the_end_is_the_same(walk: Pipeline, tmp_path: Path) -> None:
    longest = time_to_finish(be_command, walk.words(tmp_path / "first"), tmp_path / "first said")
    dice = random.Random(30)
    killed = finished = 0
    for number in range(10):
        root = tmp_path / f"store {number}"
        kills = dice.uniform(0, longest), dice.choice([None, dice.uniform(0, 2 * longest)])
        with ExitStack() as stack:
            both = [stack.enter_context(command(walk.words(root), tmp_path / f"{number} {name}")) for name in "ab"]
            begun = time.monotonic()
            for moment, running in sorted(zip(kills, both, strict=True), key=lambda pair: pair[0] or 0):
                if moment is not None:
                    time.sleep(max(0.0, begun + moment - time.monotonic()))
                    running.process.kill()
            ends = [running.end() for running in both]
        for said in ends:
            assert said.code in (0, -signal.SIGKILL), said.err
            assert said.code or said.ids == walk.ids
        killed += sum(said.code != 0 for said in ends)
        finished += sum(said.code == 0 for said in ends)
        left = walk.look(root)
        walk.expect_finished(root, walk.run(root), left)
    assert killed, "every kill came too late to show anything"
    assert finished, "nobody was left to take over"


@pytest.mark.parametrize("count", [8, 19], ids=["training", "sampling"])
def test_gc_without_grace_takes_nothing_that_a_run_or_one_that_waits_for_it_needs(
    count: int, training: Pipeline, root: Path, tmp_path: Path
) -> None:
    with (
        command(training.words(root), training.streams(root), gate=f"step.finished:{count}") as holder,
        ExitStack() as stack,
    ):
        holder.wait_until_at_gate()
        waiter = stack.enter_context(command(training.words(root), tmp_path / "waiter"))
        waiter.wait_until_said("waiting for it\n")
        before = training.look(root)
        swept = run_command(["gc", "--delete", "--grace", "0", "--store", root], tmp_path / "gc")
        assert swept.code == 0, swept.err
        assert training.look(root) == before
        holder.send(signal.SIGKILL)
        said = waiter.end()
    training.expect_finished(root, said, before)


# --- streams that are gone ---


def run_program(words: Sequence[str | Path], redirect: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process that begins and ends as a user's does, streams redirected by a shell."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFLINE_")}
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, TOY, *words],
        env=clean | {"PYTHONUTF8": "1"} | env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


LOST = "the work is done, but not every id was printed\n"


@pytest.mark.parametrize(
    ("redirect", "code"),
    [
        (">&-", 1),
        (">/dev/full", 1),
        ("2>/dev/full", 0),
        ("2>&-", 0),
        ("<&-", 0),
        ("<&- >&- 2>&-", 1),
        (">/dev/full 2>/dev/full", 1),
    ],
)
def test_a_run_does_all_its_work_whatever_stream_is_gone_and_says_if_ids_were_lost(
    redirect: str, code: int, walk: Pipeline, root: Path
) -> None:
    done = run_program(walk.words(root), redirect)
    walk.expect_made(root)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    if code == 0:
        assert done.stdout.split() == walk.ids
    elif "2>" not in redirect:
        assert done.stderr.endswith(LOST)


def test_a_run_does_all_its_work_when_nobody_reads_what_it_prints(walk: Pipeline, root: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, TOY, *walk.words(root)], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    walk.expect_made(root)
    assert done.returncode == 1
    assert done.stderr.endswith(f"prefline: stdout: Broken pipe: {LOST}")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux shows what a descriptor stands for")
@pytest.mark.parametrize("closed", [(2,), (1, 2), (0, 1, 2)])
def test_what_is_said_where_a_stream_is_closed_goes_to_no_file_or_socket_of_the_run(
    closed: tuple[int, ...], walk: Pipeline, root: Path
) -> None:
    with command(walk.words(root), walk.streams(root), gate="step.finished:6", closed=closed) as running:
        running.wait_until_at_gate()
        links = [Path(f"/proc/{running.process.pid}/fd/{number}") for number in closed]
        leads_to = [str(link.readlink()) for link in links if link.is_symlink()]
        running.send(signal.SIGTERM)
        running.go_on()
        assert running.end().code == 143
    walk.expect_finished(root, walk.run(root), [None, 6])
    assert [target for target in leads_to if "socket:" in target or str(root) in target] == []


# --- stages that fail ---


@pytest.mark.parametrize("kept", [0, 4, 8])
def test_a_number_that_is_not_finite_ends_a_run_with_one_message_and_keeps_what_was_saved(
    kept: int, walk: Pipeline, root: Path
) -> None:
    said = run_command([*walk.words(root), "--set", f"stages.walk.params.poison={kept + 2}"], root.with_name("said"))
    rest = f"the state after step {kept} is kept" if kept else "no earlier state was saved"
    assert (said.code, said.ids) == (1, walk.ids[:1])
    assert said.err.splitlines()[-1] == (
        f"prefline: walk: step {kept + 2}: expected a finite place, found nan. Nothing was published; {rest}. "
        "Change a setting that keeps it finite (a lower learning rate, say) and run again"
    )
    assert "Traceback" not in said.err
    assert list(Store.open(root).ids()) == walk.ids[:1]
    expect_nothing_half(root)
    assert [int(path.name) for path in sorted(root.glob("runs/*/checkpoints/*"))] == [*range(4, kept + 1, 4)]


def test_a_loss_that_is_not_finite_is_never_saved_and_the_run_ends_there_every_time(
    training: Pipeline, root: Path
) -> None:
    words = [*training.words(root), "--set", "stages.train.params.poison=9"]
    for turn in ("first", "second"):
        said = run_command(words, root.with_name(turn))
        assert said.code == 1
        assert "train: step 9: expected a finite loss, found nan. Nothing was published; the state after" in said.err
        assert [int(path.name) for path in sorted(root.glob("runs/*/checkpoints/*"))] == [3, 6]


def test_a_stage_that_raises_leaves_its_checkpoints_and_nothing_else(walk: Pipeline, root: Path) -> None:
    said = run_command([*walk.words(root), "--set", "stages.walk.params.stumble=7"], root.with_name("said"))
    assert (said.code, said.ids) == (1, walk.ids[:1])
    came = "raised by the stage walk (toy-walk) after step 6; the state after step 4 is kept"
    assert said.err.endswith(f"LookupError: there is a stone\n{came}\n")
    assert list(Store.open(root).ids()) == walk.ids[:1]
    expect_nothing_half(root)
    assert [path.name for path in root.glob("runs/*/checkpoints/*")] == [f"{4:012d}"]


# --- a disk that is full ---

MOUNT = 'mount -t tmpfs -o size=2m prefline "$DISK" || exit 1\n'
SCRIPT = """
step() { step="$OUT/$1"; shift; mkdir "$step"; "$@" >"$step/stdout" 2>"$step/stderr"; echo $? >"$step/code"; }
toy() { "$PYTHON" "$TOY" run "$FILE" --store "$DISK/store" --checkpoint-every 4; }
head -c "$BALLAST" /dev/zero >"$DISK/ballast"
step full toy
step drafts ls "$DISK/store/tmp"
step saved sh -c 'ls -d "$DISK"/store/runs/*/checkpoints/*'
rm "$DISK/ballast"
step freed toy
step left sh -c 'ls "$DISK"/store/runs/*'
"""


@pytest.mark.parametrize(
    ("what", "saved"),
    [("luggage", 4), ("report", 8)],
    ids=["while a checkpoint is saved", "while the artifact is written"],
)
def test_if_the_disk_fills_up_what_was_saved_stays_and_all_it_takes_is_room(
    what: str, saved: int, tmp_path: Path
) -> None:
    text = WALK + f"    params: {{{what}: 350000}}\n"
    text = text.replace("walk: {stage: toy-walk, name: end}", "walk:\n    stage: toy-walk\n    name: end")
    (tmp_path / "reference").mkdir()
    expected = Pipeline.begin(tmp_path / "reference", text, 4)
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    out.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFLINE_")}
    env |= {"DISK": str(disk), "OUT": str(out), "FILE": str(expected.file), "TOY": str(TOY), "PYTHON": sys.executable}
    # There is room for one state and not for two; for some small ones, and not for what is made.
    env |= {"BALLAST": str(1_500_000 if what == "luggage" else 1_800_000), "PYTHONUTF8": "1"}
    run = functools.partial(subprocess.run, env=env, capture_output=True, text=True, timeout=120, check=False)
    if shutil.which("unshare") is None:
        pytest.skip("there is no `unshare`, which could lend a small disk")
    if (refused := run(["unshare", "-rm", "sh", "-c", MOUNT])).returncode:
        pytest.skip(f"no small disk can be mounted here: {refused.stderr.strip()}")
    done = run(["unshare", "-rm", "sh", "-uc", MOUNT + SCRIPT])
    assert done.returncode == 0, done.stderr

    def said(step: str, stream: str) -> str:
        return (out / step / stream).read_text(encoding="utf-8")

    assert {step.name: int(said(step.name, "code")) for step in out.iterdir()} == {
        "full": 1,
        "drafts": 0,
        "saved": 0,
        "freed": 0,
        "left": 0,
    }
    message = said("full", "stderr").splitlines()[-1]
    assert message.startswith(f"prefline: {disk / 'store'}")
    assert os.strerror(errno.ENOSPC) in message
    assert "Free some there (`prefline gc`" in message
    assert "Traceback" not in said("full", "stderr")
    assert said("full", "stdout").split() == expected.ids[:1]
    assert said("drafts", "stdout") == ""
    assert max(int(Path(line).name) for line in said("saved", "stdout").split()) == saved
    assert f"walk: goes on after step {saved}\n" in said("freed", "stderr")
    assert said("freed", "stdout").split() == expected.ids
    assert "writing" not in said("left", "stdout")
    assert "checkpoints" not in said("left", "stdout")


def test_metrics_that_cannot_be_written_are_told_of_once_and_the_run_goes_on(walk: Pipeline, root: Path) -> None:
    Store.create(root)
    (walk.folder(root, 1) / "metrics.jsonl").mkdir(parents=True)
    said = walk.run(root)
    assert (said.code, said.ids) == (0, walk.ids)
    assert said.err.count("metrics are not written any more: ") == 1
    assert "Traceback" not in said.err


def fill_the_disk_at_the_sixth_line() -> None:
    """Have the disk refuse metrics, and nothing else."""
    write, written = metrics._write, []

    def write_until_full(descriptor: int, line: bytes) -> None:
        written.append(line)
        if len(written) == 6:
            os.write(descriptor, line[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(descriptor, line)

    metrics._write = write_until_full


def test_metrics_that_a_disk_has_no_room_for_wait_for_it_and_are_whole_after_a_resume_too(
    walk: Pipeline, root: Path, tmp_path: Path
) -> None:
    said = walk.run(root, prepare=fill_the_disk_at_the_sixth_line)
    assert (said.code, said.ids) == (0, walk.ids)
    assert said.err.count("metrics wait for room: ") == said.err.count(os.strerror(errno.ENOSPC)) == 1
    assert said.err.count("metrics are written again, none is missing: ") == 1
    other = tmp_path / "other"
    killed = walk.run(other, prepare=fill_the_disk_at_the_sixth_line, failpoint="step.finished:7")
    assert killed.code == -signal.SIGKILL
    walk.expect_finished(other, walk.run(other), [None, 4])


def allow_small_files_only() -> None:
    """Refuse what is larger than a checkpoint of a few numbers."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


def test_a_file_that_may_not_be_that_large_ends_a_run_with_a_message(walk: Pipeline, root: Path) -> None:
    words = [*walk.words(root), "--set", "stages.walk.params.report=100000"]
    said = run_command(words, root.with_name("said"), prepare=allow_small_files_only)
    assert said.code == 1
    assert os.strerror(errno.EFBIG) in said.err
    assert "Traceback" not in said.err
    expect_nothing_half(root)
    again = run_command(words, root.with_name("said"))
    assert again.code == 0
    assert "walk: goes on after step 8\n" in again.err


# --- trackers ---


FAKES: dict[str, Any] = trackers.TRACKERS  # in the child


class RaisingTracker:
    """A tracker that fails at its third record. It goes by the name of a module that every Python has."""

    def __init__(self, _: trackers.RunDescription) -> None:
        self.count = 0

    def log(self, *_: object) -> None:
        self.count += 1
        if self.count == 3:
            raise RuntimeError("no such project")

    def close(self) -> None:
        raise SystemExit("nor such an account")


class BlockedTracker:
    """A tracker that never answers."""

    def log(self, *_: object) -> None:
        time.sleep(1000)

    def close(self) -> None:
        time.sleep(1000)


def track_with_an_error() -> None:
    FAKES["json"] = RaisingTracker


def track_with_nothing_to_open() -> None:
    def open_it(run: trackers.RunDescription) -> Any:
        raise RuntimeError("no such project")

    FAKES["json"] = open_it


def track_for_ever() -> None:
    FAKES["json"] = lambda _: BlockedTracker()
    trackers.BackgroundTracker.close.__defaults__ = (0.1,)  # seconds that it is waited for


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (track_with_an_error, "the tracker 'json' is left out: RuntimeError: no such project; the run goes on\n"),
        (track_with_nothing_to_open, "the tracker 'json' is left out: RuntimeError: no such project; the run goes on"),
        (track_for_ever, "the tracker 'json' has not finished after 0.1 s and is left behind; it may lack the last"),
    ],
)
def test_a_tracker_that_fails_or_never_answers_is_told_of_once_and_changes_nothing(
    prepare: Callable[[], None], told: str, walk: Pipeline, root: Path
) -> None:
    said = run_command([*walk.words(root), "--track", "json"], root.with_name("said"), prepare=prepare)
    assert said.err.count("the tracker ") == said.err.count(told) == 1
    walk.expect_finished(root, said)


def test_the_program_ends_though_a_tracker_never_does(walk: Pipeline, root: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = {[str(TOY.parent)]!r}; import time, types, toy; "
        "from prefline.pipeline import cli, trackers; toy.list_stages(); "
        "trackers.TRACKERS['json'] = lambda run: time.sleep(1000); "
        "trackers.BackgroundTracker.close.__defaults__ = (0.1,); cli.main()"
    )
    words = [sys.executable, "-c", code, *walk.words(root), "--track", "json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split()) == (0, walk.ids), done.stderr
    assert done.stderr.count("the tracker ") == 1
    walk.expect_made(root)


# --- other circumstances ---


def compute_in_two_threads() -> None:
    import torch

    torch.set_num_threads(2)


def test_with_another_number_of_threads_a_run_goes_on_and_says_that_it_is_not_bit_exact(
    training: Pipeline, root: Path
) -> None:
    killed = training.run(root, prepare=compute_in_two_threads, failpoint="step.finished:8")
    assert killed.code == -signal.SIGKILL
    done = run_program([*training.words(root), "--only", "train"], OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert "train: goes on after step 6; not bit-exact: threads 2 -> 1\n" in done.stderr
    note = {"from_step": 6, "not_bit_exact": ["threads 2 -> 1"]}
    assert training.manifest(root, 1).run["resumed"] == [note]
