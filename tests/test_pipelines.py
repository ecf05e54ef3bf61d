"""Pipeline files as people use them: verbs, messages, codes and JSON."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import Said, run_command

Run = Callable[..., subprocess.CompletedProcess[str]]
Toy = Callable[..., Said]

FILE = """
schema: prefline.pipeline/1
seed: 3
stages:
  numbers: {stage: toy-numbers, inputs: {source: numbers.txt}}
  walk: {stage: toy-walk, params: {steps: 5}, name: mine}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "numbers.txt").write_text("1\n2\n")
    path = tmp_path / "walk.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture
def command(tmp_path: Path) -> Toy:
    """Run the command line, with the toy stages and a store of its own."""

    def run(*words: str | Path, **given: Any) -> Said:
        return run_command([*words, "--store", tmp_path / "store"], tmp_path / "streams", **given)

    return run


def ids_of(said: Said) -> list[str]:
    assert said.code == 0, said.err
    return said.out.split()


def test_a_run_prints_an_id_for_each_stage_and_a_second_one_the_same(command: Toy, file: Path) -> None:
    planned = command("plan", file)
    assert planned.out.splitlines() == [
        "STAGE    RUNS         MAKES        ACTION  WHY",
        "numbers  toy-numbers  toy-numbers  make    there is no store yet",
        "walk     toy-walk     toy-place    make    there is no store yet",
    ]
    assert planned.err == f"2 stages: 2 to make, 0 to reuse\nthere is no store at {file.parent / 'store'} yet\n"
    assert not (file.parent / "store").exists()
    first = command("run", file)
    made = ids_of(first)
    assert [len(made_id) for made_id in made] == [71, 71]
    assert "walk: making it (never made)\n" in first.err
    assert f"walk: made {made[1][7:19]} in " in first.err
    second = command("run", file)
    assert ids_of(second) == made
    assert second.err == f"numbers: reused {made[0][7:19]}\nwalk: reused {made[1][7:19]}\n"
    assert command("plan", file).err == "2 stages: 0 to make, 2 to reuse\n"
    assert ids_of(command("run", file, "--only", "walk")) == made[1:]


def test_a_changed_setting_is_told_by_plan_run_and_why(command: Toy, file: Path) -> None:
    (_, walk) = ids_of(command("run", file))
    change = ("--set", "stages.walk.params.steps=6")
    told = "walk     toy-walk     toy-place    make    params.steps changed 5 -> 6"
    assert command("plan", file, *change).out.splitlines()[2] == told
    assert command("run", file, *change, "--dry-run").out.splitlines()[2] == told
    assert command("why", file, "walk", *change).out.splitlines() == [
        "walk: make (params.steps changed 5 -> 6)",
        f"  {walk[7:19]} and the new one: other recipe",
        "    recipe:",
        "      params.steps: 5 -> 6",
    ]
    (found,) = json.loads(command("why", file, "walk", *change, "--json").out)
    assert (found["action"], found["nearest"]) == ("make", walk)
    assert found["explanation"]["recipe"] == [{"field": "params.steps", "first": 5, "second": 6, "only_in": None}]
    moved = command("run", file, *change)
    assert moved.err.endswith(
        f"toy-place/mine was {walk} before; `prefline name {walk[7:19]} NAME` keeps that from gc\n"
    )
    assert command("why", file, "walk").out == f"walk: reuse ({walk[7:19]})\n"


def test_why_goes_back_through_what_a_stage_waits_for_and_through_its_inputs(command: Toy, tmp_path: Path) -> None:
    (tmp_path / "numbers.txt").write_text("1\n2\n")
    path = tmp_path / "train.yaml"
    path.write_text(
        "schema: prefline.pipeline/1\nseed: 1\nstages:\n"
        "  numbers: {stage: toy-numbers, inputs: {source: numbers.txt}}\n"
        "  train: {stage: toy-train, inputs: {numbers: numbers}, params: {epochs: 1}}\n"
    )
    numbers, train = ids_of(command("run", path))
    change = ("--set", "stages.numbers.params.scale=0.5")
    assert command("why", path, "train", *change).out.splitlines() == [
        "numbers: make (params.scale changed 1.0 -> 0.5)",
        f"  {numbers[7:19]} and the new one: other recipe",
        "    recipe:",
        "      params.scale: 1.0 -> 0.5",
        "train: make (waits for numbers)",
    ]
    (other,) = ids_of(command("run", path, *change, "--only", "numbers"))
    assert command("why", path, "train", *change).out.splitlines() == [
        f"train: make (inputs.numbers changed {numbers[7:19]} -> {other[7:19]})",
        f"  {train[7:19]} and the new one: other recipe",
        "    recipe:",
        f"      inputs.numbers: {numbers} -> {other}",
        "    the input numbers:",
        f"      {numbers[7:19]} and {other[7:19]}: other recipe",
        "        recipe:",
        "          params.scale: 1.0 -> 0.5",
    ]


def test_a_plan_is_json_for_programs(command: Toy, file: Path) -> None:
    numbers, _ = ids_of(command("run", file))
    found = json.loads(command("plan", file, "--json", "--set", "seed=4").out)
    assert [(part["name"], part["action"], part["id"], part["why"]) for part in found] == [
        ("numbers", "reuse", numbers, None),
        ("walk", "make", None, "seed changed 3 -> 4"),
    ]
    assert all(part["key"].startswith("sha256:") for part in found)


