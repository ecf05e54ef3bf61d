"""The model that comes with prefline: what it is, how small, how well it knows its world, and that all of it opens."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from prefline.data.documents import Document
from prefline.pipeline.builtin.models import find_model
from prefline.pipeline.builtin.reviews import could_follow, measure_entropy
from prefline.pipeline.builtin.summaries import score_summary
from prefline.pipeline.builtin.world import SEPARATOR, write_rows
from prefline.policy import encode, measure
from prefline.reward_model import load_causal_lm, load_tokenizer
from prefline.reward_model.seeding import seeded

FOLDER = find_model("tiny")
PROMPTS = 100


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    """The model as every stage loads it."""
    return load_causal_lm(FOLDER).eval()


def held_out(name: str) -> list[dict[str, str]]:
    return [*write_rows(name, {"rows": str(PROMPTS), "split": "held_out"})]


def write(model: torch.nn.Module, prompts: list[str]) -> list[str]:
    """Return what the model draws after each prompt."""
    tokenizer = load_tokenizer(FOLDER)
    tokenizer.padding_side = "left"
    tokens = tokenizer(prompts, return_tensors="pt", padding=True)
    with torch.inference_mode(), seeded(0):
        drawn = model.generate(**tokens, do_sample=True, temperature=0.7, top_k=0, max_new_tokens=64)  # type: ignore[operator]
    return tokenizer.batch_decode(drawn[:, tokens["input_ids"].shape[1] :], skip_special_tokens=True)


def test_it_is_small_and_in_files_that_cannot_run_code() -> None:
    files = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert sum(files.values()) <= 3_000_000
    assert files.keys() == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    for name in files.keys() - {"model.safetensors"}:
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert str(Path.home()) not in text
        assert "/tmp" not in text


def test_it_opens_without_prefline() -> None:
    plain = AutoModelForCausalLM.from_pretrained(FOLDER)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    assert plain.dtype == torch.float32
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|endoftext|>", "<|pad|>")
    assert plain.config.vocab_size == len(tokenizer)
    with safe_open(FOLDER / "model.safetensors", "pt") as weights:
        assert "lm_head.weight" not in weights.keys()  # noqa: SIM118  which is tied, and stands there once


def test_its_card_says_what_it_is_and_its_figures_are_those_of_the_page() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    assert "pipeline_tag: text-generation" in card
    config = json.loads((FOLDER / "config.json").read_text())
    assert f"{config['n_layer']} layers" in card
    assert "not for" in card


def test_it_expects_reviews_nearly_as_well_as_the_grammar_itself(model: torch.nn.Module) -> None:
    documents = [Document(None, (row["text"],)) for row in held_out("reviews")]
    found = measure(model, encode(documents, load_tokenizer(FOLDER), length=160).examples, length=160)
    assert found.per_word is not None
    least = math.exp(measure_entropy()[1])
    assert least < found.per_word.value < 3.6  # what a prototype reached, on a language of less entropy
    assert found.per_token.value < 3.33


def test_much_of_what_it_writes_after_openings_it_has_not_seen_the_grammar_could_have_written(
    model: torch.nn.Module,
) -> None:
    prompts = [row["prompt"] for row in held_out("reviews")]
    written = write(model, prompts)
    assert sum(map(could_follow, prompts, written)) >= 0.25 * PROMPTS  # 43 % of a thousand


def test_it_sums_up_notes_that_it_has_not_seen(model: torch.nn.Module) -> None:
    notes = [row["prompt"] for row in held_out("notes")]
    written = write(model, [note + SEPARATOR.rstrip(" ") for note in notes])
    quality = [score_summary(note, summary).quality for note, summary in zip(notes, written, strict=True)]
    others = [score_summary(note, summary).quality for note, summary in zip(notes, written[1:], strict=False)]
    assert sum(quality) / PROMPTS > 2 * sum(others) / PROMPTS  # it reads the note
