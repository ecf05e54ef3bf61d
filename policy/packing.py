"""Examples packed into rows that leave little room empty, none of which sees another.

In a row the positions of each example begin anew, and attention is block-diagonal: causal within an example, nothing
across. So the model computes what it would compute of each example alone. A window of attention needs no word in the
mask as long as no example is longer than the window.

Shapes: B rows, T tokens of the longest row.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from prefline.policy.encoding import Example

Row = Sequence[Example]

IGNORED = -100  # the label of a token that is not learnt, by the custom of transformers

_MOST_OPEN = 64  # rows that are looked through for room


class Batch(NamedTuple):
    """Rows as tensors."""

    tokens: torch.Tensor  # [B, T]
    positions: torch.Tensor  # [B, T], from 0 in each example
    labels: torch.Tensor  # [B, T], the token itself where it is learnt
    mask: torch.Tensor  # [B, 1, T, T], True where the token of a row attends to that of a column


def pack(examples: Iterable[Example], length: int) -> list[Row]:
    """Put examples into rows of at most `length` tokens: each into the first open row that has room for it."""
    closed: list[list[Example]] = []
    open_rows: list[list[Example]] = []
    room: list[int] = []
    for example in examples:
        needed = len(example.tokens)
        if not 0 < example.start < needed <= length:
            raise ValueError(f"expected an example of up to {length} tokens with some to learn, found {example}")
        place = next((place for place, left in enumerate(room) if left >= needed), None)
        if place is None:
            if len(room) == _MOST_OPEN:
                fullest = room.index(min(room))
                closed.append(open_rows.pop(fullest))
                room.pop(fullest)
            place = len(room)
            open_rows.append([])
            room.append(length)
        open_rows[place].append(example)
        room[place] -= needed
        if room[place] < 2:  # no example is shorter
            closed.append(open_rows.pop(place))
            room.pop(place)
    return [*closed, *open_rows]


def count_learnt(rows: Iterable[Row]) -> int:
    """Return how many tokens of some rows are learnt."""
    return sum(len(example.tokens) - example.start for row in rows for example in row)


def collate(rows: Sequence[Row], device: torch.device | str = "cpu") -> Batch:
    """Turn rows into tensors, filled up to the longest with tokens that attend to themselves alone."""
    width = max(sum(len(example.tokens) for example in row) for row in rows)
    tokens, positions, labels, owners = (
        torch.full((len(rows), width), value, dtype=torch.long) for value in (0, 0, IGNORED, -1)
    )
    for number, row in enumerate(rows):
        at = 0
        for owner, example in enumerate(row):
            end = at + len(example.tokens)
            tokens[number, at:end] = torch.tensor(example.tokens)
            positions[number, at:end] = torch.arange(len(example.tokens))
            labels[number, at + example.start : end] = tokens[number, at + example.start : end]
            owners[number, at:end] = owner
            at = end
    owners = owners.to(device)
    mask = (owners[:, :, None] == owners[:, None, :]).tril()
    # What fills up is nobody's: were it to attend to nothing at all, its softmax would be no number.
    filling = (owners < 0)[:, :, None]
    alone = torch.eye(width, dtype=torch.bool, device=owners.device)
    mask = torch.where(filling, alone, mask).unsqueeze(1)
    return Batch(tokens.to(device), positions.to(device), labels.to(device), mask)
