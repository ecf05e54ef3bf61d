"""The numbers of a run: each step stands once and in order, whatever happened to the run, and no disk stops one."""

import errno
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.errors import DataError
from prefline.pipeline import metrics
from prefline.pipeline.metrics import MetricsFile, read_metrics

NOON = datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC)
DISK_FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Told(list[str]):
    def __call__(self, text: str) -> None:
        self.append(text)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def open_at_noon(path: Path, told: Told) -> MetricsFile:
    return MetricsFile(path, told, clock=lambda: NOON)


def steps(path: Path) -> list[int]:
    return [record["step"] for record in read_metrics(path)] if path.exists() else []


def test_a_step_is_one_line_that_can_be_read_at_once(path: Path, told: Told) -> None:
    file = open_at_noon(path, told)
    file.log(12, {"loss": 0.69, "tokens": 4096, "accuracy": None})
    expected = '{"step": 12, "time": "2026-11-21T12:00:05Z", "loss": 0.69, "tokens": 4096, "accuracy": null}\n'
    assert path.read_text() == expected
    file.close()
    assert not told


def test_pandas_reads_it(path: Path, told: Told) -> None:
    file = open_at_noon(path, told)
    file.log(1, {"loss": 0.5})
    file.log(2, {"loss": 0.25, "accuracy": 0.75})
    file.close()
    table = pandas.read_json(path, lines=True)
    assert list(table["loss"]) == [0.5, 0.25]
    assert list(table["step"]) == [1, 2]


def test_what_json_has_no_number_for_is_null(path: Path, told: Told) -> None:
    file = open_at_noon(path, told)
    file.log(1, {"loss": float("nan"), "norm": float("inf")})
    file.close()
    assert read_metrics(path) == [{"step": 1, "time": "2026-11-21T12:00:05Z", "loss": None, "norm": None}]


@pytest.mark.parametrize("name", ["step", "time"])
def test_the_names_of_the_columns_that_every_record_has_are_refused(path: Path, told: Told, name: str) -> None:
    with pytest.raises(ValueError, match="choose another"):
        open_at_noon(path, told).log(1, {name: 1.0})
    assert not path.exists()


def test_a_run_that_starts_again_has_every_step_once(path: Path, told: Told) -> None:
    first = open_at_noon(path, told)
    for step in range(1, 6):
        first.log(step, {"loss": 1.0})
    first.close()
    second = open_at_noon(path, told)
    second.rewind(3)
    second.log(4, {"loss": 2.0})
    second.close()
    assert [(record["step"], record["loss"]) for record in read_metrics(path)] == [(1, 1), (2, 1), (3, 1), (4, 2)]
    assert [entry.name for entry in path.parent.iterdir()] == ["metrics.jsonl"]


def test_a_rewind_to_the_beginning_leaves_nothing_and_needs_no_file(path: Path, told: Told) -> None:
    file = open_at_noon(path, told)
    file.rewind(0)
    assert not path.exists()
    file.log(1, {})
    file.rewind(0)
    assert path.read_bytes() == b""
    assert not told


def test_a_file_that_needs_no_change_is_not_written_again(path: Path, told: Told) -> None:
    file = open_at_noon(path, told)
    file.log(1, {})
    before = path.stat().st_ino
    file.rewind(1)
    assert path.stat().st_ino == before
    file.close()


@pytest.mark.parametrize(
    "broken",
    [b'{"step": 2, "ti', b"\0" * 40 + b"\n", b"[2]\n", b'{"step": true}\n', b'{"loss": 1}\n', b"\xff\n", b"\n"],
)
def test_what_is_no_whole_record_is_dropped(path: Path, told: Told, broken: bytes) -> None:
    file = open_at_noon(path, told)
    file.log(1, {})
    file.close()
    path.write_bytes(path.read_bytes() + broken)
    file.rewind(9)
    file.log(2, {})
    file.close()
    assert steps(path) == [1, 2]
    assert not told


def test_what_a_killed_rewind_left_is_no_obstacle(path: Path, told: Told, tmp_path: Path) -> None:
    file = open_at_noon(path, told)
    file.log(1, {})
    file.log(2, {})
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path.with_name("metrics.jsonl.new").symlink_to(victim)
    file.rewind(1)
    assert steps(path) == [1]
    assert victim.read_text() == "untouched"
    assert not told


logging = st.tuples(st.just("log"), st.integers(0, 5))
tearing = st.tuples(st.just("tear"), st.integers(0, 60))
resuming = st.tuples(st.just("resume"), st.integers(0, 12))


@given(st.lists(st.one_of(logging, tearing, resuming), max_size=12))
def test_after_any_kills_and_resumes_each_step_stands_once_and_in_order(events: list[tuple[str, int]]) -> None:
    told = Told()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "metrics.jsonl")
        file = open_at_noon(path, told)
        attempt, step, expected = 1, 0, list[tuple[int, int]]()
        for kind, number in events:
            if kind == "log":  # so many steps more
                for step in range(step + 1, step + number + 1):  # noqa: B020
                    file.log(step, {"attempt": attempt})
                    expected.append((step, attempt))
                continue
            file.close()  # which writes nothing, so a kill is the same
            if kind == "tear":  # the power went before all bytes reached the disk
                whole = path.read_bytes() if path.exists() else b""
                path.write_bytes(whole[: max(0, len(whole) - number)])
                kept = path.read_bytes().count(b"\n")
                expected = expected[:kept]
            attempt, file = attempt + 1, open_at_noon(path, told)
            step = min(number if kind == "resume" else step, expected[-1][0] if expected else 0)
            file.rewind(step)
            expected = [(logged, by) for logged, by in expected if logged <= step]
        file.close()
        records = read_metrics(path) if path.exists() else []
        assert [(record["step"], record["attempt"]) for record in records] == expected
        assert [logged for logged, _ in expected] == list(range(1, len(expected) + 1))
    assert not told


