"""Wherever a process is killed, what can be seen is whole, and the same command again ends in the same artifact.

Failpoints see to it that no step is passed over; kills at random times find the places that nobody named.
"""

import itertools
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from processes import every_kill, exit_code, is_hit, time_to_finish

from prefline.data.configuration import Config
from prefline.pipeline import Artifact, Stage, Store, find_faults, make
from prefline.pipeline.collection import DEFAULT_GRACE, sweep_store
from prefline.pipeline.failpoints import NAMES, reach
from prefline.pipeline.filesystem import create_file
from prefline.pipeline.inspection import inspect
from prefline.pipeline.jobs import Job
from prefline.pipeline.naming import MANIFEST
from prefline.pipeline.publishing import utc_now
from prefline.pipeline.stages import Outcome

PUBLISHING = [name for name in NAMES if name.startswith(("draft.", "publish."))]
COLLECTING = [name for name in NAMES if name.startswith("gc.")]
NO_GRACE = timedelta(0)
LARGE = 5 << 19  # two and a half of the blocks that files are written in, so a kill can leave a part of a file
FILES = {"a.txt": LARGE, "b/c.txt": 10_000, "b/d/e.txt": 10, "f.txt": 10}

Publish = Callable[..., Artifact]
Run = Callable[..., subprocess.CompletedProcess[str]]
Ingest = Callable[..., subprocess.CompletedProcess[str]]


# --- what is killed ---


