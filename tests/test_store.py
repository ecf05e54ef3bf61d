"""Stores: how artifacts are found, named and reused, wherever the store lies."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefline.data.errors import ConfigError, ManifestError, StoreError, UnknownArtifactError
from prefline.pipeline import INGEST, Artifact, SourceFile, Store, make
from prefline.pipeline.inspection import inspect
from prefline.pipeline.listing import summarize


def ingest(store: Store, labels: Path, *, name: str | None = None, **params: str) -> tuple[Artifact, bool]:
    made = make(store, INGEST, params=params, inputs={"source": SourceFile.read(labels)}, name=name)
    return made.artifact, made.reused


def test_the_same_recipe_is_not_made_twice(store: Store, labels: Path, tmp_path: Path) -> None:
    first, reused = ingest(store, labels)
    assert not reused
    copy = shutil.copy(labels, tmp_path / "another name.jsonl")
    assert ingest(store, Path(copy)) == (first, True)


def test_another_setting_or_another_byte_is_another_recipe(store: Store, labels: Path) -> None:
    first, _ = ingest(store, labels)
    second, reused = ingest(store, labels, feedback="mock")
    assert not reused
    labels.write_bytes(labels.read_bytes() + b"\n")
    third, reused = ingest(store, labels)
    assert not reused
    # The blank line changes the recipe and not what was read.
    assert third.id == first.id
    assert len({first.manifest.key, second.manifest.key, third.manifest.key}) == 3
    # Each recipe is remembered as it was, although the artifact holds only the first.
    for artifact in (first, second, third):
        found = store.find(artifact.manifest.key)
        assert found is not None
        assert found.manifest.recipe == artifact.manifest.recipe


def test_an_unknown_setting_is_named_before_anything_is_made(store: Store, labels: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'feedbak' \(did you mean 'feedback'\?\)"):
        ingest(store, labels, feedbak="human")
    assert list(store.ids()) == []


def test_a_reused_artifact_takes_the_new_name_as_well(store: Store, labels: Path) -> None:
    first, _ = ingest(store, labels, name="one")
    ingest(store, labels, name="two")
    assert store.names.all() == {"comparisons/one": first.id, "comparisons/two": first.id}


def test_a_reused_artifact_is_young_again(store: Store, labels: Path) -> None:
    artifact, _ = ingest(store, labels)
    os.utime(artifact.path / "manifest.json", (0, 0))
    ingest(store, labels)
    assert (artifact.path / "manifest.json").stat().st_mtime > 0


def test_an_artifact_is_found_by_name_by_id_and_by_the_beginning_of_its_id(store: Store, labels: Path) -> None:
    artifact, _ = ingest(store, labels, name="mine")
    digest = artifact.id.removeprefix("sha256:")
    for text in ("mine", "comparisons/mine", artifact.id, digest, digest[:4], "sha256:" + digest[:9]):
        assert store.resolve(text) == artifact.id


@pytest.mark.parametrize("text", ["", "a", "../../etc", "comparisons/", "%", "0" * 64, "sha256:", "*", "..", "objects"])
def test_what_means_no_artifact_is_said_to(store: Store, labels: Path, text: str) -> None:
    ingest(store, labels, name="mine")
    with pytest.raises(UnknownArtifactError, match="no artifact in"):
        store.resolve(text)


def test_a_misspelt_name_is_answered_with_the_nearest(store: Store, labels: Path) -> None:
    ingest(store, labels, name="sentiment")
    with pytest.raises(UnknownArtifactError, match=r"did you mean 'sentiment'\?"):
        store.resolve("sentimnet")
    with pytest.raises(UnknownArtifactError, match=r"did you mean 'sentiment'\?"):
        store.names.remove("sentimnet")


def test_a_name_of_two_kinds_must_be_said_in_full(store: Store, publish: Callable[..., Artifact]) -> None:
    one = publish(store, {"a.txt": b"1"}, kind="policy", name="best")
    publish(store, {"a.txt": b"2"}, kind="reward-model", name="best")
    with pytest.raises(UnknownArtifactError, match="say which: policy/best, reward-model/best"):
        store.resolve("best")
    assert store.resolve("policy/best") == one.id
    store.names.remove("reward-model/best")
    assert store.resolve("best") == one.id


def test_a_name_moves_and_says_what_it_meant_before(store: Store, publish: Callable[..., Artifact]) -> None:
    one, other = publish(store, {"a.txt": b"1"}, name="mine"), publish(store, {"a.txt": b"2"})
    assert store.set_name("mine", other.id) == one.id
    assert store.resolve("mine") == other.id


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../up", "a b", "-x", "ü", "x" * 101, "a\n"])
def test_a_name_that_could_be_a_path_or_an_option_is_refused(
    store: Store, publish: Callable[..., Artifact], name: str
) -> None:
    with pytest.raises(StoreError, match="cannot be a name"):
        publish(store, {"a.txt": b"1"}, name=name)
    assert list(store.ids()) == []


def test_an_id_that_begins_two_artifacts_must_be_given_longer(store: Store) -> None:
    for tail in ("0", "1"):
        folder = store.folder_of("sha256:abcd" + tail * 60)
        folder.mkdir(parents=True)
    with pytest.raises(UnknownArtifactError, match="begins 2 ids"):
        store.resolve("abcd")


def test_a_store_can_be_moved_and_loses_its_empty_folders_without_harm(
    store: Store, labels: Path, tmp_path: Path
) -> None:
    artifact, _ = ingest(store, labels, name="mine")
    moved = tmp_path / "moved"
    shutil.copytree(store.root, moved)
    for folder in ("tmp", "trash"):
        (moved / folder).rmdir()
    shutil.rmtree(store.root)
    again = Store.open(moved)
    assert inspect(again, [], quick=False).sound
    assert again.resolve("mine") == artifact.id
    assert ingest(Store.create(moved), labels)[1]


def test_no_path_and_no_secret_gets_into_a_store(tmp_path: Path, labels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "MY_PASSWORD"):
        monkeypatch.setenv(variable, "canary-1f9d")
    store = Store.create(tmp_path / "store")
    ingest(store, labels, name="mine")
    ingest(store, labels, feedback="mock")
    written = [path for path in store.root.rglob("*") if path.is_file()]
    assert len(written) > 5
    for path in written:
        content = path.read_bytes()
        for secret in (b"canary-1f9d", str(tmp_path).encode(), str(Path.home()).encode(), os.uname().nodename.encode()):
            assert secret not in content, f"{path} holds {secret!r}"


def test_a_folder_that_is_no_store_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(StoreError, match="holds other things and is not a store"):
        Store.create(tmp_path)
    with pytest.raises(StoreError, match=r"is not a store: it has no store\.json"):
        Store.open(tmp_path)
    with pytest.raises(StoreError, match="does not exist"):
        Store.open(tmp_path / "nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_newer_or_damaged_store_is_refused_by_name(store: Store) -> None:
    (store.root / "store.json").write_text('{"layout": 2}')
    with pytest.raises(StoreError, match="has layout 2; this prefline knows layout 1: upgrade prefline"):
        Store.open(store.root)
    (store.root / "store.json").write_text('{"lay')
    with pytest.raises(StoreError, match=r"store\.json: not JSON.* It should hold"):
        Store.create(store.root)


def test_a_store_half_made_by_a_process_that_died_is_completed(tmp_path: Path, labels: Path) -> None:
    (tmp_path / "half" / "objects").mkdir(parents=True)
    (tmp_path / "half" / "tmp").mkdir()
    (tmp_path / "half" / "tmp" / "0123456789abcdef").write_bytes(b"")
    ingest(Store.create(tmp_path / "half"), labels)
    assert inspect(Store.open(tmp_path / "half"), [], quick=False).sound


def test_a_store_that_lost_its_marker_is_not_taken_for_something_else(store: Store, labels: Path) -> None:
    ingest(store, labels)
    (store.root / "store.json").unlink()
    for attempt in (Store.open, Store.create):
        with pytest.raises(StoreError, match=r'without its store\.json: put it back, it holds {"layout":1}'):
            attempt(store.root)


def test_files_that_systems_leave_anywhere_are_passed_over(store: Store, labels: Path) -> None:
    artifact, _ = ingest(store, labels, name="mine")
    for folder in ("refs", "refs/comparisons", "objects", "tmp", "trash", "keys"):
        (store.root / folder / ".DS_Store").write_bytes(b"\0")
    assert store.resolve("mine") == artifact.id
    assert [summary.names for summary in summarize(store)] == [("mine",)]
    assert inspect(store, [], quick=False).sound


def test_a_home_folder_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store.create("~/store").root == tmp_path / "store"


def test_what_is_in_the_trash_or_has_lost_its_manifest_is_said_to_be(store: Store, labels: Path) -> None:
    artifact, _ = ingest(store, labels)
    (artifact.path / "manifest.json").unlink()
    with pytest.raises(ManifestError, match=r"manifest\.json: No such file"):
        store.get(artifact.id)
    artifact.path.rename(store.root / "trash" / f"{artifact.path.name}.0123")
    for look in (store.get, store.resolve):
        with pytest.raises(UnknownArtifactError, match="it is in the trash: `prefline gc --restore"):
            look(artifact.id)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "the input 'source' is missing: expected a file"),
        (
            {"source": "labels.jsonl"},
            "input 'source': expected a file, a folder, .*, as SourceFile.read returns it, found str",
        ),
        ({"sorce": "labels.jsonl"}, r"unknown input 'sorce' \(did you mean 'source'\?\): ingest takes source"),
    ],
)
def test_wrong_inputs_are_refused_before_anything_is_made(store: Store, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(store, INGEST, params={}, inputs=inputs)


def test_an_input_of_another_kind_and_a_seed_for_nothing_are_refused(
    store: Store, labels: Path, publish: Callable[..., Artifact]
) -> None:
    with pytest.raises(ConfigError, match=r"expected a file, a folder, .*, found the kind thing"):
        make(store, INGEST, params={}, inputs={"source": publish(store, {"a.txt": b"1"})})
    with pytest.raises(ConfigError, match="ingest leaves nothing to chance with these settings and takes no seed"):
        make(store, INGEST, params={}, inputs={"source": SourceFile.read(labels)}, seed=1)


def test_git_is_told_to_leave_a_store_alone(store: Store) -> None:
    assert (store.root / ".gitignore").read_text() == "*\n"


def test_under_a_strict_umask_a_store_works(tmp_path: Path, labels: Path) -> None:
    before = os.umask(0o077)
    try:
        store = Store.create(tmp_path / "private")
        artifact, _ = ingest(store, labels)
    finally:
        os.umask(before)
    assert inspect(store, [], quick=False).sound
    assert stat.S_IMODE((artifact.path / "manifest.json").stat().st_mode) == 0o400


def test_a_list_shows_what_cannot_be_read_too(store: Store, publish: Callable[..., Artifact]) -> None:
    artifact = publish(store, {"a.txt": b"123"}, feedback=("mock",), name="mine")
    (store.folder_of("sha256:" + "f" * 64)).mkdir(parents=True)
    sound, unreadable = summarize(store)
    assert (sound.id, sound.kind, sound.feedback, sound.size, sound.names) == (
        artifact.id,
        "thing",
        ("mock",),
        3,
        ("mine",),
    )
    assert (unreadable.id, unreadable.kind) == ("sha256:" + "f" * 64, "")


def test_a_file_that_changes_while_it_is_read_is_refused(store: Store, labels: Path) -> None:
    source = SourceFile.read(labels)
    labels.write_bytes(labels.read_bytes() * 2)
    with pytest.raises(Exception, match="changed while it was read"):
        make(store, INGEST, params={}, inputs={"source": source})
    assert list(store.ids()) == []


def test_an_artifact_of_comparisons_opens_without_prefline(store: Store, labels: Path) -> None:
    artifact, _ = ingest(store, labels)
    rows = [json.loads(line) for line in (artifact.path / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    del rows[1]["id"]
    assert rows[1] == {"prompt": "My week", "responses": ["was fine", "was ünfine"], "best": 1}
    pandas = pytest.importorskip("pandas")
    assert list(pandas.read_json(artifact.path / "train.jsonl", lines=True).best) == [0, 1]
