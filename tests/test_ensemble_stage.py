"""The stage `ensemble`, and what `score` does with what it makes."""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from reward_stage import compare, ingest, prove_here, train, write
from tiny_scorers import save_language_model
from typer.testing import CliRunner

from prefline.data.errors import ConfigError, DataError, PreflineError
from prefline.pipeline import Artifact, Runtime, SourceFolder, Store, ensembling, make
from prefline.pipeline.cli import app
from prefline.pipeline.cli_catalogue import build_command
from prefline.pipeline.ensemble import ENSEMBLE
from prefline.pipeline.interruption import PROCESS
from prefline.pipeline.stages import REWARD_MODEL
from prefline.reward_model.combining import find_disagreement
from prefline.reward_model.ensembles import Ensemble, open_scorer
from prefline.reward_model.model import RewardModel

OTHER_SAMPLES = (
    "ensemble: the scores of all are normalised by samples, but not of one model, so their scales may differ"
)


class World(NamedTuple):
    """A store with comparisons, and reward models that have learnt from them with other seeds."""

    root: Path
    store: Store
    comparisons: Artifact
    model: Path
    members: list[Artifact]

    def train(self, **given: Any) -> Artifact:
        return train(self.store, self.comparisons, self.model, steps=2, samples=8, **given)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world")
    store = Store.create(root / "my störe ✓")
    comparisons = ingest(store, write(root / "rows.jsonl", compare(40)), feedback="mock")
    found = World(root, store, comparisons, save_language_model("llama", root / "lm"), [])
    with pytest.MonkeyPatch.context() as patch:
        prove_here(patch)
        found.members.extend(found.train(seed=seed) for seed in (1, 2, 3))
    return found


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    prove_here(monkeypatch)


def assemble(world: World, *members: Artifact, **params: Any) -> Artifact:
    """Run the stage on models in a row."""
    return put(world, {f"model_{number}": member for number, member in enumerate(members, 1)}, **params)


def put(world: World, inputs: Mapping[str, Artifact], **params: Any) -> Artifact:
    return make(world.store, ENSEMBLE, params=params, inputs=inputs, runtime=Runtime(device="cpu")).artifact


@pytest.fixture(scope="module")
def cautious(world: World) -> Artifact:
    with pytest.MonkeyPatch.context() as patch:
        prove_here(patch)
        return assemble(world, *world.members, rule="cautious", caution=0.5)


def texts(world: World) -> tuple[list[Any], list[Any]]:
    """Prompts and responses of what is held out, on end."""
    rows = [json.loads(line) for line in (world.comparisons.path / "held_out.jsonl").read_text().splitlines()]
    pairs = [(row["prompt"], response) for row in rows for response in row["responses"]]
    return [prompt for prompt, _ in pairs], [response for _, response in pairs]


# --- what is made ---


def test_an_ensemble_is_the_models_that_it_was_made_of(world: World, cautious: Artifact) -> None:
    manifest = cautious.manifest
    assert (manifest.kind, manifest.feedback) == (REWARD_MODEL, ("mock",))
    assert manifest.data == {
        "members": [member.id for member in world.members],
        "rule": "cautious",
        "caution": 0.5,
        "parameters": 3 * world.members[0].manifest.data["parameters"],
        "cost": 3,
        "normalized": {"by": "samples"},
        "sharpness": None,  # no softmax of such scores was learnt
        "learnt_from": [member.manifest.data["learnt_from"] for member in world.members],
    }
    for number, member in enumerate(world.members, 1):
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            own = cautious.path / "members" / str(number) / name
            assert own.read_bytes() == (member.path / name).read_bytes()
            assert own.stat().st_mode == (member.path / name).stat().st_mode


def test_it_scores_as_its_members_do(world: World, cautious: Artifact) -> None:
    given = texts(world)
    found = open_scorer(cautious.path)
    assert isinstance(found, Ensemble)
    apart = found.score_members(*given)
    for member, own in zip(world.members, apart.tolist(), strict=True):
        assert own == RewardModel.from_pretrained(member.path).score(*given)
    assert found.score(*given) == pytest.approx((apart.mean(0) - 0.5 * find_disagreement(apart)).tolist())


