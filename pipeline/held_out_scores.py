"""The scores that a reward model gave to what was held out from it: in its artifact, a line for each comparison.

So whoever asks how right it is, or compares it with another, needs no model and no GPU.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError
from prefline.data.strict_json import parse_json
from prefline.pipeline.filesystem import create_file
from prefline.pipeline.gathering import write_line
from prefline.reward_model.scored import Scored

SCORES = "scores.jsonl"


def write_scores(folder: Path, scored: Sequence[Scored]) -> None:
    """Write the scores of all comparisons that are held out, in their order."""
    with create_file(folder / SCORES) as out:
        for one in scored:
            said = {"scores": one.scores, "disagreement": one.disagreement, "dissent": one.dissent}
            row = {name: value for name, value in said.items() if value is not None}
            out.write(write_line(row))


def read_scores(folder: Path, held_out: Sequence[Comparison]) -> list[Scored]:
    """Read them back, beside the comparisons that they are of."""
    path = folder / SCORES
    rows: list[Any] = [parse_json(line) for line in path.read_bytes().splitlines()]
    if [len(row["scores"]) for row in rows] != [len(one.responses) for one in held_out]:
        raise DataError(f"{path}: expected scores of the {len(held_out):,} comparisons held out, found others")
    return [
        Scored(one, tuple(row["scores"]), row.get("disagreement") and tuple(row["disagreement"]), row.get("dissent"))
        for one, row in zip(held_out, rows, strict=True)
    ]
