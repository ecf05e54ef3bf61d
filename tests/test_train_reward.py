"""The stage `train-reward`: what it makes of comparisons and a model, what it measures, what it refuses."""

import dataclasses
import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reward_stage import QUICK, compare, ingest, prove_here, score_plainly, train, write
from safetensors.torch import load_file
from tiny_models import build_tiny
from tiny_scorers import SPECIAL, save_language_model
from typer.main import get_command
from word_tokenizers import WORDS, like_llama

from prefline.data.errors import ConfigError, DataError, PreflineError, StageError
from prefline.pipeline import INGEST, Artifact, Runtime, Store, labels, make, normalizing
from prefline.pipeline.cli import app
from prefline.pipeline.cli_catalogue import build_command
from prefline.pipeline.jobs import Job
from prefline.pipeline.looking import _encode, _share_room
from prefline.pipeline.metrics import read_metrics
from prefline.pipeline.prepare import PREPARE
from prefline.pipeline.provided import read_source
from prefline.pipeline.randomness import Randomness
from prefline.pipeline.stages import REWARD_MODEL
from prefline.pipeline.terminal_rewards import describe_cuts
from prefline.pipeline.train_lm import TRAIN_LM
from prefline.pipeline.train_reward import TRAIN_REWARD, TrainRewardParams
from prefline.policy.sampling import sample
from prefline.reward_model.config import Reading
from prefline.reward_model.encoding import Cuts, Pair
from prefline.reward_model.model import RewardModel
from prefline.reward_model.pretrained import save

Publish = Callable[..., Artifact]


class World(NamedTuple):
    """A store with comparisons, and a language model beside it."""

    root: Path
    store: Store
    rows: list[dict[str, Any]]
    comparisons: Artifact
    model: Path

    def train(self, **given: Any) -> Artifact:
        return train(self.store, self.comparisons, given.pop("model", self.model), **given)

    def side(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.comparisons.path / f"{name}.jsonl").read_text().splitlines()]


def build_world(root: Path, rows: list[dict[str, Any]], kind: str = "gpt2") -> World:
    store = Store.create(root / "my störe ✓")
    model = save_language_model(kind, root / f"lm-{kind}")
    return World(root, store, rows, ingest(store, write(root / "rows.jsonl", rows)), model)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("world"), compare(80))


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    prove_here(monkeypatch)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What people are told."""
    lines: list[str] = []
    monkeypatch.setattr(Job, "tell_people", lambda _, text: lines.extend(text.split("\n")))
    return lines


def flatten(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Each response with its prompt."""
    pairs = [(row["prompt"], response) for row in rows for response in row["responses"]]
    prompts, responses = zip(*pairs, strict=True)
    return list(prompts), list(responses)


def regroup(rows: Sequence[dict[str, Any]], scores: Sequence[float]) -> Iterator[tuple[set[int], list[float]]]:
    """The best of each row, and the scores of its responses."""
    rest = iter(scores)
    for row in rows:
        best = row["best"] if isinstance(row["best"], list) else [row["best"]]
        yield set(best), [next(rest) for _ in row["responses"]]


def find_loss(best: set[int], scores: list[float]) -> float:
    """Cross-entropy with the best in equal parts, in the plainest way."""
    total = math.log(sum(map(math.exp, scores)))
    return sum(total - scores[place] for place in best) / len(best)


def evaluation(artifact: Artifact) -> Any:
    return json.loads((artifact.path / "evaluation.json").read_bytes())


def reading(artifact: Artifact) -> Any:
    return json.loads((artifact.path / "config.json").read_bytes())["prefline"]


# --- what it makes ---


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bert"])
def test_the_files_open_without_us_and_give_the_scores_that_the_manifest_promises(
    kind: str, world: World, tmp_path: Path
) -> None:
    model = save_language_model(kind, tmp_path / kind)
    artifact = world.train(model=model, normalize="responses", samples=10_000)
    data, offset = artifact.manifest.data, reading(artifact)["offset"]
    assert (offset != 0) == (kind == "llama")  # which has no place for it
    prompts, responses = flatten(world.side("train"))
    scores = [score + offset for score in score_plainly(artifact, prompts, responses)]
    assert statistics.fmean(scores) == pytest.approx(0, abs=1e-5)
    assert statistics.pstdev(scores) == pytest.approx(1, abs=1e-5)
    # Gain and bias are what makes that of the raw scores.
    raw = data["normalized"]["after"]
    assert data["gain"] == pytest.approx(1 / raw["std"], rel=1e-5)
    assert data["bias"] == pytest.approx(-raw["mean"] / raw["std"], rel=1e-5)
    assert offset in (0, pytest.approx(data["bias"]))
    assert RewardModel.from_pretrained(artifact.path).score(prompts, responses) == pytest.approx(scores, abs=1e-5)


def test_it_learns_and_measures_what_it_has_learnt(world: World) -> None:
    artifact = world.train(epochs=6, normalize="none")
    held_out, found = world.side("held_out"), evaluation(artifact)
    said = list(regroup(held_out, score_plainly(artifact, *flatten(held_out))))
    right = sum(scores.index(max(scores)) in best for best, scores in said)
    after = found["after"]
    assert after["accuracy"] == pytest.approx(right / len(held_out))
    assert after["accuracy"] > 0.7 > found["before"]["accuracy"]
    assert after["loss"] == pytest.approx(statistics.fmean(find_loss(*one) for one in said), rel=1e-5)
    assert after["low"] < after["accuracy"] < after["high"]
    assert (after["comparisons"], after["decided"]) == (len(held_out), len(held_out))
    assert found["curve"][-1] == {"step": artifact.manifest.data["steps"], **after}
    losses = [found["before"]["loss"], *(point["loss"] for point in found["curve"])]
    assert min(losses[2:]) < 0.7 * losses[0]


