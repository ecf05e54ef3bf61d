import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.configuration import Config
from prefline.data.errors import ConfigError
from prefline.pipeline.pipeline_file import Entry, PipelineFile, json_schema, load_pipeline
from prefline.pipeline.stages import FILE, Outcome, Stage

EXAMPLE = """\
schema: prefline.pipeline/1
seed: 1
stages:
  labels:
    stage: ingest
    inputs: {source: labels.jsonl}
    params: {feedback: human}
    name: my-labels
  reward:
    stage: train-reward
    seed: 2
    inputs: {comparisons: labels}
    params: {learning_rate: 1e-5, schedule: {warmup: no}, sizes: [1, 2]}
"""
SHORT = "schema: prefline.pipeline/1\nstages:\n  labels: {stage: ingest}\n"

Load = Callable[..., PipelineFile]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a text as the file pipe.yaml: load(EXAMPLE, "seed=3")."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(text: str, *overrides: str) -> PipelineFile:
        path = Path("pipe.yaml")
        path.write_text(text, encoding="utf-8")
        return load_pipeline(path, overrides)

    return write_and_load


def refusal(load: Load, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, *overrides)
    return str(caught.value)


def test_a_file_is_read_as_it_stands_and_in_its_order(load: Load) -> None:
    read = load(EXAMPLE)
    assert read == PipelineFile(
        seed=1,
        stages={
            "labels": Entry(
                stage="ingest", inputs={"source": "labels.jsonl"}, params={"feedback": "human"}, name="my-labels"
            ),
            "reward": Entry(
                stage="train-reward",
                inputs={"comparisons": "labels"},
                params={"learning_rate": 1e-5, "schedule": {"warmup": "no"}, "sizes": [1, 2]},
                seed=2,
            ),
        },
    )
    assert list(read.stages) == ["labels", "reward"]


def test_what_is_left_out_is_empty(load: Load) -> None:
    assert load(SHORT) == PipelineFile(seed=None, stages={"labels": Entry(stage="ingest")})
    assert load(SHORT).stages["labels"].model_dump() == {
        "stage": "ingest", "inputs": {}, "params": {}, "seed": None, "name": None
    }  # fmt: skip


