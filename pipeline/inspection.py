"""Is a whole store in order? Every artifact, every name, every record of a recipe."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prefline.data.errors import ArtifactError, ManifestError, StoreError
from prefline.pipeline import locks
from prefline.pipeline.manifest import Manifest
from prefline.pipeline.naming import parse_id_line
from prefline.pipeline.store import Store
from prefline.pipeline.verification import Fault, find_faults


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of one artifact."""

    id: str
    kind: str
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found: faults make the store unsound, notes do not."""

    artifacts: tuple[Checked, ...]
    store_faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Say whether everything is as it was published."""
        return not self.store_faults and not any(checked.faults for checked in self.artifacts)


def inspect(store: Store, ids: list[str], *, quick: bool) -> Inspection:
    """Check the given artifacts, or where none is given the store and all that is in it."""
    checked = tuple(_check(store, artifact_id, quick=quick) for artifact_id in ids or store.ids())
    if ids:
        return Inspection(checked)
    return Inspection(checked, tuple(_check_names(store)), tuple(_look_around(store, checked)))


def _check(store: Store, artifact_id: str, *, quick: bool) -> Checked:
    folder = store.folder_of(artifact_id)
    faults = find_faults(folder, quick=quick, expected_id=artifact_id)
    manifest = _read(store, artifact_id)
    return Checked(artifact_id, manifest.kind if manifest else "unreadable", tuple(faults))


def _read(store: Store, artifact_id: str) -> Manifest | None:
    try:
        return store.get(artifact_id).manifest
    except ArtifactError:
        return None


def _check_names(store: Store) -> Iterator[Fault]:
    """A name that leads nowhere has lost what it was to keep."""
    for path in store.names.files():
        full = f"refs/{path.parent.name}/{path.name}"
        try:
            artifact_id = parse_id_line(path.read_bytes(), full)
        except StoreError as error:
            yield Fault(full, str(error).removeprefix(f"{full}: "))
            continue
        if not store.has(artifact_id):
            yield Fault(full, f"leads to {artifact_id}, which is not in the store")


def _look_around(store: Store, checked: tuple[Checked, ...]) -> Iterator[str]:
    """Say what is harmless but worth knowing."""
    present = {item.id for item in checked}
    absent: dict[str, list[str]] = {}
    for artifact_id in present:
        manifest = _read(store, artifact_id)
        for source in manifest.artifact_inputs if manifest else ():
            if source not in present:
                absent.setdefault(source, []).append(artifact_id)
    for source, users in sorted(absent.items()):
        yield f"{source} is not in the store; {len(users)} of its artifacts were made from it"
    damaged = sum(1 for path in store.entries("keys") if not _leads_somewhere(store, path))
    if damaged:
        yield f"{damaged} recipes are recorded that lead to no artifact; they would run again, and gc removes them"
    dead = sum(1 for path in store.entries("tmp") if not locks.is_held(path / "lock"))
    if dead:
        yield f"{dead} unfinished drafts of processes that are gone; gc removes them"


def _leads_somewhere(store: Store, record: Path) -> bool:
    try:
        return store.has(Manifest.from_bytes(record.read_bytes()).id)
    except (ManifestError, FileNotFoundError):
        return False
