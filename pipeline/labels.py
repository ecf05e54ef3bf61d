"""The comparisons of an artifact, and whether they fit the model that is to learn from them."""

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from prefline.data.chance import Chance, generator
from prefline.data.comparison import Comparison
from prefline.data.errors import DataError
from prefline.data.strict_json import parse_json
from prefline.data.wording import shorten
from prefline.pipeline.ingest import HELD_OUT, INGEST, TRAIN
from prefline.pipeline.store import Artifact

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_SAID = ("ranks", "ratings", "votes")  # of each response, beside which is best


class Labels(NamedTuple):
    """Comparisons to learn from, and those that are held out."""

    train: list[Comparison]
    held_out: list[Comparison]


def read_labels(artifact: Artifact) -> Labels:
    """Read all comparisons of an artifact into memory."""
    recipe = artifact.manifest.recipe
    if recipe.stage == INGEST.name and recipe.stage_version > INGEST.version:
        raise DataError(
            f"{artifact.id}: its comparisons were written by version {recipe.stage_version} of {INGEST.name}, and this "
            f"prefline knows those up to {INGEST.version}: take a newer prefline"
        )
    return Labels(*([*_read_file(artifact.path / name)] for name in (TRAIN, HELD_OUT)))


def draw_labels(labels: Labels, most: int | None, chance: Chance, *, shuffled: bool = False) -> Labels:
    """Keep so many comparisons to learn from, in their order; a larger draw by the same chance holds a smaller one.

    Where they are to be `shuffled`, what was said of their responses is first dealt anew among those.
    """
    train = labels.train
    if shuffled:
        dealer = generator(chance, "labels")
        train = [_deal(one, dealer) for one in train]
    if most is not None:
        order = list(range(len(train)))
        generator(chance, "most").shuffle(order)
        train = [train[place] for place in sorted(order[:most])]
    return labels._replace(train=train)


def _deal(comparison: Comparison, dealer: Random) -> Comparison:
    """Give each response what was said of a response drawn at random, and of no other."""
    order = list(range(len(comparison.responses)))
    dealer.shuffle(order)
    best = tuple(place for place, source in enumerate(order) if source in comparison.best)
    said = {name: getattr(comparison, name) for name in _SAID}
    moved = {name: tuple(values[source] for source in order) for name, values in said.items() if values is not None}
    return replace(comparison, best=best, **moved)


def check_tokenizer(file: Path, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Refuse comparisons of token ids that mean something else to the tokenizer of a model; it may know more.

    `file` is what their artifact has, if it has one, of the tokenizer that they belong to.
    """
    if not file.exists():  # the comparisons are texts, which any tokenizer can read
        return
    from prefline.data.truncation import load_tokenizer

    theirs = load_tokenizer(file).get_vocab()
    ours = tokenizer.get_vocab()
    differing = [token for token, number in theirs.items() if ours.get(token) != number]
    if differing:
        first = min(differing, key=theirs.__getitem__)
        raise DataError(
            f"the comparisons are token ids of a tokenizer with {len(theirs):,} tokens, and to that of "
            f"the model {len(differing):,} of them are others, such as {theirs[first]:,}, which is {shorten(first)!r}: "
            "take a model with the tokenizer that they were written with, or comparisons of texts"
        )


def _read_file(path: Path) -> list[Comparison]:
    found = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                found.append(Comparison.from_row(parse_json(line)))
            except DataError as error:
                raise DataError(f"{path}, line {number:,}: {error}") from None
    return found
