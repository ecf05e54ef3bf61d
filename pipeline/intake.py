"""Rows in, comparisons and rejections out, step by step: what a kill interrupts is gone on with at the next row."""

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError, StageError
from prefline.data.ingestion import Rejection, interpret, peek
from prefline.data.layout import Aids
from prefline.data.layouts import Found, find_layout
from prefline.data.rows import Reading, describe, read_rows
from prefline.data.wording import printable
from prefline.pipeline.gathering import Gathered, write_rejection
from prefline.pipeline.ingest import REJECTED
from prefline.pipeline.inputs import list_outside
from prefline.pipeline.jobs import Job
from prefline.pipeline.scratch import GrowingFile, is_whole
from prefline.pipeline.sources import SourceFolder

SOURCE = "source"  # stands for the name of a single file, which the recipe does not know: only its bytes
_STEP = 4096  # rows between two looks at whether to save or to stop
_SLOW_STEP = 256  # the same where each row is chosen for, which takes milliseconds
_MOST_REASONS = 1000
_SHOWN_REASONS = 20
_PARTICULARS = re.compile(r"'(?:[^'\\]|\\.)*'|\d[\d,.]*")


class Ask(NamedTuple):
    """How rows are to be understood."""

    layout: str | None
    columns: dict[str, str | tuple[str, ...]]
    reading: Reading
    aids: Aids
    tokenizer: Any


class Intake:
    """What was read, and what became of it."""

    def __init__(self, job: Job, ask: Ask) -> None:
        """Begin, or go on from the state that was saved last."""
        self._job = job
        self._ask = ask
        self._step = min(_STEP, _SLOW_STEP) if ask.aids.synthesize or ask.aids.label else _STEP
        self._names_files = isinstance(job.source("source"), SourceFolder)  # whose names are part of the recipe
        self._shown: list[Found] = []
        self.layouts: dict[str, bool] = {}  # whether the order of responses is one that annotators saw, by name
        self.accepted = self.rejected = 0
        self._file = self._row = 0  # where reading goes on
        self._reasons: dict[str, dict[str, Any]] = {}
        saved = job.resume(announce=False)
        job.show(saved.step if saved else 0, None, "rows")
        state = saved.state if saved else {}
        if saved:
            self._restore(state)
        with contextlib.ExitStack() as opened:
            self.gathered = opened.enter_context(contextlib.closing(Gathered(job.scratch, state.get("gathered"))))
            rejections = GrowingFile(job.scratch / REJECTED, **state.get("rejections", {}))
            self.rejections = opened.enter_context(contextlib.closing(rejections))
            self._opened = opened.pop_all()

    def _restore(self, state: dict[str, Any]) -> None:
        for name, about in (state["gathered"] | {REJECTED: state["rejections"]}).items():
            if not is_whole(self._job.scratch / name, **about):
                raise StageError(
                    f"{self._job.label}: expected {self._job.scratch / name} to begin with what was read before the "
                    "stop, found something else: --force reads all anew"
                )
        self.accepted, self.rejected, self.layouts = state["accepted"], state["rejected"], state["layouts"]
        self._file, self._row, self._reasons = state["file"], state["row"], state["reasons"]

    def _state(self) -> dict[str, Any]:
        for given in list_outside(self._job):
            # Nothing is to be gone on with that came from other bytes than those of the recipe.
            given.check_untouched()
        return {
            "gathered": self.gathered.save(),
            "rejections": self.rejections.save(),
            "layouts": self.layouts,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "file": self._file,
            "row": self._row,
            "reasons": self._reasons,
        }

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def read(self, paths: Sequence[Path]) -> None:
        """Take in files, one after the other."""
        for path in paths[self._file :]:
            self._read_file(path)
            self._file, self._row = self._file + 1, 0

    def _read_file(self, path: Path) -> None:
        sample, rows = peek(read_rows(path, self._ask.reading))
        found = self._find_layout(path, sample) if sample else None
        if self._row:
            rows = read_rows(path, self._ask.reading, skip=self._row)
        # What comes together from many rows comes after the last of them, and there is no going on in between.
        most = self._step if found is None or found.layout.read else None
        pending: list[Comparison] = []
        done = 0
        for item in interpret(rows, found, self._ask.aids):
            if isinstance(item, Rejection):
                self._refuse(item)
                done += 1
            else:
                self.accepted += item.rows
                pending += item.comparisons
                done += item.rows
            if done == most or len(pending) >= 2 * self._step:
                self._add(pending)
                if most:
                    self._finish_step(done)
                pending, done = [], 0 if most else done
        self._add(pending)
        if done:
            self._finish_step(done)

    def _find_layout(self, path: Path, sample: Sequence[dict[str, Any]]) -> Found:
        try:
            found = find_layout(sample, self._ask.layout, self._ask.columns, self._ask.aids)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        self.layouts[found.layout.name] = found.layout.places
        if found not in self._shown:
            self._shown.append(found)
            about = f"{printable(path.name)}: {describe(path, self._ask.reading)}"
            self._job.tell_people("\n".join([about, *found.describe()]))
        return found

    def _add(self, comparisons: list[Comparison]) -> None:
        if comparisons:
            self.gathered.add(comparisons, self._ask.tokenizer)

    def _finish_step(self, rows: int) -> None:
        self._row += rows
        values = {"accepted": self.accepted, "rejected": self.rejected}
        self._job.finish_step(self.accepted + self.rejected, values=values, state=self._state)

    def _refuse(self, rejection: Rejection) -> None:
        # A name may hold bytes that are no text.
        name = os.fsencode(rejection.file).decode(errors="replace") if self._names_files else SOURCE
        rejection = rejection._replace(file=name)
        self.rejected += 1
        self.rejections.write(write_rejection(rejection))
        # Reasons that differ in numbers and names alone are one to people.
        kind = _PARTICULARS.sub("#", rejection.reason)
        if kind in self._reasons:
            self._reasons[kind]["rows"] += 1
        elif len(self._reasons) < _MOST_REASONS:
            where = {"file": rejection.file, "line": rejection.line}
            self._reasons[kind] = {"reason": rejection.reason, "rows": 1, **where}

    def describe_rows(self) -> dict[str, Any]:
        """Say what became of the rows; each reason goes with the first row that was refused for it."""
        reasons = sorted(self._reasons.values(), key=lambda reason: -reason["rows"])
        return {
            "read": self.accepted + self.rejected,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "reasons": reasons[:_SHOWN_REASONS],
        }
