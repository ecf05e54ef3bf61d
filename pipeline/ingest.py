"""The stage `ingest`: a file of comparisons becomes an artifact that every later stage can trust."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator

from prefline.data.configuration import Config
from prefline.data.errors import DataError
from prefline.data.formats import Rejection, read_native, recognize, write_native
from prefline.pipeline.feedback import Feedback
from prefline.pipeline.filesystem import create_file
from prefline.pipeline.jobs import Job
from prefline.pipeline.stages import FILE, Outcome, SourceFile, Stage

COMPARISONS = "comparisons.jsonl"
_SHOWN = 5
_MIB = 1 << 20


class IngestParams(Config):
    """Settings of the stage `ingest`."""

    # Who chose the best response. The file cannot tell, so whoever ingests it must know.
    feedback: Feedback = "human"


def _run(job: Job) -> Outcome:
    source = job.source("source")
    rejected: list[Rejection] = []  # the first few, to show
    refused = 0
    sizes: Counter[int] = Counter()
    with create_file(job.folder / COMPARISONS) as out:
        for item in read_native(_read_once(source, job.show)):
            if isinstance(item, Rejection):
                refused += 1
                rejected += [item] if refused <= _SHOWN else []
            elif not refused:
                sizes[len(item.responses)] += 1
                out.write(write_native(item))
    if refused:
        raise DataError(_describe(source, rejected, refused))
    if not sizes:
        raise DataError(f"{source.path}: expected a comparison a line, found no line that is not blank")
    return Outcome(
        data={
            "comparisons": sizes.total(),
            "layout": "native",
            "responses_per_comparison": {str(size): count for size, count in sorted(sizes.items())},
        },
        feedback=frozenset({job.params.feedback}),
    )


INGEST = Stage("ingest", 1, IngestParams, _run, makes="comparisons", takes={"source": FILE})


def _read_once(source: SourceFile, show: Callable[[float, float, str], None]) -> Iterator[bytes]:
    """Yield the lines of a file, and see to it that they are the ones the recipe names."""
    digest = hashlib.sha256()
    done = shown = 0
    try:
        with source.path.open("rb") as lines:
            size = os.fstat(lines.fileno()).st_size
            for line in lines:
                digest.update(line)
                done += len(line)
                if done - shown >= _MIB:
                    shown = done
                    show(done / _MIB, size / _MIB, "MiB")
                yield line
    except OSError as error:
        raise DataError(f"{source.path}: cannot be read: {error.strerror}") from None
    if digest.hexdigest() != source.sha256:
        raise DataError(f"{source.path}: changed while it was read; run again when nobody writes to it")


def _describe(source: SourceFile, shown: list[Rejection], refused: int) -> str:
    """Name the rows that cannot be taken in. One bad row stops all: leaving it out would be silent loss."""
    rows = "1 row" if refused == 1 else f"{refused:,} rows"
    with source.path.open("rb") as stream:
        hint = recognize(stream.readline(4096))
    lines = [f"  line {item.line}: {item.reason}" for item in shown]
    if refused > len(shown):
        lines.append(f"  and {refused - len(shown):,} more")
    return "\n".join(
        [
            f"{source.path}: {rows} cannot be taken in, so no artifact was made",
            *lines,
            *([hint] if hint else []),
            'expected on each line: {"prompt": "...", "responses": ["...", "...", ...], "best": 0}',
        ]
    )
