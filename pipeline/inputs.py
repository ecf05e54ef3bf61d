"""Inputs of a job that may lie on either side of the store."""

from pathlib import Path

from prefline.pipeline.jobs import Job
from prefline.pipeline.provided import TOKENIZER_FILE
from prefline.pipeline.sources import Outside
from prefline.pipeline.store import Artifact


def list_outside(job: Job) -> list[Outside]:
    """Return the inputs that lie outside the store; artifacts were verified, and nobody changes them."""
    return [given for given in job.inputs.values() if not isinstance(given, Artifact)]


def check_unchanged(job: Job) -> None:
    """Refuse inputs that are no longer what the recipe names."""
    for given in list_outside(job):
        given.check_unchanged()


def tokenizer_file(job: Job) -> Path:
    """Return the tokenizer that was given, by itself or within an artifact."""
    path = job.path_of("tokenizer")
    return path / TOKENIZER_FILE if path.is_dir() else path
