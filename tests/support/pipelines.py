"""Pipelines of toy stages, for tests that stop them: what comes of one if it is left alone, and what is left if not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import Said, run_command

from prefline.pipeline import Manifest, Store, find_faults
from prefline.pipeline.collection import DEFAULT_GRACE, sweep_store
from prefline.pipeline.inspection import inspect
from prefline.pipeline.metrics import read_metrics
from prefline.pipeline.publishing import utc_now

THREE_STAGES = """
schema: prefline.pipeline/1
seed: 7
stages:
  numbers: {stage: toy-numbers, inputs: {source: numbers.txt}, params: {scale: 0.1}}
  train: {stage: toy-train, inputs: {numbers: numbers}, params: {batch: 4, epochs: 4}}
  sample: {stage: toy-sample, inputs: {model: train}, params: {samples: 7}, name: final}
"""


@dataclass(frozen=True)
class Pipeline:
    """A pipeline file, and what comes of it if nobody is stopped. Its stages are known by their number, from 0."""

    file: Path
    every: int  # so many steps lie between two that are saved
    ids: Sequence[str]
    keys: Sequence[str]
    metrics: Sequence[list[dict[str, Any]]]  # of each stage

    @classmethod
    def begin(cls, folder: Path, text: str, every: int) -> "Pipeline":
        """Write the file, and a file of numbers beside it, and run it once."""
        (folder / "numbers.txt").write_text("".join(f"{1.3 * number - 9:.2f}\n" for number in range(15)))
        file = folder / "pipeline.yaml"
        file.write_text(text)
        new = cls(file, every, [], [], [])
        root = folder / "store"
        said = new.run(root)
        assert said.code == 0, said.err
        keys = [Store.open(root).get(made).manifest.key.removeprefix("sha256:") for made in said.ids]
        return cls(file, every, said.ids, keys, [metrics_of(root, key) for key in keys])

    def words(self, root: Path) -> list[str | Path]:
        """The command that runs it."""
        return ["run", self.file, "--store", root, "--checkpoint-every", str(self.every)]

    def streams(self, root: Path) -> Path:
        """Where that command prints to."""
        return root.with_name(f"{root.name} said")

    def run(self, root: Path, **given: Any) -> Said:
        """Run it to its end, or to where it is killed."""
        return run_command(self.words(root), self.streams(root), **given)

    def folder(self, root: Path, stage: int) -> Path:
        """Where a stage works."""
        return root / "runs" / self.keys[stage]

    def record(self, root: Path, stage: int) -> Path:
        """Where the manifest of what a stage has made is remembered."""
        return root / "keys" / f"{self.keys[stage]}.json"

    def manifest(self, root: Path, stage: int) -> Manifest:
        """What is remembered of the making."""
        return Manifest.from_bytes(self.record(root, stage).read_bytes())

    def saved(self, root: Path, stage: int) -> list[int]:
        """Return the steps of a stage of which there are checkpoints."""
        return sorted(int(path.name.partition(".")[0]) for path in self.checkpoints(root, stage))

    def checkpoints(self, root: Path, stage: int) -> list[Path]:
        """Return the folders of the checkpoints of a stage."""
        return sorted((self.folder(root, stage) / "checkpoints").glob("*"))

    def resumed(self, root: Path, stage: int) -> list[int]:
        """Return the steps after which the making of a stage was gone on with, all of it bit by bit."""
        notes = self.manifest(root, stage).run.get("resumed", [])
        assert all(note["not_bit_exact"] == [] for note in notes)
        return [note["from_step"] for note in notes]

    def look(self, root: Path) -> list[int | None]:
        """See that all that is visible is whole; return of each stage the newest step to go on from (None: done)."""
        if not (root / "store.json").exists():
            return [0] * len(self.keys)
        store = Store.open(root)
        for artifact_id in store.ids():
            assert find_faults(store.folder_of(artifact_id), expected_id=artifact_id) == []
        for path in root.glob("runs/*/checkpoints/*"):
            assert find_faults(path) == []
        return [
            None if self.record(root, stage).exists() else max(self.saved(root, stage), default=0)
            for stage in range(len(self.keys))
        ]

    def expect_finished(self, root: Path, said: Said, left: Sequence[int | None] = (), code: int = 0) -> None:
        """See that the same was made as ever, by going on from what `look` has found, and that nothing lies about."""
        assert said.code == code, said.err
        assert said.ids == self.ids
        assert "Traceback" not in said.err
        for stage, step in enumerate(left):
            if step is not None:
                assert self.resumed(root, stage)[-1:] == ([step] if step else [])
                self._expect_tidy(root, stage)
        self.expect_made(root)

    def expect_made(self, root: Path) -> None:
        """See that the store is as one in which nobody was stopped."""
        store = Store.open(root)
        assert store.names.all() == Store.open(self.file.parent / "store").names.all()
        assert inspect(store, [], quick=False).sound
        assert sweep_store(store, grace=DEFAULT_GRACE, now=utc_now()).artifacts == []
        assert sorted(store.ids()) == sorted(self.ids)
        assert (store.entries("tmp"), store.entries("trash")) == ([], [])
        for stage, key in enumerate(self.keys):
            self._expect_tidy(root, stage)
            assert metrics_of(root, key) == self.metrics[stage]

    def _expect_tidy(self, root: Path, stage: int) -> None:
        left = sorted(path.name for path in self.folder(root, stage).iterdir())
        assert left == (["lock", "metrics.jsonl"] if self.metrics[stage] else ["lock"])


def metrics_of(root: Path, key: str) -> list[dict[str, Any]]:
    """Return what was logged, less the time."""
    path = root / "runs" / key / "metrics.jsonl"
    records = read_metrics(path) if path.exists() else []
    return [{name: value for name, value in record.items() if name != "time"} for record in records]
