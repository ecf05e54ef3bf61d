"""The documents that a language model learns from: those to train on, and those held out to measure perplexity on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prefline.data.digests import digest_prompt
from prefline.data.documents import Document, read_documents
from prefline.data.errors import ConfigError, DataError
from prefline.data.ingestion import Rejection
from prefline.data.prompts import load_format
from prefline.data.splitting import is_held_out
from prefline.data.wording import count
from prefline.pipeline.document_intake import DocumentIntake
from prefline.pipeline.ingest import HELD_OUT, REJECTED, TRAIN
from prefline.pipeline.jobs import Job
from prefline.pipeline.store import Artifact
from prefline.pipeline.train_lm import TrainLmParams

_ROLE = "texts"


class Around(NamedTuple):
    """What stands around prompts and before responses."""

    prefix: str
    suffix: str
    lead: str


class Corpus(NamedTuple):
    """What the rows of the texts gave."""

    train: list[Document]
    held_out: list[Document]
    rejected: int
    around: Around


def read_corpus(job: Job) -> Corpus:
    """Read all documents into memory. Those of one prompt, or of one text, are on one side of the split."""
    params: TrainLmParams = job.params
    given = job.inputs[_ROLE]
    if isinstance(given, Artifact):
        return _read_prompts(given.path, params)
    train: list[Document] = []
    held_out: list[Document] = []
    with contextlib.closing(DocumentIntake(job, _ROLE, params.map, params.encoding)) as intake:
        for document in intake.read():
            digest = _digest(document, given.path)
            (held_out if is_held_out(digest, params.held_out) else train).append(document)
        intake.check(params.max_rejected)
        if intake.rejected:
            intake.rejections.copy_to(job.folder / REJECTED)
    if not train:
        held = count(len(held_out), "document is", "documents are")
        raise DataError(f"{given.path}: {held} held out, and none is left: lower --held-out")
    return Corpus(train, held_out, intake.rejected, Around(params.prefix, params.suffix, params.lead))


def _read_prompts(folder: Path, params: TrainLmParams) -> Corpus:
    """Read what `prepare` has made: what it has held out is held out, and what it puts around prompts stands there."""
    if params.map:
        raise ConfigError("map: the columns of an artifact are known, found some for it: leave them out")
    form = load_format(folder)
    for name in ("prefix", "suffix"):
        if (asked := getattr(params, name)) and asked != getattr(form, name):
            raise ConfigError(
                f"{name}: the prompts were made with {getattr(form, name)!r}, found {asked!r}: leave it out, "
                "or prepare them anew"
            )
    train, held_out = ([*_read_whole(folder / name)] for name in (TRAIN, HELD_OUT))
    return Corpus(train, held_out if params.held_out else [], 0, Around(form.prefix, form.suffix, params.lead))


def _read_whole(path: Path) -> Iterator[Document]:
    for document in read_documents([path]):
        if isinstance(document, Rejection):
            raise DataError(f"{path}, line {document.line:,}: {document.reason}")
        if not document.texts:
            raise DataError(f"{path}: expected prompts with references to learn, found one without: {document.id}")
        yield document


def _digest(document: Document, path: Path) -> bytes:
    if not document.texts:
        raise DataError(
            f"{path}: expected texts, or prompts with references, found a prompt alone: say which column is which "
            "(--map prompt=COLUMN --map reference=COLUMN, or --map text=COLUMN)"
        )
    return digest_prompt(document.texts[0] if document.prompt is None else document.prompt)
