"""Are these still the bytes that were published? Asked of one artifact before it is used, and of a store."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prefline.data.errors import DamagedArtifactError, ManifestError, StoreError
from prefline.pipeline.filesystem import explaining, is_trouble, read_file
from prefline.pipeline.hashing import hash_all, list_files
from prefline.pipeline.manifest import File, Manifest
from prefline.pipeline.naming import MANIFEST


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which an artifact is not what its manifest promises."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Unreadable(Fault):
    """What keeps a file from being looked at, and so tells nothing of its bytes."""


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an artifact's folder; ManifestError names the file."""
    path = folder / MANIFEST
    try:
        return Manifest.from_bytes(read_file(path))
    except StoreError as error:
        if is_trouble(error):
            raise
        raise ManifestError(str(error)) from None
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}") from None


def find_faults(folder: Path, *, quick: bool = False, expected_id: str | None = None) -> list[Fault]:
    """Compare a folder with its manifest: names, kinds and sizes of files, and unless `quick` every byte."""
    if folder.is_symlink():
        return [Fault(".", "the folder of the artifact is a link")]
    try:
        manifest = read_manifest(folder)
    except StoreError as error:
        return [_unreadable(MANIFEST, error)]
    except ManifestError as error:
        return [Fault(MANIFEST, str(error).removeprefix(f"{folder / MANIFEST}: "))]
    faults: list[Fault] = []
    if expected_id not in (None, manifest.id):
        faults.append(Fault(MANIFEST, f"describes {manifest.id}, but lies where {expected_id} should"))
    promised = {file.path: file for file in manifest.files}
    sound: list[str] = []
    try:
        with explaining(folder):
            present = dict(list_files(folder))
    except StoreError as error:
        return [_unreadable(".", error)]
    for path, status in present.items():
        if path == MANIFEST:
            continue
        fault = _compare(promised.get(path), status)
        if fault is None:
            sound.append(path)
        else:
            faults.append(Fault(path, fault))
    faults += [Fault(path, "is missing") for path in promised if path not in present]
    if not quick:
        faults += _compare_bytes(folder, promised, sound)
    return sorted(faults, key=lambda fault: fault.path)


def _compare(promised: File | None, found: os.stat_result | None) -> str | None:
    if promised is None:
        return "is extra: the manifest does not list it"
    if found is None:
        return "is not a plain file (a link, an empty folder or a device)"
    if found.st_size != promised.size:
        return f"has {found.st_size} bytes, expected {promised.size}"
    return None


def _compare_bytes(folder: Path, promised: dict[str, File], paths: list[str]) -> Iterator[Fault]:
    for path, digest in hash_all(folder, paths):
        if isinstance(digest, StoreError):
            yield _unreadable(path, digest)
        elif digest != promised[path].sha256:
            yield Fault(
                path,
                f"its bytes have changed: sha256 {digest[:12]}..., expected {promised[path].sha256[:12]}...",
            )


def _unreadable(path: str, error: StoreError) -> Fault:
    if is_trouble(error, of_the_process=True):
        raise error  # which says nothing of the artifact
    return Unreadable(path, f"cannot be read: {error}")


def require_sound(folder: Path, expected_id: str) -> None:
    """Raise DamagedArtifactError unless every byte is as published."""
    faults = find_faults(folder, expected_id=expected_id)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise DamagedArtifactError(
            f"artifact {expected_id} is damaged and was not used: {faults[0]}{more}. "
            "Make it again, or pull a sound copy; `prefline verify` lists every fault"
        )
