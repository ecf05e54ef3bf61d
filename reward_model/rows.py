"""Pairs in one row without padding, those of one prompt behind it: [prompt | response | response ...].

Positions begin anew at each prompt, and each response goes on from the last of its prompt. sharing.py says how a model
computes such a row.

T tokens in the row, S states that are read.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from prefline.reward_model.encoding import Pair

_WIDEST = 2048  # tokens of responses behind one prompt: each looks at all and leaves out what is not its own


class Block(NamedTuple):
    """A comparison in the row."""

    first: int  # where its prompt begins
    responses: int  # where its responses begin
    end: int
    mask: torch.Tensor  # [tokens of responses, all tokens] bool: what each may look at
    reads: torch.Tensor  # the places in the block, in order, of the states that are read


class Layout(NamedTuple):
    """Comparisons in a row, and which states are read."""

    blocks: tuple[Block, ...]
    reads: torch.Tensor  # the places of the states that are read, each once
    only_reads: bool = False  # whether attention is computed of these alone, which is so in the last block


class Row(NamedTuple):
    """Pairs in one row, in their order."""

    tokens: torch.Tensor  # [1, T]
    positions: torch.Tensor  # [1, T]
    layout: Layout
    places: torch.Tensor  # [S] the places of the states that are read; empty responses may have one in common
    owners: torch.Tensor  # [S] to which pair, from 0, each belongs
    pairs: int


def count_tokens(pairs: Sequence[Pair]) -> int:
    """Return how many tokens some pairs take in a row."""
    return sum(
        len(pairs[group.start].prompt) + sum(len(pairs[number].response) for number in group) for group in _group(pairs)
    )


def split_rows(pairs: Sequence[Pair], most: int) -> list[range]:
    """Split pairs into consecutive runs of at most `most` tokens in a row; more stand alone."""
    runs: list[range] = []
    start = size = 0
    for group in _group(pairs):
        for number in group:
            prompt, response = map(len, pairs[number])
            own = response + (prompt if number == group.start else 0)
            if number > start and size + own > most:
                runs.append(range(start, number))
                start, size, own = number, 0, prompt + response
            size += own
    return [*runs, range(start, len(pairs))] if pairs else []


def lay_out(pairs: Sequence[Pair], *, whole: bool, device: torch.device | str = "cpu") -> Row:
    """Put pairs into a row, those that follow each other with one prompt behind it.

    Read is the last state of each pair, or with `whole` all those of its response.
    """
    tokens: list[int] = []
    positions: list[int] = []
    places: list[int] = []
    owners: list[int] = []
    blocks: list[Block] = []
    for group in _group(pairs):
        first, seen, prompt = len(tokens), len(places), pairs[group.start].prompt
        tokens += prompt
        positions += range(len(prompt))
        for number in group:
            response = pairs[number].response
            if not prompt and not response:
                raise ValueError(f"pair {number}: expected a token at least, found none")
            begin, end = len(tokens), len(tokens) + len(response)
            read = range(begin, end) if whole and response else [end - 1 if response else first + len(prompt) - 1]
            places += read
            owners += [number] * len(read)
            tokens += response
            positions += range(len(prompt), len(prompt) + len(response))
        sizes = [len(pairs[number].response) for number in group]
        reads = torch.tensor(sorted({place - first for place in places[seen:]}), device=device)
        blocks.append(Block(first, first + len(prompt), len(tokens), _mask(len(prompt), sizes, device), reads))
    return Row(
        torch.tensor([tokens], device=device),
        torch.tensor([positions], device=device),
        Layout(tuple(blocks), torch.cat([block.first + block.reads for block in blocks])),
        torch.tensor(places, device=device),
        torch.tensor(owners, device=device),
        len(pairs),
    )


def _group(pairs: Sequence[Pair]) -> list[range]:
    """Return runs of pairs with one prompt, of which none is too wide."""
    groups: list[range] = []
    start = width = 0
    for number, pair in enumerate(pairs):
        size = len(pair.response)
        if number > start and (pair.prompt != pairs[start].prompt or width + size > _WIDEST):
            groups.append(range(start, number))
            start, width = number, 0
        width += size
    return [*groups, range(start, len(pairs))] if pairs else []


def _mask(prompt: int, responses: Sequence[int], device: torch.device | str) -> torch.Tensor:
    """Return what each token of some responses may look at: all of the prompt, and its own response up to itself."""
    owner = torch.arange(len(responses), device=device).repeat_interleave(torch.tensor(responses, device=device))
    own = (owner[:, None] == owner).tril()
    return torch.cat([own.new_ones(len(owner), prompt), own], 1)
