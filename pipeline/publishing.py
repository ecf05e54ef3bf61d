"""From files in a scratch folder to an artifact that is either whole and durable, or not there.

The order is the promise. Files reach the disk before the manifest that lists them, the manifest
before the rename that makes them visible, the rename before the records that lead to it. Wherever
the machine stops, what can be seen can be believed, and running the same command again ends in
the same artifact.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefline.data.errors import ArtifactError, StoreError
from prefline.pipeline import locks
from prefline.pipeline.environment import describe_environment
from prefline.pipeline.failpoints import reach
from prefline.pipeline.filesystem import (
    make_folder,
    make_read_only,
    make_scratch_folder,
    rename,
    replace_file,
    sync_folder,
    write_file,
)
from prefline.pipeline.hashing import hash_and_sync, list_files
from prefline.pipeline.manifest import Manifest, Recipe
from prefline.pipeline.naming import MANIFEST, check_member_path, check_name
from prefline.pipeline.store import Artifact, Store
from prefline.pipeline.verification import find_faults


def utc_now() -> datetime:
    """The time that manifests tell; tests put another clock in its place."""
    return datetime.now(UTC)


@contextlib.contextmanager
def draft(store: Store, recipe: Recipe, *, clock: Callable[[], datetime] = utc_now) -> Iterator["Draft"]:
    """Lend an empty folder to make an artifact in; what is not published on leaving is gone."""
    inputs = recipe.artifact_inputs
    with store.staging(inputs) as scratch:
        inherited = {mark for source in inputs for mark in store.get(source).manifest.feedback}
        folder = scratch / "artifact"
        make_scratch_folder(folder)
        yield Draft(store, recipe, folder, frozenset(inherited), clock())


@dataclass(frozen=True, slots=True)
class Draft:
    """An artifact in the making."""

    store: Store
    recipe: Recipe
    folder: Path
    inherited_feedback: frozenset[str]
    started: datetime
    _began: float = field(default_factory=time.monotonic)

    def publish(
        self,
        *,
        kind: str,
        data: Mapping[str, Any],
        feedback: Iterable[str] = (),
        notes: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> Artifact:
        """Make the files of the folder an artifact, under `name` if one is given.

        `data` is what readers must know to use the files, and part of the id. `notes` go under `run`
        and are not.
        """
        if name is not None:
            check_name(name)
        files = hash_and_sync(self.folder, publishable_files(self.folder))
        manifest = Manifest.build(
            kind=kind,
            feedback={*feedback, *self.inherited_feedback},
            files=files,
            data=data,
            recipe=self.recipe,
            run=self._describe_run(notes or {}),
        )
        return install(self.store, self.folder, manifest, manifest.to_bytes(), name)

    def _describe_run(self, notes: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "started": self.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "elapsed_s": round(time.monotonic() - self._began, 3),
            "environment": describe_environment(),
            **notes,
        }


def install(
    store: Store, folder: Path, manifest: Manifest, raw: bytes, name: str | None = None, *, made_here: bool = True
) -> Artifact:
    """Make a draft's folder visible, its files being on the disk already.

    Only what was `made_here` is remembered as the result of its recipe. What comes from elsewhere may
    claim any recipe, and a stage that was asked for that one must not be answered with it.

    `raw` is the manifest as it was first written, which for an artifact from elsewhere may be in an
    older schema than `manifest` is now.
    """
    seal(folder, raw)
    with locks.shared(store.lock):
        installed = _put(store, folder, manifest)
        if installed:
            _point_to(store, folder, manifest, raw if made_here else None, name)
    if not installed:
        with locks.exclusive(store.lock):
            _put_for_damaged(store, folder, manifest)
            _point_to(store, folder, manifest, raw if made_here else None, name)
    return Artifact(store.folder_of(manifest.id), manifest)


def seal(folder: Path, raw: bytes) -> None:
    """Complete a folder with its manifest; from here on a rename is all that it takes to make it visible.

    The files are on the disk already: `hash_and_sync` gave the digests that `raw` lists.
    """
    write_file(folder / MANIFEST, raw)
    make_read_only(folder / MANIFEST)
    reach("publish.described")
    _sync_folders(folder)
    reach("publish.synced")


def _put(store: Store, folder: Path, manifest: Manifest) -> bool:
    """Make the artifact visible. False: a damaged one lies in its place."""
    target = store.folder_of(manifest.id)
    make_folder(target.parent)
    # Where somebody was first with the same bytes ours are dropped, if theirs are sound.
    if not rename(folder, target):
        if find_faults(target, expected_id=manifest.id):
            return False
        store.keep_young(manifest.id)
    sync_folder(target.parent)
    reach("publish.renamed")
    return True


def _put_for_damaged(store: Store, folder: Path, manifest: Manifest) -> None:
    """Put the artifact in the place of a damaged one, which goes to the trash for inspection."""
    if not _put(store, folder, manifest):
        target = store.folder_of(manifest.id)
        os.utime(target, follow_symlinks=False)  # the time of grace begins
        aside = store.root / "trash" / f"{target.name}.{folder.parent.name}"
        if not rename(target, aside) or not _put(store, folder, manifest):
            raise StoreError(f"{target}: the damaged artifact there could not be replaced")


def _point_to(store: Store, folder: Path, manifest: Manifest, record: bytes | None, name: str | None) -> None:
    """Let the recipe, if there is a record of it, and the name, if there is one, lead to the artifact."""
    scratch = folder.parent
    if record is not None:
        replace_file(store.record_of(manifest.key), record, scratch / "record")
    reach("publish.recorded")
    if name is not None:
        store.names.write(manifest.kind, name, manifest.id, scratch)
        reach("publish.named")


def publishable_files(folder: Path) -> list[str]:
    """Return the sorted paths of a draft's files, having refused what must not be in an artifact."""
    paths: list[str] = []
    for path, status in list_files(folder):
        check_member_path(path)
        if status is None:
            raise ArtifactError(f"{path!r} cannot be published: it is a link, an empty folder or a device")
        if status.st_nlink > 1:
            raise ArtifactError(f"{path!r} cannot be published: a hard link elsewhere could change its bytes later")
        make_read_only(folder / path)
        paths.append(path)
    if not paths:
        raise ArtifactError("a draft without files cannot be published")
    return sorted(paths, key=str.encode)


def _sync_folders(folder: Path) -> None:
    for below in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        sync_folder(below)
    sync_folder(folder)
