"""gc takes only what nothing leads to, says so first, and gives back what it took by mistake."""

import contextlib
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from prefline.data.configuration import Config
from prefline.data.errors import ConfigError, DamagedArtifactError, UnknownArtifactError
from prefline.pipeline import Artifact, Job, Outcome, Runtime, Stage, Store, find_faults, locks, make
from prefline.pipeline.collection import (
    DEFAULT_GRACE,
    preview_sweep,
    sweep_store,
)
from prefline.pipeline.durations import parse_duration
from prefline.pipeline.inspection import inspect
from prefline.pipeline.terminal import describe_notes
from prefline.pipeline.terminal_sweeps import format_sweep
from prefline.pipeline.trash import restore

Publish = Callable[..., Artifact]
NONE = timedelta(0)


def now(*, in_days: float = 0) -> datetime:
    return datetime.now(UTC) + timedelta(days=in_days)


def test_a_dry_run_changes_nothing(store: Store, publish: Publish) -> None:
    artifact = publish(store, {"a.txt": b"1"})
    assert preview_sweep(store, grace=NONE, now=now()).artifacts == [artifact.id]
    assert preview_sweep(store, grace=NONE, now=now()).artifacts == [artifact.id]
    assert store.has(artifact.id)


def test_what_is_young_stays_and_what_is_old_goes(store: Store, publish: Publish) -> None:
    artifact = publish(store, {"a.txt": b"1"})
    assert not sweep_store(store, grace=DEFAULT_GRACE, now=now(in_days=6.9))
    assert sweep_store(store, grace=DEFAULT_GRACE, now=now(in_days=7.1)).artifacts == [artifact.id]
    assert not store.has(artifact.id)
    assert store.find(artifact.manifest.key) is None


def test_what_was_just_asked_for_is_young_again(store: Store, publish: Publish) -> None:
    artifact = publish(store, {"a.txt": b"1"})
    os.utime(artifact.path / "manifest.json", (0, 0))
    publish(store, {"a.txt": b"1"})
    assert not sweep_store(store, grace=DEFAULT_GRACE, now=now())


def test_what_a_kept_artifact_was_made_from_stays(store: Store, publish: Publish) -> None:
    first = publish(store, {"a.txt": b"1"})
    second = publish(store, {"a.txt": b"2"}, inputs={"before": first.id})
    third = publish(store, {"a.txt": b"3"}, inputs={"before": second.id}, name="mine")
    loose = publish(store, {"a.txt": b"4"}, inputs={"before": third.id})
    assert sweep_store(store, grace=NONE, now=now(in_days=1000)).artifacts == [loose.id]
    assert inspect(store, [], quick=False).sound
    store.names.remove("mine")
    assert set(sweep_store(store, grace=NONE, now=now()).artifacts) == {first.id, second.id, third.id}


def test_what_was_taken_can_be_brought_back_until_it_is_erased(store: Store, publish: Publish) -> None:
    artifact = publish(store, {"a.txt": b"1"})
    sweep_store(store, grace=DEFAULT_GRACE, now=now(in_days=8))
    assert restore(store, artifact.id[:20]) == artifact.id
    assert find_faults(artifact.path, expected_id=artifact.id) == []
    assert store.find(artifact.manifest.key) == artifact
    # It is young again, so the sweep that would have taken it does not.
    assert not sweep_store(store, grace=DEFAULT_GRACE, now=now(in_days=6))
    sweep_store(store, grace=DEFAULT_GRACE, now=now(in_days=8))
    sweep_store(store, grace=DEFAULT_GRACE, now=now(in_days=14))
    assert len(list((store.root / "trash").iterdir())) == 1
    sweep_store(store, grace=DEFAULT_GRACE, now=now(in_days=16))
    assert list((store.root / "trash").iterdir()) == []
    with pytest.raises(UnknownArtifactError, match="begins no id in the trash"):
        restore(store, artifact.id)


def test_half_erased_trash_is_never_brought_back(store: Store, publish: Publish) -> None:
    artifact = publish(store, {"a.txt": b"1", "b.txt": b"2"})
    sweep_store(store, grace=DEFAULT_GRACE, now=now(in_days=8))
    (piece,) = (store.root / "trash").iterdir()
    (piece / "a.txt").unlink()
    with pytest.raises(DamagedArtifactError, match=r"is damaged: a\.txt: is missing"):
        restore(store, artifact.id)
    assert not store.has(artifact.id)


@pytest.mark.parametrize(
    ("victim", "damage"),
    [
        ("named", "emptied"),
        ("named", "missing"),
        ("named", "all of it missing"),
        ("between", "emptied"),
        ("between", "missing"),
    ],
)
def test_gc_stops_where_it_cannot_tell_what_a_kept_artifact_was_made_from(
    store: Store, publish: Publish, victim: str, damage: str
) -> None:
    first = publish(store, {"a.txt": b"1"})
    between = publish(store, {"a.txt": b"2"}, inputs={"before": first.id})
    named = publish(store, {"a.txt": b"3"}, inputs={"before": between.id}, name="mine")
    path = (named if victim == "named" else between).path
    if damage == "emptied":
        (path / "manifest.json").chmod(0o644)
        (path / "manifest.json").write_text("{}")
    elif damage == "missing":
        (path / "manifest.json").unlink()
    else:
        shutil.rmtree(path)
    with pytest.raises(DamagedArtifactError, match="gc stopped, nothing was changed"):
        sweep_store(store, grace=NONE, now=now())
    assert store.has(first.id)


def test_without_a_time_of_grace_nothing_waits_in_the_trash(store: Store, publish: Publish) -> None:
    publish(store, {"a.txt": b"1"})
    sweep_store(store, grace=NONE, now=now())
    assert list((store.root / "trash").iterdir()) == []