def test_each_member_is_proved_before_anything_is_published(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    proved: list[str] = []

    def refuse_second(folder: Path, *_: Any) -> None:
        proved.append(f"{folder.parent.name}/{folder.name}")
        if len(proved) == 2:
            raise DataError("other scores")

    monkeypatch.setattr(ensembling, "prove", refuse_second)
    before = {*world.store.ids()}
    with pytest.raises(DataError, match=r"other scores"):
        assemble(world, world.members[1], world.members[0])
    assert proved == ["members/1", "members/2"]
    assert {*world.store.ids()} == before


def test_the_mean_of_scores_has_about_the_mean_of_their_softmaxes(world: World) -> None:
    sharpness = [member.manifest.data["sharpness"] for member in world.members[:2]]
    assert len({*sharpness}) == 2
    found = assemble(world, *world.members[:2])
    assert found.manifest.data["sharpness"] == pytest.approx(sum(sharpness) / 2)


def test_people_are_told_what_it_costs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr("prefline.pipeline.jobs.Job.tell_people", lambda _, text: lines.append(text))
    assemble(world, *world.members[:2], rule="minimum")
    parameters = world.members[0].manifest.data["parameters"]
    assert lines[-1].startswith(f"ensemble: 2 members with {2 * parameters:,} parameters in all; a score costs as much")
    assert lines[0] == "ensemble: member 1: a fresh process has loaded it, and it gave the same scores"


# --- what does not go together ---


def test_what_is_no_ensemble_is_refused(world: World, cautious: Artifact) -> None:
    first, second, third = world.members
    with pytest.raises(ConfigError, match=r"the input 'model_2' is missing"):
        assemble(world, first)
    with pytest.raises(ConfigError, match=r"found model_4 without model_3: move it there"):
        put(world, {"model_1": first, "model_2": second, "model_4": third})
    with pytest.raises(
        ConfigError, match=r"model_3: expected another model than model_1, found the same, [0-9a-f]{12}"
    ):
        assemble(world, first, second, first)
    with pytest.raises(
        ConfigError, match=r"model_2: expected a single model, found an ensemble: give those .*\(.*, .*\)"
    ):
        assemble(world, first, cautious)
    with pytest.raises(ConfigError, match=r"found the kind comparisons"):
        assemble(world, first, world.comparisons)
    with pytest.raises(ConfigError, match=r"caution is for the rule 'cautious'"):
        assemble(world, first, second, caution=0.5)


def test_scores_must_be_on_one_scale(world: World) -> None:
    responses, plain = world.train(normalize="responses"), world.train(normalize="none")
    message = "model_2: expected scores that are normalised as those of model_1, by samples, found by responses: train"
    with pytest.raises(ConfigError, match=message):
        assemble(world, world.members[0], responses)
    with pytest.raises(ConfigError, match=r"by samples, found by none"):
        assemble(world, world.members[0], plain)
    with pytest.raises(
        ConfigError, match=r"model_1: expected scores on a scale that .*, found such as were not normalised"
    ):
        assemble(world, plain, world.train(normalize="none", seed=2))


def test_people_are_told_where_scores_are_normalised_of_other_texts(world: World, tmp_path: Path) -> None:
    other = save_language_model("gpt2", tmp_path / "lm")
    trained = train(world.store, world.comparisons, other, steps=2, samples=8)
    told: list[str] = []
    runtime = Runtime(device="cpu", tell=told.append)
    for second, expected in ((world.members[1], []), (trained, [OTHER_SAMPLES])):
        inputs = {"model_1": world.members[0], "model_2": second}
        made = make(world.store, ENSEMBLE, params={"caution": 1.0}, inputs=inputs, runtime=runtime, force=True).artifact
        assert (made.manifest.data["normalized"], told) == ({"by": "samples"}, expected)


def test_ratings_have_a_scale_of_their_own(world: World) -> None:
    rated = [world.train(normalize="none", loss="rating", seed=seed) for seed in (1, 2)]
    found = assemble(world, *rated)
    assert found.manifest.data["normalized"] == {"by": "ratings"}
    assert found.manifest.data["sharpness"] is None
    with pytest.raises(ConfigError, match=r"by samples, found by ratings"):
        assemble(world, world.members[0], rated[0])


@pytest.mark.parametrize(
    ("by", "loss", "scale"),
    [
        ("samples", "choice", "samples"),
        ("samples", "rating", "samples"),  # mean 0 and deviation 1 whatever was learnt
        ("references", "choice", "references"),
        ("references", "ranking", "references"),
        ("references", "rating", "references of the loss 'rating'"),  # whose spread is that of ratings
        ("references", "difference", "references of the loss 'difference'"),
        ("none", "choice", "none"),
        ("none", "difference", "none"),  # which fixes no mean
        ("none", "rating", "ratings"),
    ],
    ids=str,
)
def test_what_scale_scores_have_follows_from_how_they_were_learnt(by: str, loss: str, scale: str) -> None:
    data = {"normalized": {"by": by}, "learnt_from": {"loss": loss}}
    member: Any = SimpleNamespace(manifest=SimpleNamespace(data=data))
    assert ensembling._describe_scale(member) == scale
    # A model that was made before the manifest said it.
    recipe = SimpleNamespace(params={"loss": loss})
    older: Any = SimpleNamespace(manifest=SimpleNamespace(data={**data, "learnt_from": None}, recipe=recipe))
    assert ensembling._describe_scale(older) == scale


# --- an ensemble by its folder ---


def test_a_folder_is_known_by_all_the_bytes_of_its_members(cautious: Artifact, tmp_path: Path) -> None:
    copies = [copy(cautious, tmp_path / name) for name in ("one", "other")]
    assert SourceFolder.read_model(copies[0]).identity == SourceFolder.read_model(copies[1]).identity
    weights = copies[1] / "members" / "2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    assert SourceFolder.read_model(copies[0]).identity != SourceFolder.read_model(copies[1]).identity


def copy(artifact: Artifact, folder: Path) -> Path:
    for file in artifact.manifest.files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((artifact.path / file.path).read_bytes())
    return folder


def test_an_ensemble_is_not_trained_further(world: World, cautious: Artifact, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"it is an ensemble, .*: where one model is wanted, take a member, such as"):
        train(world.store, world.comparisons, copy(cautious, tmp_path / "copy"))
    assert train(world.store, world.comparisons, copy(cautious, tmp_path / "copy") / "members" / "1", steps=1)


# --- the verbs ---


class Said(NamedTuple):
    code: int
    rows: list[Any]
    err: str


def run(*words: str | Path) -> Said:
    """Run a verb as `main` does, in this process."""
    result = CliRunner().invoke(app, [*map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit | PreflineError):
        raise result.exception
    code, err = (1, str(result.exception)) if isinstance(result.exception, PreflineError) else (result.exit_code, "")
    return Said(code, [json.loads(line) for line in result.stdout.splitlines()], result.stderr + err)


def test_each_row_says_by_how_much_members_disagree(world: World, cautious: Artifact) -> None:
    said = run("score", cautious.id, world.comparisons.id, "--side", "held_out", "--store", world.store.root)
    assert said.code == 0
    scorer, (prompts, responses) = Ensemble.from_pretrained(cautious.path), texts(world)
    scores, apart = scorer.score(prompts, responses), find_disagreement(scorer.score_members(prompts, responses))
    assert [score for row in said.rows for score in row["scores"]] == pytest.approx(scores, abs=1e-5)
    assert [doubt for row in said.rows for doubt in row["disagreement"]] == pytest.approx(apart.tolist(), abs=1e-5)
    assert all(len(row["disagreement"]) == len(row["responses"]) for row in said.rows)
    assert list(said.rows[0])[-2:] == ["scores", "disagreement"]
    assert f"{len(scores)} responses of {len(said.rows)} items scored" in said.err
    alone = run("score", world.members[0].id, world.comparisons.id, "--store", world.store.root)
    assert not any("disagreement" in row for row in alone.rows)


@pytest.mark.parametrize("share", [0.2, 0.99])
def test_a_file_is_gone_on_with_to_the_same_bytes_and_by_the_same_ensemble_alone(
    world: World, cautious: Artifact, tmp_path: Path, share: float
) -> None:
    source, target = write(tmp_path / "rows.jsonl", compare(130, seed=2)), tmp_path / "scores.jsonl"
    words = ("score", cautious.path, source, "--output")
    assert run(*words, tmp_path / "whole.jsonl").code == 0
    expected = (tmp_path / "whole.jsonl").read_bytes()
    part = tmp_path / "scores.jsonl.part"
    part.write_bytes(expected[: int(share * len(expected))])
    said = run(*words, target)
    assert (said.code, "is gone on with" in said.err) == (0, True)
    assert target.read_bytes() == expected
    target.unlink()

    part.write_bytes(expected[: int(share * len(expected))])
    said = run("score", world.members[0].path, source, "--output", target)
    assert (said.code, "expected scores of this scorer, found those of another" in said.err) == (1, True)
    rows = [json.loads(line) for line in expected.splitlines()[:3]]
    write(part, ({**row, "disagreement": [9.0] * len(row["scores"])} for row in rows))
    part.write_bytes(part.read_bytes().replace(b", ", b",").replace(b": ", b":"))
    said = run(*words, target)
    assert (said.code, "found those of another" in said.err) == (1, True)


def test_a_signal_stops_it_after_rows_that_are_kept(
    cautious: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "rows.jsonl", compare(70, seed=2))
    monkeypatch.setattr(PROCESS, "requested", signal.SIGINT)
    assert run("score", cautious.path, source, "--output", tmp_path / "scores.jsonl").code == 130
    assert (tmp_path / "scores.jsonl.part").read_bytes().count(b"\n") == 64


def test_token_ids_are_held_against_the_tokenizer_of_each_member(
    world: World, cautious: Artifact, tmp_path: Path
) -> None:
    folder = copy(cautious, tmp_path / "copy")
    ids = write(tmp_path / "ids.jsonl", [{"prompt": [4, 5], "responses": [[6], [7]], "best": 0}] * 2)
    assert len(run("score", folder, ids).rows) == 2
    path = folder / "members" / "3" / "tokenizer.json"
    document = json.loads(path.read_bytes())
    words = document["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    path.write_text(json.dumps(document))
    said = run("score", folder, ids)
    assert said.code == 1
    assert "ids.jsonl, item 1: expected texts, as the members of the ensemble differ in their tokenizers" in said.err
    store = Store.create(tmp_path / "store")
    labels = ingest(store, ids, tokenizer=world.model / "tokenizer.json", max_rejected="1", held_out=0)
    said = run("score", folder, labels.id, "--store", tmp_path / "store")
    assert (said.code, "the comparisons are token ids of a tokenizer with" in said.err) == (1, True)


def test_an_ensemble_is_a_verb_with_a_row_of_models() -> None:
    command = build_command("ensemble")
    names = {name for param in command.params for name in param.opts}
    assert {"model_1", "model_2", "--model-3", "--model-8", "--rule", "--caution", "--name"} <= names
    assert not names & {"--seed", "--device", "--checkpoint-every", "--model-9"}
