"""A language model as an input: an artifact, a folder of somebody else's, the hub, or the one built in."""

import json
from pathlib import Path
from typing import Any

import pytest

from prefline.data import hub
from prefline.data.configuration import Config
from prefline.data.errors import ConfigError, DataError, UnknownArtifactError
from prefline.pipeline import Artifact, Job, Outcome, SourceFolder, Stage, Store, make
from prefline.pipeline.catalogue import STAGES, Listed
from prefline.pipeline.cli_catalogue import run_verb
from prefline.pipeline.pipeline_file import PipelineFile, json_schema
from prefline.pipeline.planning import Planner
from prefline.pipeline.provided import HubModel, read_source
from prefline.pipeline.running import Ended, run
from prefline.pipeline.stages import MODEL
from prefline.pipeline.wiring import wire


class Params(Config):
    """Settings of the stages below."""

    shout: bool = False


def build(job: Job) -> Outcome:
    """Make what stands for a model."""
    (job.folder / "config.json").write_text("{}")
    return Outcome({})


def look(job: Job) -> Outcome:
    """Say what files the model has."""
    names = sorted(path.name for path in job.path_of("model").iterdir())
    (job.folder / "seen.json").write_text(json.dumps(names))
    return Outcome({"files": [name.upper() for name in names] if job.params.shout else names})


BUILD = Stage("build", 1, Params, build, makes=MODEL)
LOOK = Stage("look", 1, Params, look, makes="look", takes={"model": MODEL}, seeded=lambda settings: settings.shout)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two stages in the catalogue."""
    for stage in (BUILD, LOOK):
        monkeypatch.setitem(STAGES, stage.name, Listed(f"{__name__}:{stage.name.upper()}", f"Test: {stage.name}."))
    monkeypatch.setattr(
        "prefline.pipeline.wiring.find_stage", {stage.name: stage for stage in (BUILD, LOOK)}.__getitem__
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a model, in which somebody has trained."""
    made = tmp_path / "gpt"
    made.mkdir()
    for name in ("config.json", "model.safetensors", "optimizer.pt", "pytorch_model.bin", ".cache"):
        (made / name).write_text(name)
    return made


def parts_of(folder: Path, store: Store | None, model: str, **entries: Any) -> list[Any]:
    stages = {**entries, "look": {"stage": "look", "inputs": {"model": model}}}
    return wire(PipelineFile.from_document({"schema": "prefline.pipeline/1", "stages": stages}), folder, store)


def test_of_a_folder_counts_what_a_model_is_made_of(folder: Path, store: Store) -> None:
    source = read_source(folder, MODEL)
    assert isinstance(source, SourceFolder)
    assert [file.path.name for file in source.files] == ["config.json", "model.safetensors"]
    first = make(store, LOOK, params={}, inputs={"model": source})
    (folder / "optimizer.pt").write_text("later")
    assert make(store, LOOK, params={}, inputs={"model": read_source(folder, MODEL)}).reused
    (folder / "model.safetensors").write_text("other")
    assert not make(store, LOOK, params={}, inputs={"model": read_source(folder, MODEL)}).reused
    assert first.artifact.manifest.recipe.inputs["model"].startswith("folder:sha256:")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_text("pickle")
    with pytest.raises(DataError, match="expected the folder of a model, found no file of it"):
        read_source(tmp_path, MODEL)


def test_an_artifact_and_a_folder_are_both_models_and_nothing_else_is(folder: Path, store: Store) -> None:
    built = make(store, BUILD, params={}, inputs={}).artifact
    seen = make(store, LOOK, params={}, inputs={"model": built}).artifact
    assert seen.manifest.data == {"files": ["config.json", "manifest.json"]}
    with pytest.raises(
        ConfigError, match=r"expected the folder of a model, hub:.* or an artifact of the kind model, found the kind"
    ):
        make(store, LOOK, params={}, inputs={"model": seen})
    with pytest.raises(ConfigError, match="found the kind file"):
        make(store, LOOK, params={}, inputs={"model": read_source(folder / "config.json")})


@pytest.mark.usefixtures("listed")
def test_a_pipeline_file_names_a_stage_before_a_folder_and_a_folder_before_an_artifact(
    folder: Path, store: Store
) -> None:
    build = {"stage": "build"}
    (decision,) = Planner(store).plan(parts_of(folder.parent, store, "gpt"))
    assert decision.recipe
    assert decision.recipe.inputs["model"].startswith("folder:")
    built = make(store, BUILD, params={}, inputs={}, name="gpt").artifact
    for model in ("model/gpt", built.id):
        (part,) = parts_of(folder.parent, store, model)
        found = part.sources["model"]
        assert isinstance(found, Artifact)
        assert found.id == built.id
    parts = parts_of(folder.parent, store, "gpt", gpt=build)
    assert parts[1].upstream == ["gpt"]
    assert [ended.part.name for ended in run(store, parts, {"gpt", "look"}) if isinstance(ended, Ended)] == [
        "gpt",
        "look",
    ]
    with pytest.raises(ConfigError, match=r"stages\.look\.inputs\.model: no stage of this file is called 'gtp'"):
        parts_of(folder.parent, store, "gtp", gpt=build)


