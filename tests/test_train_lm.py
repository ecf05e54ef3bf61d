"""The stage `train-lm`: what it makes of texts and of prompts with references, what it measures, what it refuses."""

import gzip
import itertools
import json
import math
import random
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from typer.main import get_command

from prefline.data.digests import digest_prompt
from prefline.data.errors import ConfigError, DataError, StageError, StoreError
from prefline.data.splitting import is_held_out
from prefline.pipeline import Artifact, Runtime, Store, make
from prefline.pipeline.cli import app
from prefline.pipeline.cli_catalogue import build_command
from prefline.pipeline.metrics import read_metrics
from prefline.pipeline.provided import read_source
from prefline.pipeline.stages import MODEL
from prefline.pipeline.terminal_training import describe_perplexity, describe_training
from prefline.pipeline.train_lm import TRAIN_LM, TrainLmParams
from prefline.pipeline.weights import writing_weights
from prefline.policy.config import SupervisedConfig
from prefline.policy.encoding import Encoded, Example
from prefline.policy.supervision import Plan

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TINY = {"model_type": "gpt2", "n_layer": 2, "n_embd": 32, "n_head": 2, "n_positions": 128}
QUICK = {"length": 32, "batch": 8, "learning_rate": 3e-3, "held_out": 0.2, "vocabulary": 300}

PEOPLE = ("my sister", "the baker", "a sailor", "our neighbour", "the teacher", "an old man")
DEEDS = ("painted", "sold", "mended", "lost", "borrowed", "kept")
THINGS = ("the boat", "a red chair", "the clock", "nine apples", "a long letter", "the map")


def sentences(number: int, seed: int = 1) -> list[str]:
    """Sentences of a little language: 216 there are, and each of its choices is 1 of 6."""
    every = [f"Today {who} {did} {what}." for who, did, what in itertools.product(PEOPLE, DEEDS, THINGS)]
    return random.Random(seed).sample(every, number)


