"""What lies outside the store: known by its bytes, wherever it is named, and refused once it changes."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy

from prefline.data import hub
from prefline.data.errors import ConfigError, DataError, UnknownArtifactError
from prefline.pipeline import INGEST, Artifact, Job, Outcome, Stage, Store
from prefline.pipeline.cli_catalogue import build_command
from prefline.pipeline.pipeline_file import PipelineFile, json_schema
from prefline.pipeline.planning import Planner
from prefline.pipeline.provided import HubDataset, read_source
from prefline.pipeline.running import Ended, run
from prefline.pipeline.sources import SourceFile, SourceFolder
from prefline.pipeline.wiring import Part, wire

ROW = {"prompt": "p", "responses": ["a", "b"], "best": 0}


def write(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# --- files and folders ---


def test_a_folder_is_known_by_the_names_and_bytes_of_what_is_right_in_it(tmp_path: Path) -> None:
    for name, content in (("b", "2"), ("a", "1"), (".hidden", "3"), ("inner/c", "4")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    one, two = (hashlib.sha256(content).hexdigest() for content in (b"1", b"2"))
    listing = f"{one}  a\n{two}  b\n"  # as `sha256sum *` prints it
    assert SourceFolder.read(tmp_path).identity == f"folder:sha256:{hashlib.sha256(listing.encode()).hexdigest()}"


def test_two_folders_cannot_have_one_listing(tmp_path: Path) -> None:
    (tmp_path / "a\nb").write_text("1")
    with pytest.raises(DataError, match=r"expected names without line ends, found 'a\\nb': rename that file"):
        SourceFolder.read(tmp_path)


def test_what_is_not_there_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "labels.jsonl", ROW)
    with pytest.raises(
        DataError, match=r"lables\.jsonl: cannot be read: No such .* \(did you mean 'labels\.jsonl'\?\)"
    ):
        read_source(tmp_path / "lables.jsonl")
    (tmp_path / "inner").mkdir()
    with pytest.raises(DataError, match="inner: expected a folder with files in it, found none"):
        read_source(tmp_path / "inner")


def test_a_file_that_changed_is_refused_and_one_that_was_only_touched_is_not(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", ROW)
    source = SourceFile.read(path)
    os.utime(path, ns=(0, 0))
    source.check_untouched()  # another time, but the same bytes
    source.check_unchanged()
    path.write_bytes(path.read_bytes().swapcase())
    for check in (source.check_untouched, source.check_unchanged):
        with pytest.raises(DataError, match="changed while it was read: run again when nobody writes there"):
            check()
    path.unlink()
    for check in (source.check_untouched, source.check_unchanged):
        with pytest.raises(DataError, match="cannot be read"):
            check()


def test_bytes_that_changed_behind_the_same_size_and_time_are_found_at_the_end(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", ROW)
    source = SourceFile.read(path)
    status = path.stat()
    path.write_bytes(path.read_bytes().swapcase())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    source.check_untouched()
    with pytest.raises(DataError, match="changed while it was read"):
        source.check_unchanged()


def test_a_folder_that_changed_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", ROW)
    source = SourceFolder.read(tmp_path)
    source.check_unchanged()
    write(tmp_path / "b.jsonl", ROW)
    with pytest.raises(DataError, match=r"files were added while it was read \(b\.jsonl\): run again"):
        source.check_unchanged()
    (tmp_path / "b.jsonl").rename(tmp_path / "a.jsonl")
    source.check_unchanged()  # the same bytes
    write(tmp_path / "a.jsonl", ROW, ROW)
    with pytest.raises(DataError, match=r"a\.jsonl: changed while it was read"):
        source.check_untouched()


# --- data sets of the hub ---


def test_names_on_the_hub_are_checked_before_anybody_asks() -> None:
    assert HubDataset.parse("hub:a/b?split=train&subset=x") == HubDataset("a/b", split="train", subset="x")
    for text, message in (
        ("hub:", "expected hub:organisation/name, found 'hub:'"),
        ("hub:a/b?spilt=train", r"unknown key 'spilt' \(did you mean 'split'\?\): there are split, subset, revision"),
        ("hub:a/b?split=", "expected one value of 'split', as in split=NAME, found nothing"),
        ("hub:a/b?split=x&split=y", "expected one value of 'split', as in split=NAME, found it twice"),
    ):
        with pytest.raises(ConfigError, match=message):
            HubDataset.parse(text)


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What the hub gives, whatever it is asked for; another file lies beside that."""
    files = [write(tmp_path / "cache" / f"{number}.jsonl", ROW | {"prompt": str(number)}) for number in (2, 1)]
    write(tmp_path / "cache" / "other.jsonl", ROW)
    monkeypatch.setattr(hub, "fetch", lambda *_, **__: files)
    return files


