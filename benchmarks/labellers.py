"""How often a mock labeller picks a response that is truly best, and how often two of them agree, by their noise.

The responses are four continuations of openings that the model has not seen: written by the grammar of the built-in
world, or drawn from its model (`--model`, 0.8 the temperature). The last two columns are what was measured in a
prototype of another grammar and another model, on 500 sets; its error is about 0.02.
"""

import argparse
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from prefline.data.chance import from_seed
from prefline.data.labelling import Labeller, Spreads, label, score_all
from prefline.pipeline.builtin.models import find_model
from prefline.pipeline.builtin.scoring import SCORERS
from prefline.pipeline.builtin.world import write_rows

_MEASURED = {0.0: (1.00, 0.96), 0.25: (0.86, 0.78), 0.5: (0.71, 0.59), 1.0: (0.55, 0.41)}
_CHOICES = 4
_LABELLERS = 10  # of one noise, each pair of which may agree
_TEMPERATURE, _TOKENS, _AT_ONCE = 0.8, 64, 128

Set = tuple[str, tuple[str, ...]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--score", choices=["sentiment", "descriptiveness"], default="sentiment")
    parser.add_argument("--model", action="store_true", help="take the responses from builtin:tiny")
    given = parser.parse_args()
    sets = [*(draw_sets(given.sets) if given.model else write_sets(given.sets))]
    # Four that are the same leave nothing to choose.
    sets = [(prompt, responses) for prompt, responses in sets if len(set(responses)) > 1]
    perfect = Labeller("perfect", SCORERS[given.score])
    scores = [score_all(prompt, responses, perfect) for prompt, responses in sets]
    ties = sum(found.count(max(found)) > 1 for found in scores) / len(sets)
    chance = sum(found.count(max(found)) for found in scores) / (_CHOICES * len(sets))
    origin = "builtin:tiny" if given.model else "the grammar"
    print(f"{given.score}, {len(sets):,} sets of {_CHOICES} from {origin}")
    print(f"{ties:.1%} tie for the best; by chance {chance:.2f} are truly best\n")
    print("| noise | picks a true best | two agree | prototype: true best | two agree |")
    print("|---|---|---|---|---|")
    for noise, before in _MEASURED.items():
        picked, agreed = measure(sets, scores, Labeller("", SCORERS[given.score], noise))
        cells = [
            f"{value:.2f} +- {1.96 * math.sqrt(value * (1 - value) / len(sets)):.2f}" for value in (picked, agreed)
        ]
        print(f"| {noise:g} | {cells[0]} | {cells[1]} | {before[0]:.2f} | {before[1]:.2f} |")


def measure(sets: Sequence[Set], scores: Sequence[list[float]], kind: Labeller) -> tuple[float, float]:
    """Return how often labellers of a kind pick a true best, and how often two of them pick the same."""
    labellers = [Labeller(f"labeller {number}", kind.score, kind.noise) for number in range(_LABELLERS)]
    spreads = Spreads(labellers)
    for prompt, responses in sets:
        spreads.observe(prompt, responses)
    picks = [
        [label(prompt, responses, labeller, from_seed(1)).best[0] for prompt, responses in sets]
        for labeller in spreads.measured()
    ]
    picked = sum(found[pick] == max(found) for each in picks for pick, found in zip(each, scores, strict=True))
    pairs = [*itertools.combinations(picks, 2)]
    agreed = sum(one == other for first, second in pairs for one, other in zip(first, second, strict=True))
    return picked / (len(picks) * len(sets)), agreed / (len(pairs) * len(sets))


def write_sets(number: int) -> Iterator[Set]:
    """Yield openings, each with four continuations of the grammar."""
    for row in write_rows("reviews", {"rows": str(number), "responses": str(_CHOICES), "split": "held_out"}):
        yield row["prompt"], tuple(row["responses"])


def draw_sets(number: int) -> Iterator[Set]:
    """Yield openings, each with four continuations that the model has drawn."""
    import torch

    from prefline.reward_model.pretrained import load_causal_lm, load_tokenizer
    from prefline.reward_model.seeding import seeded

    folder = find_model("tiny")
    model: Any = load_causal_lm(folder).eval()
    tokenizer = load_tokenizer(folder)
    tokenizer.padding_side = "left"
    prompts = [row["prompt"] for row in write_rows("reviews", {"rows": str(number), "split": "held_out"})]
    for first in range(0, number, _AT_ONCE):
        some = prompts[first : first + _AT_ONCE]
        tokens = tokenizer(some, return_tensors="pt", padding=True)
        with torch.inference_mode(), seeded(first):
            drawn = model.generate(
                **tokens,
                do_sample=True,
                temperature=_TEMPERATURE,
                top_k=0,
                max_new_tokens=_TOKENS,
                num_return_sequences=_CHOICES,
            )
        texts = tokenizer.batch_decode(drawn[:, tokens["input_ids"].shape[1] :], skip_special_tokens=True)
        for index, prompt in enumerate(some):
            yield prompt, tuple(texts[index * _CHOICES : (index + 1) * _CHOICES])


if __name__ == "__main__":
    main()