def test_before_training_the_scale_is_that_of_the_fresh_head(world: World) -> None:
    artifact = world.train(normalize="responses", samples=10_000, seed=5)
    fresh = RewardModel.from_pretrained(world.model, chance=Randomness(5, "train-reward").derive)
    scores = fresh.score(*flatten(world.side("train")))
    assert artifact.manifest.data["normalized"]["before"] == {
        "mean": pytest.approx(statistics.fmean(scores), abs=1e-5),
        "std": pytest.approx(statistics.pstdev(scores), rel=1e-5),
    }
    held_out = world.side("held_out")
    mean, std = statistics.fmean(scores), statistics.pstdev(scores)
    scaled = [(score - mean) / std for score in fresh.score(*flatten(held_out))]
    expected = statistics.fmean(find_loss(*one) for one in regroup(held_out, scaled))
    assert evaluation(artifact)["before"]["loss"] == pytest.approx(expected, rel=1e-4)


def test_the_manifest_says_what_the_model_is_and_what_it_learnt_from(world: World) -> None:
    artifact = world.train(epochs=2, seed=11)
    data, manifest = artifact.manifest.data, artifact.manifest
    assert data["learnt_from"] == {
        "comparisons": world.comparisons.id,
        "loss": "choice",
        "most": None,
        "shuffle_labels": False,
        "seed": None,
        "further": False,
    }
    assert (manifest.kind, manifest.feedback) == (REWARD_MODEL, ("human",))
    sizes = {"model_type": "gpt2", "layers": 2, "width": 32, "heads": 2, "vocabulary": 12, "positions": 64}
    assert data["architecture"] == sizes
    weights = load_file(artifact.path / "model.safetensors")
    assert data["parameters"] == sum(weight.numel() for weight in weights.values())
    learnt = world.side("train")
    steps = 2 * math.ceil(len(learnt) / 8)
    assert (data["comparisons"], data["held_out"]) == (len(learnt), len(world.side("held_out")))
    assert (data["steps"], data["passed_over"]) == (steps, 0)
    assert (data["before"], data["after"]) == (evaluation(artifact)["before"], evaluation(artifact)["after"])
    files = {file.path: file.sha256 for file in manifest.files}
    names = {"config.json", "evaluation.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    names |= {"card.json", "card.html", "scores.jsonl"}
    assert files.keys() == names
    assert data["tokenizer"] == files["tokenizer.json"]
    assert data["prompt_format"] == {"prefix": "", "suffix": ""}
    assert data["reading"] == reading(artifact)
    run = world.store.root / "runs" / manifest.key.removeprefix("sha256:")
    records = read_metrics(run / "metrics.jsonl")
    assert [record["step"] for record in records] == [*range(1, steps + 1)]
    assert [record["step"] for record in records if record["held_out_loss"] is not None] == [steps // 2, steps]
    assert records[-1]["loss"] == data["loss"]
    rates = [record["learning_rate"] for record in records]
    assert rates == pytest.approx([3e-3 * (1 - step / steps) for step in range(steps)])


def test_the_reading_in_the_manifest_is_that_of_the_files(world: World, tmp_path: Path) -> None:
    artifact = world.train(model=save_language_model("llama", tmp_path / "llama"), lead="f ")
    assert artifact.manifest.data["reading"] == reading(artifact)
    assert reading(artifact)["offset"] == pytest.approx(artifact.manifest.data["bias"])
    again = world.train(model=artifact.path, lead="f ", seed=2)
    assert again.manifest.data["reading"] == reading(again)
    assert reading(again)["offset"] == pytest.approx(again.manifest.data["bias"])


def test_who_chose_is_inherited(world: World) -> None:
    rules = ingest(world.store, write(world.root / "rules.jsonl", world.rows), feedback="rule")
    assert train(world.store, rules, world.model, steps=1).manifest.feedback == ("rule",)


def test_two_honest_runs_make_the_same_artifact_which_names_no_place(world: World, tmp_path: Path) -> None:
    first = world.train(epochs=1)
    other = build_world(tmp_path, world.rows)
    again = other.train(epochs=1)
    assert again.path != first.path
    assert again.id == first.id
    for file in again.manifest.files:
        content = (again.path / file.path).read_bytes()
        assert str(tmp_path).encode() not in content
        assert b"rows.jsonl" not in content
    assert other.train(seed=2).id != first.id


def test_how_many_tokens_are_computed_at_once_is_of_no_account(world: World) -> None:
    at_ease, by_bits = (load_file(world.train(tokens_at_once=size).path / "model.safetensors") for size in (None, 1))
    assert at_ease.keys() == by_bits.keys()
    for name, weights in at_ease.items():
        torch.testing.assert_close(by_bits[name], weights, rtol=1e-3, atol=1e-4)


def test_who_may_read_the_config_may_read_the_weights(world: World) -> None:
    artifact = world.train(epochs=1)
    assert len({(artifact.path / file.path).stat().st_mode for file in artifact.manifest.files}) == 1


def test_people_are_told_what_is_learnt(world: World, told: list[str]) -> None:
    world.train(seed=12, steps=2)
    assert any(line.startswith("train-reward: gpt2, ") for line in told)
    counts = f"train-reward: {len(world.side('train'))} comparisons of 2 to 4 responses, "
    assert f"{counts}{len(world.side('held_out'))} held out" in told
    shown = told.index("train-reward: as the model sees it (| prompt, + best, - other):")
    row = world.side("train")[0]
    assert told[shown + 1] == f'train-reward:   | "<s> {row["prompt"]}"'
    best = row["best"] if isinstance(row["best"], list) else [row["best"]]
    marks = ["+" if place in best else "-" for place in range(len(row["responses"]))]
    expected = [f'train-reward:   {mark} "{text}"' for mark, text in zip(marks, row["responses"], strict=True)]
    assert told[shown + 2 : shown + 2 + len(expected)] == expected
    proof = "train-reward: a fresh process has loaded it, and plain transformers and prefline gave the same scores"
    assert proof in told


# --- the scale of scores ---


def test_samples_are_drawn_as_the_model_learnt_to_write_and_scored_without_what_stands_around(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path / "config.json", [{"model_type": "gpt2", "n_layer": 1, "n_embd": 16, "n_head": 2}])
    texts = write(tmp_path / "texts.jsonl", [{"prompt": row["prompt"], "reference": "a b"} for row in world.rows])
    places = {"texts": texts, "config": config, "tokenizer": world.model / "tokenizer.json"}
    inputs: dict[str, Any] = {role: read_source(place, TRAIN_LM.takes[role]) for role, place in places.items()}
    params = {"length": 32, "steps": 2, "prefix": "e", "suffix": "f f"}
    written = make(world.store, TRAIN_LM, params=params, inputs=inputs, seed=1, runtime=Runtime(device="cpu")).artifact
    drawn: dict[str, Any] = {}

    def spy(model: Any, prompts: Any, **given: Any) -> Any:
        found = sample(model, prompts, **given)
        drawn[given["purpose"]] = model.transformer.wte.weight.clone(), prompts, found, given
        return found

    monkeypatch.setattr(normalizing, "sample", spy)
    artifact = world.train(model=written, samples=50, temperature=0.9)
    assert artifact.manifest.recipe.inputs["model"] == written.id
    assert artifact.manifest.data["prompt_format"] == {"prefix": "e", "suffix": "f f"}
    assert artifact.manifest.data["normalized"]["by"] == "samples"
    assert set(drawn) == {"samples before", "samples after"}
    assert drawn["samples before"][1] != drawn["samples after"][1]
    weights, prompts, responses, asked = drawn["samples after"]
    assert torch.equal(weights, load_file(written.path / "model.safetensors")["transformer.wte.weight"])
    usual = round(statistics.median(len(text.split()) for text in flatten(world.side("train"))[1]))
    assert (len(responses), {*map(len, responses)}, asked["temperature"]) == (50, {usual}, 0.9)
    # <s> prefix prompt suffix is 2, 8, ..., 9 9, and the reward model sees 2, ...
    assert {(prompt[:2], prompt[-2:]) for prompt in prompts} == {((2, 8), (9, 9))}
    scorer = RewardModel.from_pretrained(artifact.path)
    seen = [Pair((2, *prompt[2:-2]), response) for prompt, response in zip(prompts, responses, strict=True)]
    known = {tuple(scorer.tokenizer(row["prompt"]).input_ids) for row in world.side("train")}
    assert {pair.prompt for pair in seen} <= known
    scores = scorer.score_pairs(seen).tolist()
    assert statistics.fmean(scores) == pytest.approx(0, abs=1e-5)
    assert statistics.pstdev(scores) == pytest.approx(1, abs=1e-5)


def test_samples_are_as_long_as_is_asked_and_need_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: set[int] = set()

    def spy(model: Any, prompts: Any, **given: Any) -> Any:
        found = sample(model, prompts, **given)
        lengths.update(map(len, found))
        assert max(map(len, prompts)) + given["length"] <= 64
        return found

    monkeypatch.setattr(normalizing, "sample", spy)
    world.train(steps=1, sample_length=60)
    assert lengths == {60}
    # <s>, prefix and suffix take 3 of the 64, and a token of the prompt at least is wanted.
    world.train(steps=1, sample_length=60, prefix="a", suffix="b")
    with pytest.raises(ConfigError, match=r"sample_length: expected less than 61 tokens, .* 64 positions, found 61"):
        world.train(steps=1, sample_length=61, prefix="a", suffix="b")


def save_without_opening(folder: Path, **names: str) -> Path:
    """Save a model whose tokenizer puts nothing before a text, as that of GPT-2."""
    folder = save_language_model("gpt2", folder)
    words = json.loads((folder / "tokenizer.json").read_bytes()) | {"post_processor": None}
    (folder / "tokenizer.json").write_text(json.dumps(words))
    settings = json.loads((folder / "tokenizer_config.json").read_bytes()) | names
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def test_samples_are_of_tokens_that_the_tokenizer_has(world: World, tmp_path: Path) -> None:
    wide = tmp_path / "lm"
    save(build_tiny("gpt2", vocab_size=2 * len(WORDS), **SPECIAL), like_llama(), wide)
    assert world.train(model=wide, steps=1).manifest.data["normalized"]["by"] == "samples"


def test_samples_go_on_from_prompts_that_are_not_empty(world: World, tmp_path: Path) -> None:
    rows = [{**row, "prompt": row["prompt"] if number else ""} for number, row in enumerate(world.rows[:20])]
    model = save_without_opening(tmp_path / "lm")
    some = ingest(world.store, write(tmp_path / "some.jsonl", rows), held_out=0)
    assert train(world.store, some, model, steps=1).manifest.data["comparisons"] == 20
    none = ingest(world.store, write(tmp_path / "none.jsonl", [{**row, "prompt": ""} for row in rows]), held_out=0)
    with pytest.raises(ConfigError, match="found empty ones alone: normalise by 'responses'"):
        train(world.store, none, model, steps=1)


@pytest.mark.parametrize("source", ["texts", "references"])
@pytest.mark.parametrize("prepared", [False, True], ids=["file", "prompts"])
def test_texts_that_are_given_set_the_scale(source: str, prepared: bool, world: World, tmp_path: Path) -> None:
    pairs = list(dict.fromkeys(zip(*flatten(compare(30, seed=9)), strict=True)))
    rows = [{"prompt": prompt, "references": [text for one, text in pairs if one == prompt]} for prompt, _ in pairs]
    rows = list({row["prompt"]: row for row in rows}.values())
    given: Any = write(tmp_path / f"{source}.jsonl", rows)
    if prepared:
        params = {"held_out": 0, "prefix": "c "}
        given = make(world.store, PREPARE, params=params, inputs={"source": read_source(given)}).artifact
    artifact = world.train(normalize=source, texts=given, samples=10_000)
    scores = score_plainly(artifact, *zip(*pairs, strict=True))
    found = artifact.manifest.data["normalized"]
    assert found["by"] == source
    assert artifact.manifest.data["prompt_format"]["prefix"] == ("c " if prepared else "")
    assert statistics.fmean(scores) == pytest.approx(0, abs=1e-5)
    if source == "texts":
        assert statistics.pstdev(scores) == pytest.approx(1, abs=1e-5)
        assert found["before"]["std"] > 0
    else:
        # The bias alone is changed: distances are as they were learnt.
        unchanged = world.train(normalize="none")
        learnt = score_plainly(unchanged, *zip(*pairs, strict=True))
        mean = found["after"]["mean"]
        assert found == {"by": "references", "before": None, "after": {"mean": pytest.approx(statistics.fmean(learnt))}}
        assert scores == pytest.approx([score - mean for score in learnt], abs=1e-5)


def test_only_so_many_texts_are_scored_as_is_asked(world: World, tmp_path: Path) -> None:
    texts = write(tmp_path / "texts.jsonl", [{"text": " ".join("abcdef"[:number])} for number in range(1, 7)])
    artifact = world.train(normalize="texts", texts=texts, samples=2)
    scores = sorted(score_plainly(artifact, [""] * 6, [" ".join("abcdef"[:number]) for number in range(1, 7)]))
    # Of two texts with mean 0 and deviation 1 the scores are -1 and 1.
    assert [min(abs(score - end) for score in scores) for end in (-1, 1)] == pytest.approx([0, 0], abs=1e-5)
    with pytest.raises(DataError, match="found texts without a prompt: take normalize 'texts'"):
        world.train(normalize="references", texts=texts)


def test_scores_may_be_left_as_they_were_learnt(world: World) -> None:
    artifact = world.train(normalize="none")
    assert artifact.manifest.data["normalized"] == {"by": "none", "before": None, "after": None}
    assert artifact.manifest.data["gain"] != 1  # it is trained with the rest
    head = load_file(artifact.path / "model.safetensors")["score.weight"]
    fresh = RewardModel.from_pretrained(world.model, chance=Randomness(1, "train-reward").derive)
    assert not torch.allclose(head, fresh.inner.state_dict()["score.weight"], atol=1e-3)


# --- how texts are read ---


def test_what_stands_around_a_response_is_kept_for_whoever_scores(world: World) -> None:
    artifact = world.train(lead="e ", end=True, prompt_length=3, response_length=4, normalize="responses")
    asked = {"readout": "last", "lead": "e ", "end": True, "prompt_length": 3, "response_length": 4, "offset": 0.0}
    assert artifact.manifest.data["reading"] == reading(artifact) == asked
    loaded = RewardModel.from_pretrained(artifact.path)
    # <s> b c d | e a </s>, and the same with a response that is cut
    assert loaded.encoder.encode(["a b c d"], ["a"]) == [((2, 5, 6, 7), (8, 4, 3))]
    (score,) = loaded.score(["a b c d"], ["a a a a"])
    assert score_plainly(artifact, ["b c d"], ["e a a a"]) == [pytest.approx(score, abs=1e-5)]


def test_a_text_is_read_whole_where_there_is_room(world: World) -> None:
    # 63 of the 64 positions are for the two; each of both has room for its longest, and half of it.
    found = reading(world.train())
    assert found["prompt_length"] + found["response_length"] == 63
    assert (found["prompt_length"], found["response_length"]) == (32, 31)


def test_texts_that_are_cut_are_counted(world: World, tmp_path: Path, told: list[str]) -> None:
    rows = [
        {"prompt": "a b " * 40, "responses": ["a", "b"], "best": 0},
        {"prompt": "c d", "responses": ["a " * 30 + "a", "a " * 30 + "b"], "best": 1},
        {"prompt": "e f", "responses": ["a", "b"], "best": 1},
    ]
    comparisons = ingest(world.store, write(tmp_path / "long.jsonl", rows), held_out=0)
    artifact = train(world.store, comparisons, world.model, prompt_length=40, response_length=20, normalize="none")
    # In the second, both responses begin with the same 20 tokens.
    assert (artifact.manifest.data["comparisons"], artifact.manifest.data["passed_over"]) == (2, 1)
    void = "all responses have the same tokens once they are cut (response_length)"
    assert f"train-reward: nothing to learn from, and left out: 1 of 3 comparisons; in 1 {void}" in told
    cuts = told.index("train-reward: cut to the last 40 tokens: 1 prompt")
    assert told[cuts + 1 : cuts + 3] == [
        "train-reward: cut to the first 20 tokens: 2 responses",
        "train-reward: a best has the same tokens as a response that is not best, in 1 comparison",
    ]
    only = ingest(world.store, write(tmp_path / "void.jsonl", rows[1:2]), held_out=0)
    with pytest.raises(DataError, match=r"found none; in 1 all responses have the same tokens .* \(response_length\)"):
        train(world.store, only, world.model, response_length=20)


def test_people_are_told_what_was_cut_and_what_that_made_equal() -> None:
    kept = Reading(readout="last", prompt_length=1000, response_length=20)
    assert list(describe_cuts(kept, Cuts(prompts=1, responses=2000, identical=1))) == [
        "cut to the last 1,000 tokens: 1 prompt",
        "cut to the first 20 tokens: 2,000 responses",
        "a best has the same tokens as a response that is not best, in 1 comparison",
    ]
    assert list(describe_cuts(Reading(readout="last"), Cuts(0, 0, 0))) == []


lengths = st.none() | st.integers(1, 100)


@given(lengths, lengths, st.integers(1, 200), st.integers(1, 200), st.none() | st.integers(2, 100))
def test_prompt_and_response_share_the_room(
    prompt: int | None, response: int | None, longest_prompt: int, longest_response: int, most: int | None
) -> None:
    longest = (longest_prompt, longest_response)
    if most is not None and (prompt or 1) + (response or 1) > most and (prompt or response):
        with pytest.raises(ConfigError, match=f"the model has room for {most:,} tokens of the two"):
            _share_room(prompt, response, longest, most)
        return
    kept = _share_room(prompt, response, longest, most)
    assert prompt in (None, kept[0])
    assert response in (None, kept[1])
    if most is None:
        assert kept == (prompt, response)
    else:
        assert min(kept[0] or 0, kept[1] or 0) > 0
        used = (kept[0] or 0) + (kept[1] or 0)
        assert used <= most
        if prompt is None or response is None:
            assert used == most  # no room is left empty


def test_more_than_the_model_has_room_for_is_refused(world: World) -> None:
    with pytest.raises(ConfigError, match=r"prompt_length, response_length: .* room for 63 tokens .* found 33 and 31"):
        world.train(prompt_length=33, response_length=31)
    with pytest.raises(ConfigError, match="room for 63 tokens of the two, found 63 and any"):
        world.train(prompt_length=63)


def test_a_text_may_not_end_with_the_token_that_fills_up(world: World, tmp_path: Path, told: list[str]) -> None:
    model = save_without_opening(tmp_path / "lm", pad_token="</s>")  # noqa: S106
    world.train(model=model, steps=1)
    assert (
        said := "train-reward: the token that fills up is the end of a text too, so no text may end with it"
    ) in told
    with pytest.raises(ConfigError, match=r"texts end with '</s>' \(3\), which is the token for padding too"):
        world.train(model=model, steps=1, end=True)
    told.clear()
    world.train(model=model, steps=1, end=True, readout="mean")  # which nobody reads at the last token
    assert said not in told


def test_a_reader_of_the_mean_says_that_it_needs_prefline(world: World, told: list[str]) -> None:
    artifact = world.train(readout="mean", normalize="responses", samples=10_000)
    assert artifact.manifest.data["reading"]["readout"] == "mean"
    with pytest.raises(ValueError, match="prefline-gpt2"):
        score_plainly(artifact, ["a"], ["b"])
    scores = RewardModel.from_pretrained(artifact.path).score(*flatten(world.side("train")))
    assert statistics.fmean(scores) == pytest.approx(0, abs=1e-5)
    assert "train-reward: a fresh process has loaded it, and prefline gave the same scores" in told


# --- what it begins with ---


def test_an_encoder_writes_nothing_so_responses_set_the_scale(world: World, tmp_path: Path) -> None:
    model = save_language_model("bert", tmp_path / "bert")
    artifact = world.train(model=model, epochs=3)
    assert artifact.manifest.data["normalized"]["by"] == "responses"
    assert artifact.manifest.data["reading"]["readout"] == "first"
    assert evaluation(artifact)["after"]["accuracy"] > 0.7
    with pytest.raises(ConfigError, match=r"expected a model that writes texts, .*: take 'responses'"):
        world.train(model=model, normalize="samples")
    with pytest.raises(ConfigError, match="readout: an encoder is read at 'first' or 'mean', found 'last'"):
        world.train(model=model, readout="last")


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_scorer_keeps_its_head(kind: str, world: World, tmp_path: Path) -> None:
    first = world.train(model=save_language_model(kind, tmp_path / kind), epochs=4, normalize="none")
    second = world.train(model=first.path, normalize="none", seed=2, learning_rate=1e-6)
    assert evaluation(second)["before"] == {
        name: pytest.approx(value, rel=1e-5) for name, value in evaluation(first)["after"].items()
    }
    assert second.manifest.data["bias"] == pytest.approx(reading(first)["offset"], abs=1e-3)
    default = world.train(model=first.path, seed=2, steps=1)
    assert default.manifest.data["normalized"]["by"] == "responses"
    with pytest.raises(ConfigError, match="expected a model that writes texts"):
        world.train(model=first.path, normalize="samples")


def test_a_scorer_is_trained_further_as_it_reads_but_on_all_that_there_is_room_for(
    world: World, tmp_path: Path
) -> None:
    rows = [{**row, "prompt": " ".join(["c"] * 39 + [row["prompt"][-1]])} for row in world.rows]
    comparisons = ingest(world.store, write(tmp_path / "rows.jsonl", rows))
    first = train(world.store, comparisons, world.model, prompt_length=2, response_length=2, lead="e ", end=True)
    again, changed = (
        reading(train(world.store, comparisons, first.path, seed=2, **asked))
        for asked in ({}, {"lead": "", "end": False})
    )
    # 63 positions for a prompt of 40 tokens and a response of at most 8, with its lead and its end.
    expected = {**reading(first), "prompt_length": 40, "response_length": 23}
    assert again == expected
    assert changed == {**expected, "lead": "", "end": False}


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft still asks by the old name
def test_adapters_are_merged_at_the_root_and_kept_beside_it(world: World) -> None:
    peft = pytest.importorskip("peft")
    artifact = world.train(lora_rank=4, epochs=3, learning_rate=1e-2)
    assert evaluation(artifact)["after"]["loss"] < evaluation(artifact)["before"]["loss"]
    fresh: Any = RewardModel.from_pretrained(world.model, chance=Randomness(1, "train-reward").derive)
    prompts, responses = flatten(world.side("held_out"))
    unadapted = fresh.score(prompts, responses)
    fresh.scorer = peft.PeftModel.from_pretrained(fresh.scorer, artifact.path / "adapter").eval()
    raw, data = fresh.score(prompts, responses), artifact.manifest.data
    assert raw != pytest.approx(unadapted, abs=0.1)
    expected = [data["gain"] * score + data["bias"] for score in raw]
    assert score_plainly(artifact, prompts, responses) == pytest.approx(expected, abs=1e-4)
    whole = world.train(epochs=1)
    assert data["parameters"] == whole.manifest.data["parameters"]


def test_bfloat16_on_a_cpu_is_said_to_be_slow_and_ends_close_to_float32(world: World) -> None:
    said: list[str] = []
    settings = {"epochs": 3, "normalize": "none"}
    half = world.train(dtype="bfloat16", runtime=Runtime(device="cpu", tell=said.append), **settings)
    assert [line for line in said if "bfloat16" in line] == [
        "train-reward: a CPU computes bfloat16 slowly, most of them slower than float32 (--dtype float32)"
    ]
    full = world.train(**settings)
    assert half.id != full.id
    assert evaluation(half)["after"]["loss"] == pytest.approx(evaluation(full)["after"]["loss"], rel=0.1)
    assert {weight.dtype for weight in load_file(half.path / "model.safetensors").values()} == {torch.float32}


# --- what it learns ---


@pytest.mark.parametrize("loss", ["ranking", "rating", "difference"])
def test_the_other_losses_learn_too(loss: str, world: World) -> None:
    artifact = world.train(loss=loss, epochs=6, normalize="none")
    assert evaluation(artifact)["after"]["loss"] < 0.8 * evaluation(artifact)["before"]["loss"]
    assert evaluation(artifact)["after"]["accuracy"] > 0.6


def test_ratings_set_the_scale_before_training(world: World) -> None:
    artifact = world.train(loss="rating", normalize="responses", samples=10_000)
    rated = [rating for row in world.side("train") for rating in row["ratings"]]
    fresh = RewardModel.from_pretrained(world.model, chance=Randomness(1, "train-reward").derive)
    raw = fresh.score(*flatten(world.side("train")))
    gain = statistics.pstdev(rated) / statistics.pstdev(raw)
    bias = statistics.fmean(rated) - gain * statistics.fmean(raw)
    held_out = world.side("held_out")
    scores = [gain * score + bias for score in fresh.score(*flatten(held_out))]
    said = zip((row["ratings"] for row in held_out), regroup(held_out, scores), strict=True)
    errors = [
        statistics.fmean((score - rating) ** 2 for score, rating in zip(scores, ratings, strict=True))
        for ratings, (_, scores) in said
    ]
    assert evaluation(artifact)["before"]["loss"] == pytest.approx(statistics.fmean(errors), rel=1e-4)


def test_training_stops_where_nothing_held_out_gets_better_and_keeps_the_best(world: World, told: list[str]) -> None:
    artifact = world.train(epochs=40, patience=2, evaluate_every=4, learning_rate=1e-2, normalize="none")
    data, curve = artifact.manifest.data, evaluation(artifact)["curve"]
    of = 40 * math.ceil(len(world.side("train")) / 8)
    best = min(curve, key=lambda point: point["loss"])
    assert data["steps"] == best["step"] + 2 * 4 < of
    stopped = f"train-reward: stopped after step {data['steps']:,} of {of:,}; the best was step {best['step']:,}"
    assert stopped in told
    assert {"step": best["step"], **evaluation(artifact)["after"]} == best
    held_out = world.side("held_out")
    losses = [find_loss(*one) for one in regroup(held_out, score_plainly(artifact, *flatten(held_out)))]
    assert statistics.fmean(losses) == pytest.approx(best["loss"], rel=1e-5)
    assert best["loss"] < 0.99 * curve[-1]["loss"]


def test_comparisons_that_say_nothing_are_passed_over_and_counted(
    world: World, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    undecided = [
        {"prompt": f"f f {word}", "responses": ["a", "b"], "best": None, "undecided": "all bad"} for word in "abcdef"
    ]
    comparisons = ingest(world.store, write(tmp_path / "rows.jsonl", [*world.rows, *undecided]), held_out=0)
    artifact = train(world.store, comparisons, world.model)
    assert (artifact.manifest.data["comparisons"], artifact.manifest.data["passed_over"]) == (80, 6)
    assert "train-reward: nothing to learn from, and left out: 6 of 86 comparisons" in told
    assert "train-reward: nothing is held out, so accuracy is not measured" in told
    assert evaluation(artifact) == {"before": None, "curve": [], "after": None}
    only = ingest(world.store, write(tmp_path / "undecided.jsonl", undecided), held_out=0)
    with pytest.raises(DataError, match="something to learn by the loss 'choice', found none"):
        train(world.store, only, world.model)
    monkeypatch.setattr(normalizing, "sample", None)  # it is refused before anything is drawn
    for name in ("patience", "evaluate_every"):
        with pytest.raises(ConfigError, match=f"{name} needs comparisons that are held out, found none"):
            train(world.store, comparisons, world.model, **{name: 1})


# --- token ids ---


def test_token_ids_are_learnt_with_their_own_tokenizer_and_refused_with_another(world: World, tmp_path: Path) -> None:
    def ids(text: str, length: int) -> list[int]:
        tokens = ["abcdef".index(word) + 4 for word in text.split()]
        return [*tokens, *[99] * (length - len(tokens))]

    fours = [{**row, "responses": (row["responses"] * 2)[:4]} for row in world.rows]
    rows = []
    for row in fours:
        counts = [text.count("a") for text in row["responses"]]
        samples = {f"sample{place}": ids(text, 6) for place, text in enumerate(row["responses"])}
        rows.append({"query": ids(row["prompt"], 7), **samples, "best": counts.index(max(counts))})
    (tmp_path / "labels.json").write_text(json.dumps(rows))
    own = world.model / "tokenizer.json"
    comparisons = ingest(world.store, tmp_path / "labels.json", tokenizer=own, pad=99)
    artifact = train(world.store, comparisons, world.model, epochs=3)
    assert artifact.manifest.data["comparisons"] + artifact.manifest.data["held_out"] == 80
    assert evaluation(artifact)["after"]["accuracy"] > evaluation(artifact)["before"]["accuracy"]
    # Ids are read as they are: nothing is put before them.
    (score,) = RewardModel.from_pretrained(artifact.path).score([(4, 5)], [(6,)])
    model: Any = RewardModel.from_pretrained(artifact.path).inner
    with torch.no_grad():
        assert model(torch.tensor([[4, 5, 6]])).logits.item() == pytest.approx(score, abs=1e-5)

    other = save_language_model("gpt2", tmp_path / "other")
    words = json.loads((other / "tokenizer.json").read_bytes())
    vocabulary = words["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (other / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(DataError, match=r"of a tokenizer with 12 tokens, and .* the model 2 of them are others"):
        train(world.store, comparisons, other)


def test_token_ids_without_an_opening_are_cut_in_training_as_they_are_in_scoring(world: World, tmp_path: Path) -> None:
    # 64 positions, of which one is kept for <s>: of 60 tokens and 4, which need all, one goes.
    row = {"prompt": [4] * 60, "responses": [[5, 6, 7, 8], [6, 5, 7, 8]], "best": 0}
    own = world.model / "tokenizer.json"
    comparisons = ingest(world.store, write(tmp_path / "ids.jsonl", [row]), held_out=0, tokenizer=own)
    model = RewardModel.from_pretrained(world.model)
    params = TrainRewardParams.model_validate({})
    ((one,), _) = _encode(model, labels.read_labels(comparisons), params)
    assert one.pairs == tuple(model.encoder.encode([(4,) * 60] * 2, [(5, 6, 7, 8), (6, 5, 7, 8)]))
    assert (len(one.pairs[0].prompt), one.prompt_cut, model.reading.prompt_length) == (59, True, 59)


# --- what it refuses ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"normalize": "texts"}, r"normalize 'texts' needs texts: give them \(--texts\)"),
        ({"normalize": "references"}, "normalize 'references' needs texts"),
        ({"normalise": "none"}, r"unknown key 'normalise' \(did you mean 'normalize'\?\)"),
        ({"samples": 1}, "samples: "),
        ({"dtype": "float16"}, "dtype: "),
        ({"margin": 1.0, "loss": "ranking"}, "margin is for the loss 'choice', found 'ranking'"),
    ],
    ids=["no texts", "no references", "misspelt", "one sample", "float16", "idle margin"],
)
def test_settings_that_are_of_no_use_are_refused(settings: dict[str, Any], message: str, world: World) -> None:
    with pytest.raises(ConfigError, match=message):
        world.train(**settings)


def test_inputs_are_wanted_where_they_are_used_and_nowhere_else(world: World, tmp_path: Path) -> None:
    texts = write(tmp_path / "texts.jsonl", [{"text": "a"}])
    with pytest.raises(ConfigError, match="texts are for normalize 'texts' or 'references', and it is neither"):
        world.train(texts=texts)
    with pytest.raises(ConfigError, match=r"expected a model to begin with \(--model\), found none"):
        make(world.store, TRAIN_REWARD, params={}, inputs={"comparisons": world.comparisons}, seed=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 1, "rule": "minimum"}, "rule: 'minimum' is for the scores of several heads, found one"),
        ({"heads": 2, "normalize": "none"}, r"normalize: expected a scale .* 2 heads have in common, found 'none'"),
        ({"heads": 2, "normalize": "none", "loss": "difference"}, "only by the loss 'rating'"),
    ],
    ids=["idle rule", "no scale", "no height"],
)
def test_heads_that_cannot_be_are_refused_before_a_model_is_looked_at(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TRAIN_REWARD.check(TrainRewardParams.parse(settings), ["comparisons", "model"])


def test_heads_that_learn_ratings_have_their_scale() -> None:
    params = TrainRewardParams.parse({"heads": 2, "normalize": "none", "loss": "rating"})
    TRAIN_REWARD.check(params, ["comparisons", "model"])
    TRAIN_REWARD.check(TrainRewardParams.parse({"heads": 1, "rule": "mean"}), ["comparisons", "model"])


def test_an_artifact_of_another_kind_is_refused(world: World, tmp_path: Path) -> None:
    scorer = world.train(epochs=1)
    with pytest.raises(ConfigError, match=r"input 'comparisons': expected an artifact .*, found the kind reward-model"):
        train(world.store, scorer, world.model)
    with pytest.raises(ConfigError, match=r"input 'model': expected .*, found the kind comparisons"):
        world.train(model=world.comparisons)


def test_comparisons_of_a_later_version_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "INGEST", dataclasses.replace(INGEST, version=INGEST.version - 1))
    found = f"written by version {INGEST.version} of ingest, .* up to {INGEST.version - 1}: take a newer prefline"
    with pytest.raises(DataError, match=found):
        world.train(seed=21)