# --- a disk that refuses ---


class Refusing(SimpleNamespace):
    """What `metrics` takes for `os`: calls of one kind fail, a write after some of its bytes."""

    def __init__(self, kind: str, after: int = 0) -> None:
        super().__init__(kind=kind, after=after)

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._refuse(real) if name == self.kind else real

    def _refuse(self, real: Any) -> Any:
        def call(*args: Any, **_: Any) -> int:
            if self.kind == "write" and self.after:
                taken, self.after = self.after, 0
                return real(args[0], args[1][:taken])
            if self.kind == "close":
                real(*args)
            raise DISK_FULL

        return call


@pytest.mark.parametrize("after", [0, 1, 20])
def test_a_full_disk_is_told_once_and_spoils_nothing_that_stands(
    path: Path, told: Told, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    file = open_at_noon(path, told)
    file.log(1, {"loss": 1.0})
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "os", Refusing("write", after))
        file.log(2, {"loss": 1.0})
        file.log(3, {"loss": 1.0})
        assert steps(path) == [1]
        assert path.read_bytes().endswith(b"\n")  # so that any reader of JSON lines reads it now
    file.log(4, {"loss": 1.0})
    file.close()
    assert told == [
        f"metrics wait for room: {path}: No space left on device; the run goes on",
        f"metrics are written again, none is missing: {path}",
    ]
    assert steps(path) == [1, 2, 3, 4]


def test_a_write_that_is_only_cut_short_is_finished(path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def write(descriptor: int, content: bytes) -> int:
        calls.append(len(content))
        return os.write(descriptor, content[:25])

    monkeypatch.setattr(metrics, "os", SimpleNamespace(**{**vars(os), "write": write}))
    file = open_at_noon(path, told)
    file.log(1, {"loss": 1.0})
    file.close()
    assert len(calls) > 1
    assert steps(path) == [1]
    assert not told


@pytest.mark.parametrize("kind", ["open", "fsync", "close"])
def test_no_call_that_fails_stops_a_run(path: Path, told: Told, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    file = open_at_noon(path, told)
    file.log(1, {})
    file.log(2, {})
    monkeypatch.setattr(metrics, "os", Refusing(kind))
    file.rewind(1)
    file.log(2, {})
    file.sync()
    file.close()
    assert len(told) == 1
    monkeypatch.undo()
    assert steps(path)[:1] == [1]


@pytest.mark.parametrize("kind", ["open", "fsync"])
def test_a_rewind_that_fails_leaves_the_old_file_and_is_followed_by_nothing(
    path: Path, told: Told, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    file = open_at_noon(path, told)
    file.log(1, {})
    file.log(2, {})
    file.close()
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "os", Refusing(kind))
        file.rewind(1)
    file.log(2, {})
    assert path.read_bytes() == before  # or step 2 would stand twice
    assert len(told) == 1


def test_a_link_is_not_followed(path: Path, told: Told, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine\n")
    path.symlink_to(target)
    file = open_at_noon(path, told)
    file.rewind(0)
    file.log(1, {})
    file.close()
    assert target.read_text() == "mine\n"
    assert len(told) == 1


def test_a_pipe_a_device_and_a_missing_folder_stop_no_run(path: Path, told: Told, tmp_path: Path) -> None:
    os.mkfifo(path)
    for odd in (path, Path("/dev/full"), tmp_path / "absent" / "metrics.jsonl"):
        file = open_at_noon(odd, told)
        file.log(1, {})
        file.close()
    assert len(told) == 3


def test_what_was_logged_can_be_waited_for(path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    file = open_at_noon(path, told)
    file.sync()  # nothing is open yet
    file.log(1, {})
    monkeypatch.setattr(os, "fsync", synced.append)
    file.sync()
    file.close()
    assert len(synced) == 1


def test_a_reader_leaves_a_torn_last_line_out_and_refuses_any_other(path: Path) -> None:
    record = json.dumps({"step": 1})
    path.write_text(f'{record}\n{{"step": 2, "lo')
    assert read_metrics(path) == [{"step": 1}]
    path.write_text(f"{record}\nnothing\n{record}\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2: expected a JSON object"):
        read_metrics(path)


def test_what_waits_for_room_is_written_before_a_checkpoint_or_is_said_at_the_end(
    path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = open_at_noon(path, told)
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "os", Refusing("write", 0))
        file.log(1, {"loss": 1.0})
    file.sync()
    assert steps(path) == [1]
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "os", Refusing("write", 0))
        file.log(2, {"loss": 1.0})
        file.close()
    assert told[-1] == f"metrics: 1 record has not been written: {path}"
    assert steps(path) == [1]