def write_files(job: Job) -> Outcome:
    """Write large files and small ones, at several depths."""
    for path, size in FILES.items():
        (job.folder / path).parent.mkdir(parents=True, exist_ok=True)
        with create_file(job.folder / path) as out:
            for _ in range(10):
                out.write(path[:1].encode() * (size // 10))
    return Outcome(data={})


def make_files(root: Path, older: str) -> str:
    """Make an artifact of many files from an older one, and let it take over the name."""
    store = Store.open(root)
    stage = Stage("write-files", 1, Config, write_files, makes="thing", takes={"source": "thing"})
    return make(store, stage, params={}, inputs={"source": store.get(older)}, name="example").artifact.id


def collect(root: Path, grace: timedelta) -> None:
    """Take away what nothing leads to."""
    sweep_store(Store.open(root), grace=grace, now=utc_now())


# --- what must be true afterwards ---


def look(root: Path) -> Store | None:
    """Find whole all that can be seen. None: not even a store can."""
    if not (root / "store.json").exists():  # killed while the store was made
        assert list(root.glob("objects/*/*")) == []
        return None
    store = Store.open(root)
    ids = list(store.ids())
    for artifact_id in ids:
        assert find_faults(store.folder_of(artifact_id), expected_id=artifact_id) == []
    assert set(store.names.all().values()) <= set(ids)
    assert inspect(store, [], quick=False).sound
    return store


def expect_a_finished_store(root: Path, ids: set[str], named: str) -> None:
    """See that the rerun has brought about just this, and that gc takes what the kill has left and nothing else."""
    store = look(root)
    assert store is not None
    assert set(store.ids()) == ids
    assert list(store.names.all().values()) == [named]
    assert sweep_store(store, grace=DEFAULT_GRACE, now=utc_now()).artifacts == []
    assert set(store.ids()) == ids
    assert (store.entries("tmp"), store.entries("trash")) == ([], [])


# --- ingest, as a user runs it ---


@pytest.fixture
def ingest(tmp_path: Path, prefline: Run) -> Ingest:
    """Ingest a large file into a store: ingest(root, failpoint)."""
    row = {"prompt": "The film", "responses": ["a" * (LARGE // 8), "b" * (LARGE // 8)], "best": 0}
    file = tmp_path / "labels.jsonl"
    file.write_text(f"{json.dumps(row)}\n" * 4)

    def run(root: Path, failpoint: str = "") -> subprocess.CompletedProcess[str]:
        return prefline("ingest", file, "--name", "example", "--store", root, env={"PREFLINE_FAILPOINT": failpoint})

    return run


@pytest.mark.parametrize("name", PUBLISHING)
def test_ingest_killed_here_shows_nothing_unfinished_and_the_rerun_prints_the_same_id(
    name: str, tmp_path: Path, ingest: Ingest
) -> None:
    reference = ingest(tmp_path / "reference").stdout.strip()
    for root in every_kill(name, lambda root, failpoint: ingest(root, failpoint).returncode, tmp_path):
        store = look(root)
        assert store is None or set(store.names.all().values()) <= {reference}
        assert ingest(root).stdout.strip() == reference
        expect_a_finished_store(root, {reference}, named=reference)


# --- a stage that writes many files ---


@pytest.fixture
def prepare(publish: Publish) -> Callable[[Path], str]:
    """Make a store that holds an artifact named `example`, and return its id."""
    return lambda root: publish(Store.create(root), {"older.txt": b"older"}, name="example").id


@pytest.fixture
def older(tmp_path: Path, prepare: Callable[[Path], str]) -> str:
    """The id of what every prepared store holds."""
    return prepare(tmp_path / "reference")


@pytest.fixture
def reference(tmp_path: Path, older: str) -> str:
    """The id of what is made from it, if nobody is killed."""
    return make_files(tmp_path / "reference", older)


def expect_the_same_end(root: Path, older: str, reference: str) -> None:
    """See that a kill while files were made has shown nothing unfinished, and that making them again gives the same."""
    store = look(root)
    assert store is not None
    assert store.names.all()["thing/example"] in (older, reference)
    assert make_files(root, older) == reference
    expect_a_finished_store(root, {older, reference}, named=reference)


@pytest.mark.parametrize("name", PUBLISHING)
def test_a_stage_killed_here_shows_nothing_unfinished_and_the_rerun_makes_the_same_artifact(
    name: str, tmp_path: Path, prepare: Callable[[Path], str], older: str, reference: str
) -> None:
    def run(root: Path, failpoint: str) -> int | None:
        return exit_code(make_files, root, prepare(root), failpoint=failpoint)

    for root in every_kill(name, run, tmp_path):
        expect_the_same_end(root, older, reference)


def test_every_file_is_a_place_to_be_killed_at_and_so_is_the_middle_of_a_large_one(
    tmp_path: Path, prepare: Callable[[Path], str]
) -> None:
    def run(root: Path, failpoint: str) -> int | None:
        return exit_code(make_files, root, prepare(root), failpoint=failpoint)

    assert len(list(every_kill("publish.hashed", run, tmp_path))) == len(FILES)
    left = (path for root in every_kill("draft.writing", run, tmp_path) for path in root.glob("tmp/*/artifact/a.txt"))
    assert any(0 < path.stat().st_size < LARGE for path in left)


def test_a_stage_killed_at_any_time_shows_nothing_unfinished_and_the_rerun_makes_the_same_artifact(
    tmp_path: Path, prepare: Callable[[Path], str], older: str, reference: str
) -> None:
    roots = (tmp_path / str(number) for number in itertools.count())
    longest = min(time_to_finish(make_files, root, prepare(root)) for root in itertools.islice(roots, 3))
    dice = random.Random(20)
    hits = 0
    for root in itertools.islice(roots, 20):
        hits += is_hit(dice.uniform(0, longest), make_files, root, prepare(root))
        expect_the_same_end(root, older, reference)
    assert hits, "every kill came too late to show anything"


# --- gc ---


class Untidy:
    """A store with some of all that gc takes away, and a chain of three artifacts that it must keep."""

    def __init__(self, root: Path, publish: Publish) -> None:
        self.root = root
        self.store = store = Store.create(root)
        first = publish(store, {"a.txt": b"first"}).id
        second = publish(store, {"a.txt": b"second"}, inputs={"source": first}).id
        third = publish(store, {"a.txt": b"third"}, inputs={"source": second}, name="example").id
        self.kept = {first, second, third}
        self.loose = {publish(store, {f"{n}.txt": b"%d" % i for n in range(8)}, seed=i).id for i in range(3)}
        for artifact_id in self.kept | self.loose:
            for path in (store.folder_of(artifact_id), store.folder_of(artifact_id) / MANIFEST):
                os.utime(path, (0, 0))
        (root / "tmp" / "dead" / "artifact").mkdir(parents=True)
        old = shutil.copytree(store.folder_of(first), root / "trash" / f"{first.removeprefix('sha256:')}.old")
        os.utime(old, (0, 0))

    def expect_kept(self, grace: timedelta) -> None:
        """See that a sweep, however far it came, took nothing too early and left no half artifact to be restored."""
        assert look(self.root)
        present = set(self.store.ids())
        assert self.kept <= present
        trash = {path: f"sha256:{path.name.partition('.')[0]}" for path in self.store.entries("trash")}
        whole = {path: artifact_id for path, artifact_id in trash.items() if not path.name.endswith(".erasing")}
        for path, artifact_id in whole.items():
            assert find_faults(path, expected_id=artifact_id) == []
        if grace:
            assert self.loose <= present | set(whole.values())

    def expect_swept(self, grace: timedelta) -> None:
        """See that a sweep has come to its end."""
        self.expect_kept(grace)
        assert set(self.store.ids()) == self.kept
        # What waits in the trash may be brought back, and its recipe with it.
        assert len(self.store.entries("keys")) == len(self.kept | (self.loose if grace else set()))
        assert self.store.entries("tmp") == []
        trash = {f"sha256:{path.name.partition('.')[0]}" for path in self.store.entries("trash")}
        assert trash == (self.loose if grace else set())


@pytest.mark.parametrize("grace", [NO_GRACE, DEFAULT_GRACE], ids=["no grace", "a week of grace"])
@pytest.mark.parametrize("name", COLLECTING)
def test_gc_killed_here_has_lost_nothing_reachable_and_the_next_one_ends_its_work(
    name: str, grace: timedelta, tmp_path: Path, publish: Publish
) -> None:
    stores: dict[Path, Untidy] = {}

    def run(root: Path, failpoint: str) -> int | None:
        stores[root] = Untidy(root, publish)
        return exit_code(collect, root, grace, failpoint=failpoint)

    for root in every_kill(name, run, tmp_path):
        stores[root].expect_kept(grace)
        collect(root, grace)
        stores[root].expect_swept(grace)


def test_gc_killed_at_any_time_has_lost_nothing_reachable_and_the_next_one_ends_its_work(
    tmp_path: Path, publish: Publish
) -> None:
    stores = (Untidy(tmp_path / str(number), publish) for number in itertools.count())
    longest = min(time_to_finish(collect, untidy.root, NO_GRACE) for untidy in itertools.islice(stores, 3))
    dice = random.Random(21)
    hits = 0
    for untidy in itertools.islice(stores, 20):
        hits += is_hit(dice.uniform(0, longest), collect, untidy.root, NO_GRACE)
        untidy.expect_kept(NO_GRACE)
        collect(untidy.root, NO_GRACE)
        untidy.expect_swept(NO_GRACE)
    assert hits, "every kill came too late to show anything"


# --- the failpoints themselves ---


def test_every_failpoint_is_one_of_those_that_are_killed_here_or_while_a_stage_works_in_steps() -> None:
    others = {name for name in NAMES if name.startswith(("run.", "step.", "checkpoint."))}  # in test_resume.py
    assert {*PUBLISHING, *COLLECTING} | others == set(NAMES)


def test_a_failpoint_must_be_listed_and_one_that_is_never_reached_kills_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFLINE_FAILPOINT", "no.such.place:1")
    for name in NAMES:
        reach(name)
    with pytest.raises(ValueError, match=r"'no\.such\.place' is not listed in failpoints\.NAMES"):
        reach("no.such.place")
