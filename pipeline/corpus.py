"""The documents that a language model learns from: those to train on, and those held out to measure perplexity on."""

import contextlib
from pathlib import Path
from typing import NamedTuple

from prefline.data.digests import digest_prompt
from prefline.data.documents import Document
from prefline.data.errors import DataError
from prefline.data.splitting import is_held_out
from prefline.data.wording import count
from prefline.pipeline.document_intake import DocumentIntake
from prefline.pipeline.ingest import REJECTED
from prefline.pipeline.jobs import Job
from prefline.pipeline.train_lm import TrainLmParams

_ROLE = "texts"


class Corpus(NamedTuple):
    """What the rows of the texts gave."""

    train: list[Document]
    held_out: list[Document]
    rejected: int


def read_corpus(job: Job) -> Corpus:
    """Read all documents into memory. Those of one prompt, or of one text, are on one side of the split."""
    params: TrainLmParams = job.params
    path = job.source(_ROLE).path
    train: list[Document] = []
    held_out: list[Document] = []
    with contextlib.closing(DocumentIntake(job, _ROLE, params.map, params.encoding)) as intake:
        for document in intake.read():
            digest = _digest(document, path)
            (held_out if is_held_out(digest, params.held_out) else train).append(document)
        intake.check(params.max_rejected)
        if intake.rejected:
            intake.rejections.copy_to(job.folder / REJECTED)
    if not train:
        held = count(len(held_out), "document is", "documents are")
        raise DataError(f"{path}: {held} held out, and none is left: lower --held-out")
    return Corpus(train, held_out, intake.rejected)


def _digest(document: Document, path: Path) -> bytes:
    if not document.texts:
        raise DataError(
            f"{path}: expected texts, or prompts with references, found a prompt alone: say which column is which "
            "(--map prompt=COLUMN --map reference=COLUMN, or --map text=COLUMN)"
        )
    return digest_prompt(document.texts[0] if document.prompt is None else document.prompt)
