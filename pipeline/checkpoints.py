"""Where a run can go on: its last states, each published like an artifact, whole or not there.

The caller holds the lock of the run's folder alone. In it lie

checkpoints/000000000120/   the state after step 120, with a manifest of kind `checkpoint`
checkpoints/000000000120.1/ the same step saved once more; it counts, and the one before is taken away
writing/                    what is being written or taken away; whatever a killed holder left goes first

A new one becomes visible before any old one goes, so there is no moment without one.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefline.data.errors import ArtifactError, DamagedArtifactError, DataError, StoreError
from prefline.data.wording import printable, shorten
from prefline.pipeline import trash
from prefline.pipeline.failpoints import reach
from prefline.pipeline.filesystem import explaining, list_folder, make_folder, make_scratch_folder, rename, sync_folder
from prefline.pipeline.hashing import hash_and_sync
from prefline.pipeline.manifest import Manifest, Recipe
from prefline.pipeline.publishing import publishable_files, seal
from prefline.pipeline.runs import CHECKPOINTS, WRITING
from prefline.pipeline.state import read_state, write_state
from prefline.pipeline.verification import Unreadable, find_faults, read_manifest

KIND = "checkpoint"

_NAME = re.compile(r"([0-9]{12,})(?:\.([0-9]+))?")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state that was saved, and what the run noted beside it."""

    step: int
    state: dict[str, Any]
    run: dict[str, Any]


class Checkpoints:
    """The checkpoints of one recipe."""

    def __init__(self, folder: Path, recipe: Recipe, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"expected to keep at least one checkpoint, found keep={keep}")
        self._recipe = recipe
        self._keep = keep
        self._visible = folder / CHECKPOINTS
        self._scratch = folder / WRITING
        self._passed_over: set[Path] = set()

    def save(self, step: int, state: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """Save the state after a step, then take away all but the newest.

        Those of later steps go too: the run that left them was rewound to before this step.
        """
        if step < 0:
            raise ValueError(f"expected a step of 0 or more, found {step}")
        with self._cleared_scratch():
            make_folder(self._visible)
            new = self._scratch / "new"
            make_scratch_folder(new)
            write_state(new, state)
            manifest = Manifest.build(
                kind=KIND,
                feedback=(),
                files=hash_and_sync(new, publishable_files(new)),
                data={"step": step},
                recipe=self._recipe,
                run=run,
            )
            seal(new, manifest.to_bytes())
            place = self._free_place(step)
            self._move(new, place)
            sync_folder(self._visible)
            reach("checkpoint.visible")
            self._prune(place)

    def newest(self, tell: Callable[[str], None]) -> Checkpoint | None:
        """Return the newest checkpoint of which every byte is as it was saved; `tell` hears of those passed over.

        StoreError: one could not be read, which says nothing of what it holds.
        """
        for (step, _), path in reversed(self._places()):
            try:
                return self._read(path, step)
            except (ArtifactError, DataError) as error:
                self._passed_over.add(path)
                tell(f"the checkpoint {path} was passed over: {printable(error)}")
        return None

    def steps(self) -> list[int]:
        """Return the steps of which there is a checkpoint, sound or not, in order."""
        return sorted({step for (step, _), _ in self._places()})

    def erase(self) -> None:
        """Take all of them away at once, and erase them."""
        with self._cleared_scratch():
            if self._visible.exists():
                self._move(self._visible, self._scratch / self._visible.name)

    def _read(self, path: Path, step: int) -> Checkpoint:
        faults = find_faults(path)
        for fault in faults:
            if isinstance(fault, Unreadable):
                # It may be sound: the disk, or a right that is missing, is to blame.
                problem = fault.problem.removeprefix("cannot be read: ")
                raise StoreError(f"{problem}. To go on from an earlier checkpoint, remove {path}")
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise DamagedArtifactError(f"{faults[0]}{more}")
        manifest = read_manifest(path)
        if manifest.key != self._recipe.key:
            raise ArtifactError(f"its recipe is {manifest.key}, expected {self._recipe.key}")
        if (manifest.kind, manifest.data) != (KIND, {"step": step}):
            found = f"a {manifest.kind} with {shorten(str(manifest.data))}"
            raise ArtifactError(f"it is {found}, expected a {KIND} of step {step}")
        return Checkpoint(step, read_state(path), manifest.run)

    def _prune(self, saved: Path) -> None:
        """Take away all but the one just saved and the newest before it; the oldest go first."""
        places = self._places()
        step = next(step for (step, _), path in places if path == saved)
        earlier = [path for (other, _), path in places if other < step and path not in self._passed_over]
        kept = {saved, *earlier[::-1][: self._keep - 1]}
        doomed = [path for _, path in places if path not in kept]
        for path in doomed:
            # Moved before it is erased: what stays visible is whole.
            self._move(path, self._scratch / path.name)
            self._passed_over.discard(path)
            reach("checkpoint.pruned")
        if doomed:
            sync_folder(self._visible)

    def _places(self) -> list[tuple[tuple[int, int], Path]]:
        """Return what is visible, the newest last: by step, and of one step the one that was saved last."""
        with explaining(self._visible):
            found = [(_NAME.fullmatch(path.name), path) for path in list_folder(self._visible)]
        return sorted(((int(name[1]), int(name[2] or 0)), path) for name, path in found if name)

    def _free_place(self, step: int) -> Path:
        """Find a name behind all that the step has had."""
        used = [number for (other, number), _ in self._places() if other == step]
        return self._visible / (f"{step:012d}.{max(used) + 1}" if used else f"{step:012d}")

    def _move(self, source: Path, target: Path) -> None:
        if not rename(source, target):
            raise StoreError(f"{target}: something lies there that nobody but this run should have put there")

    @contextlib.contextmanager
    def _cleared_scratch(self) -> Iterator[None]:
        trash.erase(self._scratch)
        make_scratch_folder(self._scratch)
        try:
            yield
        except BaseException:
            # On a full disk the room is needed; what cannot be removed is left to the next save.
            with contextlib.suppress(StoreError):
                trash.erase(self._scratch)
            raise
        trash.erase(self._scratch)