def publish_model(publish: Publish, world: World, prefix: str, suffix: str) -> Artifact:
    """Publish a language model that has learnt to write between the two."""
    files = {path.name: path.read_bytes() for path in world.model.iterdir()}
    form = {"prefix": prefix, "suffix": suffix, "lead": ""}
    return publish(world.store, files, kind="model", stage="train-lm", data={"prompt_format": form})


def test_texts_that_were_prepared_for_another_model_are_refused(publish: Publish, world: World, tmp_path: Path) -> None:
    texts = write(
        tmp_path / "texts.jsonl", [{"prompt": "a", "references": ["b"]}, {"prompt": "c", "references": ["d"]}]
    )
    inputs = {"source": read_source(texts)}
    prepared = make(world.store, PREPARE, params={"held_out": 0, "suffix": " f"}, inputs=inputs).artifact
    given = {"normalize": "references", "texts": prepared, "steps": 1}
    with pytest.raises(ConfigError, match=r"the model has learnt \['', ' e'\], and the texts were .* \['', ' f'\]"):
        world.train(model=publish_model(publish, world, "", " e"), **given)
    artifact = world.train(model=publish_model(publish, world, "", " f"), **given)
    assert artifact.manifest.data["prompt_format"] == {"prefix": "", "suffix": " f"}
    assert world.train(**given).manifest.data["prompt_format"]["suffix"] == " f"


