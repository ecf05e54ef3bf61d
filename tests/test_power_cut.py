"""Wherever the power fails, an artifact is whole or absent, and what was reported as done is still done.

Killing a process cannot show this: the kernel still writes what a killed process left behind. So a
model of a disk keeps what was synced, and of all the rest whichever version hurts.
"""

import contextlib
import dataclasses
import errno
import itertools
import os
import random
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prefline.data.errors import PreflineError, StoreError, UnknownArtifactError
from prefline.pipeline import Artifact, Recipe, Store, draft, filesystem, find_faults, publishing
from prefline.pipeline.collection import sweep_store
from prefline.pipeline.filesystem import create_file
from prefline.pipeline.listing import summarize
from prefline.pipeline.trash import restore

CALLS = ("open", "write", "fsync", "mkdir", "rename", "replace", "unlink")
RECIPE = Recipe(stage="make-thing", stage_version=1, params={}, inputs={}, seed=None)
STORE = "new/store"  # below the top of the disk; neither folder is there at first
NAME = "thing/example"

Publish = Callable[..., Artifact]
Prepare = Callable[[Path, Publish], None]
Tree = dict[str, bytes | None]  # a path, and what the file holds; None for a folder


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking up versions takes longer than all the rest of publishing, and decides nothing here."""
    monkeypatch.setattr(publishing, "describe_environment", dict)


# --- the disk ---


@dataclass(frozen=True)
class Moment:
    """What a running system sees after one call, by inode, and what that call made durable."""

    call: str
    folders: Mapping[int, Mapping[str, int]]
    files: Mapping[int, bytes]
    synced: frozenset[int]


class Disk:
    """Remembers all that a folder, and whatever is below it, went through.

    It looks at the whole folder after each call, so it also sees what did not pass through the file
    system module: the files that a stage writes, and whole folders erased.
    """

    def __init__(self, top: Path) -> None:
        self.moments: list[Moment] = []
        self.top = top.stat().st_ino
        self.paths = {self.top: ""}  # what each inode was called last, for messages
        self._held = {self.top: os.open(top, os.O_RDONLY)}  # an inode that is open keeps its number to itself
        self._lock = threading.Lock()
        self.look("start")
        self.moments[0] = dataclasses.replace(self.moments[0], synced=frozenset(self._held))

    def look(self, call: str, synced: int | None = None) -> None:
        """Remember what is there now."""
        folders: dict[int, dict[str, int]] = {}
        files: dict[int, bytes] = {}
        pending = list(self._held)
        while pending:
            inode = pending.pop()
            status = os.fstat(self._held[inode])
            if stat.S_ISDIR(status.st_mode):
                folders[inode] = self._list(inode)
                pending += [entry for entry in folders[inode].values() if entry not in folders and entry not in files]
            else:
                files[inode] = os.pread(self._held[inode], status.st_size, 0)
        self.moments.append(Moment(call, folders, files, frozenset() if synced is None else frozenset({synced})))

    def watch(self, name: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make a call and look at what it did; one at a time, because files are synced in threads."""
        with self._lock:
            result = call(*args, **kwargs)
            inode = os.fstat(args[0]).st_ino if name in ("fsync", "write") else None
            where = self.paths[inode] if inode else args[0]
            self.look(f"{name} {where}", inode if name == "fsync" else None)
            return result

    def close(self) -> None:
        """Let go of the inodes."""
        for descriptor in self._held.values():
            os.close(descriptor)

    def _list(self, folder: int) -> dict[str, int]:
        entries: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError):  # a folder that was removed lists nothing
            for name in sorted(os.listdir(self._held[folder])):
                entries[name] = os.stat(name, dir_fd=self._held[folder], follow_symlinks=False).st_ino
                self.paths[entries[name]] = f"{self.paths[folder]}/{name}".lstrip("/")
                if entries[name] not in self._held:
                    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self._held[folder])
                    self._held[entries[name]] = descriptor
        return entries


class WatchedOs:
    """What the file system module takes for `os`: calls are real, and seen by a disk. One sync may fail.

    A sync is only seen: what it saves is for the model to say, and waiting for the real one is slow.
    """

    def __init__(self, disk: Disk, failing_sync: int = 0) -> None:
        self._disk = disk
        self._failing_sync = failing_sync
        self._syncs = itertools.count(1)  # which threads may share

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real
        return lambda *args, **kwargs: self._disk.watch(name, real, *args, **kwargs)

    def fsync(self, descriptor: int) -> None:
        if next(self._syncs) == self._failing_sync:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._disk.watch("fsync", lambda _: None, descriptor)


