"""Trackers are other people's programs: whatever one does, the run neither waits for it nor fails with it."""

import importlib.util
import io
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from prefline.data.errors import ConfigError
from prefline.pipeline import tracker_process
from prefline.pipeline.tracker_adapters import TensorBoard
from prefline.pipeline.tracker_process import TrackerProcess
from prefline.pipeline.trackers import TRACKERS, BackgroundTracker, RunDescription, check_trackers

PATIENCE = 60.0  # seconds, for what takes a moment on a quiet machine
needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed"
)
needs_wandb = pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
needs_trackio = pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="trackio is not installed")


def describe(folder: Path, resumed_from: int = 0) -> RunDescription:
    return RunDescription("train-reward", "0f3a9c", folder, {"lr": 0.001, "path": Path("x")}, resumed_from)


class Recorder:
    """A tracker that remembers, and does at a step what it is told to."""

    def __init__(self, at: Mapping[int, Any] | None = None, closing: Any = None) -> None:
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.closed = 0
        self.reached = threading.Event()
        self.at = dict(at or {})
        self.closing = closing

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if step in self.at:
            self.reached.set()
            self.at[step]()
        self.logged.append((step, dict(values)))

    def close(self) -> None:
        self.closed += 1
        if self.closing:
            self.closing()


def raising(error: BaseException) -> Any:
    def call(*_: object) -> Any:
        raise error

    return call


def start(tracker: Any, told: list[str], folder: Path, **more: Any) -> BackgroundTracker:
    return BackgroundTracker("example", describe(folder), told.append, opening=lambda _: tracker, **more)


# --- what is refused before any work ---


def test_an_unknown_tracker_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown tracker 'wanbd' \(did you mean 'wandb'\?\): there are tensorboard,"
    ):
        check_trackers(["wanbd"])


def test_a_tracker_that_is_not_installed_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    expected = r"the tracker 'wandb' needs the package wandb: pip install 'prefline\[wandb\]'"
    with pytest.raises(ConfigError, match=expected):
        check_trackers(["wandb"])


def test_checking_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import importlib.util, sys; importlib.util.find_spec = lambda name: name\n"
        "from prefline.pipeline.trackers import TRACKERS, check_trackers\n"
        "check_trackers(TRACKERS); print(sorted({*TRACKERS, 'torch', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- a tracker in the background ---


def test_all_that_is_logged_arrives_in_order_without_what_was_not_measured(tmp_path: Path) -> None:
    told: list[str] = []
    tracker = Recorder()
    background = start(tracker, told, tmp_path)
    for step in range(1, 101):
        background.log(step, {"loss": 1 / step, "accuracy": None})
    background.close(PATIENCE)
    assert tracker.logged == [(step, {"loss": 1 / step}) for step in range(1, 101)]
    assert tracker.closed == 1
    assert not told


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no such\nproject"), "ValueError: no such"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (OSError(28, "No space left on device"), r"OSError: [Errno 28] No space left on device"),
        (RuntimeError("\x1b[31mred"), r"RuntimeError: \u001b[31mred"),
    ],
)
@pytest.mark.parametrize("moment", ["opening", "logging", "closing"])
def test_whatever_a_tracker_raises_is_told_once_and_goes_no_further(
    tmp_path: Path, error: BaseException, said: str, moment: str
) -> None:
    told: list[str] = []
    tracker = Recorder(
        {2: raising(error)} if moment == "logging" else {}, raising(error) if moment == "closing" else None
    )
    opening = raising(error) if moment == "opening" else lambda _: tracker
    background = BackgroundTracker("example", describe(tmp_path), told.append, opening=opening)
    for step in range(1, 5):
        background.log(step, {"loss": 1.0})
    background.close(PATIENCE)
    background.log(5, {"loss": 1.0})
    background.close()
    assert told == [f"the tracker 'example' is left out: {said}; the run goes on"]
    assert tracker.closed >= (moment != "opening")  # what it holds open is let go


def test_trouble_is_told_while_the_run_goes_on_and_by_the_thread_of_the_run(tmp_path: Path) -> None:
    told: list[threading.Thread] = []
    background = BackgroundTracker(
        "example",
        describe(tmp_path),
        lambda _: told.append(threading.current_thread()),
        opening=raising(ValueError("refused")),
    )
    deadline = time.monotonic() + PATIENCE
    while not told and time.monotonic() < deadline:
        background.log(1, {})
        time.sleep(0.001)
    assert told == [threading.current_thread()]
    background.close()
    assert len(told) == 1


def test_a_tracker_that_hangs_costs_no_more_than_the_time_it_is_given(tmp_path: Path) -> None:
    told: list[str] = []
    release = threading.Event()
    background = start(Recorder({1: release.wait}), told, tmp_path)
    background.log(1, {"loss": 1.0})
    began = time.monotonic()
    background.close(0.05)
    assert 0.04 < time.monotonic() - began < PATIENCE
    expected = "the tracker 'example' has not finished after 0.05 s and is left behind; it may lack the last records"
    assert told == [expected]
    release.set()