def test_forced_means_made_anew_and_gives_the_same_bytes(command: Toy, file: Path) -> None:
    made = ids_of(command("run", file))
    assert "walk     toy-walk     toy-place    make    forced" in command("plan", file, "--force").out
    forced = command("run", file, "--force", "--only", "walk")
    assert ids_of(forced) == made[1:]
    assert "walk: making it (forced)" in forced.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "wlak"], "no stage of this file is called 'wlak' (did you mean 'walk'?)"),
        (["--from", "wlak"], "no stage of this file is called 'wlak' (did you mean 'walk'?)"),
        (["--set", "stages.walk.params.stps=1"], "stages.walk.params: unknown key 'stps' (did you mean 'steps'?)"),
        (
            ["--set", "stages.wlk.params.steps=1"],
            "--set stages.wlk.params.steps=1: stages has no key 'wlk' (did you mean",
        ),
        (
            ["--set", "stages.numbers.inputs.source=no.txt"],
            "stages.numbers.inputs.source: expected a file, found nothing",
        ),
        (["--set", "schema=prefline.pipeline/9"], "this prefline reads prefline.pipeline/1: upgrade prefline"),
        (["--track", "tensorbord"], "unknown tracker 'tensorbord' (did you mean 'tensorboard'?)"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(command: Toy, file: Path, words: list[str], message: str) -> None:
    refused = command("run", file, *words)
    assert (refused.code, refused.out) == (1, "")
    assert message in refused.err
    assert refused.err.count("\n") == 1
    assert not list((file.parent / "store").glob("objects/*/*"))


@pytest.mark.parametrize("interval", ["0", "10", "-1", "1.5h", "soon", "0m"])
def test_an_interval_is_a_time_or_a_number_of_steps(command: Toy, file: Path, interval: str) -> None:
    said = command("run", file, "--checkpoint-every", interval)
    if interval == "10":
        assert said.code == 0
    else:
        assert said.code == 2
        assert "expected a time (90s, 10m, 1h) or a number of steps" in said.err


def test_set_goes_with_a_pipeline_file(command: Toy, file: Path) -> None:
    ids_of(command("run", file))
    refused = command("why", "mine", "mine", "--set", "seed=1")
    assert (refused.code, "goes with a pipeline file" in refused.err) == (2, True)


def test_files_are_looked_for_from_the_folder_of_the_pipeline_file(prefline: Run, tmp_path: Path, labels: Path) -> None:
    folder = tmp_path / "of pipelines"
    folder.mkdir()
    (folder / "labels.jsonl").write_bytes(labels.read_bytes())
    path = folder / "p.yaml"
    path.write_text("schema: prefline.pipeline/1\nstages: {a: {stage: ingest, inputs: {source: labels.jsonl}}}\n")
    assert prefline("run", path, cwd=tmp_path).stdout == prefline("ingest", labels, cwd=tmp_path).stdout


def test_the_verb_of_a_stage_makes_what_a_pipeline_file_makes(command: Toy, file: Path) -> None:
    numbers, walk = ids_of(command("run", file))
    assert ids_of(command("toy-numbers", file.parent / "numbers.txt")) == [numbers]
    assert ids_of(command("toy-walk", "--steps", "5", "--seed", "3", "--name", "again")) == [walk]
    trained = command("toy-train", numbers[7:15], "--seed", "1", "--epochs", "1", "--learning-rate", "1e-3")
    assert ids_of(trained)
    assert trained.err.endswith(" s\n")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["toy-walk"], 1, "toy-walk needs a seed"),
        (["toy-walk", "--seed", "1", "--steps", "many"], 1, "steps: Input should be a valid integer"),
        (["toy-walk", "--seed", "1", "--stps", "1"], 2, "--stps"),
        (["toy-train", "nothing", "--seed", "1"], 1, "has the id or the name 'nothing'"),
        (["toy-train"], 2, "NUMBERS"),
        (["toy-numbers", "no.txt"], 1, "no.txt: cannot be read"),
    ],
)
def test_a_mistake_with_the_verb_of_a_stage_is_a_clear_line(
    command: Toy, words: list[str], code: int, message: str
) -> None:
    refused = command(*words)
    assert (refused.code, refused.out) == (code, "")
    assert message in refused.err
    assert "Traceback" not in refused.err


def test_the_verb_of_a_stage_has_an_option_for_each_setting_and_says_its_default(tmp_path: Path) -> None:
    said = run_command(["toy-walk", "--help"], tmp_path)
    assert said.code == 0
    assert "--steps VALUE" in said.out
    assert "[default: 10]" in said.out
    assert "--seed SEED" in said.out
    assert "--seed" not in run_command(["toy-numbers", "--help"], tmp_path).out
    listed = run_command(["--help"], tmp_path).out
    assert listed.index("ingest") < listed.index("toy-walk  ") < listed.index("\n  plan ")


def test_the_schema_is_json_and_knows_the_settings_of_each_stage(prefline: Run) -> None:
    schema = json.loads(prefline("schema").stdout)
    rules = {rule["if"]["properties"]["stage"]["const"]: rule["then"] for rule in schema["$defs"]["Entry"]["allOf"]}
    assert rules["ingest"]["properties"]["params"]["properties"]["feedback"]["default"] == "human"


def test_a_plan_imports_no_torch(prefline: Run, tmp_path: Path, labels: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("schema: prefline.pipeline/1\nstages: {a: {stage: ingest, inputs: {source: labels.jsonl}}}\n")
    prefline("run", path)
    code = (
        "import sys; from prefline.pipeline.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    for words in (["plan", path], ["run", path], ["why", path, "a"], ["schema"], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout.endswith("[]\n"), words


def test_show_tells_where_the_numbers_of_a_run_are(command: Toy, file: Path) -> None:
    ids_of(command("run", file))
    shown = command("show", "mine").out
    log = Path(shown.split("  log       ")[1].strip())
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [1, 2, 3, 4, 5]