def write(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write(tmp_path / "texts.jsonl", [{"text": text} for text in sentences(160)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(TINY))
    return path


def train(store: Store, **given: Any) -> Artifact:
    """Run the stage: paths are inputs, and all else but `runtime` and `seed` are settings."""
    runtime, seed = given.pop("runtime", Runtime(device="cpu")), given.pop("seed", 1)
    inputs = {role: given.pop(role) for role in TRAIN_LM.takes if role in given}
    read: dict[str, Any] = {
        role: place if isinstance(place, Artifact) else read_source(place, TRAIN_LM.takes[role])
        for role, place in inputs.items()
    }
    return make(store, TRAIN_LM, params=given, inputs=read, seed=seed, runtime=runtime).artifact


def load(path: Path) -> tuple[Any, Any]:
    """Load a model as anybody would."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)


def evaluation(artifact: Artifact) -> Any:
    return json.loads((artifact.path / "evaluation.json").read_bytes())


def per_token(artifact: Artifact, when: str = "after") -> float:
    return artifact.manifest.data["perplexity"][when]["per_token"]["value"]


def nll(model: Any, tokens: list[int], start: int) -> float:
    """-log p of the tokens from `start` on, one text at a time and in the plainest way."""
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].double()
    chosen = logits.log_softmax(-1)[:-1].gather(1, torch.tensor(tokens[1:]).unsqueeze(1))[:, 0]
    return -chosen[start - 1 :].sum().item()


# --- what it makes ---


def test_a_model_from_a_config_learns_the_language_and_opens_without_us(
    store: Store, texts: Path, config: Path
) -> None:
    artifact = train(store, texts=texts, config=config, epochs=12, **QUICK)
    model, tokenizer = load(artifact.path)
    data = artifact.manifest.data
    assert len(tokenizer) == 300
    held_out = [text for text in sentences(160) if is_held_out(digest_prompt(text), 0.2)]
    assert (data["held_out"], data["documents"]) == (len(held_out), 160 - len(held_out))
    # Perplexity, worked out one text at a time by transformers alone.
    encoded = [[*tokenizer(text).input_ids, tokenizer.eos_token_id] for text in held_out]
    expected = sum(nll(model, tokens, 1) for tokens in encoded) / sum(len(tokens) - 1 for tokens in encoded)
    assert per_token(artifact) == pytest.approx(math.exp(expected), rel=1e-5)
    # Three choices of 6 in a sentence are 5.4 nats in about 14 tokens; a model that knows nothing is at 300.
    assert per_token(artifact) < 300 / 50
    interval = data["perplexity"]["after"]["per_token"]
    assert interval["low"] < interval["value"] < interval["high"]
    assert data["perplexity"]["before"] is None
    found = evaluation(artifact)
    assert (found["before"], found["curve"], found["after"]["documents"]) == (None, [], len(held_out))
    assert found["after"]["per_token"] == interval
    start = tokenizer("Today my", return_tensors="pt")
    drawn = model.generate(**start, max_new_tokens=8, do_sample=False)[0]
    assert tokenizer.decode(drawn, skip_special_tokens=True).startswith("Today my sister ")


def test_the_manifest_says_what_the_model_is_and_what_it_learnt_from(store: Store, texts: Path, config: Path) -> None:
    artifact = train(store, texts=texts, config=config, epochs=2, **QUICK)
    model, tokenizer = load(artifact.path)
    data = artifact.manifest.data
    sizes = {"model_type": "gpt2", "layers": 2, "width": 32, "heads": 2, "vocabulary": 300, "positions": 128}
    assert data["architecture"] == sizes
    assert data["parameters"] == sum(weights.numel() for weights in model.parameters())
    files = {file.path: file.sha256 for file in artifact.manifest.files}
    assert data["tokenizer"] == files["tokenizer.json"]
    assert data["prompt_format"] == {"prefix": "", "suffix": "", "lead": ""}
    learnt = [text for text in sentences(160) if not is_held_out(digest_prompt(text), 0.2)]
    # All tokens but the first, and the end, in each of two epochs.
    assert data["tokens"] == 2 * sum(len(tokenizer(text).input_ids) for text in learnt)
    key = artifact.manifest.key.removeprefix("sha256:")
    steps = read_metrics(store.root / "runs" / key / "metrics.jsonl")
    assert [record["step"] for record in steps] == [*range(1, data["steps"] + 1)]
    assert data["loss"] == steps[-1]["loss"] < steps[0]["loss"]
    assert sum(record["tokens"] for record in steps) == data["tokens"]


def test_two_honest_runs_make_the_same_artifact_which_names_no_place(tmp_path: Path) -> None:
    made = []
    for name in ("one", "another"):
        folder = tmp_path / name
        folder.mkdir()
        texts = write(folder / f"{name}.jsonl", [{"text": text} for text in sentences(60)])
        (folder / "c.json").write_text(json.dumps(TINY))
        made.append(train(Store.create(folder / "store"), texts=texts, config=folder / "c.json", **QUICK))
    assert made[0].id == made[1].id
    assert made[0].path != made[1].path
    for file in made[0].manifest.files:
        content = (made[0].path / file.path).read_bytes()
        assert str(tmp_path).encode() not in content
        assert b"one.jsonl" not in content
    other = train(Store.open(tmp_path / "one" / "store"), texts=texts, config=folder / "c.json", seed=2, **QUICK)
    assert other.id != made[0].id


def test_a_model_goes_on_from_where_it_was(store: Store, texts: Path, config: Path) -> None:
    first = train(store, texts=texts, config=config, epochs=3, **QUICK)
    settings = {**QUICK, "vocabulary": None}
    second = train(store, texts=texts, model=first, epochs=3, **settings)
    assert second.manifest.data["perplexity"]["before"] == first.manifest.data["perplexity"]["after"]
    assert per_token(second) < 0.9 * per_token(second, "before")
    assert second.manifest.recipe.inputs["model"] == first.id
    # The same from a folder: what is learnt is in the files alone.
    from_folder = train(store, texts=texts, model=first.path, epochs=3, **settings)
    assert from_folder.id == second.id
    assert from_folder.manifest.recipe.inputs["model"].startswith("folder:sha256:")


def test_a_tokenizer_is_not_learnt_from_what_is_held_out(store: Store, tmp_path: Path, config: Path) -> None:
    marked = {text: text + " zzzz" * 9 for text in sentences(60)}
    rows = [more if is_held_out(digest_prompt(more), 0.2) else text for text, more in marked.items()]
    assert sum("zzzz" in row for row in rows) > 5
    kept = [row for row in rows if "zzzz" in row or not is_held_out(digest_prompt(row), 0.2)]
    path = write(tmp_path / "texts.jsonl", [{"text": text} for text in kept])
    artifact = train(store, texts=path, config=config, **QUICK)
    assert artifact.manifest.data["held_out"] == sum("zzzz" in row for row in kept)
    assert not any("zz" in token for token in load(artifact.path)[1].get_vocab())


def test_a_config_with_a_tokenizer_learns_none(store: Store, texts: Path, config: Path) -> None:
    first = train(store, texts=texts, config=config, **QUICK)
    given = first.path / "tokenizer.json"
    second = train(store, texts=texts, config=config, tokenizer=given, **{**QUICK, "vocabulary": None})
    assert second.manifest.data["tokenizer"] == first.manifest.data["tokenizer"]
    assert second.manifest.data["loss"] == pytest.approx(first.manifest.data["loss"], rel=1e-6)


def test_perplexity_is_measured_on_the_way_if_asked(store: Store, texts: Path, config: Path) -> None:
    artifact = train(store, texts=texts, config=config, epochs=4, evaluate_every=3, **QUICK)
    steps = artifact.manifest.data["steps"]
    curve = evaluation(artifact)["curve"]
    assert [point["step"] for point in curve] == [*range(3, steps, 3)]
    values = [point["perplexity"]["per_token"]["value"] for point in curve]
    assert values[0] > values[-1] > per_token(artifact)
    key = artifact.manifest.key.removeprefix("sha256:")
    logged = [record["perplexity"] for record in read_metrics(store.root / "runs" / key / "metrics.jsonl")]
    assert [value for value in logged if value is not None] == values
    # Looking changes nothing.
    unseen = train(store, texts=texts, config=config, epochs=4, **QUICK)
    files = [{file.path: file.sha256 for file in made.manifest.files} for made in (artifact, unseen)]
    assert files[0]["model.safetensors"] == files[1]["model.safetensors"]


def test_with_nothing_held_out_nothing_is_measured(store: Store, texts: Path, config: Path) -> None:
    artifact = train(store, texts=texts, config=config, **{**QUICK, "held_out": 0})
    assert artifact.manifest.data["perplexity"] == {"before": None, "after": None}
    assert artifact.manifest.data["documents"] == 160


# --- prompts with references ---


def pairs(number: int) -> list[dict[str, Any]]:
    return [
        {"prompt": f"Note: {text} And so on.", "references": [text, f"In short: {text}"]} for text in sentences(number)
    ]


def test_of_a_prompt_with_references_the_references_are_learnt(store: Store, tmp_path: Path, config: Path) -> None:
    path = write(tmp_path / "pairs.jsonl", pairs(60))
    format_ = {"prefix": "Article: ", "suffix": "\n\nTL;DR:", "lead": " "}
    artifact = train(store, texts=path, config=config, **{**QUICK, "length": 128}, **format_)
    model, tokenizer = load(artifact.path)
    data = artifact.manifest.data
    assert data["prompt_format"] == format_
    learnt = [row for row in pairs(60) if not is_held_out(digest_prompt(row["prompt"]), 0.2)]
    held_out = [row for row in pairs(60) if is_held_out(digest_prompt(row["prompt"]), 0.2)]
    assert data["documents"] == len(learnt)

    def tokens_of(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False).input_ids

    # Each reference with its lead and its end, and nothing of the prompts.
    assert data["tokens"] == sum(len(tokens_of(f" {text}")) + 1 for row in learnt for text in row["references"])
    total, number = 0.0, 0
    for row in held_out:
        asked = [tokenizer.bos_token_id, *tokens_of("Article: "), *tokens_of(row["prompt"]), *tokens_of("\n\nTL;DR:")]
        for text in row["references"]:
            said = [*tokens_of(f" {text}"), tokenizer.eos_token_id]
            total += nll(model, asked + said, len(asked))
            number += len(said)
    assert per_token(artifact) == pytest.approx(math.exp(total / number), rel=1e-5)
    assert evaluation(artifact)["after"]["tokens"] == number
    assert evaluation(artifact)["after"]["documents"] == len(held_out)


def test_people_see_what_the_model_sees(
    store: Store, tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefline.pipeline.jobs import Job

    told: list[str] = []
    monkeypatch.setattr(Job, "tell_people", lambda _, text: told.extend(text.split("\n")))
    path = write(tmp_path / "pairs.jsonl", [{"prompt": "Sky?", "reference": "Blue."}] * 3)
    settings = {**QUICK, "held_out": 0, "suffix": "\n", "lead": " "}
    train(store, texts=path, config=config, **settings)
    shown = told.index("as the model sees it (| given, > learnt):")
    assert told[shown + 1 : shown + 3] == ['  | "<|endoftext|>Sky?\\n"', '  > " Blue.<|endoftext|>"']
    assert "  prompt    <- prompt" in told
    (sizes,) = (line for line in told if "parameters" in line)
    assert sizes.startswith("train-lm: gpt2, ")
    assert any("3 documents to learn from, 0 held out" in line for line in told)
    assert "train-lm: nothing is held out, so perplexity is not measured (--held-out)" in told


def test_people_are_told_what_is_learnt_and_what_was_cut() -> None:
    examples = [Example((0, 5, 6, 7), 1), Example((0, 5, 6), 2)]
    train = Encoded(examples, 3, texts_cut=0, prompts_cut=1, responses_cut=0, empty=1)
    # 4 + 3 tokens in a row of 8; 3 + 1 of them are learnt.
    expected = Plan([tuple(examples)], 1, 5, 7, 4, 0.125)
    sizes = {"model_type": "gpt2", "layers": 2, "width": 8, "heads": None, "vocabulary": 300}
    about = {"parameters": 1234, "architecture": sizes}
    config = SupervisedConfig(length=8, lora_rank=4)
    assert list(describe_training(train, Encoded([], 0, 0, 0, 0, 0), expected, about, config)) == [
        "gpt2, 1,234 parameters (layers 2, width 8, vocabulary 300), frozen but for adapters of rank 4",
        "3 documents to learn from, 0 held out",
        "7 tokens an epoch, 4 of them learnt, in 1 row of 8 (12.5% padding); 5 steps",
        "too long for a row with their responses and cut on the left: 1 of the prompts",
        "without a token to learn from, and left out: 1 of the texts and responses",
        "nothing is held out, so perplexity is not measured (--held-out)",
    ]


def test_people_are_told_what_was_measured() -> None:
    measured = {
        "documents": 1,
        "per_token": {"value": 12.345, "low": 9.8765, "high": 1234.5},
        "per_word": {"value": 40.0, "low": None, "high": None},  # of one document alone nothing else is known
    }
    expected = "perplexity after, on 1 document held out: 12.3 per token (9.88 to 1,234), 40 per word"
    assert describe_perplexity("after", measured) == expected
    assert describe_perplexity("after", {**measured, "per_word": None}) == expected.removesuffix(", 40 per word")


# --- adapters and precision ---


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft still asks by the old name
def test_adapters_are_merged_at_the_root_and_kept_beside_it(store: Store, texts: Path, config: Path) -> None:
    peft = pytest.importorskip("peft")
    base = train(store, texts=texts, config=config, epochs=2, **QUICK)
    settings = {**QUICK, "vocabulary": None, "epochs": 3, "lora_rank": 4}
    artifact = train(store, texts=texts, model=base, **settings)
    assert per_token(artifact) < per_token(artifact, "before")
    merged, tokenizer = load(artifact.path)
    adapted = peft.PeftModel.from_pretrained(load(base.path)[0], artifact.path / "adapter").eval()
    tokens = tokenizer(sentences(1)[0], return_tensors="pt")
    torch.testing.assert_close(merged(**tokens).logits, adapted(**tokens).logits, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(merged(**tokens).logits, load(base.path)[0](**tokens).logits, atol=1e-2)
    assert artifact.manifest.data["parameters"] == base.manifest.data["parameters"]


def test_bfloat16_on_a_cpu_is_said_to_be_slow_and_ends_close_to_float32(
    store: Store, texts: Path, config: Path
) -> None:
    told: list[str] = []
    half = train(
        store,
        texts=texts,
        config=config,
        dtype="bfloat16",
        runtime=Runtime(device="cpu", tell=told.append),
        **QUICK,
    )
    assert [line for line in told if "bfloat16" in line] == [
        "train-lm: a CPU computes bfloat16 slowly, most of them slower than float32 (--dtype float32)"
    ]
    full = train(store, texts=texts, config=config, **QUICK)
    assert half.id != full.id
    assert per_token(half) == pytest.approx(per_token(full), rel=0.05)
    assert {weights.dtype for weights in load(half.path)[0].state_dict().values()} == {torch.float32}


# --- what it refuses ---


@pytest.mark.parametrize(
    ("roles", "vocabulary", "message"),
    [
        ((), None, r"expected a model to go on with \(--model\) or the config of a new one \(--config\), found none"),
        (("model", "config"), None, "expected a model to go on with or the config of a new one, found both"),
        (("model", "tokenizer"), None, "a model comes with its own tokenizer, found a tokenizer beside it"),
        (("model",), 300, "a model comes with its own tokenizer, found a vocabulary beside it"),
        (("config",), None, r"give a tokenizer \(--tokenizer\), or the size of a vocabulary .*--vocabulary 8192"),
        (("config", "tokenizer"), 300, "expected a tokenizer or the size of a vocabulary to learn, found both"),
    ],
    ids=["nothing", "both", "model-tokenizer", "model-vocabulary", "config-alone", "tokenizer-vocabulary"],
)
def test_what_to_begin_with_is_said_once(
    store: Store,
    tmp_path: Path,
    texts: Path,
    config: Path,
    roles: tuple[str, ...],
    vocabulary: int | None,
    message: str,
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    places = {"model": folder, "config": config, "tokenizer": config}
    given = {role: places[role] for role in roles}
    with pytest.raises(ConfigError, match=message):
        train(store, texts=texts, vocabulary=vocabulary, **given)
    assert not list(store.ids())


@pytest.mark.parametrize(
    ("document", "error", "message"),
    [
        ("{", DataError, r"config\.json: not JSON"),
        ("[]", DataError, r"config\.json: expected an object with model_type and sizes"),
        ('{"n_layer": 2}', ConfigError, "expected a 'model_type' such as 'gpt2', found none"),
        ('{"model_type": "gpt3"}', (ConfigError, DataError), "gpt3"),
        ('{"model_type": "gpt2", "n_positions": 16}', ConfigError, "length: expected at most 16.*, found 32"),
    ],
    ids=["torn", "list", "no type", "unknown type", "too short"],
)
def test_a_config_that_is_none_is_refused(
    store: Store, texts: Path, config: Path, document: str, error: type[Exception], message: str
) -> None:
    config.write_text(document)
    with pytest.raises(error, match=message):
        train(store, texts=texts, config=config, **QUICK)


def test_a_config_is_looked_at_before_the_texts_are_read(store: Store, tmp_path: Path, config: Path) -> None:
    unreadable = tmp_path / "texts.jsonl"
    unreadable.write_text("{")
    config.write_text(json.dumps(TINY | {"n_embd": 33}))
    with pytest.raises(ConfigError, match="must be divisible by num_heads"):
        train(store, texts=unreadable, config=config, **QUICK)


def test_a_model_without_its_tokenizer_is_refused(store: Store, texts: Path, config: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(train(store, texts=texts, config=config, **QUICK).path, tmp_path / "model")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(DataError, match=r"model: expected a tokenizer \(tokenizer\.json\) .*, found none"):
        train(store, texts=texts, model=folder, **{**QUICK, "vocabulary": None})


@pytest.mark.parametrize("held_out", [0, 0.2])
def test_a_model_that_ends_in_no_number_is_not_published(
    store: Store, texts: Path, config: Path, held_out: float
) -> None:
    # The loss of a step is that before it, so no loss tells what the last step has done.
    ruined = {**QUICK, "held_out": held_out, "learning_rate": 1e30, "clip": 0, "steps": 1}
    with pytest.raises(StageError, match=r"step 1: expected a finite loss, found nan\. Nothing was published"):
        train(store, texts=texts, config=config, **ruined)
    assert not list(store.ids())


def test_texts_in_another_encoding_are_read_if_it_is_said(store: Store, tmp_path: Path, config: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes("\n\n".join(f"Café {number}, élève {number}." for number in range(40)).encode("latin-1"))
    with pytest.raises(DataError, match=r"not UTF-8: .*--encoding says"):
        train(store, texts=path, config=config, **QUICK)
    artifact = train(store, texts=path, config=config, encoding="latin-1", **QUICK)
    assert "Ã©" in (artifact.path / "tokenizer.json").read_text()  # how a byte-level vocabulary writes é


def test_who_may_read_the_config_may_read_the_weights(store: Store, texts: Path, config: Path) -> None:
    artifact = train(store, texts=texts, config=config, **QUICK)
    modes = {(artifact.path / file.path).stat().st_mode for file in artifact.manifest.files}
    assert len(modes) == 1


def test_a_disk_that_fills_up_while_weights_are_saved_is_one_clear_line(tmp_path: Path) -> None:
    full = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    with pytest.raises(StoreError, match=r"No space left on device: .* Free some there"), writing_weights(tmp_path):
        raise full
    with pytest.raises(SafetensorError, match="no such tensor"), writing_weights(tmp_path):
        raise SafetensorError("no such tensor")


def test_rows_that_are_no_texts_are_refused_by_name(store: Store, tmp_path: Path, config: Path) -> None:
    rows: list[Any] = [{"text": text} for text in sentences(60)]
    rows[7] = {"text": 5}
    path = write(tmp_path / "texts.jsonl", rows)
    with pytest.raises(DataError, match=r"1 of 60 rows cannot be read(.|\n)*line 8: .*(.|\n)*--map says") as caught:
        train(store, texts=path, config=config, **QUICK)
    kept = Path(str(caught.value).rpartition(" is in ")[2].partition(";")[0])
    assert json.loads(kept.read_bytes())["row"] == {"text": 5}
    artifact = train(store, texts=path, config=config, max_rejected="2", **QUICK)
    (line,) = (artifact.path / "rejected.jsonl").read_text().splitlines()
    assert json.loads(line) | {"reason": ""} == {"file": "source", "line": 8, "reason": "", "row": {"text": 5}}
    assert artifact.manifest.data["rejected"] == 1
    load(artifact.path)


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([], {}, "expected texts or prompts, found no row"),
        ([{"prompt": "Who?"}], {}, r"found a prompt alone: say which column is which \(--map prompt=COLUMN"),
        ([{"text": "Held out."}], {"held_out": 0.999999}, "1 document is held out, and none is left: lower --held-out"),
        ([{"text": "Here."}], {"map": {"text": "words"}}, "words"),
    ],
    ids=["empty", "bare", "held-out", "map"],
)
def test_a_file_with_nothing_to_learn_is_refused(
    store: Store, tmp_path: Path, config: Path, rows: list[Any], settings: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "texts.jsonl", rows)
    with pytest.raises(DataError, match=message):
        train(store, texts=path, config=config, **{**QUICK, **settings})


def test_settings_are_refused_before_any_work() -> None:
    for settings, message in (
        ({"held_out": 1}, "held_out: "),
        ({"vocabulary": 100}, "vocabulary: .*greater than or equal to 258"),
        ({"max_rejected": "many"}, "max_rejected: .*expected a number of rows"),
        ({"dtype": "float16"}, "dtype: "),
        ({"lenght": 32}, r"unknown key 'lenght' \(did you mean 'length'\?\)"),
    ):
        with pytest.raises(ConfigError, match=message):
            TrainLmParams.parse(settings)


# --- the command line ---


def test_the_verb_makes_what_the_function_makes(
    tmp_path: Path, texts: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [texts, "--config", config, "--seed", 1, "--store", tmp_path / "verb", "--device", "cpu", "--name", "lm"]
    for name, value in QUICK.items():
        words += [f"--{name.replace('_', '-')}", value]
    build_command("train-lm").main([str(word) for word in words], standalone_mode=False)
    said = capsys.readouterr()
    store = Store.open(tmp_path / "verb")
    artifact = store.get(said.out.strip())
    assert store.names.all() == {f"{MODEL}/lm": artifact.id}
    assert "loss" in said.err
    assert train(Store.create(tmp_path / "store"), texts=texts, config=config, **QUICK).id == artifact.id


FILE = """
schema: prefline.pipeline/1
seed: 1
stages:
  base:
    stage: train-lm
    inputs: {texts: texts.jsonl, config: config.json}
    params: {length: 32, batch: 8, vocabulary: 300, learning_rate: 3e-3}
  tuned:
    stage: train-lm
    inputs: {texts: pairs.jsonl, model: base}
    params: {length: 128, batch: 8, suffix: "\\n\\nTL;DR:", lead: " ", held_out: 0.2, max_rejected: 0}
    name: tuned
"""


def test_a_pipeline_trains_one_model_after_the_other(
    tmp_path: Path, texts: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "pairs.jsonl", pairs(30))
    (tmp_path / "pipeline.yaml").write_text(FILE)
    root = tmp_path / "store"
    words = ["run", str(tmp_path / "pipeline.yaml"), "--store", str(root), "--device", "cpu"]
    get_command(app).main(words, standalone_mode=False)
    base, tuned = capsys.readouterr().out.split()
    manifest = Store.open(root).get(tuned).manifest
    assert manifest.recipe.inputs["model"] == base
    assert manifest.data["prompt_format"]["suffix"] == "\n\nTL;DR:"
    assert manifest.data["perplexity"]["before"]


def test_a_model_of_the_hub_that_cannot_be_had_is_one_clear_line(
    tmp_path: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    words = [str(texts), "--model", "hub:nobody/nothing-at-all", "--seed", "1", "--store", str(tmp_path / "store")]
    with pytest.raises((ConfigError, DataError), match=r"nobody/nothing-at-all.* cannot be fetched") as caught:
        build_command("train-lm").main(words, standalone_mode=False)
    assert "\n" not in str(caught.value)


# --- real texts ---


def real(*names: str) -> Path:
    path = SHARED.joinpath(*names)
    if not path.exists():
        pytest.skip("the shared data sets are not on this machine")
    return path


def first_rows(path: Path, number: int) -> list[Any]:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in itertools.islice(lines, number)]


@pytest.mark.parametrize(
    ("name", "steps"),
    [("sentiment_rt_polarity/sentences", 100), pytest.param("prose_gutenberg/passages", 300, marks=pytest.mark.slow)],
    ids=["reviews", "prose"],
)
def test_of_real_texts_more_is_learnt_than_how_often_each_token_occurs(
    store: Store, tmp_path: Path, config: Path, name: str, steps: int
) -> None:
    rows = [row["text"] for row in first_rows(real(f"{name}.jsonl.gz"), 400 if "prose" in name else 2000)]
    path = write(tmp_path / "texts.jsonl", [{"text": text} for text in rows])
    config.write_text(json.dumps({**TINY, "n_embd": 64}))
    settings = {"length": 64, "batch": 16, "vocabulary": 512, "held_out": 0.1, "dropout": 0, "learning_rate": 5e-3}
    artifact = train(store, texts=path, config=config, steps=steps, **settings)
    _, tokenizer = load(artifact.path)
    learnt: Counter[int] = Counter(range(512))  # each token once more than it occurs
    held_out: list[int] = []
    for text in rows:
        tokens = [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        if is_held_out(digest_prompt(text), 0.1):
            held_out += tokens
        else:
            learnt.update(tokens)
    nats = -sum(math.log(learnt[token] / learnt.total()) for token in held_out) / len(held_out)
    # Measured: 0.79 of it after 100 steps on reviews, 0.49 after 300 on prose.
    assert artifact.manifest.data["perplexity"]["after"]["per_token"]["high"] < 0.9 * math.exp(nats)


def test_of_real_dialogues_only_the_summaries_are_learnt(store: Store, tmp_path: Path, config: Path) -> None:
    rows = first_rows(real("summ_dialogsum", "dialogsum.jsonl.gz"), 120)
    path = write(tmp_path / "dialogues.jsonl", rows)
    settings = {"length": 64, "vocabulary": 512, "batch": 16, "held_out": 0.1, "suffix": "\n\nTL;DR:", "lead": " "}
    artifact = train(store, texts=path, config=config, **settings)
    _, tokenizer = load(artifact.path)
    learnt = [row for row in rows if not is_held_out(digest_prompt(row["dialogue"]), 0.1)]
    wanted = 0
    for text in (text for row in learnt for text in row["summaries"]):
        # With its end, or cut to what a row holds: then there is none.
        wanted += len(tokenizer(f" {text}").input_ids) + 1
    assert 0.7 * wanted < artifact.manifest.data["tokens"] <= wanted
