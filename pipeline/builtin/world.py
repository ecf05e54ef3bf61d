"""The data sets of the built-in world. They are written when they are asked for, and are the same for ever.

Each row follows from the seed and its own number, so asking for more rows changes none of those before, and the
rows that are held out are those that `split=train` leaves out: by the hash of the prompt, as everywhere. If a
change of the grammars or the tables gives other rows, count up VERSION.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from itertools import count, islice
from typing import Any, Literal, NamedTuple

from pydantic import Field

from prefline.data.chance import Chance, from_seed, generator
from prefline.data.configuration import Config
from prefline.data.digests import digest_prompt
from prefline.data.errors import ConfigError
from prefline.data.splitting import is_held_out
from prefline.data.wording import did_you_mean
from prefline.pipeline.builtin.notes import write_note
from prefline.pipeline.builtin.review_scores import score_descriptiveness, score_sentiment
from prefline.pipeline.builtin.reviews import open_review

VERSION = 1
HELD_OUT = 0.1  # the share of prompts
SEPARATOR = "\n\nTL;DR: "  # between a note and its summary

Row = dict[str, Any]
Keep = Callable[[str], bool]


class Options(Config):
    """What may be asked of each data set."""

    rows: int = Field(20_000, ge=1, description="How many rows.")
    split: Literal["train", "held_out", "all"] = Field(
        "train", description="Prompts to train on, those held out, or all."
    )
    seed: int = Field(0, ge=0, description="Another seed gives other rows.")


class NoteOptions(Options):
    """Options of the notes."""

    rows: int = Field(12_000, ge=1, description="How many rows.")


class TextOptions(Options):
    """Options of the texts."""

    rows: int = Field(40_000, ge=1, description="How many rows.")
    notes: float = Field(0.4, ge=0, le=1, description="The share of notes; the others are reviews.")
    # As on the web, where few posts end with "TL;DR": so there is something left to learn of summing up.
    summaries: float = Field(0.3, ge=0, le=1, description="The share of notes that a summary follows.")


class ReviewOptions(Options):
    """Options of the reviews."""

    responses: int = Field(1, ge=1, le=16, description="How many responses to each prompt.")


class DatasetAbout(NamedTuple):
    """What a data set holds, what may be asked of it, and how a row of it is written."""

    about: str
    options: type[Options]
    write: Callable[[Any, random.Random, Keep], Row | None]  # None where the prompt is of another split


def write_rows(name: str, options: Mapping[str, str]) -> Iterator[Row]:
    """Write the rows of a data set; ConfigError where there is none of that name, or it has no such option."""
    if name not in DATASETS:
        known = f"expected a data set ({', '.join(DATASETS)}), found {name!r}"
        raise ConfigError(f"builtin:{name}: {known}{did_you_mean(name, DATASETS)}")
    try:
        asked = DATASETS[name].options.parse(options)
    except ConfigError as error:
        raise ConfigError(f"builtin:{name}: {error}") from None
    return islice(_write_all(name, asked), asked.rows)


def render(name: str, options: Mapping[str, str]) -> bytes:
    """Return a data set as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in write_rows(name, options)).encode()


def _write_all(name: str, asked: Options) -> Iterator[Row]:
    chance: Chance = from_seed(asked.seed)

    def keep(prompt: str) -> bool:
        return asked.split == "all" or is_held_out(digest_prompt(prompt), HELD_OUT) == (asked.split == "held_out")

    for index in count():
        row = DATASETS[name].write(asked, generator(chance, f"builtin:{name}", index), keep)
        if row is not None:
            yield row


def _write_review(asked: ReviewOptions, draws: random.Random, keep: Keep) -> Row | None:
    opening = open_review(draws)
    if not keep(opening.text):
        return None
    responses = [opening.follow(draws).text for _ in range(asked.responses)]
    if asked.responses > 1:
        return {"prompt": opening.text, "responses": responses}
    return {
        "prompt": opening.text,
        "response": responses[0],
        "text": opening.text + responses[0],
        "sentiment": score_sentiment(opening.text, responses[0]),
        "descriptiveness": score_descriptiveness(opening.text, responses[0]),
    }


def _write_note(asked: Options, draws: random.Random, keep: Keep) -> Row | None:  # noqa: ARG001  as the others
    note = write_note(draws)
    return {"prompt": note.text, "reference": note.summary} if keep(note.text) else None


def _write_text(asked: TextOptions, draws: random.Random, keep: Keep) -> Row | None:
    if draws.random() < asked.notes:
        note = write_note(draws)
        ending = SEPARATOR + note.summary if draws.random() < asked.summaries else ""
        return {"text": note.text + ending} if keep(note.text) else None
    opening = open_review(draws)
    return {"text": opening.text + opening.follow(draws).text} if keep(opening.text) else None


DATASETS: Mapping[str, DatasetAbout] = {
    "reviews": DatasetAbout("Openings of reviews, and what follows with its scores.", ReviewOptions, _write_review),
    "notes": DatasetAbout("Notes, each with a reference that sums it up in a sentence.", NoteOptions, _write_note),
    "texts": DatasetAbout("Reviews, and notes, some with their summaries, to learn from.", TextOptions, _write_text),
}