def test_what_the_model_knows_of_prompts_need_not_be_said_again(publish: Publish, world: World) -> None:
    model = publish_model(publish, world, "c ", " e")
    with pytest.raises(ConfigError, match="suffix: expected that of the model, ' e', found ' f': leave it out"):
        world.train(model=model, suffix=" f")
    known = world.train(model=model, steps=1).manifest.data
    said = world.train(model=model, steps=1, suffix=" e").manifest.data
    assert known["prompt_format"] == said["prompt_format"] == {"prefix": "c ", "suffix": " e"}
    # A folder of somebody else says nothing, so what is said holds.
    own = world.train(steps=1, prefix="c ", suffix=" e").manifest.data
    assert (own["prompt_format"], own["normalized"]) == (known["prompt_format"], known["normalized"])


def test_a_comparison_that_gives_no_number_is_named_and_what_was_saved_is_kept(world: World, tmp_path: Path) -> None:
    learnt = [row["id"] for row in world.side("train")]
    bad = learnt[17]
    # In float32, so large a margin is infinite.
    rows = [
        {**row, "ratings": [rating * 1e39 for rating in row["ratings"]]} if row["id"] == bad else row
        for row in world.rows
    ]
    comparisons = ingest(world.store, write(tmp_path / "rows.jsonl", rows))
    before = set(world.store.ids())
    said: list[str] = []
    runtime = Runtime(device="cpu", checkpoint_every=1, tell=said.append)
    step = 0
    for _ in range(2):
        with pytest.raises(StageError) as caught:
            train(world.store, comparisons, world.model, margin=1.0, runtime=runtime)
        step = int(str(caught.value).split()[2].rstrip(":"))
        assert str(caught.value) == (
            f"train-reward: step {step}: expected a finite loss, found nan, in 1 comparison: number 18 ({bad}). "
            f"Nothing was published; the state after step {step - 1} is kept. Change a setting that keeps it finite "
            "(a lower learning rate, say) and run again"
        )
        assert set(world.store.ids()) == before
    assert said == [f"train-reward: goes on after step {step - 1}"]


