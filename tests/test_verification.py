"""A file truncated, flipped, emptied, missing, extra, or a link: verify names it and no stage consumes it."""

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefline.data.configuration import Config
from prefline.data.errors import DamagedArtifactError, ManifestError, StoreError
from prefline.pipeline import Artifact, Stage, Store, find_faults, make
from prefline.pipeline.hashing import hash_file
from prefline.pipeline.inspection import inspect
from prefline.pipeline.jobs import Job
from prefline.pipeline.stages import Outcome
from prefline.pipeline.terminal import describe_notes

FILES = {"model.safetensors": bytes(range(256)) * 40, "config.json": b"{}", "parts/vocab.txt": b"a\nb\n"}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def link(path: Path) -> None:
    aside = Path(tempfile.mkdtemp()) / "aside"
    shutil.copy(path, aside)
    path.unlink()
    path.symlink_to(aside)  # to the very same bytes: they could change later


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = [truncate, empty, flip, grow, link, become_a_folder, Path.unlink]


class NoParams(Config):
    """A stage without settings."""


def copy_input(job: Job) -> Outcome:
    given = job.inputs["thing"]
    assert isinstance(given, Artifact)
    shutil.copy(given.path / "config.json", job.folder / "config.json")
    return Outcome(data={})


COPY = Stage("copy", 1, NoParams, copy_input, makes="copy", takes={"thing": "thing"})


def allow_writing(folder: Path) -> None:
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("path", [*FILES, "manifest.json"])
def test_damage_to_any_file_is_named_and_nothing_is_made_from_it(
    store: Store, publish: Callable[..., Artifact], path: str, damage: Callable[[Path], None]
) -> None:
    artifact = publish(store, FILES, name="mine")
    allow_writing(artifact.path)
    damage(artifact.path / path)
    assert path in [fault.path for fault in find_faults(artifact.path, expected_id=artifact.id)]
    assert not inspect(store, [artifact.id], quick=False).sound
    with pytest.raises((DamagedArtifactError, ManifestError)):
        make(store, COPY, params={}, inputs={"thing": artifact})
    assert [artifact_id for artifact_id in store.ids() if artifact_id != artifact.id] == []


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d is not flip], ids=lambda damage: damage.__name__)
def test_a_quick_look_sees_all_but_changed_bytes(
    store: Store, publish: Callable[..., Artifact], damage: Callable[[Path], None]
) -> None:
    artifact = publish(store, FILES)
    allow_writing(artifact.path)
    damage(artifact.path / "model.safetensors")
    assert [fault.path for fault in find_faults(artifact.path, quick=True)] == ["model.safetensors"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(sorted(FILES)), place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_single_flipped_bit_anywhere_is_found(
    tmp_path_factory: pytest.TempPathFactory, publish: Callable[..., Artifact], path: str, place: int, bit: int
) -> None:
    store = Store.create(tmp_path_factory.mktemp("store"))
    artifact = publish(store, FILES)
    allow_writing(artifact.path)
    content = bytearray((artifact.path / path).read_bytes())
    content[place % len(content)] ^= 1 << bit
    (artifact.path / path).write_bytes(content)
    assert [fault.path for fault in find_faults(artifact.path)] == [path]


@pytest.mark.parametrize("extra", ["extra.txt", "parts/extra.txt", ".hidden", "empty-folder/"])
def test_what_the_manifest_does_not_list_is_named(store: Store, publish: Callable[..., Artifact], extra: str) -> None:
    artifact = publish(store, FILES)
    path = artifact.path / extra
    path.mkdir() if extra.endswith("/") else path.write_bytes(b"?")
    assert [str(fault) for fault in find_faults(artifact.path)] == [
        f"{extra.rstrip('/')}: is extra: the manifest does not list it"
    ]


def test_a_whole_artifact_in_the_place_of_another_is_named(store: Store, publish: Callable[..., Artifact]) -> None:
    one, other = publish(store, {"a.txt": b"1"}), publish(store, {"a.txt": b"2"})
    shutil.rmtree(one.path)
    shutil.copytree(other.path, one.path)
    (fault,) = find_faults(one.path, expected_id=one.id)
    assert fault.problem == f"describes {other.id}, but lies where {one.id} should"
    with pytest.raises(ManifestError, match="describes"):
        store.get(one.id)


def test_a_link_in_the_place_of_the_folder_is_named(
    store: Store, publish: Callable[..., Artifact], tmp_path: Path
) -> None:
    artifact = publish(store, FILES)
    artifact.path.rename(tmp_path / "elsewhere")
    artifact.path.symlink_to(tmp_path / "elsewhere")
    assert [str(fault) for fault in find_faults(artifact.path)] == [".: the folder of the artifact is a link"]


def test_what_was_damaged_is_made_again_and_the_damaged_copy_kept_aside(
    store: Store, publish: Callable[..., Artifact]
) -> None:
    artifact = publish(store, FILES)
    allow_writing(artifact.path)
    flip(artifact.path / "config.json")
    assert publish(store, FILES).id == artifact.id
    assert find_faults(artifact.path, expected_id=artifact.id) == []
    (aside,) = (store.root / "trash").iterdir()
    assert [fault.path for fault in find_faults(aside)] == ["config.json"]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: (folder / "model.bin").write_bytes(b""), "its suffix is not one of"),
        (lambda folder: (folder / "a.txt").symlink_to("/etc/hostname"), "it is a link, an empty folder or a device"),
        (lambda folder: (folder / "empty").mkdir(), "its suffix is not one of"),
        (lambda folder: os.mkfifo(folder / "pipe.txt"), "it is a link, an empty folder or a device"),
        (lambda folder: (folder / "u\u0308.txt").write_bytes(b""), "not in Unicode's composed form"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"{}"), "is the name of the manifest itself"),
        (lambda _: None, "a draft without files cannot be published"),
    ],
)
def test_what_must_not_be_in_an_artifact_is_refused(store: Store, prepare: Callable[[Path], Any], message: str) -> None:
    def run(job: Job) -> Outcome:
        prepare(job.folder)
        return Outcome(data={})

    with pytest.raises(Exception, match=message):
        make(store, Stage("odd", 1, NoParams, run, makes="thing"), params={}, inputs={})
    assert list(store.ids()) == []
    assert list((store.root / "tmp").iterdir()) == []


