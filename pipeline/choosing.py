"""Who chooses where nobody has: references are held against texts made to fail, or labellers are played.

Both have to know all rows before the first of them is taken in, so these are gone through once more, also after
a stop: nothing of that is saved.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from prefline.data.comparison import Comparison
from prefline.data.document_rows import Document, read_document
from prefline.data.errors import DataError
from prefline.data.ingestion import interpret, peek
from prefline.data.labelling import Labeller, Spreads, relabel
from prefline.data.layouts import Found, find_layout
from prefline.data.rows import Row, Unreadable, read_rows
from prefline.data.survey import Survey
from prefline.pipeline.ingest import IngestParams, find_labellers
from prefline.pipeline.intake import Ask
from prefline.pipeline.jobs import Job

_SHOWN = 256  # rows between two words on how far it is


def add_choosers(job: Job, ask: Ask, paths: Sequence[Path]) -> Ask:
    """Return how rows are to be understood, with help for those of which nobody has chosen the best."""
    params: IngestParams = job.params
    if params.negatives:
        return _add_negatives(job, ask, paths)
    return _add_labellers(job, ask, paths) if params.labeller else ask


def _add_negatives(job: Job, ask: Ask, paths: Sequence[Path]) -> Ask:
    from prefline.data.synthesis import Asked, Material, synthesize

    params: IngestParams = job.params
    # Until there is material, nothing is made: the layouts of references are looked for all the same.
    looking = ask._replace(aids=replace(ask.aids, synthesize=lambda _document: []))
    material = Material.collect(_read_documents(job, looking, paths), ask.tokenizer)
    asked = Asked(params.negatives, params.choices, params.form)
    make = partial(synthesize, material=material, asked=asked, chance=job.randomness.derive)
    return ask._replace(aids=replace(ask.aids, synthesize=make))


def _read_documents(job: Job, ask: Ask, paths: Iterable[Path]) -> Iterator[Document]:
    """Yield what can be read: what cannot is refused by name later."""
    for found, rows in _open(job, ask, paths):
        for row in rows:
            if isinstance(row, Row):
                with contextlib.suppress(DataError):
                    yield read_document(row.value, found.columns)


def _add_labellers(job: Job, ask: Ask, paths: Sequence[Path]) -> Ask:
    labellers = find_labellers(job.params.labeller)
    if any(labeller.noise for labeller in labellers):
        labellers = _measure(job, ask, paths, labellers)
    say = partial(relabel, labellers=labellers, chance=job.randomness.derive)
    return ask._replace(aids=replace(ask.aids, label=say))


def _measure(job: Job, ask: Ask, paths: Iterable[Path], labellers: Sequence[Labeller]) -> tuple[Labeller, ...]:
    """Measure how far scores are spread over all responses."""
    spreads = Spreads(labellers)

    def observe(comparison: Comparison) -> list[Comparison]:
        spreads.observe(comparison.prompt, comparison.responses)
        return []

    looking = ask._replace(aids=replace(ask.aids, label=observe))
    for found, rows in _open(job, looking, paths):
        for _ in interpret(rows, found, looking.aids):
            pass  # it is looked at as it goes by
    return spreads.measured()


def _open(job: Job, ask: Ask, paths: Iterable[Path]) -> Iterator[tuple[Found, Iterator[Row | Unreadable]]]:
    """Yield the rows of each file in which there are any, and how they are read; people are shown how far it is."""
    seen = 0

    def counted(rows: Iterable[Row | Unreadable]) -> Iterator[Row | Unreadable]:
        nonlocal seen
        for row in rows:
            seen += 1
            if seen % _SHOWN == 0:
                job.show(seen, None, "rows looked at")
            yield row

    for path in paths:
        sample, rows = peek(read_rows(path, ask.reading))
        if sample:
            try:
                found = find_layout(sample, ask.layout, ask.columns, ask.aids)
            except DataError as error:
                raise DataError(f"{path}: {error}") from None
            yield found, counted(rows)


def name_choosers(params: IngestParams) -> tuple[str, ...]:
    """Return the names of the labellers that are played, or of the classes of negatives."""
    if params.labeller:
        return tuple(labeller.name for labeller in find_labellers(params.labeller))
    return params.negatives


def describe_choosers(params: IngestParams, survey: Survey) -> dict[str, Any]:
    """Say what the manifest tells of who chose."""
    if params.labeller:
        return {"labellers": list(name_choosers(params))}
    if not params.negatives:
        return {}
    from prefline.data.synthesis import BEST

    counts: Counter[str] = Counter()
    for piece in survey.pieces():
        for number, times in zip(*np.unique(piece.responses["category"], return_counts=True), strict=True):
            counts[survey.names.categories.texts[number] or ""] += int(times)
    return {"negatives": {name: times for name, times in sorted(counts.items()) if name not in ("", BEST)}}