@pytest.mark.parametrize("normalize", ["responses", "none"])
def test_a_model_that_ends_in_no_number_is_not_published(normalize: str, world: World, tmp_path: Path) -> None:
    # The loss of a step is that before it, so no loss tells what the last step has done.
    comparisons = ingest(world.store, write(tmp_path / "rows.jsonl", world.rows), held_out=0)
    before = set(world.store.ids())
    with pytest.raises(PreflineError, match="finite") as caught:
        train(world.store, comparisons, world.model, learning_rate=1e38, steps=1, normalize=normalize)
    assert "\n" not in str(caught.value)
    assert set(world.store.ids()) == before


def test_a_folder_that_is_not_what_was_trained_is_not_published(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    save = RewardModel.save_pretrained

    def lose_the_head(model: RewardModel, folder: Path) -> None:
        model.inner.state_dict()["score.weight"].mul_(1.01)
        save(model, folder)

    monkeypatch.setattr(RewardModel, "save_pretrained", lose_the_head)
    before = set(world.store.ids())
    with pytest.raises(DataError, match="this is not the model that gave those scores"):
        world.train(seed=31, steps=1)
    assert set(world.store.ids()) == before


# --- the command line ---

FILE = """
schema: prefline.pipeline/1
seed: 1
stages:
  labels:
    stage: ingest
    inputs: {source: rows.jsonl}
    params: {held_out: 0.25, near_duplicates: 1, max_rejected: 0}
  scorer:
    stage: train-reward
    inputs: {comparisons: labels, model: lm-gpt2}
    params: {batch: 8, learning_rate: 3e-3, samples: 64}
    name: scorer
"""


def test_the_verb_and_a_pipeline_make_what_the_function_makes(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = world.train()
    words: list[Any] = [world.comparisons.id, "--model", world.model, "--store", world.store.root, "--seed", 1]
    for name, value in QUICK.items():
        words += [f"--{name.replace('_', '-')}", value]
    build_command("train-reward").main([*map(str, words), "--force", "--device", "cpu"], standalone_mode=False)
    said = capsys.readouterr()
    assert said.out.strip() == expected.id
    assert "comparisons of 2 to 4 responses" in said.err

    file = world.root / "pipeline.yaml"
    file.write_text(FILE)
    place = ["--store", str(tmp_path / "store")]
    get_command(app).main(["plan", str(file), *place], standalone_mode=False)
    plan = capsys.readouterr().out
    assert ["scorer", "train-reward", "reward-model", "make"] in [line.split()[:4] for line in plan.splitlines()]
    get_command(app).main(["run", str(file), *place, "--device", "cpu"], standalone_mode=False)
    assert capsys.readouterr().out.split() == [world.comparisons.id, expected.id]
    assert Store.open(tmp_path / "store").names.all() == {f"{REWARD_MODEL}/scorer": expected.id}
    get_command(app).main(["plan", str(file), *place], standalone_mode=False)
    assert "0 to make, 2 to reuse" in capsys.readouterr().err
