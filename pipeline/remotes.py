"""A place that artifacts are copied to and from, at any URL that fsspec knows. It is laid out as a store is."""

import contextlib
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Never

from fsspec.core import url_to_fs

from prefline.data.errors import DamagedArtifactError, ManifestError, PreflineError, StoreError, UnknownArtifactError
from prefline.data.wording import shorten
from prefline.pipeline.manifest import File, Manifest
from prefline.pipeline.naming import MANIFEST, is_id_prefix, is_name, parse_id_line
from prefline.pipeline.places import STORE_MARKER, check_url, credentials_of, without_credentials


class Remote:
    """A place that artifacts are pushed to and pulled from."""

    def __init__(self, url: str) -> None:
        """Connect; the URL may carry a password, which is never shown again."""
        check_url(url)
        self._secrets = credentials_of(url)
        self.shown_url = without_credentials(url)
        with self._explaining("opening"):
            self.files, self.root = url_to_fs(url)

    @contextlib.contextmanager
    def _explaining(self, doing: str) -> Iterator[None]:
        try:
            yield
        except PreflineError:
            raise
        except ImportError as error:
            said = f"{self.shown_url}: {error}. Install that package with pip, then try again"
            raise StoreError(self._scrub(said)) from None
        except Exception as error:  # noqa: BLE001  whatever the code behind the URL raises
            reason = shorten(" ".join((getattr(error, "strerror", None) or str(error)).split()), 300)
            said = f"{self.shown_url}: {doing} failed: {type(error).__name__}: {reason}"
            # Not `from error`: a traceback would show what is scrubbed here.
            raise StoreError(self._scrub(said)) from None

    def _scrub(self, said: str) -> str:
        for secret in self._secrets:
            said = said.replace(secret, "...")
        return without_credentials(said)

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
        """Say whether an artifact is there, by its manifest and by the sizes of its files."""
        try:
            found = self.read_manifest(artifact_id)
        except ManifestError:
            return False  # half a manifest, from a push that broke off
        return found is not None and all(self._has_size(artifact_id, file) for file in found[0].files)

    def _has_size(self, artifact_id: str, file: File) -> bool:
        path = posixpath.join(self.folder_of(artifact_id), file.path)
        with self._explaining(f"looking at {path}"):
            try:
                return self.files.size(path) == file.size
            except FileNotFoundError:
                return False

    def check_place(self) -> None:
        """Refuse to push into a folder that holds other things."""
        found = set(self._list(""))
        # What a push that broke off left is fine to go on with.
        if found - {"objects", "refs"} and "store.json" not in found:
            raise StoreError(f"{self.shown_url} holds other things and is not a store: give a new folder")
        self._is_marked()

    def _is_marked(self) -> bool:
        """Say whether there is a store; one of another layout is refused."""
        with self._explaining("reading store.json"):
            try:
                marker = self.files.cat_file(self.path("store.json"))
            except FileNotFoundError:
                return False
        if marker.split() != STORE_MARKER.split():
            raise StoreError(f"{self.shown_url} has another layout than this prefline knows: upgrade prefline")
        return True

    def mark_as_store(self) -> None:
        """Let a place that was pushed to be read as a store."""
        if not self._is_marked():
            self.write(self.path("store.json"), STORE_MARKER)

    def check_size(self, artifact_id: str, file: File) -> None:
        """Refuse a file of another size than promised before it is downloaded."""
        path = posixpath.join(self.folder_of(artifact_id), file.path)
        with self._explaining(f"looking at {path}"):
            size = self.files.size(path)
        if size is not None and size != file.size:
            self.refuse(artifact_id, file, f"{size} bytes")

    def refuse(self, artifact_id: str, file: File, found: str) -> Never:
        """Say that a file there is not the one that its manifest promises."""
        raise DamagedArtifactError(
            f"{self.shown_url}: {file.path} of {artifact_id} is damaged there: {found}, expected {file.size} bytes "
            f"with sha256 {file.sha256}. Nothing was kept of it"
        )

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

    def _list(self, *parts: str) -> list[str]:
        """Return the names in a folder there; nothing, where there is no such folder."""
        with self._explaining(f"listing {posixpath.join(*parts)}"):
            try:
                paths = self.files.ls(self.path(*parts), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(posixpath.basename(str(path).rstrip("/")) for path in paths)

    def write_name(self, kind: str, name: str, artifact_id: str) -> str | None:
        """Point a name there to an artifact, and return what it meant before."""
        path = self.path("refs", kind, name)
        with self._explaining(f"reading {path}"):
            try:
                before = self.files.cat_file(path).decode(errors="replace").strip()
            except FileNotFoundError:
                before = None
        self.write(path, f"{artifact_id}\n".encode())
        return before

    def download(self, path: str, target: Path) -> None:
        """Copy a file here."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._explaining(f"reading {path}"):
            self.files.get_file(path, str(target))

    def resolve(self, text: str) -> tuple[str, str | None]:
        """Return the id that a person means, and the name if it was meant by one."""
        parts = text.removeprefix("sha256:").split("/")
        if not all(is_name(part) or is_id_prefix(part) for part in parts):  # no pattern, and no way out of the folder
            raise UnknownArtifactError(f"{text!r} is no id and no name")
        self._is_marked()
        self.files.invalidate_cache()
        kinds = self._list("refs") if len(parts) == 1 else parts[:1]
        refs = [self.path("refs", kind, parts[-1]) for kind in kinds if parts[-1] in self._list("refs", kind)]
        folders: list[str] = []
        if not refs and len(parts) == 1 and is_id_prefix(parts[0]):
            shard = self._list("objects", parts[0][:2])
            folders = [digest for digest in shard if digest.startswith(parts[0])]
        if len(refs) == 1:
            with self._explaining(f"reading {refs[0]}"):
                content = self.files.cat_file(refs[0])
            return parse_id_line(content, f"{self.shown_url}: {refs[0]}"), posixpath.basename(refs[0])
        if len(folders) == 1:
            return f"sha256:{posixpath.basename(folders[0])}", None
        what = "means several artifacts" if refs or folders else "is no id and no name"
        raise UnknownArtifactError(f"{text!r} {what} at {self.shown_url}")
