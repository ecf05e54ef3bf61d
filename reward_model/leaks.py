"""Leaks: what a model is tested on, and has learnt from."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from prefline.data.comparison import Comparison
from prefline.data.contents import Prompt
from prefline.data.digests import digest_prompt
from prefline.data.near_duplicates import cluster
from prefline.data.sketches import as_numbers, sketch_prompts
from prefline.reward_model.scored import Scored, measure_accuracy


def find_leak(held_out: Sequence[Scored], train: Sequence[Comparison], near: float | None = 0.8) -> dict[str, Any]:
    """Count the held-out prompts that are in train: the same, or nearly so (None: do not look for these).

    Two prompts are nearly the same as in splitting: if they are in one cluster of near duplicates. `responses` counts
    the held-out comparisons of which a best response is one in train, on whatever prompt. The accuracy is given apart
    for comparisons whose prompts are in train, the same or nearly so (`shared`), and for the others (`clean`).
    """
    digests = [digest_prompt(one.comparison.prompt) for one in held_out]
    asked = {digest: one.comparison.prompt for digest, one in zip(digests, held_out, strict=True)}
    known = {digest_prompt(one.prompt): one.prompt for one in train}
    same = asked.keys() & known.keys()
    similar = set() if near is None else _find_near(asked, known, near) - same
    parts: tuple[list[Scored], list[Scored]] = ([], [])
    for digest, one in zip(digests, held_out, strict=True):
        parts[digest in same or digest in similar].append(one)
    clean, shared = map(measure_accuracy, parts)
    return {
        "prompts": len(same),
        "of": len(asked),
        "responses": _count_known_bests([one.comparison for one in held_out], train),
        "near": None if near is None else len(similar),
        "shared": shared,
        "clean": clean,
    }


def _find_near(asked: Mapping[bytes, Prompt], known: Mapping[bytes, Prompt], near: float) -> set[bytes]:
    """Return the prompts that are in one cluster with one that is known, itself among them."""
    clusters = cluster(sketch_prompts({**known, **asked}), near)
    ours, theirs = (clusters.find(as_numbers([*digests])) for digests in (asked, known))
    return {digest for digest, found in zip(asked, np.isin(ours, theirs).tolist(), strict=True) if found}


def _count_known_bests(held_out: Sequence[Comparison], train: Collection[Comparison]) -> int:
    bests = [{one.responses[place] for place in one.best} for one in held_out]
    wanted = set().union(*bests)  # which is less than all that is in train
    known = {response for one in train for response in one.responses if response in wanted}
    return sum(not own.isdisjoint(known) for own in bests)
