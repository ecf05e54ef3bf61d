"""What packing and the loss in parts are worth, against the loop that everybody writes.

The first table: the same examples, forward and backward, in turn. The peer fills each batch up to its longest example
and takes the loss that transformers computes from labels; ours packs. The second is the memory of the loss alone, each
in a process of its own: the peak resident set less what was held before.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from timing import describe_times, describe_verdict, print_machine, ratio, take_turns
from torch.nn import functional
from transformers import PreTrainedModel

from prefline.data.chance import from_seed
from prefline.pipeline.terminal import format_table
from prefline.policy.encoding import Example
from prefline.policy.likelihood import token_losses
from prefline.policy.model import choose_reading
from prefline.policy.optimising import add_gradient
from prefline.policy.packing import IGNORED, count_learnt, pack
from prefline.reward_model.pretrained import build_causal_lm

LEAST_SPEED, MOST_MEMORY = 1.0, 0.5  # times that of the peer
# Tokens of an example, and how many of them are a prompt: reviews of a few sentences; threads with a summary.
SHAPES = {"texts of 12-60": (12, 60, 1), "pairs of 60-250": (60, 250, 40)}
LENGTH = 256
VOCABULARY = 50_257
WAYS = ("transformers", "in parts")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What packing and the loss in parts are worth.")
    parser.add_argument("--tokens", type=int, default=4096, help="how many tokens a step has, about")
    parser.add_argument("--repeats", type=int, default=5, help="how often each is measured")
    parser.add_argument("--memory-of", choices=WAYS, help="measure the memory of one way, and print it alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory_of:
        print(json.dumps(measure_memory(options.memory_of)))
        return
    print_machine("One thread, float32, GPT-2 of 4 layers and width 256, 8,192 tokens; forward and backward, in turn.")
    compare_speed(8192, options.tokens, options.repeats)
    compare_memory(options.repeats)


def compare_speed(vocabulary: int, tokens: int, repeats: int) -> None:
    """Print the table of tokens for each second."""
    table = []
    for name, (low, high, prompt) in SHAPES.items():
        examples = draw_examples(low, high, prompt, tokens, vocabulary)
        model = build_causal_lm(
            {
                "model_type": "gpt2",
                "n_layer": 4,
                "n_embd": 256,
                "n_head": 4,
                "n_positions": LENGTH,
                "vocab_size": vocabulary,
                "bos_token_id": 0,
                "eos_token_id": 0,
                "resid_pdrop": 0.0,
                "embd_pdrop": 0.0,
                "attn_pdrop": 0.0,
            },
            from_seed(1),
        )
        read, rows = choose_reading(model), pack(examples, LENGTH)
        times = take_turns(
            {
                "padded": lambda model=model, examples=examples: run_padded(model, examples),
                "packed": lambda model=model, read=read, rows=rows: add_gradient(
                    model, read, rows, len(rows), torch.float32, 0
                ),
                "packed, 4 rows": lambda model=model, read=read, rows=rows: add_gradient(
                    model, read, rows, 4, torch.float32, 0
                ),
            },
            repeats,
        )
        real = sum(len(example.tokens) for example in examples)
        for way, measured in times.items():
            faster = ratio(times["padded"], measured)
            ours = way != "padded"
            bar = (f"at least {LEAST_SPEED:.0f}x", describe_verdict(faster >= LEAST_SPEED)) if ours else ("", "")
            speed = f"{real / statistics.median(measured):,.0f}"
            table.append((name, way, *describe_times(measured), speed, f"{faster:.2f}x", *bar))
    print(format_table(("EXAMPLES", "WAY", "MEDIAN", "RANGE", "TOKENS/S", "SPEED", "BAR", ""), table))


def draw_examples(low: int, high: int, prompt: int, tokens: int, vocabulary: int) -> list[Example]:
    """Return examples of every length, in no order."""
    chance = random.Random(1)
    examples: list[Example] = []
    while sum(len(example.tokens) for example in examples) < tokens:
        drawn = tuple(chance.randrange(2, vocabulary) for _ in range(chance.randint(low, high)))
        examples.append(Example(drawn, prompt))
    return examples


def run_padded(model: PreTrainedModel, examples: Sequence[Example]) -> None:
    """Compute the gradient as everybody does."""
    width = max(len(example.tokens) for example in examples)
    tokens = torch.zeros(len(examples), width, dtype=torch.long)
    mask, labels = torch.zeros_like(tokens), torch.full_like(tokens, IGNORED)
    for row, example in enumerate(examples):
        end = len(example.tokens)
        tokens[row, :end] = torch.tensor(example.tokens)
        mask[row, :end] = 1
        labels[row, example.start : end] = tokens[row, example.start : end]
    model(input_ids=tokens, attention_mask=mask, labels=labels, use_cache=False).loss.backward()
    assert count_learnt([examples]) == int((labels != IGNORED).sum())
    model.zero_grad()


def compare_memory(repeats: int) -> None:
    """Print the table of the memory of the loss."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(repeats):
        for way, measured in found.items():
            command = [sys.executable, __file__, "--memory-of", way]
            measured.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    table = []
    for way, measured in found.items():
        less = ratio(measured, found[WAYS[0]])
        bar = (f"at most {MOST_MEMORY}x", describe_verdict(less <= MOST_MEMORY)) if way != WAYS[0] else ("", "")
        table.append((way, f"{statistics.median(measured):.0f} MiB", f"{less:.2f}x", *bar))
    print(f"\nThe loss of 1,024 learnt tokens, {VOCABULARY:,} tokens in the vocabulary, width 256.\n")
    print(format_table(("WAY", "PEAK", "MEMORY", "BAR", ""), table))


def measure_memory(way: str) -> float:
    """Return how many MiB the loss and its gradient take."""
    head = torch.nn.Linear(256, VOCABULARY, bias=False)
    states = torch.randn(1024, 256, requires_grad=True)
    targets = torch.randint(0, VOCABULARY, (1024,))
    head.weight.grad = torch.zeros_like(head.weight)
    before = peak()
    if way == WAYS[0]:
        # As ForCausalLMLoss of transformers does.
        functional.cross_entropy(head(states).float(), targets).backward()
    else:
        token_losses(states, head, targets, VOCABULARY).mean().backward()
    return peak() - before


def peak() -> float:
    """Return the most that this process has held, in MiB; what getrusage says begins with the peak of its parent."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main()
