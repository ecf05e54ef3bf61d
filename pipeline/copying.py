"""push and pull: copies of artifacts, with all that they were made from.

Inputs are copied before what was made from them, the files of an artifact before its manifest, and a
name last, so that a copy that stopped half-way shows nothing incomplete and the same command goes on
where it stopped.
"""

import posixpath
from collections.abc import Callable, Iterator

from prefline.data.errors import UnknownArtifactError
from prefline.data.wording import count
from prefline.pipeline.filesystem import make_scratch_folder
from prefline.pipeline.hashing import hash_and_sync
from prefline.pipeline.inspection import require_inherited_feedback
from prefline.pipeline.manifest import Manifest
from prefline.pipeline.naming import MANIFEST
from prefline.pipeline.publishing import install, publishable_files
from prefline.pipeline.remotes import Remote
from prefline.pipeline.store import Store
from prefline.pipeline.verification import find_faults

Say = Callable[[str], None]


def push(store: Store, artifact_id: str, remote: Remote, *, alone: bool, name: str | None, say: Say) -> None:
    """Copy an artifact, and unless `alone` all that it was made from, to a remote."""
    kind = store.get(artifact_id).manifest.kind
    remote.check_place()
    for current in [artifact_id] if alone else _inputs_first(artifact_id, lambda name: _local_inputs(store, name)):
        if not store.has(current):
            say(f"{current} is not in this store and was left out")
        elif remote.holds(current):
            say(f"{current} is there already (by the sizes of its files)")
        else:
            artifact = store.get_sound(current)
            for file in artifact.manifest.files:
                remote.upload(artifact.path / file.path, posixpath.join(remote.folder_of(current), file.path))
            remote.upload(artifact.path / MANIFEST, posixpath.join(remote.folder_of(current), MANIFEST))
            say(f"{current} pushed: {_describe_size(artifact.manifest)}")
    remote.mark_as_store()
    if name is not None:
        before = remote.write_name(kind, name, artifact_id)
        if before not in (None, artifact_id):
            say(f"{name} was {before} there before")


def pull(store: Store, artifact_id: str, remote: Remote, *, alone: bool, name: str | None, say: Say) -> None:
    """Copy an artifact, and unless `alone` all that it was made from, from a remote, and verify it."""
    for current in [artifact_id] if alone else _inputs_first(artifact_id, lambda name: _remote_inputs(remote, name)):
        if _is_sound(store, current):
            say(f"{current} is here already")
            if name is not None and current == artifact_id:
                store.set_name(name, current)
            continue
        if store.has(current):
            say(f"{current} is damaged here and is fetched again")
        found = remote.read_manifest(current)
        if found is None and current == artifact_id:
            raise UnknownArtifactError(f"no artifact {artifact_id} at {remote.shown_url}")
        if found is not None:
            require_inherited_feedback(store, found[0])
        if found is None:
            say(f"{current} is not at {remote.shown_url} and was left out")
            continue
        _fetch(store, remote, *found, name if current == artifact_id else None)
        say(f"{current} pulled: {_describe_size(found[0])}, verified")


def _fetch(store: Store, remote: Remote, manifest: Manifest, raw: bytes, name: str | None) -> None:
    with store.staging() as scratch:
        folder = scratch / "artifact"
        make_scratch_folder(folder)
        for file in manifest.files:  # their paths were checked when the manifest was parsed
            remote.check_size(manifest.id, file)
            remote.download(posixpath.join(remote.folder_of(manifest.id), file.path), folder / file.path)
        arrived = {file.path: file for file in hash_and_sync(folder, publishable_files(folder))}
        for promised in manifest.files:
            if arrived[promised.path] != promised:
                found = arrived[promised.path]
                remote.refuse(manifest.id, promised, f"{found.size} bytes with sha256 {found.sha256}")
        install(store, folder, manifest, raw, name, made_here=False)


def _is_sound(store: Store, artifact_id: str) -> bool:
    return store.has(artifact_id) and not find_faults(store.folder_of(artifact_id), expected_id=artifact_id)


def _describe_size(manifest: Manifest) -> str:
    return f"{count(len(manifest.files), 'file', 'files')}, {count(manifest.size, 'byte', 'bytes')}"


def _inputs_first(artifact_id: str, inputs_of: Callable[[str], list[str]]) -> Iterator[str]:
    """Yield an artifact after all that it was made from, each once.

    An id does not cover the recipe, so a forged manifest can name itself among its inputs.
    """
    entered: set[str] = set()
    pending = [(artifact_id, False)]
    while pending:
        current, inputs_done = pending.pop()
        if inputs_done:
            yield current
        elif current not in entered:
            entered.add(current)
            pending.append((current, True))
            pending += [(source, False) for source in inputs_of(current)]


def _local_inputs(store: Store, artifact_id: str) -> list[str]:
    return store.get(artifact_id).manifest.artifact_inputs if store.has(artifact_id) else []


def _remote_inputs(remote: Remote, artifact_id: str) -> list[str]:
    found = remote.read_manifest(artifact_id)
    return found[0].artifact_inputs if found else []