def test_a_hard_link_in_a_draft_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "original.txt").write_text("x")

    def run(job: Job) -> Outcome:
        (job.folder / "copy.txt").hardlink_to(tmp_path / "original.txt")
        return Outcome(data={})

    with pytest.raises(Exception, match="a hard link elsewhere could change its bytes later"):
        make(store, Stage("odd", 1, NoParams, run, makes="thing"), params={}, inputs={})


def test_published_files_are_guarded_against_accident(store: Store, publish: Callable[..., Artifact]) -> None:
    artifact = publish(store, FILES)
    assert not any(path.stat().st_mode & 0o222 for path in artifact.path.rglob("*") if path.is_file())


def test_a_name_that_leads_nowhere_makes_a_store_unsound(store: Store, publish: Callable[..., Artifact]) -> None:
    artifact = publish(store, FILES, name="mine")
    shutil.rmtree(artifact.path)
    report = inspect(store, [], quick=False)
    assert [str(fault) for fault in report.store_faults] == [
        f"refs/thing/mine: leads to {artifact.id}, which is not in the store"
    ]
    assert describe_notes(report) == ["1 recorded recipe leads to no artifact; gc --delete removes such records"]


def test_a_name_that_cannot_be_read_stops_what_relies_on_names(store: Store, publish: Callable[..., Artifact]) -> None:
    publish(store, FILES, name="mine")
    (store.root / "refs" / "thing" / "mine").write_text("sha256:123\n")
    assert [fault.path for fault in inspect(store, [], quick=False).store_faults] == ["refs/thing/mine"]
    with pytest.raises(StoreError, match="expected one line with an id"):
        store.resolve("mine")


def test_a_damaged_record_of_a_recipe_is_as_good_as_none(store: Store, publish: Callable[..., Artifact]) -> None:
    artifact = publish(store, FILES)
    store.record_of(artifact.manifest.key).write_bytes(b"{}")
    assert store.find(artifact.manifest.key) is None
    assert inspect(store, [], quick=False).sound
    publish(store, FILES)
    assert store.find(artifact.manifest.key) is not None


def test_a_pipe_in_the_place_of_a_manifest_is_named_and_not_waited_for(
    store: Store, publish: Callable[..., Artifact]
) -> None:
    artifact = publish(store, FILES)
    (artifact.path / "manifest.json").unlink()
    os.mkfifo(artifact.path / "manifest.json")
    assert "is not a plain file" in str(find_faults(artifact.path)[0])


def test_a_damaged_artifact_that_cannot_be_replaced_is_said_to(store: Store, publish: Callable[..., Artifact]) -> None:
    artifact = publish(store, FILES)
    allow_writing(artifact.path)
    flip(artifact.path / "config.json")
    (store.root / "trash").rmdir()
    (store.root / "trash").write_text("in the way")
    with pytest.raises(StoreError, match="the damaged artifact there could not be replaced"):
        publish(store, FILES)


def test_a_bad_name_is_refused_before_the_work(store: Store) -> None:
    def run(job: Job) -> Outcome:
        raise AssertionError("the stage ran")

    with pytest.raises(StoreError, match="cannot be a name"):
        make(store, Stage("odd", 1, NoParams, run, makes="thing"), params={}, inputs={}, name="a b")


def test_hashing_stops_when_nobody_waits_any_longer(tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_bytes(bytes(3 << 20))
    stop = threading.Event()
    assert hash_file(tmp_path / "large.txt", stop) == hashlib.sha256(bytes(3 << 20)).hexdigest()
    stop.set()
    with pytest.raises(StoreError, match="hashing was stopped"):
        hash_file(tmp_path / "large.txt", stop)
