"""What the built-in model has learnt: how well it expects held-out text, and how much of what it writes is right.

Perplexity per word of reviews stands beside the least there is, which the grammar knows exactly. Of what the model
writes, counted are: reviews that the grammar could have written word for word, and summaries with each fact right.
The prompts are held out: neither the model nor its tokenizer has seen them.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from prefline.data.documents import Document
from prefline.pipeline.builtin.models import find_model
from prefline.pipeline.builtin.reviews import could_follow, measure_entropy
from prefline.pipeline.builtin.summaries import score_summary
from prefline.pipeline.builtin.world import SEPARATOR, write_rows
from prefline.policy.encoding import encode
from prefline.policy.perplexity import measure
from prefline.reward_model.pretrained import load_causal_lm, load_tokenizer
from prefline.reward_model.seeding import seeded

_AT_ONCE, _TOKENS, _LENGTH = 100, 64, 160
_Z = 1.96


def main() -> None:
    """Print what is known of the model, and some of what it writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, default=find_model("tiny"))
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--shown", type=int, default=10)
    given = parser.parse_args()
    model, tokenizer = load_causal_lm(given.model).eval(), load_tokenizer(given.model)
    size = sum(path.stat().st_size for path in given.model.iterdir())
    print(f"{sum(weights.numel() for weights in model.parameters()):,} parameters, {size:,} bytes in all\n")
    reviews = [*write_rows("reviews", {"rows": str(given.prompts), "split": "held_out"})]
    notes = [*write_rows("notes", {"rows": str(given.prompts), "split": "held_out"})]
    print("| held out | perplexity per token | per word | the least per word |\n|---|---|---|---|")
    least = f"{math.exp(measure_entropy()[1]):.2f}"
    print_perplexity(model, tokenizer, "reviews", [Document(None, (row["text"],)) for row in reviews], least)
    pairs = [Document(row["prompt"], (row["reference"],)) for row in notes]
    print_perplexity(model, tokenizer, "summaries of notes", pairs, "")
    print("\n| written | temperature | right |\n|---|---|---|")
    prompts, asked = [row["prompt"] for row in reviews], [row["prompt"] + SEPARATOR.rstrip(" ") for row in notes]
    written, summed = write(model, tokenizer, prompts, 0.7), write(model, tokenizer, asked, 0.7)
    print_share("reviews", "0.7", prompts, written, could_follow)
    for temperature, texts in (("0.7", summed), ("greedy", write(model, tokenizer, asked, 0))):
        print_share("summaries", temperature, [row["prompt"] for row in notes], texts, is_perfect)
    print()
    for prompt, text in [*zip(prompts, written, strict=True)][: given.shown]:
        print(f"{prompt} |{text}")
    for row, text in [*zip(notes, summed, strict=True)][: given.shown]:
        print(f"\n{row['prompt']}\n=>{text}")


def is_perfect(note: str, summary: str) -> bool:
    """Say whether a summary gives all facts of a note and no others."""
    return score_summary(note, summary).quality == 1


def print_perplexity(model: Any, tokenizer: Any, name: str, documents: Sequence[Document], least: str) -> None:
    """Print a row of the first table."""
    suffix = SEPARATOR.rstrip(" ")
    encoded = encode(documents, tokenizer, length=_LENGTH, suffix=suffix, lead=" ")
    found = measure(model, encoded.examples, length=_LENGTH)
    cells = [f"{value.value:.2f} ({value.low:.2f} to {value.high:.2f})" for value in (found.per_token, found.per_word)]  # pyright: ignore
    print(f"| {name} | {cells[0]} | {cells[1]} | {least} |")


def print_share(
    name: str, temperature: str, prompts: Sequence[str], texts: Sequence[str], is_right: Callable[[str, str], bool]
) -> None:
    """Print a row of the second table."""
    share = sum(map(is_right, prompts, texts)) / len(prompts)
    error = _Z * math.sqrt(share * (1 - share) / len(prompts))
    print(f"| {name} | {temperature} | {share:.3f} +- {error:.3f} |")


def write(model: Any, tokenizer: Any, prompts: Sequence[str], temperature: float) -> list[str]:
    """Return what the model writes after each prompt; with a temperature of 0 the likeliest token each time."""
    tokenizer.padding_side = "left"
    chance = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    texts: list[str] = []
    for first in range(0, len(prompts), _AT_ONCE):
        tokens = tokenizer(prompts[first : first + _AT_ONCE], return_tensors="pt", padding=True)
        with torch.inference_mode(), seeded(first):
            drawn = model.generate(**tokens, **chance, max_new_tokens=_TOKENS)
        texts += tokenizer.batch_decode(drawn[:, tokens["input_ids"].shape[1] :], skip_special_tokens=True)
    return texts


if __name__ == "__main__":
    main()
