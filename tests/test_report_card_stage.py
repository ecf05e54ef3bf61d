"""The stage `report-card`, and the card that `train-reward` writes of what it has trained."""

import dataclasses
import json
import math
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from reward_stage import QUICK, compare, ingest, prove_here, train, write
from safetensors.torch import load_file, save_file
from tiny_scorers import build_scorer, save_language_model

from prefline.data.comparison import Comparison
from prefline.data.errors import ConfigError, DataError, NotFiniteError
from prefline.pipeline import Artifact, Runtime, SourceFolder, Store, make, reporting_card
from prefline.pipeline.cli_catalogue import build_command
from prefline.pipeline.drawing import short
from prefline.pipeline.ensemble import ENSEMBLE
from prefline.pipeline.interruption import Interruption
from prefline.pipeline.jobs import Job
from prefline.pipeline.learnt import find_learnt, list_learning
from prefline.pipeline.provided import read_source
from prefline.pipeline.report_card import REPORT_CARD
from prefline.reward_model.model import RewardModel
from prefline.reward_model.scored import Scored

LONG = [{"prompt": f"{word} b " * 50, "responses": ["a a", "b"], "best": 0} for word in "cd"]
NOBODY_LOOKS = "so nobody looks whether it has seen these prompts before: say it with --learnt-from"
UNKNOWN = f"report-card: what the scorer has learnt from is not known, {NOBODY_LOOKS}"