def test_the_order_of_stages_is_that_of_the_file(load: Load) -> None:
    names = ["z", "a", "m", "B", "a1"]
    text = "schema: prefline.pipeline/1\nstages:\n" + "".join(f"  {name}: {{stage: x}}\n" for name in names)
    assert list(load(text).stages) == names


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("", "stages: expected a map, found nothing"),
        ("[a]", "stages: expected a map, found ['a']"),
        ("{}", "stages: expected at least one stage, found none"),
        ("{a: }", "stages.a: expected a map, found nothing"),
        ("{a: ingest}", "stages.a: expected a map, found 'ingest'"),
        ("{a: {}}", "'stages.a.stage' is missing"),
        ("{a: {stage: 1}}", "stages.a.stage: Input should be a valid string, found 1"),
        ("{a: {stage: x, param: {}}}", "unknown key 'stages.a.param' (did you mean 'params'?)"),
        ("{a: {stage: x, params: }}", "stages.a.params: expected a map, found nothing"),
        ("{a: {stage: x, params: [b]}}", "stages.a.params: expected a map, found ['b']"),
        ("{a: {stage: x, inputs: b}}", "stages.a.inputs: expected a map, found 'b'"),
        ("{a: {stage: x, inputs: {b: 1}}}", "stages.a.inputs.b: Input should be a valid string, found 1"),
        ("{a: {stage: x, seed: true}}", "stages.a.seed: Input should be a valid integer, found True"),
        ("{a: {stage: x, seed: '1'}}", "stages.a.seed: Input should be a valid integer, found '1'"),
        ("{a: {stage: x, seed: 1.0}}", "stages.a.seed: Input should be a valid integer, found 1.0"),
        ("{a: {stage: x, seed: -1}}", "stages.a.seed: Input should be greater than or equal to 0, found -1"),
        (
            "{a: {stage: x, seed: 9007199254740992}}",
            "stages.a.seed: Input should be less than 9007199254740992, found 9007199254740992",
        ),
        (
            "{a: {stage: x, name: deadbeef}}",
            "stages.a.name: 'deadbeef' cannot be a name: it could be taken for the beginning of an id",
        ),
        (
            "{a: {stage: x, name: my labels}}",
            "stages.a.name: 'my labels' cannot be a name: expected letters, digits, '.', '_' and '-', "
            "the first a letter or a digit, 100 characters at most",
        ),
        *(
            (
                f"{{{name!r}: {{stage: x}}}}",
                f"stages: {shown!r} cannot be the name of a stage: expected letters, digits, '_' and '-', "
                "the first a letter, 50 characters at most",
            )
            for name, shown in {
                "": "",
                "1a": "1a",
                "a.b": "a.b",
                "a b": "a b",
                "ä": "ä",
                "_a": "_a",
                "a" * 51: "a" * 51,
                "a" * 90: "a" * 57 + "...",
            }.items()
        ),
        (
            '{"a\\e[2J\\n": {stage: x}}',
            "stages: 'a\\x1b[2J\\n' cannot be the name of a stage: expected letters, digits, '_' and '-', "
            "the first a letter, 50 characters at most",
        ),
        (
            '{a: {stage: x, inputs: {"\\e[2J\\n": 1}}}',
            "stages.a.inputs.\\u001b[2J\\u000a: Input should be a valid string, found 1",
        ),
    ],
)
def test_wrong_stages_are_refused_with_their_place(load: Load, stages: str, message: str) -> None:
    assert refusal(load, f"schema: prefline.pipeline/1\nstages: {stages}\n") == f"pipe.yaml: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file, with the keys 'schema: prefline.pipeline/1' and 'stages': expected a map, found nothing"),
        ("- a", "the file, with the keys 'schema: prefline.pipeline/1' and 'stages': expected a map, found ['a']"),
        ("stages: {}", "'schema' is missing: begin the file with the line 'schema: prefline.pipeline/1'"),
        (
            "schema: prefline.pipeline/2\nsteps: {}",
            "schema: expected prefline.pipeline/1, found 'prefline.pipeline/2': "
            "this prefline reads prefline.pipeline/1: upgrade prefline",
        ),
        ("schema: prefline.pipeline/0", "schema: expected prefline.pipeline/1, found 'prefline.pipeline/0'"),
        ("schema: prefline.manifest/1", "schema: expected prefline.pipeline/1, found 'prefline.manifest/1'"),
        ("schema: 1", "schema: expected prefline.pipeline/1, found 1"),
        ("schema: ", "schema: expected prefline.pipeline/1, found None"),
        ("schema: prefline.pipeline/1", "'stages' is missing"),
        (
            "schema: prefline.pipeline/1\nstage: {}",
            "'stages' is missing; unknown key 'stage' (did you mean 'stages'?)",
        ),
        (f"{SHORT}sed: 1", "unknown key 'sed' (did you mean 'seed'?)"),
        (f"{SHORT}seed: no", "seed: Input should be a valid integer, found 'no'"),
        (f"{SHORT}seed: [", "line 4, column 8: expected a value, found the end"),
        (f"{SHORT}seed: 1\nseed: 2", "line 5, column 1: expected each key of a map once, found 'seed' again"),
        (f"{SHORT}{' ' * 262_144}", "expected at most 262,144 bytes of YAML, found more"),
    ],
    ids=lambda text: repr(text)[:40],
)
def test_what_is_no_pipeline_is_refused(load: Load, text: str, message: str) -> None:
    assert refusal(load, text) == f"pipe.yaml: {message}"


def test_a_message_stays_one_that_is_read_however_much_is_wrong(load: Load) -> None:
    text = "schema: prefline.pipeline/1\nstages: {a: {stage: x}}\n" + "".join(f"key{i}: 1\n" for i in range(9_000))
    assert len(refusal(load, text)) < 650


@pytest.mark.parametrize("name", ["a", "A-b_9", "a" * 50])
def test_a_stage_has_a_name_that_dots_can_divide(load: Load, name: str) -> None:
    assert list(load(SHORT.replace("labels", name)).stages) == [name]


@pytest.mark.parametrize("seed", [0, 2**53 - 1])
def test_the_least_and_the_greatest_seed_are_read(load: Load, seed: int) -> None:
    assert load(f"{SHORT}seed: {seed}").seed == seed