def test_a_queue_that_is_full_drops_and_says_so_once_and_how_many_at_the_end(tmp_path: Path) -> None:
    told: list[str] = []
    release = threading.Event()
    tracker = Recorder({1: release.wait})
    background = start(tracker, told, tmp_path, room=3)
    background.log(1, {"loss": 1.0})
    assert tracker.reached.wait(PATIENCE)  # so that the queue is empty again
    for step in range(2, 10):  # 2, 3, 4 wait; 5 to 9 have no room
        background.log(step, {"loss": 1.0})
    assert told == ["the tracker 'example' is too slow: 3 records wait for it, and new ones are dropped"]
    release.set()
    background.close(PATIENCE)
    assert told[1:] == ["the tracker 'example' was too slow: 5 records dropped; the file of metrics has them"]
    assert [step for step, _ in tracker.logged] == [1, 2, 3, 4]


def test_a_machine_without_room_for_a_thread_has_no_tracker_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(threading.Thread, "start", raising(RuntimeError("can't start new thread")))
    background = start(Recorder(), told, tmp_path)
    background.log(1, {})
    background.close()
    assert told == ["the tracker 'example' is left out: RuntimeError: can't start new thread; the run goes on"]


# --- a tracker in a process of its own; another wandb stands in for the real one ---

RUN = """
import sys, time
from pathlib import Path
from prefline.pipeline import tracker_process
from prefline.pipeline.trackers import BackgroundTracker, RunDescription
run = RunDescription("train-reward", "0f3a9c", Path("."), {"lr": 0.001, "path": Path("x")}, 7)
opening = lambda run: tracker_process.TrackerProcess("wandb", run, outlives=OUTLIVES)
tracker = BackgroundTracker("wandb", run, lambda text: print("told:", text), opening=opening)
for step in range(8, 11):
    tracker.log(step, {"loss": float("nan") if step == 10 else 0.5})
while not Path("given").exists():
    time.sleep(0.01)
tracker.close(CLOSE)
print("the id")
"""
WANDB = """
import json, os, pathlib, sys, time
class Settings(dict): pass
class Run:
    def log(self, values, step):
        print("noise"); os.write(1, b"noise"); os.write(2, b"noise"); assert sys.stdin.read() == ""
        with open("logged", "a") as file: file.write(f"{step} {values}\\n")
    def finish(self):
        AT_FINISH
def init(**given):
    with open("given", "w") as file: json.dump({**given, "pid": os.getpid()}, file)
    AT_INIT
    return Run()
"""


def run_with(
    tmp_path: Path, *, init: str = "pass", finish: str = "pass", close: float = PATIENCE, outlives: float = PATIENCE
) -> str:
    (tmp_path / "wandb.py").write_text(WANDB.replace("AT_INIT", init).replace("AT_FINISH", finish))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN.replace("CLOSE", str(close)).replace("OUTLIVES", str(outlives))],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_a_tracker_process_is_given_the_run_and_its_numbers_and_nothing_it_prints_is_heard(tmp_path: Path) -> None:
    assert run_with(tmp_path) == "the id\n"
    assert (tmp_path / "logged").read_text() == "8 {'loss': 0.5}\n9 {'loss': 0.5}\n10 {'loss': nan}\n"
    given = (tmp_path / "given").read_text()
    for part in ('"id": "0f3a9c"', '"name": "train-reward-0f3a9c"', '"resume": "allow"', '{"lr": 0.001, "path": "x"}'):
        assert part in given


@pytest.mark.parametrize(
    ("init", "finish", "said"),
    [
        ("raise ValueError('no key')", "pass", "ValueError: no key"),
        ("pass", "sys.exit(4)", "SystemExit: 4"),
        ("os._exit(5)", "pass", "its process ended with exit code 5"),
        ("import absent_package", "pass", "ModuleNotFoundError: No module named 'absent_package'"),
    ],
)
def test_what_goes_wrong_in_a_tracker_process_is_told(tmp_path: Path, init: str, finish: str, said: str) -> None:
    printed = run_with(tmp_path, init=init, finish=finish)
    assert printed == f"told: the tracker 'wandb' is left out: {said}; the run goes on\nthe id\n"


@pytest.mark.parametrize("hang", ["time.sleep(3600)", "import atexit; atexit.register(time.sleep, 3600)"])
def test_a_tracker_process_that_hangs_is_left_behind_and_ends_by_itself(tmp_path: Path, hang: str) -> None:
    printed = run_with(tmp_path, init=hang, close=0.1, outlives=2.0)
    assert "told: the tracker 'wandb' has not finished after" in printed
    assert printed.endswith("the id\n")
    deadline = time.monotonic() + PATIENCE
    while _lives(tmp_path / "given") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(tmp_path / "given")