def test_the_command_line_takes_a_folder_or_an_artifact(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    run_verb(LOOK, {"model": str(folder), "store": store.root})
    built = make(store, BUILD, params={}, inputs={}, name="mine").artifact
    run_verb(LOOK, {"model": "mine", "store": store.root})
    ids = capsys.readouterr().out.split()
    models = [store.get(made).manifest.recipe.inputs["model"] for made in ids]
    assert models == [read_source(folder, MODEL).identity, built.id]
    with pytest.raises(UnknownArtifactError, match=r"nowhere.*; and there is no folder of that name"):
        run_verb(LOOK, {"model": "nowhere", "store": store.root})


def test_whether_a_seed_is_wanted_may_depend_on_the_settings(folder: Path, store: Store) -> None:
    source = read_source(folder, MODEL)
    with pytest.raises(ConfigError, match="look needs a seed"):
        make(store, LOOK, params={"shout": True}, inputs={"model": source})
    with pytest.raises(ConfigError, match="look leaves nothing to chance with these settings and takes no seed"):
        make(store, LOOK, params={}, inputs={"model": source}, seed=1)
    made = make(store, LOOK, params={"shout": True}, inputs={"model": source}, seed=1).artifact
    assert made.manifest.recipe.seed == 1


@pytest.mark.usefixtures("listed")
def test_the_seed_of_a_file_goes_to_those_that_want_one(folder: Path) -> None:
    entry = {"stage": "look", "inputs": {"model": "gpt"}}
    document = {
        "schema": "prefline.pipeline/1",
        "seed": 7,
        "stages": {"quiet": entry, "loud": {**entry, "params": {"shout": True}}},
    }
    parts = wire(PipelineFile.from_document(document), folder.parent, None)
    assert {part.name: part.seed for part in parts} == {"quiet": None, "loud": 7}


def test_the_schema_says_what_a_model_may_be() -> None:
    rules = json_schema({"look": LOOK})["$defs"]["Entry"]["allOf"]
    inputs = rules[0]["then"]["properties"]["inputs"]["properties"]
    assert "the folder of a model, hub:organisation/name or builtin:tiny" in inputs["model"]["description"]
    assert "seed" not in rules[0]["then"]["properties"]  # it may be there or not


def test_a_model_of_the_hub_is_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(hub, "fetch_model", lambda *given: asked.append(given) or folder)
    source = HubModel.parse("hub:a/b?revision=v1").fetch()
    assert asked == [("a/b", "v1")]
    assert source.name == "hub:a/b"
    assert source.identity == read_source(folder, MODEL).identity  # wherever it comes from
    with pytest.raises(ConfigError, match="unknown key 'split': there are revision"):
        HubModel.parse("hub:a/b?split=train")


def test_without_a_network_a_model_of_the_hub_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"the model 'nobody/no' cannot be fetched: .*a folder of this") as caught:
        HubModel("nobody/no").fetch()
    assert "\n" not in str(caught.value)


def test_what_is_built_in_is_known_by_its_bytes(store: Store) -> None:
    from prefline.pipeline.provided import parse_place

    texts = "builtin:reviews?rows=20"
    first, second = (read_source(parse_place(texts, "file or folder")) for _ in range(2))
    assert first.identity == second.identity
    assert first.name == texts
    rows = [json.loads(line) for line in first.path.read_text().splitlines()]
    assert len(rows) == 20
    other = read_source(parse_place("builtin:reviews?rows=21", "file or folder"))
    assert other.identity != first.identity
    assert first.path.read_text().count("\n") == 20  # the other one has not taken its place
    with pytest.raises(ConfigError, match="reviews"):
        read_source(parse_place("builtin:revews", "file or folder"))
    model = read_source(parse_place("builtin:tiny", MODEL), MODEL)
    assert model.name == "builtin:tiny"
    with pytest.raises(ConfigError, match="tiny"):
        read_source(parse_place("builtin:tinny", MODEL), MODEL)
    assert parse_place("builtin:tiny", "file") == Path("builtin:tiny")  # where nothing is provided, it is a name
