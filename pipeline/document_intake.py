"""Documents as a stage reads them: rows that are refused are written down, and too many of them stop it."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from prefline.data.documents import Document, find_columns, read_documents
from prefline.data.errors import DataError
from prefline.data.ingestion import Rejection
from prefline.data.passages import STORY, read_stories
from prefline.data.rows import Reading
from prefline.data.wording import count, printable
from prefline.pipeline.gathering import write_rejection
from prefline.pipeline.ingest import REJECTED, count_allowed
from prefline.pipeline.jobs import Job
from prefline.pipeline.scratch import GrowingFile
from prefline.pipeline.sources import Outside, SourceFolder, list_paths

SOURCE = "source"  # stands for the name of a single file, which the recipe does not know: only its bytes
_STEP = 4096  # rows between two looks at how far it has come
_SHOWN = 5  # rows that were refused


class DocumentIntake:
    """The documents of a source, in a pass over it, and what was refused on the way."""

    def __init__(self, job: Job, role: str, columns: Mapping[str, str | tuple[str, ...]], encoding: str | None) -> None:
        """Begin with nothing read."""
        self._job = job
        self._source = job.source(role)
        self._columns = columns
        self._reading = Reading(encoding=encoding)
        self._shown: list[list[str]] = []  # how files are read, each way once
        self._first: list[Rejection] = []
        self.rows = self.rejected = 0
        self.rejections = GrowingFile(job.scratch / REJECTED)

    def close(self) -> None:
        """Close the file of what was refused."""
        self.rejections.close()

    def read(self) -> Iterator[Document]:
        """Yield the documents, file by file."""
        for path in _list_stories(self._source) or list_paths(self._source):
            for item in self._read_file(path):
                self.rows += 1
                if isinstance(item, Rejection):
                    self._refuse(item)
                else:
                    yield item
                if self.rows % _STEP == 0:
                    self._job.show(self.rows, None, "rows")
        self._job.show(self.rows, None, "rows")

    def check(self, limit: str) -> None:
        """Stop where the source changed meanwhile, where nothing was read, or where too many rows were refused."""
        self._source.check_unchanged()
        path = self._source.path
        if not self.rows:
            raise DataError(f"{path}: expected texts or prompts, found no row")
        if self.rejected < self.rows and self.rejected <= count_allowed(limit, self.rows):
            return
        kept = self._job.run / REJECTED
        self.rejections.copy_to(kept)
        about = f"{self.rejected:,} of {count(self.rows, 'row', 'rows')} cannot be read, so no artifact was made"
        shown = [f"  {printable(each.file)}, line {each.line:,}: {each.reason}" for each in self._first]
        remedy = "--map says which column is which, and --max-rejected lets more be left out"
        raise DataError(
            "\n".join(
                [
                    f"{path}: {about} (--max-rejected is {limit})",
                    *shown,
                    f"every row that was refused is in {kept}; {remedy}",
                ]
            )
        )

    def _read_file(self, path: Path) -> Iterator[Document | Rejection]:
        if path.suffix == STORY:
            return read_stories([path], self._reading.encoding)
        found = find_columns(path, columns=self._columns, reading=self._reading)
        lines = list(found.describe()) if found else []
        if lines and lines not in self._shown:
            self._shown.append(lines)
            self._job.tell_people("\n".join([f"{printable(path.name)}: {lines[0]}", *lines[1:]]))
        return read_documents([path], columns=self._columns, reading=self._reading)

    def _refuse(self, rejection: Rejection) -> None:
        self.rejected += 1
        if len(self._first) < _SHOWN:
            self._first.append(rejection)
        # A name may hold bytes that are no text.
        known = isinstance(self._source, SourceFolder)
        name = os.fsencode(rejection.file).decode(errors="replace") if known else SOURCE
        self.rejections.write(write_rejection(rejection._replace(file=name)))


def _list_stories(source: Outside) -> list[Path]:
    """List the stories of a folder: where there are any, nothing else of it is read."""
    return [file.path for file in source.files if file.path.suffix == STORY] if isinstance(source, SourceFolder) else []