def test_what_cannot_be_read_is_refused_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")
    expected = {
        "missing": "expected a pipeline file, found nothing of that name",
        "folder": "expected a pipeline file, found a folder",
        "pipe": "expected a pipeline file, found a pipe or a device: save it to a file first",
        "file/x": "cannot be read: Not a directory",
        "loop": "cannot be read: Too many levels of symbolic links",
        "x" * 300: "cannot be read: File name too long",
    }
    found = {}
    for name in expected:
        with pytest.raises(ConfigError) as caught:
            load_pipeline(Path(name))
        found[name] = str(caught.value).removeprefix(f"{name}: ")
    assert found == expected


def test_a_file_of_someone_else_is_refused_by_its_path(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    Path("pipe.yaml").touch()
    with pytest.raises(ConfigError, match=r"^pipe\.yaml: cannot be read: Permission denied$"):
        load_pipeline(Path("pipe.yaml"))


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe.yaml"
    with path.open("wb") as stream:
        stream.truncate(2**33)  # a hole, which takes no room on the disk and would in memory
    with pytest.raises(ConfigError, match="expected at most 262,144 bytes of YAML, found more"):
        load_pipeline(path)


@pytest.mark.parametrize(
    ("override", "place", "value"),
    [
        ("seed=3", ("seed",), 3),
        ("seed=", ("seed",), None),
        ("stages.reward.seed=3", ("stages", "reward", "seed"), 3),
        ("stages.reward.stage=train", ("stages", "reward", "stage"), "train"),
        ("stages.labels.name=other", ("stages", "labels", "name"), "other"),
        ("stages.reward.name=new", ("stages", "reward", "name"), "new"),
        ("stages.labels.seed=0", ("stages", "labels", "seed"), 0),
        ("stages.reward.params.learning_rate=2e-5", ("stages", "reward", "params", "learning_rate"), 2e-5),
        ("stages.reward.params.new=a=b", ("stages", "reward", "params", "new"), "a=b"),
        ("stages.reward.params.new=", ("stages", "reward", "params", "new"), None),
        ("stages.reward.params.sizes=[3, {a: b}]", ("stages", "reward", "params", "sizes"), [3, {"a": "b"}]),
        ("stages.reward.params.schedule.warmup=5", ("stages", "reward", "params", "schedule", "warmup"), 5),
        ("stages.reward.params.schedule.other=5", ("stages", "reward", "params", "schedule", "other"), 5),
        ("stages.reward.params.other.inner=5", ("stages", "reward", "params", "other"), {"inner": 5}),
        ("stages.reward.params={}", ("stages", "reward", "params"), {}),
        ("stages.reward.inputs.comparisons=sha256:ab", ("stages", "reward", "inputs", "comparisons"), "sha256:ab"),
        ("stages.reward.inputs.extra=x", ("stages", "reward", "inputs", "extra"), "x"),
    ],
)
def test_an_override_sets_one_value_and_no_other(load: Load, override: str, place: tuple[str, ...], value: Any) -> None:
    expected = load(EXAMPLE).model_dump()
    inner = expected
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert load(EXAMPLE, override).model_dump() == expected


def test_an_override_begins_the_map_that_was_left_out(load: Load) -> None:
    read = load(SHORT, "stages.labels.params.feedback=human", "stages.labels.inputs.source=a.jsonl")
    assert read.stages["labels"] == Entry(stage="ingest", inputs={"source": "a.jsonl"}, params={"feedback": "human"})
    assert load(SHORT).stages["labels"] == Entry(stage="ingest")


def test_of_two_overrides_the_last_one_counts(load: Load) -> None:
    assert load(EXAMPLE, "seed=3", "seed=4").seed == 4
    assert load(EXAMPLE, "stages.labels={stage: x}", "stages.labels.params.a=1").stages["labels"] == Entry(
        stage="x", params={"a": 1}
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "expected KEY=VALUE, such as seed=1 or stages.NAME.params.KEY=VALUE, found no '='"),
        ("", "expected KEY=VALUE, such as seed=1 or stages.NAME.params.KEY=VALUE, found no '='"),
        ("=1", "expected KEY=VALUE, such as seed=1 or stages.NAME.params.KEY=VALUE, found an empty key"),
        ("stages..seed=1", "expected KEY=VALUE, such as seed=1 or stages.NAME.params.KEY=VALUE, found an empty key"),
        ("sed=1", "a pipeline file has no key 'sed' (did you mean 'seed'?)"),
        ("stage.labels.seed=1", "a pipeline file has no key 'stage' (did you mean 'stages'?)"),
        ("stages.reword.seed=1", "stages has no key 'reword' (did you mean 'reward'?)"),
        ("stages.new={stage: x}", "stages has no key 'new'"),
        ("stages.reward.sed=1", "stages.reward has no key 'sed' (did you mean 'seed'?)"),
        ("stages.reward.param.epochs=1", "stages.reward has no key 'param' (did you mean 'params'?)"),
        ("seed.x=1", "seed: expected a map, found 1"),
        ("stages.labels.seed.x=1", "stages.labels.seed has no key 'x'"),
        ("stages.reward.params.sizes.0=1", "stages.reward.params.sizes: expected a map, found [1, 2]"),
        ("stages.reward.params.learning_rate.x=1", "stages.reward.params.learning_rate: expected a map, found 1e-05"),
        ("stages.reward.inputs.comparisons.x=1", "stages.reward.inputs.comparisons: expected a map, found 'labels'"),
        ("stages.reward.inputs.other.x=1", "stages.reward.inputs.other has no key 'x'"),
        ("seed=[1", "line 1, column 1: expected ',' or ']', found the end"),
        ("seed=*", "line 1, column 2: expected a value, found what YAML takes for an alias (*), an anchor (&) or a "
                   "directive (%): put the text in quotes"),
        ("stages.labels.params." + "a." * 40 + "a=1", "expected at most 40 keys, found 44"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_refused_by_its_text(load: Load, override: str, message: str) -> None:
    shown = override if len(override) <= 60 else override[:57] + "..."
    assert refusal(load, EXAMPLE, override) == f"--set {shown}: {message}"


def test_an_override_is_held_to_what_the_file_is_held_to(load: Load) -> None:
    assert refusal(load, EXAMPLE, "seed=true") == "pipe.yaml: seed: Input should be a valid integer, found True"
    assert refusal(load, EXAMPLE, "schema=x") == "pipe.yaml: schema: expected prefline.pipeline/1, found 'x'"
    assert refusal(load, EXAMPLE, "stages=") == "pipe.yaml: stages: expected a map, found nothing"
    assert refusal(load, "- a", "seed=1") == "--set seed=1: the file: expected a map, found ['a']"


def test_what_an_override_holds_is_shown_and_not_obeyed(load: Load) -> None:
    shown = refusal(load, EXAMPLE, "s\x1b[2J\ned=\udcff")
    assert shown == "--set s\\u001b[2J\\u000aed=\\udcff: a pipeline file has no key 's\\x1b[2J\\ned'"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0, 1) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
PLACES = [
    "seed",
    "stages.a",
    "stages.a.stage",
    "stages.a.inputs",
    "stages.a.inputs.x",
    "stages.a.params",
    "stages.a.params.p",
    "stages.a.params.p.q",
    "stages.a.params.new",
    "stages.a.seed",
    "stages.a.name",
]


def outcome(path: Path, *overrides: str) -> PipelineFile | str:
    try:
        return load_pipeline(path, overrides)
    except ConfigError as error:
        return str(error)


@given(place=st.sampled_from(PLACES), value=VALUES)
def test_an_override_equals_an_edit_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, place: str, value: Any
) -> None:
    entry = {"stage": "ingest", "inputs": {"x": "y"}, "params": {"p": {"q": 1}}, "seed": 1, "name": "me"}
    document: dict[str, Any] = {"schema": "prefline.pipeline/1", "seed": 1, "stages": {"a": entry}}
    path = tmp_path_factory.getbasetemp() / "pipe.yaml"
    path.write_text(json.dumps(document))
    overridden = outcome(path, f"{place}={json.dumps(value)}")
    *keys, last = place.split(".")
    inner = document
    for key in keys:
        inner = inner[key]
    inner[last] = value
    path.write_text(json.dumps(document))
    assert overridden == outcome(path)


