"""Copies of artifacts elsewhere, at any URL that fsspec knows.

A remote is laid out as a store is. Inputs are copied before what was made from them, the files of
an artifact before its manifest, and a name last, so that a copy that stopped half-way shows nothing
incomplete and the same command goes on where it stopped.
"""

import contextlib
import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from fsspec.core import url_to_fs

from prefline.data.errors import DamagedArtifactError, ManifestError, StoreError, UnknownArtifactError
from prefline.pipeline.canonical import canonical_json
from prefline.pipeline.filesystem import explaining
from prefline.pipeline.hashing import hash_and_sync
from prefline.pipeline.manifest import Manifest
from prefline.pipeline.naming import MANIFEST, check_name, parse_id_line
from prefline.pipeline.publishing import install, publishable_files
from prefline.pipeline.store import LAYOUT, Store

Say = Callable[[str], None]


class Remote:
    """A place that artifacts are pushed to and pulled from."""

    def __init__(self, url: str) -> None:
        """Connect; the URL may carry a password, which is never shown again."""
        self.shown_url = _without_credentials(url)
        with self._explaining("opening"):
            self.files, self.root = url_to_fs(url)

    @contextlib.contextmanager
    def _explaining(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, ImportError) as error:
            raise StoreError(f"{self.shown_url}: {doing} failed: {error}") from error

    def path(self, *parts: str) -> str:
        """Return a path below the root, as the file system behind the URL writes it."""
        return posixpath.join(self.root, *parts)

    def folder_of(self, artifact_id: str) -> str:
        """Where an artifact lies."""
        digest = artifact_id.removeprefix("sha256:")
        return self.path("objects", digest[:2], digest)

    def read_manifest(self, artifact_id: str) -> tuple[Manifest, bytes] | None:
        """Return the manifest of an artifact and its bytes, or None where the artifact is not there."""
        path = posixpath.join(self.folder_of(artifact_id), MANIFEST)
        with self._explaining(f"reading {path}"):
            try:
                raw = self.files.cat_file(path)
            except FileNotFoundError:
                return None
        try:
            manifest = Manifest.from_bytes(raw)
        except ManifestError as error:
            raise ManifestError(f"{self.shown_url}: {path}: {error}") from None
        if manifest.id != artifact_id:
            raise ManifestError(f"{self.shown_url}: {path}: describes {manifest.id}, not {artifact_id}")
        return manifest, raw

    def holds(self, artifact_id: str) -> bool:
        """Say whether an artifact is there; half a manifest, from a push that broke off, does not count."""
        try:
            return self.read_manifest(artifact_id) is not None
        except ManifestError:
            return False

    def upload(self, source: Path, path: str) -> None:
        """Copy a file there, and look whether all of it has arrived."""
        with self._explaining(f"writing {path}"):
            self.files.makedirs(posixpath.dirname(path), exist_ok=True)
            self.files.put_file(str(source), path)
            self.files.invalidate_cache(posixpath.dirname(path))
            size = self.files.size(path)
        if size != source.stat().st_size:
            raise StoreError(f"{self.shown_url}: {path} arrived with {size} bytes of {source.stat().st_size}")

    def write(self, path: str, content: bytes) -> None:
        """Write a small file there."""
        with self._explaining(f"writing {path}"):
            self.files.makedirs(posixpath.dirname(path), exist_ok=True)
            self.files.pipe_file(path, content)

    def download(self, path: str, target: Path) -> None:
        """Copy a file here."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._explaining(f"reading {path}"):
            self.files.get_file(path, str(target))

    def resolve(self, text: str) -> tuple[str, str | None]:
        """Return the id that a person means, and the name if it was meant by one."""
        parts = text.removeprefix("sha256:").split("/")
        for part in parts:
            check_name(part)  # no pattern and no way out of the folder
        with self._explaining("listing"):
            self.files.invalidate_cache()
            pattern = self.path("refs", *(["*", *parts] if len(parts) == 1 else parts))
            refs = [str(path) for path in self.files.glob(pattern)]
            folders: list[str] = []
            if not refs and len(parts) == 1 and len(parts[0]) >= 4:
                pattern = self.path("objects", parts[0][:2], f"{parts[0]}*")
                folders = [str(path) for path in self.files.glob(pattern)]
        if len(refs) == 1:
            with self._explaining(f"reading {refs[0]}"):
                content = self.files.cat_file(refs[0])
            return parse_id_line(content, f"{self.shown_url}: {refs[0]}"), posixpath.basename(refs[0])
        if len(folders) == 1:
            return f"sha256:{posixpath.basename(folders[0])}", None
        what = "means several artifacts" if refs or folders else "is no id and no name"
        raise UnknownArtifactError(f"{text!r} {what} at {self.shown_url}")


def push(store: Store, artifact_id: str, remote: Remote, *, alone: bool, name: str | None, say: Say) -> None:
    """Copy an artifact, and unless `alone` all that it was made from, to a remote."""
    for current in [artifact_id] if alone else _inputs_first(artifact_id, lambda name: _local_inputs(store, name)):
        if not store.has(current):
            say(f"{current} is not in this store and was left out")
        elif remote.holds(current):
            say(f"{current} is there already")
        else:
            artifact = store.get_sound(current)
            for file in artifact.manifest.files:
                remote.upload(artifact.path / file.path, posixpath.join(remote.folder_of(current), file.path))
            remote.upload(artifact.path / MANIFEST, posixpath.join(remote.folder_of(current), MANIFEST))
            say(f"{current} pushed: {len(artifact.manifest.files)} files, {artifact.manifest.size:,} bytes")
    remote.write(remote.path("store.json"), canonical_json({"layout": LAYOUT}))
    if name is not None:
        kind = store.get(artifact_id).manifest.kind
        remote.write(remote.path("refs", kind, name), f"{artifact_id}\n".encode())


def pull(store: Store, artifact_id: str, remote: Remote, *, alone: bool, name: str | None, say: Say) -> None:
    """Copy an artifact, and unless `alone` all that it was made from, from a remote, and verify it."""
    for current in [artifact_id] if alone else _inputs_first(artifact_id, lambda name: _remote_inputs(remote, name)):
        if store.has(current) and current != artifact_id:
            say(f"{current} is here already")
            continue
        found = remote.read_manifest(current)
        if found is None and current == artifact_id:
            raise UnknownArtifactError(f"no artifact {artifact_id} at {remote.shown_url}")
        if found is None:
            say(f"{current} is not at {remote.shown_url} and was left out")
            continue
        _fetch(store, remote, *found, name if current == artifact_id else None)
        say(f"{current} pulled: {len(found[0].files)} files, {found[0].size:,} bytes, verified")


def _fetch(store: Store, remote: Remote, manifest: Manifest, raw: bytes, name: str | None) -> None:
    with store.staging() as scratch:
        folder = scratch / "artifact"
        with explaining(folder):
            folder.mkdir()
        for file in manifest.files:  # their paths were checked when the manifest was parsed
            remote.download(posixpath.join(remote.folder_of(manifest.id), file.path), folder / file.path)
        arrived = {file.path: file for file in hash_and_sync(folder, publishable_files(folder))}
        for promised in manifest.files:
            file = arrived[promised.path]
            if file != promised:
                raise DamagedArtifactError(
                    f"{remote.shown_url}: {file.path} of {manifest.id} is damaged there: {file.size} bytes with "
                    f"sha256 {file.sha256}, expected {promised.size} with {promised.sha256}. Nothing was kept of it"
                )
        install(store, folder, manifest, raw, name)


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


def _without_credentials(url: str) -> str:
    """Drop the user and the password of a URL, and what follows its path: tokens live there too."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