def test_a_data_set_of_the_hub_is_its_files_in_their_order(fetched: list[Path]) -> None:
    source = HubDataset.parse("hub:a/b").fetch()
    assert source.name == "hub:a/b"
    assert [file.path for file in source.files] == fetched
    assert source.chosen
    write(fetched[0].parent / "one more.jsonl", ROW)
    source.check_unchanged()  # which is no concern of it
    fetched.clear()
    with pytest.raises(DataError, match="hub:a/b: expected files in the cache of `datasets`, found none"):
        HubDataset.parse("hub:a/b").fetch()


# --- in pipeline files ---


def parts_of(folder: Path, store: Store | None, inputs: dict[str, str], **params: Any) -> list[Part]:
    entry = {"stage": "ingest", "inputs": inputs, "params": {"held_out": 0, **params}}
    return wire(
        PipelineFile.from_document({"schema": "prefline.pipeline/1", "stages": {"labels": entry}}), folder, store
    )


def run_alone(store: Store, parts: list[Part]) -> Artifact:
    (artifact,) = [ended.made.artifact for ended in run(store, parts, {"labels"}) if isinstance(ended, Ended)]
    return artifact


def plan_alone(store: Store | None, parts: list[Part]) -> str:
    (decision,) = Planner(store).plan(parts)
    return decision.action


def prompts_of(artifact: Artifact) -> list[str]:
    return [json.loads(line)["prompt"] for line in (artifact.path / "train.jsonl").read_text().splitlines()]


def test_a_folder_is_planned_and_run(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "shards" / "1.jsonl", ROW)
    write(tmp_path / "shards" / "2.jsonl", ROW | {"prompt": "q"})
    inputs = {"source": "shards"}
    assert plan_alone(store, parts_of(tmp_path, store, inputs)) == "make"
    made = run_alone(store, parts_of(tmp_path, store, inputs))
    assert prompts_of(made) == ["p", "q"]
    assert made.manifest.recipe.inputs["source"].startswith("folder:sha256:")
    assert plan_alone(store, parts_of(tmp_path, store, inputs)) == "reuse"
    write(tmp_path / "shards" / "3.jsonl", ROW | {"prompt": "r"})
    assert plan_alone(store, parts_of(tmp_path, store, inputs)) == "make"


def test_a_data_set_of_the_hub_is_planned_and_run(tmp_path: Path, store: Store, fetched: list[Path]) -> None:
    inputs = {"source": "hub:a/b?split=train"}
    parts = parts_of(tmp_path, store, inputs)
    assert parts[0].sources == {"source": HubDataset("a/b", split="train")}
    assert plan_alone(None, parts) == "make"
    made = run_alone(store, parts)
    assert prompts_of(made) == ["2", "1"]  # in the order of its files, and nothing of what lies beside them
    assert plan_alone(store, parts_of(tmp_path, store, inputs)) == "reuse"
    for path in fetched:
        assert path.exists()


def test_an_optional_input_may_be_left_out_and_is_part_of_the_recipe(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "rows.jsonl", ROW)
    (tmp_path / "tokenizer.json").write_bytes(TOKENIZER)
    without = run_alone(store, parts_of(tmp_path, store, {"source": "rows.jsonl"}))
    inputs = {"source": "rows.jsonl", "tokenizer": "tokenizer.json"}
    given = run_alone(store, parts_of(tmp_path, store, inputs))
    assert without.manifest.recipe.inputs.keys() == {"source"}
    assert given.manifest.recipe.inputs.keys() == {"source", "tokenizer"}
    assert json.loads((without.path / "quality.json").read_text())["truncation"] is None
    found = json.loads((given.path / "quality.json").read_text())["truncation"]["tokenizer"]
    assert found == f"file:sha256:{hashlib.sha256(TOKENIZER).hexdigest()}"


