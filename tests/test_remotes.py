"""push, pull and export: copies that are whole, verified, and tell no secret."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from prefline.data.errors import DamagedArtifactError, ManifestError, StoreError, UnknownArtifactError
from prefline.pipeline import Artifact, Manifest, Store
from prefline.pipeline.copying import pull, push
from prefline.pipeline.exporting import export
from prefline.pipeline.inspection import inspect
from prefline.pipeline.remotes import Remote
from prefline.pipeline.terminal import describe_notes

Publish = Callable[..., Artifact]


@pytest.fixture(params=["file", "memory"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    if request.param == "file":
        yield Remote(f"file://{tmp_path}/a remöte")
    else:
        MemoryFileSystem.store.clear()
        yield Remote("memory://bucket/models")
        MemoryFileSystem.store.clear()


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "other store")


@pytest.fixture
def policy(store: Store, publish: Publish) -> Artifact:
    labels = publish(store, {"a.jsonl": b"1"}, kind="comparisons", feedback=("human",))
    return publish(
        store, {"p.json": b"2", "parts/v.txt": b"3"}, kind="policy", inputs={"labels": labels.id}, name="best"
    )


def send(store: Store, artifact: Artifact, remote: Remote, *, alone: bool = False) -> list[str]:
    said: list[str] = []
    push(store, artifact.id, remote, alone=alone, name="best", say=said.append)
    return said


def fetch(store: Store, text: str, remote: Remote, *, alone: bool = False) -> list[str]:
    said: list[str] = []
    artifact_id, name = remote.resolve(text)
    pull(store, artifact_id, remote, alone=alone, name=name, say=said.append)
    return said


@pytest.mark.parametrize("how", ["name", "full name", "id", "digits"])
def test_what_was_pushed_is_pulled_with_all_that_it_was_made_from(
    store: Store, other: Store, policy: Artifact, remote: Remote, how: str
) -> None:
    send(store, policy, remote)
    text = {"name": "best", "full name": "policy/best", "id": policy.id, "digits": policy.id[7:17]}[how]
    fetch(other, text, remote)
    assert list(other.ids()) == list(store.ids())
    assert inspect(other, [], quick=False).sound
    assert describe_notes(inspect(other, [], quick=False)) == []
    assert (other.folder_of(policy.id) / "manifest.json").read_bytes() == (policy.path / "manifest.json").read_bytes()
    assert other.find(policy.manifest.key) is None
    assert other.names.all() == ({"policy/best": policy.id} if "name" in how else {})


def test_what_is_there_already_is_not_copied_again(
    store: Store, other: Store, policy: Artifact, remote: Remote
) -> None:
    assert [line.rpartition(" pushed")[1] for line in send(store, policy, remote)] == [" pushed", " pushed"]
    assert [line.partition(" ")[2] for line in send(store, policy, remote)] == [
        "is there already (by the sizes of its files)"
    ] * 2
    fetch(other, "best", remote)
    assert "is here already" in fetch(other, "best", remote)[0]


def test_alone_leaves_the_inputs_behind_and_verify_says_so(
    store: Store, other: Store, policy: Artifact, remote: Remote
) -> None:
    send(store, policy, remote, alone=True)
    said = fetch(other, "best", remote)
    assert "was left out" in said[0]
    report = inspect(other, [], quick=False)
    assert report.sound
    assert report.absent_inputs == {policy.manifest.artifact_inputs[0]: 1}
    assert "is not in the store; 1 artifact here came from it" in describe_notes(report)[0]


def test_a_push_that_broke_off_shows_nothing_and_is_completed_by_the_next(
    store: Store, other: Store, policy: Artifact, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = Remote.upload

    def break_at_manifest(self: Remote, source: Path, path: str) -> None:
        if path.endswith("manifest.json") and policy.id[7:] in path:
            raise StoreError("the line went dead")
        upload(self, source, path)

    monkeypatch.setattr(Remote, "upload", break_at_manifest)
    with pytest.raises(StoreError, match="went dead"):
        send(store, policy, remote)
    with pytest.raises(UnknownArtifactError):
        fetch(other, "best", remote)
    with pytest.raises(UnknownArtifactError):
        fetch(other, policy.id, remote)
    assert list(other.ids()) == []
    monkeypatch.undo()
    send(store, policy, remote)
    fetch(other, "best", remote)
    assert other.has(policy.id)


def test_half_a_manifest_left_there_by_a_push_is_replaced_by_the_next(
    store: Store, other: Store, policy: Artifact, remote: Remote
) -> None:
    send(store, policy, remote)
    path = f"{remote.folder_of(policy.id)}/manifest.json"
    remote.files.pipe_file(path, remote.files.cat_file(path)[:100])
    with pytest.raises(ManifestError, match="not JSON"):
        fetch(other, "best", remote)
    send(store, policy, remote)
    fetch(other, "best", remote)
    assert inspect(other, [], quick=False).sound


def test_files_that_went_missing_or_short_there_are_pushed_again(
    store: Store, other: Store, policy: Artifact, remote: Remote
) -> None:
    send(store, policy, remote)
    remote.files.rm_file(f"{remote.folder_of(policy.id)}/p.json")
    remote.files.pipe_file(f"{remote.folder_of(policy.id)}/parts/v.txt", b"")
    send(store, policy, remote)
    fetch(other, "best", remote)
    assert inspect(other, [], quick=False).sound


def test_an_input_that_is_damaged_here_is_mended_by_a_pull_too(store: Store, policy: Artifact, remote: Remote) -> None:
    send(store, policy, remote)
    labels = store.get(policy.manifest.artifact_inputs[0])
    (labels.path / "a.jsonl").chmod(0o644)
    (labels.path / "a.jsonl").write_bytes(b"2")
    said = fetch(store, "best", remote)
    assert said[0] == f"{labels.id} is damaged here and is fetched again"
    assert inspect(store, [], quick=False).sound


def test_whatever_the_code_behind_a_url_raises_ends_in_one_line(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OddError(Exception):
        """As many libraries have, derived from nothing in particular."""

    def fail(*_: object, **__: object) -> None:
        raise OddError("first line\nsecond line")

    monkeypatch.setattr(remote.files, "cat_file", fail)
    with pytest.raises(StoreError, match="failed: OddError: first line second line") as caught:
        remote.read_manifest("sha256:" + "0" * 64)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"x", b"", b"22"])
def test_what_is_damaged_there_is_refused_on_arrival(
    store: Store, other: Store, policy: Artifact, remote: Remote, content: bytes
) -> None:
    send(store, policy, remote)
    remote.files.pipe_file(f"{remote.folder_of(policy.id)}/p.json", content)
    with pytest.raises(DamagedArtifactError, match=r"p\.json of sha256:\w+ is damaged there"):
        fetch(other, "best", remote)
    assert not other.has(policy.id)
    assert list((other.root / "tmp").iterdir()) == []


def test_a_manifest_that_lies_is_refused(store: Store, other: Store, policy: Artifact, remote: Remote) -> None:
    send(store, policy, remote)
    path = f"{remote.folder_of(policy.id)}/manifest.json"
    remote.files.pipe_file(path, remote.files.cat_file(path).replace(b'"policy"', b'"report"'))
    with pytest.raises(ManifestError, match="'id' is"):
        fetch(other, "best", remote)


def test_what_is_damaged_here_is_not_pushed(store: Store, policy: Artifact, remote: Remote) -> None:
    (policy.path / "p.json").chmod(0o644)
    (policy.path / "p.json").write_bytes(b"x")
    with pytest.raises(DamagedArtifactError):
        send(store, policy, remote)
    assert remote.read_manifest(policy.id) is None


def test_what_is_damaged_here_is_mended_by_a_pull(store: Store, policy: Artifact, remote: Remote) -> None:
    send(store, policy, remote)
    (policy.path / "p.json").chmod(0o644)
    (policy.path / "p.json").write_bytes(b"x")
    fetch(store, policy.id, remote)
    assert inspect(store, [], quick=False).sound


@pytest.mark.parametrize("text", ["nobody", "../best", "*", "policy/*", "a/b/c", "ffff"])
def test_what_is_not_there_is_said_to(store: Store, other: Store, policy: Artifact, remote: Remote, text: str) -> None:
    send(store, policy, remote)
    with pytest.raises(UnknownArtifactError):
        fetch(other, text, remote)


def test_what_was_pulled_is_never_taken_for_the_result_of_a_recipe_run_here(
    store: Store, other: Store, publish: Publish, remote: Remote
) -> None:
    forged = publish(store, {"a.txt": b"what a stranger wants"}, params={"n": 1})
    send(store, forged, remote)
    fetch(other, forged.id, remote)
    assert other.find(forged.manifest.key) is None
    mine = publish(other, {"a.txt": b"what the recipe gives"}, params={"n": 1})
    fetch(other, forged.id, remote)
    found = other.find(mine.manifest.key)
    assert found is not None
    assert found.id == mine.id


def test_feedback_that_was_hidden_is_refused_on_arrival(
    store: Store, other: Store, publish: Publish, remote: Remote
) -> None:
    rehearsal = publish(store, {"a.txt": b"1"}, feedback=("mock",))
    scorer = publish(store, {"a.txt": b"2"}, inputs={"labels": rehearsal.id})
    honest = scorer.manifest
    laundered = Manifest.build(
        kind=honest.kind, feedback=["human"], files=honest.files, data=honest.data, recipe=honest.recipe, run=honest.run
    )
    send(store, scorer, remote)
    remote.write(f"{remote.folder_of(laundered.id)}/a.txt", b"2")
    remote.write(f"{remote.folder_of(laundered.id)}/manifest.json", laundered.to_bytes())
    with pytest.raises(ManifestError, match="does not say its feedback: mock"):
        fetch(other, laundered.id, remote)
    assert not other.has(laundered.id)


def test_a_place_of_another_layout_is_left_alone(store: Store, other: Store, policy: Artifact, remote: Remote) -> None:
    remote.write(remote.path("store.json"), b'{"layout":2}')
    for attempt in (lambda: send(store, policy, remote), lambda: fetch(other, "best", remote)):
        with pytest.raises(StoreError, match="another layout than this prefline knows"):
            attempt()
    assert remote.files.cat_file(remote.path("store.json")) == b'{"layout":2}'


def test_the_manifest_is_the_last_of_an_artifact_to_be_pushed(
    store: Store, policy: Artifact, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[str] = []
    upload = Remote.upload
    monkeypatch.setattr(Remote, "upload", lambda self, source, path: (pushed.append(path), upload(self, source, path)))
    send(store, policy, remote)
    names = [path.partition(policy.id[7:])[2] for path in pushed if policy.id[7:] in path]
    assert names == ["/p.json", "/parts/v.txt", "/manifest.json"]


@pytest.mark.parametrize(
    "url",
    ["simplecache::ftp://me:canary@host/x", "zip://x::http://me:canary@host/y", "http://me:canary@host/x?token=canary"],
)
def test_no_message_repeats_a_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise OSError(f"cannot reach {url} as me:canary with canary")

    monkeypatch.setattr("prefline.pipeline.remotes.url_to_fs", fail)
    with pytest.raises(StoreError, match="opening failed") as caught:
        Remote(url)
    assert "canary" not in str(caught.value)


def test_a_folder_that_was_pushed_to_is_a_store(store: Store, policy: Artifact, tmp_path: Path) -> None:
    send(store, policy, Remote(f"file://{tmp_path}/remote"))
    mirror = Store.open(tmp_path / "remote")
    assert inspect(mirror, [], quick=False).sound
    assert mirror.resolve("best") == policy.id


@pytest.mark.parametrize("url", ["nonsense://bucket", "file://\0"])
def test_a_url_that_leads_nowhere_is_refused_by_name(url: str) -> None:
    with pytest.raises(StoreError, match="failed"):
        Remote(url).read_manifest("sha256:" + "0" * 64)


def test_a_password_in_a_url_is_never_shown() -> None:
    with pytest.raises(StoreError) as caught:
        Remote("nonsense://me:canary@host/bucket?token=canary")
    assert "canary" not in str(caught.value)
    assert str(caught.value).startswith("nonsense://host/bucket: opening failed")


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="this system has no sha256sum")
def test_an_export_is_accepted_by_sha256sum(store: Store, policy: Artifact, tmp_path: Path) -> None:
    export(policy, tmp_path / "out" / "folder")
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "out" / "folder", capture_output=True, check=False
    )
    assert done.stdout.decode().splitlines() == ["p.json: OK", "parts/v.txt: OK", "manifest.json: OK"]
    assert done.returncode == 0
    (tmp_path / "out" / "folder" / "p.json").write_bytes(b"x")
    assert subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "out" / "folder", capture_output=True, check=False
    ).returncode


def test_an_export_overwrites_nothing(policy: Artifact, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    for target in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(StoreError, match="exists already"):
            export(policy, target)
    export(policy, tmp_path / "once")
    with pytest.raises(StoreError, match="exists already"):
        export(policy, tmp_path / "once")


def test_an_export_that_fails_leaves_nothing(policy: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(StoreError, match="No space left on device"):
        export(policy, tmp_path / "out" / "folder")
    assert list((tmp_path / "out").iterdir()) == []