@contextlib.contextmanager
def watched(top: Path, *, failing_sync: int = 0) -> Iterator[Disk]:
    """Lend a disk that sees what becomes of a folder. What is in it already is durable."""
    disk = Disk(top)
    with contextlib.closing(disk), pytest.MonkeyPatch.context() as patch:
        patch.setattr(filesystem, "os", WatchedOs(disk, failing_sync))
        # A Mac syncs by another call, which would pass this by.
        patch.setattr(filesystem, "sys", SimpleNamespace(platform="linux"))
        yield disk
        disk.look("end")


# --- the power cut ---


@dataclass(frozen=True)
class Loss:
    """What a power cut does where the disk is free to choose: among versions, the durable one first."""

    entry: Callable[[Sequence[int | None]], int | None]
    content: Callable[[Sequence[bytes]], bytes]


def durable(versions: Sequence[Any]) -> Any:
    """Nothing reached the disk but what was waited for."""
    return versions[0]


def latest(versions: Sequence[Any]) -> Any:
    """All reached the disk in time."""
    return versions[-1]


def torn(versions: Sequence[bytes]) -> bytes:
    """Half of the latest content reached the disk."""
    return versions[-1][: len(versions[-1]) // 2] if len(versions) > 1 else versions[0]


def garbage(versions: Sequence[bytes]) -> bytes:
    """The size reached the disk, the bytes did not."""
    return bytes(len(versions[-1])) if len(versions) > 1 else versions[0]


def any_of(seed: int) -> Loss:
    """Choose anew for every entry and every file, as the seed has it."""
    dice = random.Random(seed)
    return Loss(dice.choice, lambda versions: dice.choice([*versions, torn(versions), garbage(versions)]))


def losses() -> dict[str, Loss]:
    """The ways to lose what was not synced: the extremes, and a mixture for each of some seeds."""
    return {
        "nothing unsynced survives": Loss(durable, durable),
        "all entries survive, over old content": Loss(latest, durable),
        "all entries survive, over torn content": Loss(latest, torn),
        "all entries survive, over garbage": Loss(latest, garbage),
        "everything survives": Loss(latest, latest),
        **{f"a mixture, seed {seed}": any_of(seed) for seed in range(20)},
    }


def survive(moments: Sequence[Moment], top: int, loss: Loss) -> Tree:
    """Return what is found after a power cut that follows the last of these moments.

    A file has the content of its last sync or some later one, and before its first sync perhaps
    none. Each entry of a folder is, apart from all the others, as it was at the last sync of the
    folder, or as it was at some time since. So a rename may have lost either of its ends, or neither.
    """
    tree: Tree = {}
    pending = [("", top)]
    while pending:
        path, inode = pending.pop()
        syncs = [index for index, moment in enumerate(moments) if inode in moment.synced]
        since = moments[syncs[-1] :] if syncs else moments
        if inode in moments[-1].files:
            held = [moment.files[inode] for moment in since if inode in moment.files]
            tree[path] = loss.content(_distinct(held if syncs else [b"", *held]))
            continue
        tree[path] = None
        listings = [moment.folders[inode] for moment in since if inode in moment.folders]
        listings = listings if syncs else [{}, *listings]
        for name in sorted({name for listing in listings for name in listing}):
            entry = loss.entry(_distinct([listing.get(name) for listing in listings]))
            if entry is not None:
                pending.append((f"{path}/{name}".lstrip("/"), entry))
    return tree


def _distinct(versions: Sequence[Any]) -> list[Any]:
    """Leave out repetitions, the order kept."""
    return list(dict.fromkeys(versions))


def survivors(disk: Disk, moments: Sequence[Moment]) -> Iterator[tuple[int, str, Tree]]:
    """Yield every different tree that may be found, with the latest cut that leads to it: it promises the most.

    Work in progress does not make a difference: only gc looks at what an earlier process left of it.
    """
    seen: set[frozenset[tuple[str, bytes | None]]] = set()
    ways = losses()
    for cut in reversed(range(len(moments))):
        for name, loss in ways.items():
            tree = survive(moments[: cut + 1], disk.top, loss)
            visible = frozenset(item for item in tree.items() if not item[0].startswith(f"{STORE}/tmp/"))
            if visible not in seen:
                seen.add(visible)
                yield cut, f"power cut {cut}, after {moments[cut].call}: {name}", tree


@contextlib.contextmanager
def found(tree: Tree, folder: Path, how: str) -> Iterator[Path]:
    """Lay out what survived, for a look at the store; a failure tells which survivor it was."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        disk = Path(scratch, "disk")
        for path, content in tree.items():
            if content is None:
                (disk / path).mkdir()
            else:
                (disk / path).write_bytes(content)
        try:
            yield disk / STORE
        except (AssertionError, PreflineError) as error:
            error.add_note(how)
            raise


# --- what must hold ---


def publish_example(root: Path, when_returned: Callable[[], None] = lambda: None) -> Artifact:
    """Publish several files, one of them deep down; only one passes through the file system module."""
    with draft(Store.create(root), RECIPE) as work:
        with create_file(work.folder / "streamed.jsonl") as stream:
            stream.write(b"{}\n" * 50)
        (work.folder / "deep" / "down").mkdir(parents=True)
        (work.folder / "deep" / "down" / "plain.txt").write_bytes(b"not empty")
        (work.folder / "weights.safetensors").write_bytes(bytes(range(256)))
        artifact = work.publish(kind="thing", data={}, name="example")
        when_returned()
    return artifact


def check_sound(store: Store, damaged_before: Set[str] = frozenset()) -> set[str]:
    """An artifact is whole or cannot be had, and nothing leads elsewhere. Return the ids that can be had."""
    there = {artifact_id for artifact_id in store.ids() if store.has(artifact_id)}
    for artifact_id in there - damaged_before:
        faults = find_faults(store.folder_of(artifact_id), expected_id=artifact_id)
        assert not faults, f"neither whole nor absent: {artifact_id}: {faults}"
    for artifact_id in set(store.ids()) - there:
        with pytest.raises(UnknownArtifactError):
            store.get(artifact_id)
    assert {summary.id for summary in summarize(store) if summary.kind} <= there, "listed without being there"
    recalled = store.find(RECIPE.key)
    assert recalled is None or recalled.id in there, "a recipe leads to nothing"
    return there


def check_published(store: Store, artifact_id: str) -> None:
    """The artifact, the record of its recipe and its name are all there."""
    assert (store.root / "store.json").exists(), "the store was lost"
    assert artifact_id in check_sound(Store.open(store.root)), "the artifact was lost"
    recalled = store.find(RECIPE.key)
    assert recalled is not None, "the record was lost"
    assert recalled.id == artifact_id
    assert store.names.all().get(NAME) == artifact_id, "the name was lost"


@dataclass(frozen=True)
class Published:
    """A publishing as a disk saw it, and what there was before."""

    disk: Disk
    artifact_id: str
    returned: int  # the moment from which on nothing of it may be lost
    ids_before: Set[str]
    damaged_before: Set[str]
    names_before: Mapping[str, str]

    def check(self, root: Path, cut: int) -> None:
        """What survived a cut is the store before or after, and after if publishing had come to its end."""
        store = Store(root)
        there = check_sound(store, self.damaged_before)
        assert self.ids_before - self.damaged_before <= there, "an earlier artifact was lost"
        names = store.names.all()
        assert names in (self.names_before, {**self.names_before, NAME: self.artifact_id}), "a name is neither"
        assert set(names.values()) - self.damaged_before <= there, "a name leads to nothing"
        if cut >= self.returned:
            check_published(store, self.artifact_id)


def record_publishing(top: Path) -> Published:
    """Publish on a disk that is watched."""
    store = Store(top / STORE)
    ids = set(store.ids())
    damaged = {artifact_id for artifact_id in ids if find_faults(store.folder_of(artifact_id))}
    names = store.names.all()
    returned: list[int] = []
    with watched(top) as disk:
        artifact = publish_example(store.root, lambda: returned.append(len(disk.moments)))
    return Published(disk, artifact.id, returned[0], ids, damaged, names)


def check_everywhere(published: Published, moments: Sequence[Moment], folder: Path) -> None:
    """Cut the power at every moment and lose what may be lost in every way."""
    for cut, how, tree in survivors(published.disk, moments):
        with found(tree, folder, how) as root:
            published.check(root, cut)


def nothing(top: Path, publish: Publish) -> None:
    """There is no store, and no folder to hold one."""


def its_shard(top: Path, publish: Publish) -> None:
    """The folder that the artifact's folder goes to is there already."""
    artifact_id = publish_example(top.parent / "elsewhere").id
    Store.create(top / STORE).folder_of(artifact_id).parent.mkdir()


def another_of_that_name(top: Path, publish: Publish) -> None:
    """The name is to move from another artifact."""
    publish(Store.create(top / STORE), {"earlier.txt": b"earlier"}, name="example")


def a_damaged_one(top: Path, publish: Publish) -> None:
    """The artifact was published before, and its bytes have rotted since."""
    file = publish_example(top / STORE).path / "weights.safetensors"
    file.chmod(0o644)
    file.write_bytes(bytes(256))


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The top of the disk that is watched."""
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


BEFORE = pytest.mark.parametrize("before", [nothing, its_shard, another_of_that_name, a_damaged_one])


@BEFORE
def test_an_artifact_is_whole_or_absent_wherever_the_power_fails(
    before: Prepare, top: Path, tmp_path: Path, publish: Publish
) -> None:
    before(top, publish)
    published = record_publishing(top)
    check_everywhere(published, published.disk.moments, tmp_path)


@BEFORE
def test_the_same_command_mends_whatever_a_power_cut_left(
    before: Prepare, top: Path, tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    before(top, publish)
    published = record_publishing(top)
    monkeypatch.setattr(filesystem, "_sync", lambda _: None)  # for speed: the power has come back to stay
    for _, how, tree in survivors(published.disk, published.disk.moments):
        with found(tree, tmp_path, how) as root:
            publish_example(root)
            check_published(Store(root), published.artifact_id)


def test_what_a_failed_attempt_left_unsynced_is_synced_by_the_next(top: Path, tmp_path: Path) -> None:
    for number in itertools.count(1):
        attempt = top / str(number)
        (attempt / STORE).parent.mkdir(parents=True)
        with watched(attempt, failing_sync=number) as disk:
            try:
                publish_example(attempt / STORE)
                break
            except StoreError:
                artifact = publish_example(attempt / STORE)
        lost = survive(disk.moments, disk.top, Loss(durable, durable))
        with found(lost, tmp_path, f"sync {number} failed, then all went well, then the power was cut") as root:
            check_published(Store(root), artifact.id)
    assert number > 10


# --- the test has teeth ---


def without_syncs(published: Published, forgotten: Set[int]) -> list[Moment]:
    """Tell what happened as if some inodes had never been synced."""
    first, *later = published.disk.moments
    return [first, *(dataclasses.replace(moment, synced=moment.synced - forgotten) for moment in later)]


@pytest.mark.parametrize("kind", ["files", "folders"])
def test_without_syncs_the_check_fails(kind: str, top: Path, tmp_path: Path) -> None:
    published = record_publishing(top)
    forgotten = {inode for moment in published.disk.moments for inode in getattr(moment, kind)}
    with pytest.raises(AssertionError, match=r"was lost|neither whole nor absent"):
        check_everywhere(published, without_syncs(published, forgotten), tmp_path)


def test_without_the_sync_of_the_manifest_the_check_fails(
    top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_without_sync(path: Path, content: bytes) -> None:
        with create_file(path) as stream:
            stream.write(content)

    monkeypatch.setattr(publishing, "write_file", write_without_sync)
    published = record_publishing(top)
    with pytest.raises(AssertionError, match="neither whole nor absent"):
        check_everywhere(published, published.disk.moments, tmp_path)


def test_without_the_sync_of_any_one_file_or_folder_something_is_lost(top: Path, tmp_path: Path) -> None:
    published = record_publishing(top)
    needless: set[str] = set()
    for inode in set().union(*(moment.synced for moment in published.disk.moments[1:])):
        path = published.disk.paths[inode]
        tree = survive(without_syncs(published, {inode}), published.disk.top, Loss(durable, durable))
        with contextlib.suppress(AssertionError, PreflineError), found(tree, tmp_path, path) as root:
            check_published(Store(root), published.artifact_id)
            needless.add(Path(path).name)
    # These tell gc and git what to leave alone, and nothing that was published depends on them.
    assert needless == {"inputs.json", ".gitignore"}


# --- gc ---


def test_what_gc_takes_is_whole_or_absent_wherever_the_power_fails(top: Path, tmp_path: Path, publish: Publish) -> None:
    store = Store.create(top / STORE)
    kept = publish(store, {"a.txt": b"kept", "b.txt": b"kept"}, name="kept")
    for number in range(2):
        publish(store, {"a.txt": b"first", "b.txt": str(number).encode()}, seed=number)
    with watched(top) as disk:
        swept = sweep_store(store, grace=timedelta(0), now=datetime.now(UTC))
    assert len(swept.artifacts) == 2
    for _, how, tree in survivors(disk, disk.moments):
        with found(tree, tmp_path, how) as root:
            assert kept.id in check_sound(Store(root)), "an artifact that has a name was lost"
            assert Store(root).names.all() == {"thing/kept": kept.id}


def test_what_was_brought_back_from_the_trash_is_there_to_stay(top: Path, tmp_path: Path, publish: Publish) -> None:
    store = Store.create(top / STORE)
    artifact = publish(store, {"a.txt": b"content"})
    sweep_store(store, grace=timedelta(days=1), now=datetime.now(UTC) + timedelta(days=2))
    assert not store.has(artifact.id)
    with watched(top) as disk:
        restore(store, artifact.id)
    returned = len(disk.moments) - 1
    for cut, how, tree in survivors(disk, disk.moments):
        with found(tree, tmp_path, how) as root:
            assert artifact.id in check_sound(Store(root)) or cut < returned, "what was brought back was lost"
