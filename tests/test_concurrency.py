"""Whoever else is at work in a store, and whatever its clock says, nothing is lost that is named, in use or young."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from processes import child, last_word, report

from prefline.data.errors import UnknownArtifactError
from prefline.pipeline import Artifact, Recipe, Store, collection, draft
from prefline.pipeline.collection import DEFAULT_GRACE, Sweep, plan_sweep, sweep_store
from prefline.pipeline.inspection import inspect
from prefline.pipeline.locks import exclusive, shared
from prefline.pipeline.naming import MANIFEST
from prefline.pipeline.publishing import utc_now
from prefline.pipeline.trash import restore

NO_GRACE = timedelta(0)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Publish = Callable[..., Artifact]
Run = Callable[..., subprocess.CompletedProcess[str]]


# --- other processes ---


def wait_for_start(start: Path) -> None:
    """Wait with others until a lock is dropped: that lets all go at once, and one that was killed stops nobody."""
    report("ready")
    with shared(start):
        pass


def recipe_of(content: int, seed: int) -> Recipe:
    """Ask for a content; recipes that differ in the seed alone lead to the same one."""
    return Recipe(stage="make-thing", stage_version=1, params={"content": content}, inputs={}, seed=seed)


def write(root: Path, start: Path, content: int, seed: int) -> str:
    """Publish an artifact under the name `example`, and then return its id."""
    store = Store.open(root)
    wait_for_start(start)
    with draft(store, recipe_of(content, seed)) as work:
        for number in range(3):
            (work.folder / f"{number}.txt").write_bytes(random.Random(content + number).randbytes(100_000))
        artifact = work.publish(kind="thing", data={}, name="example")
    return artifact.id


def keep_collecting(root: Path, start: Path, grace: timedelta) -> None:
    """Collect garbage again and again, until killed."""
    store = Store.open(root)
    wait_for_start(start)
    while True:
        sweep_store(store, grace=grace, now=utc_now())
        time.sleep(0.001)  # or the others would hardly ever get the lock


def keep_working(root: Path, source: str) -> None:
    """Work on a draft that needs an artifact, until killed."""
    recipe = Recipe(stage="slow", stage_version=1, params={}, inputs={"source": source}, seed=None)
    with draft(Store.open(root), recipe) as work:
        (work.folder / "half.txt").write_bytes(b"ha")
        report("at work")
        signal.pause()


# --- many rounds ---


@dataclass(frozen=True)
class Round:
    """Two writers of one content, how soon each of them is killed (None: never), and gc meanwhile."""

    content: int
    seeds: tuple[int, int]
    kills: tuple[float | None, float | None]
    grace: timedelta

    @classmethod
    def draw(cls, dice: random.Random, number: int, longest: float) -> "Round":
        """Leave to chance: is the content new or an earlier one, do both follow one recipe, and who is killed when?"""
        return cls(
            content=dice.choice([number, dice.randrange(number + 1)]),
            seeds=dice.choice([(1, 1), (1, 2)]),
            kills=(dice.choice([None, dice.uniform(0, longest)]), dice.choice([None, dice.uniform(0, longest)])),
            grace=dice.choice([NO_GRACE, DEFAULT_GRACE]),
        )

    def play(self, root: Path, start: Path) -> tuple[list[str | None], float]:
        """Let all three loose at once; return what each writer reported before its end, and how long that took."""
        with contextlib.ExitStack() as stack:
            with exclusive(start):
                writers = [stack.enter_context(child(write, root, start, self.content, seed)) for seed in self.seeds]
                collector = stack.enter_context(child(keep_collecting, root, start, self.grace))
                for _, reports in (*writers, collector):
                    assert reports.recv() == "ready"
            begun = time.monotonic()
            for kill, writer in sorted((kill, writer) for writer, kill in enumerate(self.kills) if kill is not None):
                time.sleep(max(0.0, begun + kill - time.monotonic()))
                writers[writer][0].kill()
            reported = [last_word(reports) for _, reports in writers]
            seconds = time.monotonic() - begun
            assert collector[0].is_alive(), "gc failed"
            for process, _ in writers:
                process.join()
                assert process.exitcode in (0, -signal.SIGKILL), "a writer failed by itself"
        return reported, seconds


@pytest.mark.parametrize("rounds", [50, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_in_many_rounds_of_two_writers_random_kills_and_gc_all_that_is_seen_is_whole(
    store: Store, tmp_path: Path, rounds: int
) -> None:
    start = tmp_path / "start"
    undisturbed = Round(content=0, seeds=(1, 2), kills=(None, None), grace=NO_GRACE)
    longest = min(undisturbed.play(store.root, start)[1] for _ in range(3))
    dice = random.Random(rounds)
    killed = 0
    for number in range(rounds):
        before = set(store.ids())
        game = Round.draw(dice, number, longest)
        reported, _ = game.play(store.root, start)
        assert inspect(store, [], quick=False).sound
        (named,) = store.names.all().values()
        assert store.has(named)
        assert game.grace == NO_GRACE or before <= set(store.ids())
        for seed, artifact_id in zip(game.seeds, reported, strict=True):
            if artifact_id is None:
                killed += 1
            else:
                found = store.find(recipe_of(game.content, seed).key)
                assert found
                assert named == found.id == artifact_id
    assert killed, "every kill came too late to show anything"
    sweep_store(store, grace=NO_GRACE, now=utc_now())
    assert list(store.ids()) == [named]
    assert (store.entries("tmp"), store.entries("trash")) == ([], [])


# --- two processes at one place ---


def test_two_processes_can_make_the_same_store_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "store"
    exists = Path.exists

    def look_and_lose_the_race(path: Path) -> bool:
        found = exists(path)
        if path == root / "store.json":
            monkeypatch.undo()
            Store.create(root)  # by the other one, who is done before we begin
        return found

    monkeypatch.setattr(Path, "exists", look_and_lose_the_race)
    assert list(Store.create(root).ids()) == []


def test_gc_does_not_mind_if_others_clear_away_first_what_it_was_about_to_erase(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = store.root / "tmp" / "dead" / "artifact"
    erased = store.root / "trash" / "0.erasing"

    def plan_and_lose_the_race(*args: Any, **kwargs: Any) -> Sweep:
        sweep = plan_sweep(*args, **kwargs)
        shutil.rmtree(dead.parent)  # its process ends it
        shutil.rmtree(erased)  # another gc, which has let go of the lock
        return sweep

    dead.mkdir(parents=True)
    erased.mkdir()
    monkeypatch.setattr(collection, "plan_sweep", plan_and_lose_the_race)
    assert len(sweep_store(store, grace=DEFAULT_GRACE, now=utc_now()).drafts) == 1
    assert (store.entries("tmp"), store.entries("trash")) == ([], [])


# --- the same id everywhere ---


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    """Let the processes that are started now begin with another umask."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_two_honest_runs_in_unlike_surroundings_give_the_same_id(tmp_path: Path, labels: Path, prefline: Run) -> None:
    elsewhere = tmp_path / "sömewhere else ✓"
    elsewhere.mkdir()
    moved = labels.rename(elsewhere / "lábels.jsonl")
    home = {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    abroad = {"PYTHONHASHSEED": "2", "TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONUTF8": "0"}
    with umask(0o022):
        first = prefline("ingest", moved, "--store", "store", env=home)
    with umask(0o077):
        second = prefline("ingest", moved.name, "--store", "my störe ✓", env=abroad, cwd=elsewhere)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == second.stdout != ""


@pytest.mark.parametrize("moment", [utc_now() - DAY, utc_now() + YEAR, EPOCH], ids=["yesterday", "next year", "1970"])
def test_a_wrong_clock_changes_the_time_that_is_told_and_no_id(store: Store, tmp_path: Path, moment: datetime) -> None:
    made: list[Artifact] = []
    for place, now in ((store, utc_now()), (Store.create(tmp_path / "another"), moment)):
        with draft(place, recipe_of(1, 1), clock=lambda now=now: now) as work:
            (work.folder / "a.txt").write_bytes(b"same")
            made.append(work.publish(kind="thing", data={}))
    assert made[0].id == made[1].id
    assert made[0].manifest.run["started"] != made[1].manifest.run["started"]


# --- what gc keeps ---


def set_time(store: Store, artifact_id: str, moment: datetime) -> None:
    """Let it look as if an artifact had been made at another time."""
    for path in (store.folder_of(artifact_id), store.folder_of(artifact_id) / MANIFEST):
        os.utime(path, (moment.timestamp(), moment.timestamp()))


@pytest.fixture
def chain(store: Store, publish: Publish) -> list[str]:
    """The ids of three artifacts without a name, each made from the one before, all of them old."""
    ids: list[str] = []
    for content in (b"1", b"2", b"3"):
        inputs = {"source": ids[-1]} if ids else {}
        ids.append(publish(store, {"a.txt": content}, inputs=inputs).id)
    for artifact_id in ids:
        set_time(store, artifact_id, EPOCH)
    return ids


def collect(store: Store, *, grace: timedelta = DEFAULT_GRACE, late: timedelta = timedelta(0)) -> list[str]:
    """Collect garbage by a clock that is late by so much (or early, if negative), and return the ids that went."""
    return sweep_store(store, grace=grace, now=utc_now() - late).artifacts


@pytest.mark.parametrize("grace", [NO_GRACE, DEFAULT_GRACE], ids=["no grace", "a week of grace"])
def test_gc_keeps_all_that_a_named_artifact_was_made_from_until_the_name_is_gone(
    store: Store, chain: list[str], grace: timedelta
) -> None:
    store.set_name("example", chain[-1])
    assert collect(store, grace=grace, late=-YEAR) == []
    store.names.remove("example")
    assert sorted(collect(store, grace=grace)) == sorted(chain)
    assert list(store.ids()) == []


def test_gc_keeps_all_that_a_young_artifact_was_made_from(store: Store, chain: list[str]) -> None:
    set_time(store, chain[-1], utc_now())
    assert collect(store) == []
    assert sorted(collect(store, grace=NO_GRACE)) == sorted(chain)


def test_gc_keeps_a_draft_and_all_that_it_needs_until_its_process_is_gone(store: Store, chain: list[str]) -> None:
    with child(keep_working, store.root, chain[1]) as (process, reports):
        assert reports.recv() == "at work"
        (folder,) = store.entries("tmp")
        assert collect(store, grace=NO_GRACE) == [chain[2]]  # which the draft does not need
        assert sorted(store.ids()) == sorted(chain[:2])
        assert (folder / "artifact" / "half.txt").exists()
        process.kill()
        process.join()
    assert folder.exists()
    assert sorted(collect(store, grace=NO_GRACE)) == sorted(chain[:2])
    assert store.entries("tmp") == []


# --- what gc makes of the time ---


@pytest.mark.parametrize(
    ("moment", "young"),
    [
        pytest.param(EPOCH, False, id="1970"),
        pytest.param(utc_now() - 8 * DAY, False, id="eight days ago"),
        pytest.param(utc_now() - 6 * DAY, True, id="six days ago"),
        pytest.param(utc_now() + YEAR, True, id="in a year"),
    ],
)
def test_gc_spares_what_is_younger_than_a_week_or_comes_from_the_future(
    store: Store, publish: Publish, moment: datetime, young: bool
) -> None:
    artifact_id = publish(store, {"a.txt": b"1"}).id
    set_time(store, artifact_id, moment)
    assert collect(store) == ([] if young else [artifact_id])
    (store.root / "trash" / "0").mkdir()
    os.utime(store.root / "trash" / "0", (moment.timestamp(), moment.timestamp()))
    collect(store)
    assert (store.root / "trash" / "0").exists() == young


def test_gc_by_the_clock_of_yesterday_takes_nothing(store: Store, publish: Publish, chain: list[str]) -> None:
    assert len(collect(store)) == len(chain)
    publish(store, {"a.txt": b"young"})
    assert not sweep_store(store, grace=DEFAULT_GRACE, now=utc_now() - DAY)
    assert not sweep_store(store, grace=timedelta(seconds=1), now=utc_now() - DAY)


def test_gc_by_the_clock_of_next_year_loses_nothing_that_cannot_be_brought_back(store: Store, publish: Publish) -> None:
    ids = sorted(publish(store, {"a.txt": content}).id for content in (b"1", b"2"))
    assert collect(store, late=-YEAR) == ids
    assert collect(store) == []  # the clock is right again
    assert sorted(restore(store, artifact_id) for artifact_id in ids) == ids
    assert inspect(store, ids, quick=False).sound


def test_however_old_an_artifact_is_it_has_the_time_of_grace_in_the_trash(store: Store, chain: list[str]) -> None:
    assert len(collect(store)) == len(chain)
    collect(store)
    collect(store, late=-6 * DAY)
    assert len(store.entries("trash")) == len(chain)
    collect(store, late=-8 * DAY)
    assert store.entries("trash") == []


def test_a_damaged_artifact_that_was_replaced_has_the_time_of_grace_in_the_trash_too(
    store: Store, publish: Publish
) -> None:
    artifact = publish(store, {"a.txt": b"1"})
    (artifact.path / "b.txt").write_bytes(b"stray")
    set_time(store, artifact.id, EPOCH)
    publish(store, {"a.txt": b"1"})
    collect(store)
    (replaced,) = store.entries("trash")
    assert (replaced / "b.txt").read_bytes() == b"stray"


def test_what_an_interrupted_gc_was_erasing_is_not_brought_back(store: Store, publish: Publish) -> None:
    artifact = publish(store, {"a.txt": b"1"})
    with patch.object(shutil, "rmtree", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        collect(store, grace=NO_GRACE)
    assert len(store.entries("trash")) == 1
    with pytest.raises(UnknownArtifactError, match="begins no id in the trash"):
        restore(store, artifact.id)
    collect(store)
    assert store.entries("trash") == []
