"""Is a whole store in order? Every artifact, every name, every record of a recipe."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prefline.data.errors import ManifestError, StoreError
from prefline.pipeline import locks
from prefline.pipeline.filesystem import list_folder, read_file
from prefline.pipeline.lineage import read_manifest_of
from prefline.pipeline.manifest import Manifest
from prefline.pipeline.naming import MANIFEST, parse_id_line
from prefline.pipeline.runs import CHECKPOINTS, LOCK
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
    """What was found. Faults make the store unsound; the rest is harmless but worth knowing."""

    artifacts: tuple[Checked, ...]
    store_faults: tuple[Fault, ...] = ()
    absent_inputs: Mapping[str, int] = field(default_factory=dict)  # and how many artifacts were made from each
    stale_records: int = 0
    dead_drafts: int = 0
    interrupted_runs: int = 0

    @property
    def sound(self) -> bool:
        """Say whether everything is as it was published."""
        return not self.store_faults and not any(checked.faults for checked in self.artifacts)


def inspect(store: Store, ids: list[str], *, quick: bool) -> Inspection:
    """Check the given artifacts, or where none is given the store and all that is in it."""
    checked = tuple(check_artifacts(store, ids or store.ids(), quick=quick))
    return Inspection(checked) if ids else inspect_store(store, checked)


def check_artifacts(store: Store, ids: Iterable[str], *, quick: bool) -> Iterator[Checked]:
    """Check artifacts one by one: large ones take their time."""
    for artifact_id in ids:
        faults = find_faults(store.folder_of(artifact_id), quick=quick, expected_id=artifact_id)
        if faults and not store.folder_of(artifact_id).exists():
            continue  # taken by gc since it was listed
        manifest = read_manifest_of(store, artifact_id)
        if manifest is not None:
            faults += [Fault(MANIFEST, problem) for problem in _find_lost_feedback(store, manifest)]
        yield Checked(artifact_id, manifest.kind if manifest else "unreadable", tuple(faults))


def inspect_store(store: Store, checked: tuple[Checked, ...]) -> Inspection:
    """Look at all of a store beside its artifacts, which have been checked already."""
    trashed = store.trashed()
    return Inspection(
        checked,
        tuple(_check_names(store)),
        _count_absent_inputs(store, {item.id for item in checked}),
        sum(not _leads_somewhere(store, record, trashed) for record in store.entries("keys")),
        sum(not locks.is_held(draft / "lock") for draft in store.entries("tmp")),
        sum(_is_interrupted(store, run) for run in store.entries("runs")),
    )


def require_inherited_feedback(store: Store, manifest: Manifest) -> None:
    """Refuse a manifest that hides where the preferences behind it came from."""
    for problem in _find_lost_feedback(store, manifest):
        raise ManifestError(f"{manifest.id} {problem}")


def _find_lost_feedback(store: Store, manifest: Manifest) -> Iterator[str]:
    for source in manifest.artifact_inputs:
        before = read_manifest_of(store, source)
        lost = set(before.feedback) - set(manifest.feedback) if before else set()
        if lost:
            yield f"was made from {source}, but does not say its feedback: {', '.join(sorted(lost))}"


def _check_names(store: Store) -> Iterator[Fault]:
    """A name that leads nowhere has lost what it was to keep."""
    for path in store.names.files():
        full = f"refs/{path.parent.name}/{path.name}"
        try:
            artifact_id = parse_id_line(read_file(path), full)
        except StoreError as error:
            yield Fault(full, str(error).removeprefix(f"{full}: "))
            continue
        if not store.has(artifact_id):
            yield Fault(full, f"leads to {artifact_id}, which is not in the store")


def _count_absent_inputs(store: Store, present: set[str]) -> dict[str, int]:
    absent: Counter[str] = Counter()
    for artifact_id in sorted(present):
        manifest = read_manifest_of(store, artifact_id)
        absent.update(source for source in (manifest.artifact_inputs if manifest else ()) if source not in present)
    return dict(absent)


def _is_interrupted(store: Store, run: Path) -> bool:
    """Say whether a run has saved something to go on from, and nobody works on it."""
    saved = list_folder(run / CHECKPOINTS)
    return bool(saved) and not store.record_of(run.name).exists() and not locks.is_held(run / LOCK)


def _leads_somewhere(store: Store, record: Path, trashed: set[str]) -> bool:
    try:
        leads_to = Manifest.from_bytes(read_file(record)).id
    except (ManifestError, StoreError):
        return False
    return store.has(leads_to) or leads_to in trashed
