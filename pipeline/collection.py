"""Garbage collection: take away what no name, no work in progress and nothing young leads to.

What is taken goes to the trash first and is erased by a later sweep, so that a wrong clock or a
change of mind costs nothing.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from prefline.data.errors import (
    ArtifactError,
    ConfigError,
    DamagedArtifactError,
    ManifestError,
    StoreError,
    UnknownArtifactError,
)
from prefline.pipeline import locks
from prefline.pipeline.failpoints import reach
from prefline.pipeline.filesystem import explaining, make_folder, remove_file, rename, replace_file, sync_folder
from prefline.pipeline.manifest import Manifest
from prefline.pipeline.naming import MANIFEST
from prefline.pipeline.store import Store
from prefline.pipeline.verification import find_faults, read_manifest

DEFAULT_GRACE = timedelta(days=7)
_ERASING = ".erasing"


@dataclass(slots=True)
class Sweep:
    """What a sweep takes away, or would."""

    grace: timedelta
    artifacts: list[str] = field(default_factory=list)
    size: int = 0
    kept: int = 0
    drafts: list[Path] = field(default_factory=list)
    records: list[Path] = field(default_factory=list)
    trash: list[Path] = field(default_factory=list)
    waiting: int = 0  # artifacts in the trash that stay there

    @property
    def erases_at_once(self) -> bool:
        """Without a time of grace nothing waits in the trash."""
        return self.grace == timedelta(0)

    def __bool__(self) -> bool:
        """Say whether there is anything to take."""
        return bool(self.artifacts or self.drafts or self.records or self.trash)


def plan_sweep(store: Store, *, grace: timedelta, now: datetime) -> Sweep:
    """Say what a sweep would take away, changing nothing."""
    sweep = Sweep(grace)
    ids = list(store.ids())
    named = list(store.names.all().values())
    young = [name for name in ids if _is_young(store.folder_of(name) / MANIFEST, grace, now)]
    live, sweep.drafts = _look_at_drafts(store)
    kept = _with_ancestors(store, [*named, *young, *live])
    for artifact_id in ids:
        if artifact_id in kept:
            sweep.kept += 1
        else:
            sweep.artifacts.append(artifact_id)
            sweep.size += _size_of(store.folder_of(artifact_id))
    gone = set(sweep.artifacts)
    sweep.records = [record for record, leads_to in _records(store) if leads_to in gone or not store.has(leads_to)]
    sweep.trash = [
        path for path in store.entries("trash") if path.name.endswith(_ERASING) or not _is_young(path, grace, now)
    ]
    sweep.waiting = len(store.entries("trash")) - len(sweep.trash)
    return sweep


def preview_sweep(store: Store, *, grace: timedelta, now: datetime) -> Sweep:
    """Plan a sweep while no other sweep is under way."""
    with locks.shared(store.lock):
        return plan_sweep(store, grace=grace, now=now)


def sweep_store(store: Store, *, grace: timedelta, now: datetime) -> Sweep:
    """Move to the trash what nothing leads to, and erase what has been there for the time of grace."""
    # Alone with the store: no draft can begin, and none can become visible, between the plan and the deed.
    with locks.exclusive(store.lock):
        sweep = plan_sweep(store, grace=grace, now=now)
        doomed = [_mark_for_erasing(path) for path in sweep.trash]
        for artifact_id in sweep.artifacts:
            moved = _move_to_trash(store, artifact_id, now)
            reach("gc.moved")
            if sweep.erases_at_once:
                doomed.append(_mark_for_erasing(moved))
        # Before anything is erased, or a power cut could bring back a folder without its files.
        for folder in (store.root / "trash", *{store.folder_of(artifact_id).parent for artifact_id in sweep.artifacts}):
            sync_folder(folder)
        for record in sweep.records:
            remove_file(record)
    for path in [*doomed, *sweep.drafts]:
        reach("gc.erasing")
        _erase(path)
    return sweep


def restore(store: Store, text: str) -> str:
    """Bring an artifact back from the trash; return its id."""
    prefix = text.removeprefix("sha256:")
    with store.staging() as scratch, locks.exclusive(store.lock):
        found = [
            path for path in store.entries("trash") if path.name.startswith(prefix) and not path.name.endswith(_ERASING)
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
        if not rename(sound[0], target):
            raise StoreError(f"{artifact_id} is in the store already")
        sync_folder(target.parent)
        manifest = read_manifest(target)
        record = store.record_of(manifest.key)
        if not record.exists():
            replace_file(record, (target / MANIFEST).read_bytes(), scratch / "record")
        store.keep_young(artifact_id)
        return artifact_id


def parse_grace(text: str) -> timedelta:
    """Read a time such as 90s, 15m, 12h, 7d, or a bare 0."""
    found = re.fullmatch(r"(\d{1,6})([smhd])|0", text)
    if not found:
        raise ConfigError(f"expected a number and a unit (90s, 15m, 12h, 7d) or 0, found {text!r}")
    if text == "0":
        return timedelta(0)
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[found[2]]
    return timedelta(**{unit: int(found[1])})


def _is_young(path: Path, grace: timedelta, now: datetime) -> bool:
    """Younger than the time of grace; what seems to come from the future is young as well."""
    if grace == timedelta(0):
        return False
    try:
        return now.timestamp() - path.lstat().st_mtime < grace.total_seconds()
    except FileNotFoundError:
        return False


def _look_at_drafts(store: Store) -> tuple[list[str], list[Path]]:
    """Return the inputs of the drafts that are being worked on, and the drafts that nobody works on."""
    inputs: list[str] = []
    dead: list[Path] = []
    for folder in store.entries("tmp"):
        if not locks.is_held(folder / "lock"):
            dead.append(folder)
            continue
        try:
            inputs += json.loads((folder / "inputs.json").read_bytes())
        except FileNotFoundError:
            continue  # just finished
    return inputs, dead


def _with_ancestors(store: Store, roots: Iterable[str]) -> set[str]:
    """Return the roots with all that they were made from, as far as it is here."""
    reached: set[str] = set()
    pending = list(dict.fromkeys(roots))
    required = set(pending)  # an input may be elsewhere, a root may not
    while pending:
        artifact_id = pending.pop()
        if artifact_id in reached or (artifact_id not in required and not store.folder_of(artifact_id).exists()):
            continue
        reached.add(artifact_id)
        try:
            pending += store.get(artifact_id).manifest.artifact_inputs
        except ArtifactError as error:
            raise DamagedArtifactError(
                f"gc stopped, nothing was changed: it cannot tell what {artifact_id} was made from ({error}). "
                "Make it again, pull a sound copy, or remove its name"
            ) from None
    return reached


def _records(store: Store) -> list[tuple[Path, str]]:
    """Return every record of a recipe with the id that it leads to; a damaged one leads nowhere."""
    records: list[tuple[Path, str]] = []
    for path in store.entries("keys"):
        try:
            records.append((path, Manifest.from_bytes(path.read_bytes()).id))
        except ManifestError:
            records.append((path, "sha256:"))
    return records


def _move_to_trash(store: Store, artifact_id: str, now: datetime) -> Path:
    folder = store.folder_of(artifact_id)
    target = store.root / "trash" / f"{folder.name}.{os.urandom(4).hex()}"
    os.utime(folder, (now.timestamp(), now.timestamp()))  # the time of grace begins
    rename(folder, target)
    return target


def _mark_for_erasing(path: Path) -> Path:
    """Give trash the name that says it may be incomplete, so that nobody restores half an artifact."""
    if path.name.endswith(_ERASING):
        return path
    doomed = path.with_name(path.name + _ERASING)
    rename(path, doomed)
    return doomed


def _erase(path: Path) -> None:
    """Erase whatever lies there, as often as it takes: another gc may be erasing it too."""
    while os.path.lexists(path):
        with explaining(path), contextlib.suppress(FileNotFoundError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))
