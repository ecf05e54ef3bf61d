"""What was taken out of a store and not erased yet."""

import contextlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from prefline.data.errors import DamagedArtifactError, StoreError, UnknownArtifactError
from prefline.pipeline import locks
from prefline.pipeline.filesystem import explaining, make_folder, rename, sync_folder
from prefline.pipeline.store import ERASING, Store
from prefline.pipeline.verification import find_faults


def restore(store: Store, text: str) -> str:
    """Bring an artifact back from the trash; return its id."""
    prefix = text.removeprefix("sha256:")
    with locks.exclusive(store.lock):
        found = [
            path for path in store.entries("trash") if path.name.startswith(prefix) and not path.name.endswith(ERASING)
        ]
        digests = {path.name.partition(".")[0] for path in found}
        if len(digests) != 1 or len(prefix) < 4:
            what = f"begins {len(digests)} ids" if digests else "begins no id"
            raise UnknownArtifactError(f"{text!r} {what} in the trash of {store.root}")
        artifact_id = f"sha256:{digests.pop()}"
        sound = [path for path in found if not find_faults(path, expected_id=artifact_id)]
        if not sound:
            raise DamagedArtifactError(f"{artifact_id} in the trash is damaged: {find_faults(found[0])[0]}")
        target = store.folder_of(artifact_id)
        make_folder(target.parent)
        if target.exists() and not find_faults(target, expected_id=artifact_id):
            raise StoreError(f"{artifact_id} is in the store already")
        if target.exists():
            move_to_trash(store, artifact_id, datetime.now(UTC))  # damaged
        if not rename(sound[0], target):
            raise StoreError(f"{target}: what lies there could not be replaced")
        sync_folder(target.parent)
        store.keep_young(artifact_id)
        return artifact_id


def move_to_trash(store: Store, artifact_id: str, now: datetime) -> Path:
    """Take an artifact out of sight; what it holds can still be brought back."""
    folder = store.folder_of(artifact_id)
    target = store.root / "trash" / f"{folder.name}.{os.urandom(4).hex()}"
    os.utime(folder, (now.timestamp(), now.timestamp()))  # the time of grace begins
    rename(folder, target)
    return target


def move_aside(store: Store, path: Path) -> Path:
    """Take out of sight what is of no use to anybody, to be erased."""
    target = store.root / "trash" / f"{path.name}.{os.urandom(4).hex()}{ERASING}"
    rename(path, target)
    return target


def mark_for_erasing(path: Path) -> Path:
    """Give trash the name that says it may be incomplete, so that nobody restores half an artifact."""
    if path.name.endswith(ERASING):
        return path
    doomed = path.with_name(path.name + ERASING)
    rename(path, doomed)
    return doomed


def erase(path: Path) -> None:
    """Erase whatever lies there, as often as it takes: another gc may be erasing it too."""
    while os.path.lexists(path):
        with explaining(path), contextlib.suppress(FileNotFoundError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
