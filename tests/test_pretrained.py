"""Models as folders: what may be loaded, what comes back, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import ARCHITECTURES, build_tiny
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    GenerationConfig,
)

from prefline.data.chance import from_seed
from prefline.data.errors import ConfigError, DataError, PreflineError
from prefline.policy.tokenizing import train_tokenizer
from prefline.reward_model.pretrained import build_causal_lm, check_fit, load_causal_lm, load_tokenizer, save
from prefline.reward_model.seeding import generator, seeded

TOKENIZER = train_tokenizer(["the cat sat on the mat"] * 3, 270)
SIZES = {"model_type": "gpt2", "n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": 32}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = build_causal_lm(SIZES, from_seed(1), tokenizer=TOKENIZER)
    save(model, TOKENIZER, tmp_path / "model")
    return tmp_path / "model"


def change(path: Path, **settings: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_what_is_saved_opens_without_us_and_computes_the_same(kind: str, tmp_path: Path) -> None:
    model = build_tiny(kind, vocab_size=300).eval()
    save(model, TOKENIZER, tmp_path)
    tokens = AutoTokenizer.from_pretrained(tmp_path)("the cat", return_tensors="pt")
    plain: Any = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ours = load_causal_lm(tmp_path).eval()
    with torch.no_grad():
        expected = model(**tokens).logits
        assert torch.equal(plain(**tokens).logits, expected)
        assert torch.equal(ours(**tokens).logits, expected)
    assert ours.config._attn_implementation == "sdpa"
    assert ours.config.use_cache
    assert AutoTokenizer.from_pretrained(tmp_path).decode(tokens["input_ids"][0]) == "<|endoftext|>the cat"
    generation = GenerationConfig.from_pretrained(tmp_path)
    assert (generation.eos_token_id, generation.pad_token_id) == (0, 1)
    assert plain.generate(**tokens, max_new_tokens=3, do_sample=False).shape[1] <= tokens["input_ids"].shape[1] + 3


def test_saved_bytes_name_no_place_and_are_the_same_however_often_they_were_loaded(folder: Path) -> None:
    twice = folder.parent / "deeper" / "twice"
    save(load_causal_lm(folder), load_tokenizer(folder), twice)
    first, second = ({one.name: one.read_bytes() for one in place.iterdir()} for place in (folder, twice))
    assert first == second
    assert set(first) == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert not any(str(folder.parent).encode() in content for content in first.values())


def test_loading_draws_nothing_and_says_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    save(load_causal_lm(folder), load_tokenizer(folder), folder.parent / "again")
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


def test_a_model_has_the_type_that_was_asked_for_and_not_that_of_its_file(folder: Path) -> None:
    half: Any = load_causal_lm(folder, dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    save(half, TOKENIZER, folder.parent / "half")
    assert load_causal_lm(folder.parent / "half").dtype == torch.float32


def test_weights_follow_from_the_seed_alone() -> None:
    found = []
    for noise, seed in ((1, 1), (2, 1), (1, 2)):
        torch.manual_seed(noise)
        found.append(
            dict(build_causal_lm(SIZES, from_seed(seed)).named_parameters())["transformer.h.0.mlp.c_fc.weight"]
        )
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_what_a_config_leaves_out_the_tokenizer_says() -> None:
    config = build_causal_lm(SIZES, from_seed(1), tokenizer=TOKENIZER).config
    assert (config.vocab_size, config.bos_token_id, config.eos_token_id, config.pad_token_id) == (
        len(TOKENIZER),
        0,
        0,
        1,
    )
    assert build_causal_lm(SIZES | {"vocab_size": 512}, from_seed(1), tokenizer=TOKENIZER).config.vocab_size == 512
    with pytest.raises(ConfigError, match="the tokenizer has 270 tokens and the model knows 100: they do not fit"):
        build_causal_lm(SIZES | {"vocab_size": 100}, from_seed(1), tokenizer=TOKENIZER)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"model_type": "gpt22"},
            "expected a causal language model, found the model_type 'gpt22' .did you mean 'gpt2'",
        ),
        ({"model_type": "t5"}, "expected a causal language model, found the model_type 't5'"),
        ({"n_layers": 4, "n_layer": None}, "unknown key 'n_layers' .did you mean 'n_layer'"),
        ({"n_head": 3}, "the config of the model: .*divisible by"),
        ({"n_embd": "wide"}, "the config of the model: .*'n_embd' expected int"),
        ({"model_type": None}, "expected a 'model_type' such as 'gpt2', found none"),
        ({"auto_map": {"AutoModel": "x.Y"}}, "the key 'auto_map' asks for code"),
    ],
    ids=["misspelt", "t5", "key", "heads", "text", "none", "code"],
)
def test_configs_that_cannot_be_are_refused_in_one_line(settings: dict[str, Any], message: str) -> None:
    document = {name: value for name, value in (SIZES | settings).items() if value is not None}
    with pytest.raises(PreflineError, match=message) as caught:
        build_causal_lm(document, from_seed(1), tokenizer=TOKENIZER)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "settings",
    [
        {"auto_map": {"AutoModelForCausalLM": "evil.Model"}},
        {"_attn_implementation_internal": "somebody/kernel"},
        {"_attn_implementation": "eager"},
        {"_experts_implementation": "somebody/kernel"},
        {"attn_implementation": "somebody/kernel"},
        {"text_config": {"trust_remote_code": True}},
        {"layers": [{"auto_map": {}}]},
    ],
    ids=["auto_map", "internal", "attention", "experts", "kernel", "nested", "list"],
)
def test_what_asks_for_code_is_refused_before_anything_is_loaded(
    folder: Path, name: str, settings: dict[str, Any]
) -> None:
    change(folder / name, **settings)
    (folder / "model.safetensors").unlink()  # nobody comes as far as to miss it
    with pytest.raises(DataError, match=f"{name}: the key .* asks for code from elsewhere"):
        (load_causal_lm if name == "config.json" else load_tokenizer)(folder)


def test_a_pickle_is_refused_with_what_to_do(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"found a pickle \(pytorch_model.bin\), .* save it again with save_pretrained"):
        load_causal_lm(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(DataError, match=r"expected weights \(model.safetensors\), found none"):
        load_causal_lm(folder)


def rewrite(folder: Path, change_weights: Any) -> None:
    weights = load_file(folder / "model.safetensors")
    change_weights(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_weight_that_would_be_random_is_refused_by_name(folder: Path) -> None:
    rewrite(folder, lambda weights: weights.pop("transformer.h.1.mlp.c_fc.bias"))
    with pytest.raises(DataError, match=r"the model lacks 1 of its weights: transformer\.h\.1.mlp.c_fc.bias"):
        load_causal_lm(folder)


def test_a_weight_that_no_config_knows_is_refused_by_name(folder: Path) -> None:
    rewrite(folder, lambda weights: weights.update({"score.weight": torch.zeros(1, 16)}))
    with pytest.raises(DataError, match=r"has, against its config, 1 of its weights: score\.weight"):
        load_causal_lm(folder)


def test_a_weight_of_another_shape_is_refused(folder: Path) -> None:
    change(folder / "config.json", n_positions=64)
    with pytest.raises(DataError, match=r"the model cannot be read|of its weights: transformer.wpe.weight"):
        load_causal_lm(folder)


def test_damaged_weights_are_refused(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(DataError, match="the model cannot be read"):
        load_causal_lm(folder)


def test_models_of_other_tasks_are_refused(folder: Path, tmp_path: Path) -> None:
    classifier = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    classifier.save_pretrained(tmp_path / "scorer")
    with pytest.raises(DataError, match=r"\(GPT2LMHeadModel\), found GPT2ForSequenceClassification"):
        load_causal_lm(tmp_path / "scorer")
    small = BertConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertForMaskedLM(small).save_pretrained(tmp_path / "bert")
    with pytest.raises(DataError, match="found BertForMaskedLM"):
        load_causal_lm(tmp_path / "bert")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: folder.rename(folder.with_name("moved")), "expected the folder of a model, found nothing"),
        (
            lambda folder: (folder / "config.json").unlink(),
            "expected a config.json in the folder of a model, found none",
        ),
        (lambda folder: (folder / "config.json").write_text("{"), "expected JSON, found something else"),
        (lambda folder: (folder / "config.json").write_text("[]"), "expected an object, found"),
    ],
    ids=["nothing", "no config", "no json", "list"],
)
def test_folders_that_hold_no_model_are_refused(folder: Path, break_it: Any, message: str) -> None:
    break_it(folder)
    with pytest.raises(DataError, match=message):
        load_causal_lm(folder)


def test_a_name_of_the_hub_is_no_folder() -> None:
    with pytest.raises(DataError, match="expected the folder of a model, found nothing"):
        load_causal_lm(Path("openai-community/gpt2"))
    with pytest.raises(DataError, match="found nothing"):
        load_tokenizer(Path("openai-community/gpt2"))


def test_a_tokenizer_file_alone_says_by_names_what_its_special_tokens_are_for(folder: Path) -> None:
    found = load_tokenizer(folder / "tokenizer.json")
    assert (found.bos_token_id, found.eos_token_id, found.pad_token_id) == (0, 0, 1)
    assert found("the cat")["input_ids"] == TOKENIZER("the cat")["input_ids"]
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="the tokenizer cannot be read"):
        load_tokenizer(folder / "tokenizer.json")


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(folder: Path) -> None:
    larger = train_tokenizer(["abcdefgh ijklmnop qrstuvwx"], 275)
    check_fit(load_causal_lm(folder), TOKENIZER)
    with pytest.raises(ConfigError, match="the tokenizer has 275 tokens and the model knows 270: they do not fit"):
        check_fit(load_causal_lm(folder), larger)


def test_what_a_model_says_of_its_ends_stays(folder: Path) -> None:
    change(folder / "generation_config.json", eos_token_id=[0, 5])
    save(load_causal_lm(folder), load_tokenizer(folder), folder.parent / "again")
    assert GenerationConfig.from_pretrained(folder.parent / "again").eos_token_id == [0, 5]


def test_torch_is_seeded_for_a_while_and_left_as_it_was() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with seeded(9):
        inside = torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    with seeded(9):
        assert torch.equal(torch.rand(2), inside)
    drawn = torch.rand(2, generator=generator(from_seed(1), "noise", 3))
    assert torch.equal(drawn, torch.rand(2, generator=generator(from_seed(1), "noise", 3)))
    assert not torch.equal(drawn, torch.rand(2, generator=generator(from_seed(1), "noise", 4)))


@pytest.mark.parametrize("package", ["policy", "reward_model", "policy.config"])
def test_packages_are_imported_without_torch(package: str) -> None:
    code = f"import sys, prefline.{package}; print(sorted({{'torch', 'transformers', 'peft'}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


@pytest.mark.parametrize("package", ["policy", "reward_model"])
def test_packages_offer_what_they_list(package: str) -> None:
    module = __import__(f"prefline.{package}", fromlist=["_HOMES"])
    assert sorted(module._HOMES) == sorted(module.__all__)
    assert all(getattr(module, name) for name in module.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trainn'"):
        module.trainn  # noqa: B018