def test_what_somebody_may_be_pushing_here_is_left_in_peace_while_it_is_young(store: Store) -> None:
    half = store.folder_of("sha256:" + "ab" * 32)
    half.mkdir(parents=True)
    (half / "a.txt").write_text("the manifest comes last")
    assert not sweep_store(store, grace=DEFAULT_GRACE, now=now())
    assert sweep_store(store, grace=DEFAULT_GRACE, now=now(in_days=8)).artifacts == ["sha256:" + "ab" * 32]


def test_leftovers_go_whatever_their_age(store: Store, publish: Publish) -> None:
    artifact = publish(store, {"a.txt": b"1"}, name="mine")
    (store.root / "tmp" / "0123456789abcdef").mkdir()
    (store.root / "tmp" / "fedcba9876543210").write_bytes(b"left by the making of the store")
    (store.root / "keys" / f"{'0' * 64}.json").write_text("{}")
    sweep = sweep_store(store, grace=DEFAULT_GRACE, now=now())
    assert (len(sweep.drafts), len(sweep.records), sweep.artifacts) == (2, 1, [])
    assert list((store.root / "tmp").iterdir()) == []
    assert store.find(artifact.manifest.key) == artifact


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("90s", 90), ("15m", 900), ("12h", 43200), ("7d", 604800)])
def test_a_time_of_grace_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["7", "-1d", "1w", "", "d", "1.5h", "0x1d", "9999999d"])
def test_a_time_without_a_unit_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a number and a unit"):
        parse_duration(text)


# --- what runs leave behind ---


class Stop(BaseException):
    """What ends a run in the middle."""


def walk(store: Store, source: Artifact, *, stop_after: int = 0) -> Artifact | None:
    """Run a stage of four steps, or a part of it."""

    def run(job: Job) -> Outcome:
        saved = job.resume()
        for step in range(saved.step if saved else 0, 4):
            job.finish_step(step + 1, values={}, state=dict)
            if step + 1 == stop_after:
                raise Stop
        (job.folder / "walked.txt").write_text("all the way")
        return Outcome(data={})

    stage = Stage("walk", 1, Config, run, makes="walk", takes={"source": "thing"})
    with contextlib.suppress(Stop):
        runtime = Runtime(checkpoint_every=1)
        return make(store, stage, params={}, inputs={"source": source}, runtime=runtime).artifact
    return None


def age(store: Store) -> None:
    """Make all that is in a store old."""
    for path in store.root.rglob("*"):
        os.utime(path, (0, 0))


def test_an_interrupted_run_keeps_what_it_needs_until_nobody_has_touched_it_for_the_time_of_grace(
    store: Store, publish: Publish
) -> None:
    source = publish(store, {"a.txt": b"1"})
    age(store)
    assert walk(store, source, stop_after=2) is None
    assert describe_notes(inspect(store, [], quick=True)) == [
        "1 run was interrupted in the middle: the same command goes on"
    ]
    for path in (source.path / "manifest.json", source.path):
        os.utime(path, (0, 0))
    sweep = sweep_store(store, grace=DEFAULT_GRACE, now=now())
    assert (sweep.artifacts, sweep.runs, sweep.kept) == ([], [], 1)
    assert walk(store, source, stop_after=3) is None  # went on
    age(store)
    preview = preview_sweep(store, grace=DEFAULT_GRACE, now=now())
    (run,) = store.entries("runs")
    assert (preview.artifacts, preview.runs) == ([source.id], [run])
    assert format_sweep(preview, done=False).splitlines()[2:4] == [
        "  1 left-over of a run erased",
        "    the saved states of walk, interrupted after step 3",
    ]
    assert bool(preview)
    sweep_store(store, grace=DEFAULT_GRACE, now=now())
    assert (store.entries("runs"), list(store.ids())) == ([], [])
    assert [path.name for path in store.entries("trash")] != []


def test_a_finished_run_keeps_its_log_for_as_long_as_its_recipe_is_known(store: Store, publish: Publish) -> None:
    source = publish(store, {"a.txt": b"1"}, name="example")
    made = walk(store, source)
    assert made is not None
    (run,) = store.entries("runs")
    shutil.copytree(made.path, run / "checkpoints" / "000000000003")  # as a kill right after publishing leaves it
    sweep = sweep_store(store, grace=DEFAULT_GRACE, now=now())
    assert (sweep.runs, sweep.artifacts) == ([run / "checkpoints"], [])
    assert sorted(path.name for path in run.iterdir()) == ["lock", "metrics.jsonl"]
    age(store)
    assert sweep_store(store, grace=DEFAULT_GRACE, now=now()).runs == []  # the artifact waits in the trash
    assert sweep_store(store, grace=NONE, now=now()).runs == [run]
    assert store.entries("runs") == []


def test_a_run_that_is_worked_on_is_left_alone(store: Store, publish: Publish) -> None:
    source = publish(store, {"a.txt": b"1"}, name="example")
    walk(store, source, stop_after=2)
    (run,) = store.entries("runs")
    age(store)
    with locks.exclusive(run / "lock"):
        assert sweep_store(store, grace=NONE, now=now()).runs == []
    assert sweep_store(store, grace=NONE, now=now()).runs == [run]
    assert walk(store, source) is not None


def test_a_file_that_a_system_left_among_the_runs_is_no_run(store: Store, publish: Publish) -> None:
    source = publish(store, {"a.txt": b"1"}, name="example")
    walk(store, source, stop_after=2)
    (store.root / "runs" / ".DS_Store").write_bytes(b"\0")
    (run,) = sweep_store(store, grace=NONE, now=now()).runs
    assert len(run.name) == 64