class Schedule(Config):
    warmup: int = 0


class RewardParams(Config):
    learning_rate: float
    schedule: Schedule = Schedule()


class OtherSchedule(Config):
    __qualname__ = "Schedule"
    steps: int = 0


OtherSchedule.__name__ = "Schedule"


class SourceParams(Config):
    feedback: str = "human"
    schedule: OtherSchedule = OtherSchedule()


class NoParams(Config):
    pass


def run(_: Any) -> Outcome:
    return Outcome({})


COMPARISONS = {"comparisons": "comparisons"}
STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            "train-reward",
            1,
            RewardParams,
            run,
            makes="reward-model",
            takes={"comparisons": "comparisons"},
            seeded=True,
        ),
        Stage("ingest", 1, SourceParams, run, makes="comparisons", takes={"source": FILE}),
        Stage("report", 1, NoParams, run, makes="report"),
    )
}


def rule_of(schema: dict[str, Any], stage: str) -> dict[str, Any]:
    rules = schema["$defs"]["Entry"]["allOf"]
    (then,) = [
        rule["then"]
        for rule in rules
        if rule["if"] == {"properties": {"stage": {"const": stage}}, "required": ["stage"]}
    ]
    return then


def test_the_schema_describes_the_file_as_the_models_check_it() -> None:
    schema = json_schema(STAGES)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["properties"]["schema"]["const"] == "prefline.pipeline/1"
    assert schema["required"] == ["schema", "stages"]
    assert list(schema["properties"]) == ["schema", "seed", "stages"]
    assert schema["properties"]["stages"]["minProperties"] == 1
    assert schema["properties"]["stages"]["propertyNames"] == {"pattern": "^[A-Za-z][A-Za-z0-9_-]{0,49}$"}
    assert schema["properties"]["stages"]["additionalProperties"] == {"$ref": "#/$defs/Entry"}
    entry = schema["$defs"]["Entry"]
    assert entry["required"] == ["stage"]
    assert entry["properties"]["stage"]["enum"] == ["ingest", "report", "train-reward"]
    assert schema["additionalProperties"] is entry["additionalProperties"] is False
    assert list(entry["properties"]) == list(Entry.model_fields)
    described = [*schema["properties"].values(), *entry["properties"].values()]
    assert all(part["description"] for part in described)
    integer = {"type": "integer", "minimum": 0, "exclusiveMaximum": 2**53}
    for seed in (schema["properties"]["seed"], entry["properties"]["seed"]):
        assert seed["anyOf"] == [integer, {"type": "null"}]