TOKENIZER = b"""{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
"pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
"model": {"type": "WordLevel", "vocab": {"?": 0, "a": 1, "b": 2, "p": 3}, "unk_token": "?"}}"""


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "labels.inputs: the input 'source' is missing: expected a file, a folder, hub:"),
        (
            {"source": "rows", "tokeniser": "x"},
            r"unknown input 'tokeniser' \(did you mean 'tokenizer'\?\): ingest takes",
        ),
        ({"source": "shard"}, r"expected a file, a folder, .*, found nothing .*shard \(did you mean 'shards'\?\)"),
        ({"source": "rows", "texts": "rows"}, "labels.inputs.texts: expected a folder, found a file: .*rows"),
        (
            {"source": "rows", "tokenizer": "rwos"},
            r"labels\.inputs\.tokenizer: .*no file of that name \(did you mean 'rows'",
        ),
        ({"source": "rows", "texts": "hub:a/b"}, "labels.inputs.texts: expected a folder, found nothing there"),
        ({"source": "hub:a/b?spilt=x"}, r"labels.inputs.source: .* unknown key 'spilt' \(did you mean 'split'\?\)"),
        ({"source": "hub:"}, "labels.inputs.source: expected hub:organisation/name"),
    ],
)
def test_what_is_no_input_is_refused_with_its_place(tmp_path: Path, inputs: dict[str, str], message: str) -> None:
    write(tmp_path / "shards" / "1.jsonl", ROW)
    write(tmp_path / "rows", ROW)
    with pytest.raises(ConfigError, match=message) as refused:
        parts_of(tmp_path, None, inputs)
    assert str(refused.value).startswith("stages.labels.inputs")


def test_the_schema_asks_for_no_input_that_may_be_left_out() -> None:
    (rule,) = [part["then"] for part in json_schema({"ingest": INGEST})["$defs"]["Entry"]["allOf"]]
    inputs = rule["properties"]["inputs"]
    assert inputs["required"] == ["source"]
    assert {role: about["description"] for role, about in inputs["properties"].items()} == {
        "source": "a file, a folder, hub:organisation/name or builtin:name",
        "tokenizer": "a stage of this file, or a tokenizer.json, the folder of a model, hub:organisation/name or "
        "builtin:tiny, or an artifact (id or name) of the kind model or prompts",
        "texts": "a folder",
    }


# --- the verb of a stage ---


def add_up(job: Job) -> Outcome:
    """Add a number to others, if there are any."""
    others = json.loads((job.artifact("others").path / "sum.json").read_bytes()) if "others" in job.inputs else 0
    (job.folder / "sum.json").write_text(str(job.params.scale + others))
    return Outcome(data={})


ADD_UP = Stage(
    "toy-sum", 1, toy.NumbersParams, add_up, "toy-sum", {"others": "toy-sum"}, frozenset({"others"}), computes=False
)


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Call the verb of a stage in this process, and return what it printed."""

    def run_verb(stage: str, *words: str) -> str:
        build_command(stage).main([*words, "--store", str(tmp_path / "store")], standalone_mode=False)
        return capsys.readouterr().out.strip()

    return run_verb


def test_an_artifact_that_may_be_left_out_is_an_option_of_the_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., str]
) -> None:
    monkeypatch.setitem(toy.catalogue.STAGES, "toy-sum", toy.catalogue.Listed("toy:SUM", "Toy: a sum."))
    monkeypatch.setattr(toy, "SUM", ADD_UP, raising=False)
    (option,) = [param for param in build_command("toy-sum").params if param.name == "others"]
    assert (option.opts, option.required) == (["--others"], False)
    first = call("toy-sum", "--scale", "1.5", "--name", "one")
    second = call("toy-sum", "--scale", "2", "--others", "one")
    store = Store.open(tmp_path / "store")
    assert (store.get(second).path / "sum.json").read_text() == "3.5"
    assert store.get(first).manifest.recipe.inputs == {}
    assert store.get(second).manifest.recipe.inputs == {"others": first}
    with pytest.raises(UnknownArtifactError, match="has the id or the name 'nothing'"):
        call("toy-sum", "--others", "nothing")


def test_the_verb_takes_a_data_set_of_the_hub_only_where_there_may_be_several_files(
    tmp_path: Path, fetched: list[Path], call: Callable[..., str]
) -> None:
    made = call("ingest", "hub:a/b?split=train", "--held-out", "0")
    assert len(prompts_of(Store.open(tmp_path / "store").get(made))) == len(fetched)
    with pytest.raises(DataError, match="hub:a/b: cannot be read: No such file or directory"):
        call("ingest", "hub:a/b?split=train", "--texts", "hub:a/b")
