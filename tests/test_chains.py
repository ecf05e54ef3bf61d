"""Stages that take what others make: prompts to learn from, the tokenizer of a model, from either side of the store."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefline.data.errors import ConfigError, DataError
from prefline.data.wording import find_typed_escapes
from prefline.pipeline import Artifact, SourceFile, Store, make
from prefline.pipeline.builtin.models import find_model
from prefline.pipeline.pipeline_file import PipelineFile
from prefline.pipeline.prepare import PREPARE
from prefline.pipeline.provided import parse_place, read_source
from prefline.pipeline.running import Ended, run
from prefline.pipeline.stages import MODEL, TEXTS, TOKENIZER
from prefline.pipeline.train_lm import TRAIN_LM
from prefline.pipeline.wiring import wire

SUFFIX = "\n\nTL;DR:"
NOTES = "builtin:notes?rows=60&split=all"
SETTINGS = {"lead": " ", "length": 160, "steps": 1}


def provided(text: str, kind: str) -> Any:
    return read_source(parse_place(text, kind), kind)


@pytest.fixture
def prompts(store: Store) -> Artifact:
    """Prompts with references, made with the tokenizer of the built-in model."""
    inputs = {"source": provided(NOTES, TEXTS), "tokenizer": provided("builtin:tiny", TOKENIZER)}
    params = {"length": 120, "suffix": SUFFIX, "near_duplicates": 1}
    return make(store, PREPARE, params=params, inputs=inputs).artifact


def train(store: Store, texts: Any, **settings: Any) -> Artifact:
    inputs = {"texts": texts, "model": provided("builtin:tiny", MODEL)}
    return make(store, TRAIN_LM, params={**SETTINGS, **settings}, inputs=inputs, seed=1).artifact


def test_a_pipeline_file_leads_from_prompts_to_a_model_and_on(store: Store, tmp_path: Path) -> None:
    stages: dict[str, Any] = {
        "prompts": {
            "stage": "prepare",
            "inputs": {"source": NOTES, "tokenizer": "builtin:tiny"},
            "params": {"length": 120, "suffix": SUFFIX, "near_duplicates": 1},
        },
        "tuned": {"stage": "train-lm", "inputs": {"texts": "prompts", "model": "builtin:tiny"}, "params": SETTINGS},
        "again": {
            "stage": "prepare",
            "inputs": {"source": NOTES, "tokenizer": "tuned"},
            "params": {"length": 40},
        },
        "labels": {
            "stage": "ingest",
            "inputs": {"source": NOTES, "tokenizer": "tuned"},
            "params": {"negatives": ["irrelevant", "truncated"], "choices": 3, "length": 200},
        },
    }
    document = {"schema": "prefline.pipeline/1", "seed": 1, "stages": stages}
    parts = wire(PipelineFile.from_document(document), tmp_path, store)
    ended = [found for found in run(store, parts, set(stages)) if isinstance(found, Ended)]
    made = {found.part.name: found.made.artifact for found in ended}
    assert made["tuned"].manifest.recipe.inputs["texts"] == made["prompts"].id
    assert made["again"].manifest.recipe.inputs["tokenizer"] == made["tuned"].id
    assert json.loads((made["labels"].path / "quality.json").read_text())["truncation"]["tokenizer"] == made["tuned"].id
    assert (made["again"].path / "tokenizer.json").read_bytes() == (find_model("tiny") / "tokenizer.json").read_bytes()
    stages["again"]["inputs"]["source"] = "tuned"
    with pytest.raises(
        ConfigError, match=r"stages\.again\.inputs\.source: expected a file, a folder, .* stage 'tuned'"
    ):
        wire(PipelineFile.from_document(document), tmp_path, store)
    stages["again"] = stages["tuned"] | {"inputs": {"texts": "labels", "model": "builtin:tiny"}}
    with pytest.raises(
        ConfigError, match=r"expected the kind prompts, found the stage 'labels', which makes comparisons"
    ):
        wire(PipelineFile.from_document(document), tmp_path, store)
    stages["again"] = stages["tuned"] | {"inputs": {"texts": "nots.jsonl", "model": "builtin:tiny"}}
    (tmp_path / "notes.jsonl").write_text("")
    with pytest.raises(ConfigError, match=r"there is no file or folder of that name \(did you mean 'notes\.jsonl'\?\)"):
        wire(PipelineFile.from_document(document), tmp_path, store)


def test_what_prompts_hold_out_is_held_out_and_what_stands_around_them_stands_there(
    store: Store, prompts: Artifact
) -> None:
    data = train(store, prompts).manifest.data
    assert data["documents"] == prompts.manifest.data["train"]
    assert data["held_out"] == prompts.manifest.data["held_out"] > 0
    assert data["prompt_format"] == {"prefix": "", "suffix": SUFFIX, "lead": " "}
    assert train(store, prompts, suffix=SUFFIX).manifest.data == data  # said once more


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"suffix": " Summary:"}, r"suffix: the prompts were made with '\\n\\nTL;DR:', found ' Summary:'"),
        ({"map": {"prompt": "question"}}, "map: the columns of an artifact are known"),
    ],
    ids=["another suffix", "columns"],
)
def test_what_contradicts_the_prompts_is_refused(
    store: Store, prompts: Artifact, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        train(store, prompts, **settings)


def test_prompts_without_references_teach_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "bare.jsonl").write_text('{"prompt": "What is left?"}\n' * 3 + '{"prompt": "Why?"}\n')
    source = SourceFile.read(tmp_path / "bare.jsonl")
    bare = make(store, PREPARE, params={"held_out": 0}, inputs={"source": source}).artifact
    with pytest.raises(DataError, match="expected prompts with references to learn, found one without"):
        train(store, bare)


def test_a_tokenizer_is_known_by_its_own_bytes_wherever_it_lies() -> None:
    folder = find_model("tiny")
    of_file, of_folder = (read_source(path, TOKENIZER) for path in (folder / "tokenizer.json", folder))
    assert of_file.identity == of_folder.identity == provided("builtin:tiny", TOKENIZER).identity
    assert provided("builtin:tiny", TOKENIZER).name == "builtin:tiny"


def test_prompts_bring_no_tokenizer_where_none_was_given(store: Store, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "One. Two."}\n')
    source = SourceFile.read(tmp_path / "texts.jsonl")
    without = make(store, PREPARE, params={}, inputs={"source": source}).artifact
    with pytest.raises(DataError, match=r"tokenizer\.json: expected a tokenizer, found no such file"):
        make(store, PREPARE, params={"length": 5}, inputs={"source": source, "tokenizer": without})


def test_a_line_end_that_a_shell_has_not_made_is_told() -> None:
    assert find_typed_escapes({"prefix": "a\n", "suffix": ""}) is None
    assert find_typed_escapes({"prefix": "", "suffix": r"\n\nTL;DR:"}) == (
        "suffix holds a backslash and an n, and no line end: if one was meant, a shell wants $'\\n'"
    )
    both = find_typed_escapes({"prefix": r"\n", "suffix": r"\n"})
    assert both is not None
    assert both.startswith("prefix and suffix hold ")