def _lives(given: Path) -> bool:
    pid = int(given.read_text().rsplit(" ", 1)[1].rstrip("}"))
    try:
        state = Path(f"/proc/{pid}/stat").read_text() if Path("/proc/self/stat").exists() else ""
        os.kill(pid, 0)
    except (OSError, ProcessLookupError):
        return False
    return ") Z" not in state  # ended, and waiting for whoever adopted it


def test_a_process_that_ends_between_two_records_is_noticed_at_the_next(tmp_path: Path) -> None:
    (tmp_path / "wandb.py").write_text(WANDB.replace("AT_INIT", "os._exit(6)").replace("AT_FINISH", "pass"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        patch.chdir(tmp_path)
        tracker = TrackerProcess("wandb", describe(tmp_path))
        deadline = time.monotonic() + PATIENCE
        with pytest.raises(tracker_process.TrackerError, match="exit code 6"):
            _log_until(deadline, tracker)


def _log_until(deadline: float, tracker: TrackerProcess) -> None:
    while time.monotonic() < deadline:
        tracker.log(1, {"loss": 1.0})


# --- the real ones ---


@needs_tensorboard
def test_tensorboard_shows_every_step_once_also_after_a_resume(tmp_path: Path) -> None:
    for first, last in ((1, 6), (4, 9)):  # stopped after step 6, and resumed from step 3
        tracker = TensorBoard(describe(tmp_path, first - 1))
        for step in range(first, last + 1):
            tracker.log(step, {"loss": step / first, "accuracy": 0.5})
        tracker.close()
    shown = _read_tensorboard(tmp_path / "tensorboard")
    assert shown == [(1, 1), (2, 2), (3, 3), (4, 1), (5, 1.25), (6, 1.5), (7, 1.75), (8, 2), (9, 2.25)]


@needs_tensorboard
def test_a_kill_costs_tensorboard_nothing_that_was_logged(tmp_path: Path) -> None:
    tracker = TensorBoard(describe(tmp_path))
    tracker.log(1, {"loss": 0.5})
    assert _read_tensorboard(tmp_path / "tensorboard") == [(1, 0.5)]
    tracker.close()


@needs_tensorboard
def test_a_full_disk_leaves_tensorboard_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(Path, "open", lambda *_: io.FileIO("/dev/full", "wb"))
    background = BackgroundTracker("tensorboard", describe(tmp_path), told.append)
    background.close(PATIENCE)
    assert told == [
        "the tracker 'tensorboard' is left out: OSError: [Errno 28] No space left on device; the run goes on"
    ]


def _read_tensorboard(folder: Path) -> list[tuple[int, float]]:
    """Read what TensorBoard would show, in another process: its reader warns of what it imports."""
    code = """
        import sys
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        shown = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
        shown.Reload()
        print([(event.step, event.value) for event in shown.Scalars("loss")])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return eval(done.stdout)  # noqa: S307


def _run_for_real(name: str, folder: Path, env: Mapping[str, str]) -> None:
    code = f"""
        from pathlib import Path
        from prefline.pipeline.trackers import BackgroundTracker, RunDescription
        for first, last in ((1, 6), (4, 9)):
            run = RunDescription("train", "0f3a9c", Path("."), {{"lr": 0.001}}, first - 1)
            tracker = BackgroundTracker({name!r}, run, print)
            for step in range(first, last + 1):
                tracker.log(step, {{"loss": 1 / step, "accuracy": None}})
            tracker.close({PATIENCE})
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


@needs_trackio
def test_trackio_has_every_step_once_also_after_a_resume(tmp_path: Path) -> None:
    import sqlite3

    _run_for_real("trackio", tmp_path, {"TRACKIO_DIR": str(tmp_path / "trackio"), "HOME": str(tmp_path)})
    database = sqlite3.connect(tmp_path / "trackio" / "prefline.db")
    rows = database.execute("SELECT run_name, step FROM metrics ORDER BY step").fetchall()
    database.close()
    assert rows == [("train-0f3a9c", step) for step in range(1, 10)]


@needs_wandb
def test_wandb_continues_the_same_run_and_learns_nothing_of_the_machine(tmp_path: Path) -> None:
    env = {"WANDB_MODE": "offline", "HOME": str(tmp_path / "home"), "PREFLINE_TEST_SECRET": "do-not-tell"}
    _run_for_real("wandb", tmp_path, env)
    written = [path for path in (tmp_path / "wandb").rglob("*") if path.is_file() and not path.is_symlink()]
    runs = [path for path in written if path.name == "run-0f3a9c.wandb"]
    assert len(runs) in (1, 2)  # two, unless both began in the same second
    assert not [path for path in written if path.name in ("wandb-metadata.json", "requirements.txt", "output.log")]
    assert not [path for path in written if b"do-not-tell" in path.read_bytes()]


def test_every_tracker_has_an_extra_of_its_name() -> None:
    import tomllib

    settings = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    assert set(TRACKERS) <= set(settings["project"]["optional-dependencies"])