class World(NamedTuple):
    """A store with comparisons and reward models that have learnt from them, the model they began with, and a scorer
    from outside."""

    root: Path
    store: Store
    comparisons: Artifact
    model: Path
    trained: Artifact
    other: Artifact  # the same with another seed
    outside: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("world")
    store = Store.create(root / "my störe ✓")
    comparisons = ingest(store, write(root / "rows.jsonl", compare(100)))
    model = save_language_model("gpt2", root / "lm")
    build_scorer("gpt2", root / "start").save_pretrained(root / "outside")
    with pytest.MonkeyPatch.context() as patch:
        prove_here(patch)
        trained, other = (train(store, comparisons, model, epochs=3, seed=seed) for seed in (1, 2))
        yield World(root, store, comparisons, model, trained, other, root / "outside")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What people are told."""
    lines: list[str] = []
    monkeypatch.setattr(Job, "tell_people", lambda _, text: lines.append(text))
    return lines


def report(world: World, scorer: Artifact | Path, **given: Any) -> Artifact:
    """Run the stage: artifacts and folders are inputs, and all else but `store` and `runtime` are settings."""
    store, runtime = given.pop("store", world.store), given.pop("runtime", Runtime(device="cpu"))
    places = {"comparisons": world.comparisons, "scorer": scorer, **given}
    inputs: dict[str, Any] = {
        role: read_source(place, REPORT_CARD.takes[role]) if isinstance(place, Path) else place
        for role, place in places.items()
        if isinstance(place, Artifact | Path | SourceFolder)
    }
    params = {name: value for name, value in given.items() if name not in inputs}
    return make(store, REPORT_CARD, params=params, inputs=inputs, runtime=runtime).artifact


def assemble(world: World, *members: Artifact, **params: Any) -> Artifact:
    inputs = {f"model_{number}": member for number, member in enumerate(members, 1)}
    return make(world.store, ENSEMBLE, params=params, inputs=inputs, runtime=Runtime(device="cpu")).artifact


def listen(told: list[str]) -> Runtime:
    return Runtime(device="cpu", tell=told.append)


def card_of(artifact: Artifact) -> Any:
    return json.loads((artifact.path / "card.json").read_bytes())


def after(artifact: Artifact) -> Any:
    return json.loads((artifact.path / "evaluation.json").read_bytes())["after"]


def findings(card: Any) -> list[str]:
    return [found["finding"] for found in card["verdict"]]


def close(value: Any) -> Any:
    """The same document, with numbers that are the same but for rounding."""
    if isinstance(value, dict):
        return {name: close(item) for name, item in value.items()}
    if isinstance(value, list):
        return [close(item) for item in value]
    return pytest.approx(value, rel=1e-4, abs=1e-5) if isinstance(value, float) else value


def count_lines(artifact: Artifact, *sides: str) -> int:
    return sum(len((artifact.path / f"{side}.jsonl").read_bytes().splitlines()) for side in sides)


def read_prompts(artifact: Artifact, side: str) -> list[str]:
    return [json.loads(line)["prompt"] for line in (artifact.path / f"{side}.jsonl").read_text().splitlines()]


def copy_scorer(artifact: Artifact, folder: Path) -> Path:
    """Copy a scorer to where nobody knows how it was made."""
    return shutil.copytree(artifact.path, folder, ignore=shutil.ignore_patterns("manifest.json"))


# --- the card of a training ---


def test_a_training_writes_the_card_of_what_is_held_out(world: World) -> None:
    card, manifest = card_of(world.trained), world.trained.manifest
    assert {"card.json", "card.html", "scores.jsonl"} <= {file.path for file in manifest.files}
    assert manifest.data["card"] == {"accuracy": card["accuracy"], "findings": findings(card)}
    assert card["accuracy"]["share"] == pytest.approx(after(world.trained)["accuracy"])
    assert card["accuracy"]["low"] > card["accuracy"]["chance"]  # it has learnt something
    held_out = count_lines(world.comparisons, "held_out")
    prompts = len({*read_prompts(world.comparisons, "held_out")})
    assert card["data"] == {
        "comparisons": held_out,
        "decided": held_out,
        "prompts": prompts,
        "passed_over": 0,
        "id": world.comparisons.id,
        "feedback": ["human"],
        "side": "held_out",
    }
    assert card["model"] == {"parameters": manifest.data["parameters"]}
    assert card["train"]["of"] == count_lines(world.comparisons, "train")
    assert (card["leak"]["prompts"], card["leak"]["of"], card["leak"]["shared"]) == (0, prompts, None)
    assert card["leak"]["clean"] == card["accuracy"]
    assert card["probes"]["order"]["changed"] == 0
    assert card["best_of_n"]["by"] == "ratings"
    samples = card["scores"]["samples"]
    assert (samples["of"], samples["mean"]) == (QUICK["samples"], pytest.approx(0, abs=1e-5))
    assert samples["std"] == pytest.approx(1, abs=1e-5)
    page = (world.trained.path / "card.html").read_text()
    assert card["verdict"][0]["text"] in page


def test_what_was_held_out_is_scored_by_the_model_that_is_saved(world: World) -> None:
    lines = (world.trained.path / "scores.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in (world.comparisons.path / "held_out.jsonl").read_text().splitlines()]
    model = RewardModel.from_pretrained(world.trained.path)
    for line, row in zip(lines, rows, strict=True):
        expected = model.score([row["prompt"]] * len(row["responses"]), row["responses"])
        assert json.loads(line)["scores"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("normalize", ["samples", "none", "references"])
def test_log_loss_is_that_of_the_scale_that_was_learnt(normalize: str, world: World) -> None:
    if normalize == "samples":
        artifact = world.trained
        assert artifact.manifest.data["sharpness"] != pytest.approx(1, rel=0.01)
    else:
        references = [{"prompt": row["prompt"], "references": row["responses"]} for row in compare(10, seed=4)]
        texts = write(world.root / "references.jsonl", references)
        given = {"texts": texts} if normalize == "references" else {}
        artifact = train(world.store, world.comparisons, world.model, normalize=normalize, **given)
        assert artifact.manifest.data["sharpness"] == pytest.approx(1)  # distances are as they were learnt
    card = card_of(artifact)
    assert card["log_loss"]["loss"] == pytest.approx(after(artifact)["loss"], rel=1e-5)
    assert [*card["scores"]] == ["best", "others", *([] if normalize == "none" else [normalize])]
    if normalize == "references":
        assert card["scores"]["references"]["mean"] == pytest.approx(0, abs=1e-5)


def test_scores_that_make_no_probabilities_have_no_log_loss(world: World) -> None:
    artifact = train(world.store, world.comparisons, world.model, loss="rating", normalize="responses")
    card = card_of(artifact)
    assert artifact.manifest.data["sharpness"] is None
    assert (card["log_loss"], card["calibration"]) == (None, None)
    assert card["accuracy"]["share"] == pytest.approx(after(artifact)["accuracy"])
    assert card["mistakes"]
    assert {mistake["confidence"] for mistake in card["mistakes"]} == {None}
    again = card_of(report(world, artifact))
    assert (again["log_loss"], again["accuracy"]) == (None, card["accuracy"])


def test_heads_are_members_that_cost_nothing(world: World) -> None:
    artifact = train(world.store, world.comparisons, world.model, heads=3, rule="minimum")
    card, again = card_of(artifact), card_of(report(world, artifact))
    about = {"parameters": artifact.manifest.data["parameters"], "members": 3, "rule": "minimum", "cost": 1}
    assert (card["model"], again["model"]) == (about, about | {"id": artifact.id})
    assert card["disagreement"]["of"] == card["accuracy"]["of"]
    assert again["disagreement"] == close(card["disagreement"])
    assert (artifact.manifest.data["sharpness"], card["log_loss"]) == (None, None)  # no head has learnt their minimum


def test_where_nothing_is_held_out_there_is_no_card_and_people_are_told(world: World, told: list[str]) -> None:
    whole = ingest(world.store, write(world.root / "whole.jsonl", compare(12, seed=6)), held_out=0)
    artifact = train(world.store, whole, world.model, steps=1)
    assert artifact.manifest.data["card"] is None
    assert not {"card.json", "card.html"} & {file.path for file in artifact.manifest.files}
    assert "train-reward: there is no report card, as nothing is held out in which somebody chose" in told
    with pytest.raises(ConfigError, match=r"expected comparisons that are held out, found none in .*: take side"):
        report(world, artifact, comparisons=whole)


# --- the card of a scorer ---


def test_the_card_of_an_artifact_is_that_of_its_training(world: World, told: list[str]) -> None:
    warned: list[str] = []
    artifact = report(world, world.trained, runtime=listen(warned))
    assert (artifact.manifest.kind, warned) == ("report-card", [])
    assert {file.path for file in artifact.manifest.files} == {"card.json", "card.html"}
    card, before = card_of(artifact), card_of(world.trained)
    assert artifact.manifest.data == {"accuracy": card["accuracy"], "findings": findings(card)}
    assert card["model"] == {"id": world.trained.id, **before["model"]}
    assert card["data"] == {**before["data"], "too_long": 0}
    assert {**before["scores"], "samples": None}.keys() == {*card["scores"], "samples"}
    same = card.keys() - {"data", "model", "scores"}
    assert {part: card[part] for part in same} == close({part: before[part] for part in same})
    assert f"report-card: + {card['verdict'][0]['text']}" in told


def test_of_a_scorer_from_outside_nobody_knows_what_it_has_learnt_from(world: World, tmp_path: Path) -> None:
    folder = copy_scorer(world.trained, tmp_path / "elsewhere")
    told: list[str] = []
    card, known = card_of(report(world, folder, runtime=listen(told))), card_of(world.trained)
    assert told == [UNKNOWN]
    assert (card["leak"], card["train"]) == (None, None)
    assert card["accuracy"] == known["accuracy"]
    # Nobody says at what scale it has learnt.
    assert card["log_loss"]["loss"] != pytest.approx(known["log_loss"]["loss"], rel=0.01)
    said = card_of(report(world, folder, learnt_from=world.comparisons, runtime=listen(told)))
    assert (told, said["leak"], said["train"]) == ([UNKNOWN], known["leak"], known["train"])


def test_a_leak_is_found_where_it_is_said_what_was_learnt_from(world: World) -> None:
    everything = ingest(world.store, write(world.root / "all.jsonl", compare(100)), held_out=0)
    card = card_of(report(world, world.trained, learnt_from=everything))
    assert findings(card)[:2] == ["do-not-trust", "leak"]
    assert card["leak"]["prompts"] == card["leak"]["of"] == card["data"]["prompts"]
    assert (card["leak"]["shared"], card["leak"]["clean"]) == (card["accuracy"], None)
    assert card["train"]["of"] == 100


def test_a_model_has_learnt_from_what_it_has_drawn_alone(world: World) -> None:
    artifact = train(world.store, world.comparisons, world.model, most=12, shuffle_labels=True)
    card, again = card_of(artifact), card_of(report(world, artifact))
    assert card["train"]["of"] <= 12
    assert (again["train"], again["leak"], again["accuracy"]) == (card["train"], card["leak"], card["accuracy"])


def test_an_ensemble_is_told_by_its_disagreement(world: World) -> None:
    params = {"rule": "cautious", "caution": 0.5}
    ensemble = assemble(world, world.trained, world.other, **params)
    told: list[str] = []
    card = card_of(report(world, ensemble, runtime=listen(told)))
    parameters = 2 * world.trained.manifest.data["parameters"]
    about = {"id": ensemble.id, "parameters": parameters, "members": 2, "rule": "cautious", "cost": 2}
    assert card["model"] == about
    assert card["disagreement"]["of"] == card["accuracy"]["of"]
    assert (told, card["leak"]["prompts"]) == ([], 0)
    assert card["train"]["of"] == count_lines(world.comparisons, "train")
    assert card["log_loss"] is None
    assert card_of(report(world, world.trained))["disagreement"] is None
    usual = card_of(report(world, assemble(world, world.trained, world.other)))
    assert usual["log_loss"]["loss"] < usual["log_loss"]["chance"]


def test_an_ensemble_has_learnt_what_its_members_have_drawn(world: World) -> None:
    few = {"most": 6, "shuffle_labels": True, "steps": 1}
    drawn = [train(world.store, world.comparisons, world.model, seed=seed, **few) for seed in (1, 2)]
    both = [learnt_by(world, member) for member in drawn]
    assert [len({*own}) for own in both] == [6, 6]
    card = card_of(report(world, assemble(world, *drawn)))
    assert card["train"]["of"] <= len({*both[0], *both[1]}) <= 12 < count_lines(world.comparisons, "train")


def learnt_by(world: World, artifact: Artifact) -> list[Comparison]:
    return find_learnt(list_learning(artifact), world.comparisons) or []


def test_where_others_were_learnt_from_they_are_named(world: World) -> None:
    rows = write(world.root / "others.jsonl", compare(40, seed=7))
    others = ingest(world.store, rows)
    ensemble = assemble(world, world.trained, train(world.store, others, world.model, steps=1))
    told: list[str] = []
    card = card_of(report(world, ensemble, runtime=listen(told)))
    named = f"{short(world.comparisons.id)}, {short(others.id)}"
    assert told == [f"report-card: the scorer has learnt from {named}, of which not all are at hand, {NOBODY_LOOKS}"]
    assert (card["leak"], card["train"]) == (None, None)
    assert card_of(report(world, ensemble, learnt_from=others))["train"]["of"] == count_lines(others, "train")


def test_what_was_learnt_before_a_training_went_on_is_not_known(world: World, told: list[str]) -> None:
    further = train(world.store, world.comparisons, world.trained.path, normalize="responses", steps=1)
    assert further.manifest.data["learnt_from"]["further"] is True
    known = f"the scorer has learnt from {short(world.comparisons.id)}, and before that from what is not known"
    assert any(line.startswith(f"train-reward: {known}, so nobody looks") for line in told)
    card = card_of(further)
    assert (card["leak"], card["train"]["of"]) == (None, count_lines(world.comparisons, "train"))
    warned: list[str] = []
    assert card_of(report(world, further, runtime=listen(warned)))["leak"] is None
    assert warned == [f"report-card: {known}, {NOBODY_LOOKS}"]
    said = card_of(report(world, further, learnt_from=world.comparisons))
    assert said["leak"]["prompts"] == 0


def test_what_was_learnt_from_follows_from_the_id_and_not_from_the_recipe(world: World) -> None:
    data = world.trained.manifest.data
    unknown = world.trained.manifest.model_copy(update={"data": {**data, "learnt_from": None}})
    assert list_learning(dataclasses.replace(world.trained, manifest=unknown)) == []


def test_people_are_told_that_measuring_takes_a_while(world: World, told: list[str]) -> None:
    card = card_of(report(world, world.trained, side="both"))
    place = told.index("report-card: measuring what it has learnt")
    assert place < told.index(f"report-card: x {card['verdict'][0]['text']}")
    train(world.store, world.comparisons, world.model, steps=1)
    assert "train-reward: measuring what it has learnt" in told


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused_and_not_reported(broken: float, world: World, tmp_path: Path) -> None:
    folder = copy_scorer(world.trained, tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"][0, 0] = broken
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for given in ({}, {"gold": world.trained}):
        with pytest.raises(NotFiniteError, match=r"expected finite scores, found \d+ of \d+ that are not"):
            report(world, folder, **given)
    with pytest.raises(NotFiniteError, match="expected finite scores"):
        report(world, world.trained, gold=folder)


@pytest.mark.parametrize("side", ["train", "both"])
def test_it_may_be_asked_about_what_was_not_held_out(side: str, world: World) -> None:
    sides = ["train", "held_out"] if side == "both" else [side]
    card = card_of(report(world, world.outside, side=side))
    assert (card["data"]["side"], card["data"]["comparisons"]) == (side, count_lines(world.comparisons, *sides))
    # Words are learnt from what is not asked about, and there is none.
    assert "words" not in {shortcut["kind"] for shortcut in card["shortcuts"]}
    known = card_of(report(world, world.trained, side=side))
    assert known["leak"]["prompts"] == len({*read_prompts(world.comparisons, "train")})
    assert findings(known)[:2] == ["do-not-trust", "leak"]


# --- another scorer and a language model beside it ---


def test_the_best_of_n_is_worth_what_another_scorer_says(world: World, tmp_path: Path) -> None:
    gold = read_source(world.outside, "scorer")
    card = card_of(report(world, world.trained, gold=gold))
    assert card["best_of_n"]["by"] == f"scorer {short(gold.identity)}"
    assert card["best_of_n"]["curve"] != card_of(world.trained)["best_of_n"]["curve"]
    # Of its own weights it would choose as well as can be, wherever they lie.
    with pytest.raises(ConfigError, match="^gold: expected another scorer"):
        report(world, world.trained, gold=copy_scorer(world.trained, tmp_path / "copy"))


def test_what_a_language_model_writes_is_scored_beside_the_responses(world: World) -> None:
    card = card_of(report(world, world.trained, model=world.model, samples=40))
    samples = card["scores"]["samples"]
    # Of the same model other samples were normalised to mean 0 and deviation 1.
    assert (samples["of"], samples["mean"], samples["std"]) == (
        40,
        pytest.approx(0, abs=0.5),
        pytest.approx(1, abs=0.4),
    )
    plain = card_of(report(world, world.trained))
    assert [*plain["scores"]] == ["best", "others"]
    assert {**card, "scores": None} == {**plain, "scores": None}


def count_scored(patch: pytest.MonkeyPatch) -> list[int]:
    """How many comparisons are scored at a time."""
    counts: list[int] = []
    score_comparisons = reporting_card.score_comparisons

    def watch(scorer: Any, comparisons: Sequence[Any], **settings: Any) -> list[Scored]:
        counts.append(len(comparisons))
        return score_comparisons(scorer, comparisons, **settings)

    patch.setattr(reporting_card, "score_comparisons", watch)
    return counts


def test_what_does_not_go_together_is_refused_before_anything_is_scored(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = count_scored(monkeypatch)
    with pytest.raises(ConfigError, match=r"^gold: expected another scorer than the one that is asked about"):
        report(world, world.trained, gold=world.trained)
    with pytest.raises(ConfigError, match=r"^gold: expected another scorer than the one that is asked about"):
        report(world, world.outside, gold=world.outside)
    with pytest.raises(ConfigError, match=r"^gold: expected another scorer than the one that is asked about"):
        report(world, world.trained, gold=SourceFolder.read_model(world.trained.path))
    for name, value in {"samples": 9, "sample_length": 3, "temperature": 1.0, "prefix": "a", "suffix": "b"}.items():
        with pytest.raises(ConfigError, match=rf"^{name}: it is of samples of a language model: give one \(--model\)"):
            report(world, world.trained, **{name: value})
    model = tmp_path / "lm"
    shutil.copytree(world.model, model)
    words = json.loads((model / "tokenizer.json").read_bytes())
    vocabulary = words["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (model / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(ConfigError, match=r"^model: expected one with the tokenizer of the scorer, found .* another"):
        report(world, world.trained, model=model)
    assert counts == []


def test_token_ids_of_another_tokenizer_are_refused_wherever_they_are(world: World, tmp_path: Path) -> None:
    words = json.loads((world.model / "tokenizer.json").read_bytes())
    vocabulary = words["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(json.dumps(words))
    rows = write(tmp_path / "ids.jsonl", [{"prompt": [4, 5], "responses": [[6], [7]], "best": 0}])
    ids = ingest(world.store, rows, tokenizer=tokenizer, held_out=0)
    for given in ({"comparisons": ids, "side": "train"}, {"learnt_from": ids}):
        with pytest.raises(DataError, match="the comparisons are token ids of a tokenizer with 12 tokens"):
            report(world, world.outside, **given)


# --- what a scorer has no room for ---


@pytest.fixture(scope="module")
def long(world: World) -> Artifact:
    """Comparisons of which two are too long for the scorer from outside: it has 64 positions, and cuts nothing."""
    return ingest(world.store, write(world.root / "long.jsonl", [*compare(30, seed=5), *LONG]), held_out=0)


def test_what_is_too_long_for_a_scorer_is_left_out_and_counted(
    world: World, long: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    card = card_of(report(world, world.outside, comparisons=long, side="train", runtime=listen(told)))
    assert (card["data"]["comparisons"], card["data"]["too_long"]) == (30, 2)
    assert told == [UNKNOWN, "report-card: too long for the scorer, and left out: 2 comparisons"]
    # A model of ours was told how much of a text to keep.
    assert card_of(report(world, world.trained, comparisons=long, side="train"))["data"]["too_long"] == 0
    counts = count_scored(monkeypatch)
    with pytest.raises(DataError, match="gold: expected a scorer with room for texts"):
        report(world, world.trained, comparisons=long, side="train", gold=world.outside)
    assert counts == []
    only = ingest(world.store, write(world.root / "only.jsonl", LONG), held_out=0)
    with pytest.raises(DataError, match="found only such as are too long for it"):
        report(world, world.outside, comparisons=only, side="train", model=world.model)


def test_what_was_learnt_from_may_be_too_long_as_well(world: World, long: Artifact) -> None:
    card = card_of(report(world, world.outside, learnt_from=long))
    assert (card["train"]["of"], card["leak"]["of"]) == (30, card["data"]["prompts"])


def test_samples_that_are_too_long_are_left_out_too(world: World) -> None:
    # <s> and 60 words leave room for a response of 2, and none for a sample of 10.
    edge = [{"prompt": "a " * 60, "responses": ["a a", "b"], "best": 0}]
    rows = write(world.root / "edge.jsonl", [*compare(5, seed=5), *edge])
    given = {"comparisons": ingest(world.store, rows, held_out=0), "side": "train", "model": world.model}
    told: list[str] = []
    artifact = report(world, world.outside, samples=40, sample_length=10, runtime=listen(told), **given)
    left = 40 - card_of(artifact)["scores"]["samples"]["of"]
    assert 0 < left < 20
    assert told == [UNKNOWN, f"report-card: too long for the scorer, and left out: {left} samples"]
    only = {**given, "comparisons": ingest(world.store, write(world.root / "edges.jsonl", edge), held_out=0)}
    assert [*card_of(report(world, world.outside, samples=2, sample_length=10, **only))["scores"]] == ["best", "others"]


# --- the same bytes ---


def test_two_runs_make_the_same_card_and_an_interrupted_one_goes_on_to_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"side": "both", "model": world.model, "samples": 8}
    expected = report(world, world.outside, gold=copy_scorer(world.trained, tmp_path / "gold"), **given)
    store, names = Store.create(tmp_path / "store"), ("another scorer", "another gold")
    comparisons = ingest(store, write(tmp_path / "rows.jsonl", compare(100)))
    scorer = shutil.copytree(world.outside, tmp_path / names[0])
    given |= {"store": store, "comparisons": comparisons, "gold": copy_scorer(world.trained, tmp_path / names[1])}
    counts = count_scored(monkeypatch)
    interruption = Interruption()
    interruption.requested = signal.SIGINT
    with pytest.raises(SystemExit):
        report(world, scorer, runtime=Runtime(device="cpu", interruption=interruption), **given)
    assert counts == [64, 64]
    told: list[str] = []
    found = report(world, scorer, runtime=listen(told), **given)
    assert "report-card: goes on after step 1" in told
    assert counts == [64, 64, 36, 36]  # each step by the gold too, so that a stop loses nothing
    assert found.path != expected.path
    assert found.id == expected.id
    for name in ("card.json", "card.html"):
        content = (found.path / name).read_text()
        assert not [place for place in (str(tmp_path), *names) if place in content]


def test_it_is_a_verb() -> None:
    command = build_command("report-card")
    names = {name for param in command.params for name in param.opts}
    assert {"comparisons", "scorer", "--model", "--gold", "--learnt-from", "--side", "--samples", "--name"} <= names
    assert "--seed" not in names