def test_the_schema_knows_the_inputs_of_each_stage() -> None:
    schema = json_schema(STAGES)
    artifact = "a stage of this file, or an artifact (id or name) of the kind comparisons"
    assert rule_of(schema, "train-reward")["properties"]["inputs"] == {
        "type": "object",
        "description": "what the stage reads, by role",
        "properties": {"comparisons": {"type": "string", "description": artifact}},
        "required": ["comparisons"],
        "additionalProperties": False,
    }
    source = {"source": {"type": "string", "description": "a file"}}
    assert rule_of(schema, "ingest")["properties"]["inputs"]["properties"] == source
    assert rule_of(schema, "report")["properties"]["inputs"]["properties"] == {}


def test_the_schema_knows_the_params_of_each_stage() -> None:
    schema = json_schema(STAGES)
    params = rule_of(schema, "train-reward")["properties"]["params"]
    assert params["required"] == ["learning_rate"]
    assert params["additionalProperties"] is False
    assert params["properties"]["learning_rate"]["type"] == "number"
    assert rule_of(schema, "ingest")["properties"]["params"]["properties"]["feedback"]["default"] == "human"


def test_only_what_may_be_empty_may_be_left_out() -> None:
    schema = json_schema(STAGES)
    assert rule_of(schema, "train-reward")["required"] == ["inputs", "params"]
    assert rule_of(schema, "ingest")["required"] == ["inputs"]
    assert rule_of(schema, "report")["required"] == []


def test_only_stages_that_leave_something_to_chance_have_a_seed() -> None:
    schema = json_schema(STAGES)
    assert "seed" not in rule_of(schema, "train-reward")["properties"]
    assert rule_of(schema, "ingest")["properties"]["seed"] == {
        "type": "null",
        "description": "ingest leaves nothing to chance and takes no seed",
    }


def test_every_reference_of_the_schema_leads_to_what_its_own_stage_means() -> None:
    schema = json_schema(STAGES)

    def references(part: Any) -> list[str]:
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        own = [part["$ref"]] if isinstance(part, dict) and "$ref" in part else []
        return own + [found for item in inner for found in references(item)]

    definitions = schema["$defs"]
    assert {reference.removeprefix("#/$defs/") for reference in references(schema)} == set(definitions)
    assert list(definitions["ingest.Schedule"]["properties"]) == ["steps"]
    assert list(definitions["train-reward.Schedule"]["properties"]) == ["warmup"]
    json.dumps(schema)
