"""The stage `ingest`: what it writes, what it refuses, and that a kill anywhere leads to the same bytes."""

import gzip
import json
import os
import random
import shutil
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import exit_code
from typer.main import get_command

from prefline.data.errors import ArtifactError, ConfigError, DataError, StageError, StoreError
from prefline.pipeline import INGEST, Artifact, Runtime, Store, ingesting, intake, make
from prefline.pipeline.cli import app
from prefline.pipeline.cli_catalogue import build_command
from prefline.pipeline.collection import DEFAULT_GRACE, sweep_store
from prefline.pipeline.ingest import IngestParams, count_allowed
from prefline.pipeline.pipeline_file import PipelineFile
from prefline.pipeline.provided import read_source
from prefline.pipeline.publishing import utc_now
from prefline.pipeline.sources import SourceFolder
from prefline.pipeline.wiring import wire

Run = Callable[..., Any]

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "runs",
    "sleeps",
    "slowly",
    "quickly",
    "home",
    "away",
    "under",
    "over",
    "tree",
    "house",
    "red",
    "blue",
]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(artifact: Artifact, name: str) -> list[Any]:
    return [json.loads(line) for line in (artifact.path / name).read_text(encoding="utf-8").splitlines()]


def ingest(store: Store, path: Path, runtime: Runtime | None = None, *, force: bool = False, **params: Any) -> Artifact:
    inputs: dict[str, Any] = {"source": read_source(path)}
    for role in ("tokenizer", "texts"):
        if given := params.pop(role, None):
            inputs[role] = read_source(given)
    return make(store, INGEST, params=params, inputs=inputs, runtime=runtime, force=force).artifact


def made_up(number: int, seed: int = 1) -> list[dict[str, Any]]:
    draw = random.Random(seed)

    def text(words: int) -> str:
        return " ".join(draw.choices(WORDS, k=words))

    rows: list[dict[str, Any]] = [
        {"prompt": text(12), "responses": [text(6), text(7), text(8) + "."], "best": draw.randrange(3)}
        for _ in range(number)
    ]
    for row in rows[::7]:
        row["best"] = [0, 2]
    for row in rows[3::50]:
        row["responses"] = ["same"] * 3
    return rows


def test_an_artifact_holds_both_sides_of_the_split_and_what_was_found(store: Store, tmp_path: Path) -> None:
    artifact = ingest(store, write(tmp_path / "rows.jsonl", made_up(400)), max_rejected="3%", held_out=0.25)
    files = {file.path for file in artifact.manifest.files}
    assert files == {"train.jsonl", "held_out.jsonl", "rejected.jsonl", "quality.json", "quality.html"}
    train, held_out, rejected = (read(artifact, name) for name in ("train.jsonl", "held_out.jsonl", "rejected.jsonl"))
    assert len(train) + len(held_out) + len(rejected) == 400
    assert {row["prompt"] for row in train}.isdisjoint(row["prompt"] for row in held_out)
    assert 60 < len(held_out) < 140
    assert len(rejected) == 8  # rows 3, 53, ... 353
    assert rejected[0] == {
        "file": "source",  # the name of a single file is not part of the recipe
        "line": 4,
        "reason": "all 3 responses are the same: there is nothing to prefer",
        "row": made_up(400)[3],
    }
    report = json.loads((artifact.path / "quality.json").read_text(encoding="utf-8"))
    assert report["rows"] | {"reasons": []} == {"read": 400, "accepted": 392, "rejected": 8, "reasons": []}
    data = artifact.manifest.data
    assert (data["comparisons"], data["train"], data["held_out"]) == (392, len(train), len(held_out))
    assert (data["rejected"], data["layouts"]) == (8, ["native"])
    assert (artifact.path / "quality.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert artifact.manifest.run["sources"] == {"source": "rows.jsonl"}


def test_the_order_of_rows_changes_no_id_and_no_side(store: Store, tmp_path: Path) -> None:
    rows = [row for row in made_up(300) if row["responses"] != ["same"] * 3]
    first = ingest(store, write(tmp_path / "rows.jsonl", rows))
    random.Random(2).shuffle(rows)
    second = ingest(store, write(tmp_path / "shuffled.jsonl", rows))
    for name in ("train.jsonl", "held_out.jsonl"):
        assert sorted(map(json.dumps, read(first, name))) == sorted(map(json.dumps, read(second, name)))
    assert first.manifest.data["rows_digest"] == second.manifest.data["rows_digest"]
    assert first.id != second.id  # the files are not the same


def test_growing_data_moves_nothing_from_train_to_held_out(store: Store, tmp_path: Path) -> None:
    rows = [row for row in made_up(600) if row["responses"] != ["same"] * 3]
    few = ingest(store, write(tmp_path / "few.jsonl", rows[:300]), held_out=0.3)
    many = ingest(store, write(tmp_path / "many.jsonl", rows), held_out=0.3)
    assert {row["id"] for row in read(few, "train.jsonl")} <= {row["id"] for row in read(many, "train.jsonl")}


JUDGED = [
    {"prompt": "p", "responses": ["a", "b"], "best": 0, "annotator": "ann"},
    {"prompt": "p", "responses": ["b", "a"], "best": 1, "annotator": "bob"},  # "a" too
    {"prompt": "p", "responses": ["a", "b"], "best": 1, "annotator": "cat"},
    {"prompt": "q", "responses": ["c", "d"], "best": [0, 1], "annotator": "ann"},
    {"prompt": "q", "responses": ["c", "d"], "best": 1, "annotator": "bob"},
    {"prompt": "q", "responses": ["c", "d"], "best": None, "undecided": "all bad", "annotator": "cat"},
]


def test_what_annotators_said_is_kept_or_combined(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "judged.jsonl", JUDGED)
    each = ingest(store, path, held_out=0)
    assert [row.pop("id") for row in read(each, "train.jsonl")][:3] == [read(each, "train.jsonl")[0]["id"]] * 3
    assert each.manifest.data["comparisons"] == 6
    majority = ingest(store, path, view="majority", held_out=0)
    rows = [
        {key: row[key] for key in ("prompt", "responses", "best", "votes")} for row in read(majority, "train.jsonl")
    ]
    assert rows == [
        {"prompt": "p", "responses": ["a", "b"], "best": 0, "votes": [2.0, 1.0]},
        {"prompt": "q", "responses": ["c", "d"], "best": 1, "votes": [0.5, 1.5]},
    ]
    # ann and bob agree on p, cat with nobody; only one chose one best of q. So ann and bob weigh 1/2, cat nothing.
    weighted = ingest(store, path, view="weighted", held_out=0)
    assert read(weighted, "train.jsonl")[0]["votes"] == [1.0, 0.0]
    for artifact in (each, majority, weighted):
        report = json.loads((artifact.path / "quality.json").read_text())
        assert report["agreement"]["exact"]["agree"] == 1
        assert (report["bias"]["position"] is None) == (artifact is not each)


def test_gold_must_be_somebody(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "judged.jsonl", JUDGED)
    with pytest.raises(DataError, match=r"no annotator is called 'anne' \(did you mean 'ann'\?\): ann, bob, cat"):
        ingest(store, path, gold="anne")
    report = json.loads((ingest(store, path, gold="ann").path / "quality.json").read_text())
    assert {person["annotator"]: person["gold"]["of"] for person in report["agreement"]["people"]} == {
        "bob": 1,
        "cat": 1,
    }


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(["?", *WORDS])}, unk_token="?"))  # noqa: S106
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_what_truncation_makes_void_is_counted(store: Store, tmp_path: Path, tokenizer: Path) -> None:
    rows = [{"prompt": "the cat", "responses": ["runs home", "runs away"], "best": 0}] * 1
    path = write(tmp_path / "rows.jsonl", rows)
    for length, identical in ((3, 1), (4, 0)):  # two of the prompt, "runs", and then they differ
        artifact = ingest(store, path, tokenizer=tokenizer, length=length)
        report = json.loads((artifact.path / "quality.json").read_text())
        assert (report["truncation"]["identical"], report["truncation"]["length"]) == (identical, length)
        assert "tokenizer" in artifact.manifest.recipe.inputs
    with pytest.raises(DataError, match=r"not what was required \(truncation.share == 0\).*quality.html"):
        ingest(store, path, tokenizer=tokenizer, length=3, require=["truncation.share == 0"])
    with pytest.raises(ConfigError, match="give the tokenizer"):
        ingest(store, path, length=3)


def test_token_ids_are_kept_with_their_tokenizer_or_refused(store: Store, tmp_path: Path, tokenizer: Path) -> None:
    rows = [{"query": [50259, 3, 4], "sample0": [5, 50259], "sample1": [6, 7], "best": 1}]
    path = write(tmp_path / "labels.jsonl", rows)
    with pytest.raises(DataError, match=r"tokenizer\.json with --tokenizer"):
        ingest(store, path)
    artifact = ingest(store, path, tokenizer=tokenizer, held_out=0)
    (row,) = read(artifact, "train.jsonl")
    assert (row["prompt"], row["responses"], row["best"]) == ([3, 4], [[5], [6, 7]], 1)
    assert (artifact.path / "tokenizer.json").read_bytes() == tokenizer.read_bytes()


def test_token_ids_beyond_the_vocabulary_are_refused(store: Store, tmp_path: Path, tokenizer: Path) -> None:
    rows = [{"query": [3, 4], "sample0": [5], "sample1": [number], "best": 0} for number in (6, len(WORDS), 99)]
    artifact = ingest(store, write(tmp_path / "labels.jsonl", rows), tokenizer=tokenizer, max_rejected="1")
    (refused,) = read(artifact, "rejected.jsonl")
    assert refused["reason"].startswith(f"the token id 99 is none of the {len(WORDS) + 1} of the tokenizer")


def test_a_requirement_of_what_no_report_has_is_refused_before_anything_is_read(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl.gz"
    path.write_bytes(b"\x1f\x8bbroken")  # reading it would fail
    with pytest.raises(ConfigError, match=r"bias has no 'longst' \(did you mean 'longest'\?\)"):
        ingest(store, path, require=["bias.longst.share < 1"])


def test_a_report_that_is_not_good_enough_is_left_to_be_read(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", made_up(40))
    with pytest.raises(DataError, match="not what was required") as refused:
        ingest(store, path, max_rejected="5%", require=["comparisons.ties.share <= 1%", "comparisons.count >= 10"])
    page = Path(str(refused.value).rpartition("the report is ")[2])
    assert page.name == "quality.html"
    checks = json.loads(page.with_suffix(".json").read_text())["checks"]
    assert [check["holds"] for check in checks] == [False, True]
    assert not list(store.ids())
    assert not (page.parent / "scratch").exists()


def test_many_files_are_read_as_one_and_known_by_names_and_bytes(store: Store, tmp_path: Path) -> None:
    rows = [row for row in made_up(90) if row["responses"] != ["same"] * 3]
    whole = ingest(store, write(tmp_path / "rows.jsonl", rows))
    folder = tmp_path / "shards"
    folder.mkdir()
    write(folder / "1.jsonl", rows[:30])
    (folder / "2.jsonl.gz").write_bytes(gzip.compress(write(tmp_path / "two", rows[30:60]).read_bytes()))
    write(folder / "3.jsonl", rows[60:])
    source = SourceFolder.read(folder)
    parts = ingest(store, folder)
    assert read(parts, "train.jsonl") == read(whole, "train.jsonl")
    assert parts.id == whole.id
    assert parts.manifest.recipe.inputs["source"] == source.identity
    (folder / "3.jsonl").rename(folder / "4.jsonl")
    assert SourceFolder.read(folder).identity != source.identity


# --- the same recipe, the same bytes ---


def test_names_places_clocks_and_hash_seeds_change_no_byte(prefline: Run, tmp_path: Path, tokenizer: Path) -> None:
    said = []
    rows = [row | {"annotator": f"a{place % 3}"} for place, row in enumerate(made_up(90)) for _ in range(2)]
    for seed, zone in (("1", "UTC"), ("2", "Pacific/Auckland")):
        folder = tmp_path / f"folder {seed}"
        folder.mkdir()
        path = write(folder / f"rows-{seed}.jsonl", [*rows, {"prompt": 1}])
        ids = shutil.copy(tokenizer, folder / f"tokenizer-{seed}.json")
        options = ("--tokenizer", ids, "--length", "20", "--view", "weighted", "--max-rejected", "10%")
        said.append(prefline("ingest", path, *options, cwd=folder, env={"PYTHONHASHSEED": seed, "TZ": zone}))
    assert said[0].returncode == 0, said[0].stderr
    assert said[0].stdout == said[1].stdout
    assert "rows-1.jsonl: JSON lines" in said[0].stderr  # people are told what they know it by


def test_names_of_files_in_a_folder_are_kept_since_the_recipe_knows_them(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    write(folder / "good.jsonl", JUDGED)
    bad = Path(os.fsdecode(bytes(folder / "b") + b"\xff.jsonl"))  # a name that is no text
    write(bad, [*JUDGED[:2], {"prompt": 1}])
    artifact = ingest(store, folder, max_rejected="1")
    assert [(row["file"], row["line"]) for row in read(artifact, "rejected.jsonl")] == [("b\ufffd.jsonl", 3)]
    report = json.loads((artifact.path / "quality.json").read_text(encoding="utf-8"))
    assert report["rows"]["reasons"][0]["file"] == "b\ufffd.jsonl"


def test_reasons_name_no_folder_of_this_machine(store: Store, tmp_path: Path) -> None:
    texts = tmp_path / "outputs of systems"
    texts.mkdir()
    for name in ("a", "b", "source"):
        (texts / name).write_text("one\ntwo\n")
    write_texts = [{"srcIndex": "1", "system1Id": "a", "system1rank": "1", "system2Id": "b", "system2rank": "2"}]
    (texts / "b").write_text("eins\nzwei\n")
    rows = [*write_texts, write_texts[0] | {"system2Id": "x"}, write_texts[0] | {"srcIndex": "9"}]
    path = tmp_path / "ranks.jsonl"
    artifact = ingest(store, write(path, rows), texts=texts, max_rejected="2", held_out=0)
    assert [row["reason"] for row in read(artifact, "rejected.jsonl")] == [
        "texts: there is no file 'x', with or without .txt",
        "texts: 'a' has 2 lines, and line 9 was asked for",
    ]
    for file in artifact.manifest.files:
        assert str(tmp_path).encode() not in (artifact.path / file.path).read_bytes()


def test_files_of_one_layout_are_of_one_layout_whatever_else_they_hold(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    write(folder / "1.jsonl", JUDGED)
    write(folder / "2.jsonl", [row | {"colour": "red"} for row in JUDGED])
    assert ingest(store, folder).manifest.data["layouts"] == ["native"]


# --- what changes while it is read ---


@pytest.mark.parametrize("seen", [True, False])
def test_what_came_from_other_bytes_is_never_gone_on_with(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    path = write(tmp_path / "rows.jsonl", made_up(60))
    original = path.read_bytes()
    add = intake.Intake._add

    def change(self: intake.Intake, comparisons: list[Any]) -> None:
        add(self, comparisons)
        if self.accepted > 40:
            status = path.stat()
            path.write_bytes(original.swapcase())
            if not seen:
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    monkeypatch.setattr(intake, "_STEP", 16)
    monkeypatch.setattr(intake.Intake, "_add", change)
    with pytest.raises(DataError, match=r"rows\.jsonl: changed while it was read: run again when nobody writes there"):
        ingest(store, path, Runtime(checkpoint_every=1), max_rejected="5")
    # What was saved before it was seen is sound; where it was seen at the end, nobody knows.
    assert bool([*store.root.glob("runs/*/checkpoints/*")]) == seen
    assert bool([*store.root.glob("runs/*/scratch")]) == seen
    monkeypatch.setattr(intake.Intake, "_add", add)
    path.write_bytes(original)
    again = ingest(store, path, Runtime(checkpoint_every=1), max_rejected="5")
    assert again.id == ingest(Store.create(tmp_path / "other"), path, max_rejected="5").id


def test_a_file_that_came_into_the_folder_meanwhile_is_not_read(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    write(folder / "1.jsonl", JUDGED)
    source = SourceFolder.read(folder)
    write(folder / "2.jsonl", JUDGED)
    with pytest.raises(DataError, match=r"expected files that were there at the beginning.* found .*2\.jsonl"):
        make(store, INGEST, params={}, inputs={"source": source})


# --- settings ---


def test_the_rows_that_may_be_refused_are_counted_exactly() -> None:
    assert [count_allowed(limit, 100) for limit in ("0", "25", "1%", "29%", "0.5 %", "100%")] == [0, 25, 1, 29, 0, 100]
    assert count_allowed("0.1%", 1000) == 1
    for limit in ("-1", "1.5", "101%", "many", "", "%"):
        with pytest.raises(
            ConfigError, match=r"max_rejected: .*expected a number of rows, such as 0 or 25, or a share"
        ):
            IngestParams.parse({"max_rejected": limit})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    rows = ['"question, cleaned",left,right,winner', *(f"q{number},yes,no,left" for number in range(5))]
    path.write_text("\n".join(rows) + "\n")
    return path


MAPPED = {
    "layout": "columns",
    "map": {"prompt": ["question, cleaned"], "responses": "left,right", "best": "winner"},
    "require": ["comparisons.count >= 5"],
}


def test_columns_and_requirements_are_the_same_in_a_pipeline_file_and_through_the_verb(
    tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def of_file(**params: Any) -> Any:
        entry = {"stage": "ingest", "inputs": {"source": table.name}, "params": MAPPED | params}
        file = PipelineFile.from_document({"schema": "prefline.pipeline/1", "stages": {"labels": entry}})
        (part,) = wire(file, tmp_path, None)
        return part.settings

    settings = of_file()
    assert settings.map == {"prompt": "question, cleaned", "responses": ("left", "right"), "best": "winner"}
    store = Store.create(tmp_path / "store")
    made = make(store, INGEST, params=settings, inputs={"source": read_source(table)})
    assert [row["prompt"] for row in read(made.artifact, "train.jsonl")][:1] == ["q0"]
    plain = tmp_path / "plain.csv"
    plain.write_text(table.read_text().replace('"question, cleaned"', "question"))
    words = ["--layout", "columns", "--map", "prompt=question", "--map", "responses=left,right", "--map", "best=winner"]
    words += ["--require", "comparisons.count >= 5", "--store", str(tmp_path / "verb")]
    build_command("ingest").main([str(plain), *words], standalone_mode=False)
    artifact = Store.open(tmp_path / "verb").get(capsys.readouterr().out.strip())
    assert artifact.id == made.artifact.id  # the name of a column is not in it
    assert artifact.manifest.recipe.params == made.artifact.manifest.recipe.params | {
        "map": {"prompt": "question", "responses": ["left", "right"], "best": "winner"}
    }
    with pytest.raises(ConfigError, match=r"stages.labels.params: require\[0\]: .*expected a figure.*, found 'much'"):
        of_file(require=["much"])
    with pytest.raises(DataError, match=r"has no role 'promt' \(did you mean 'prompt'\?\)"):
        make(store, INGEST, params=of_file(map={"promt": "question"}), inputs={"source": read_source(table)})


# --- going on after a kill ---


def take_in(root: Path, path: Path) -> None:
    """Ingest in many small steps, each of them saved."""
    intake._STEP = 16
    ingest(Store.create(root), path, Runtime(checkpoint_every=1), max_rejected="10%", held_out=0.2, view="majority")


@pytest.fixture(params=["one file", "shards", "several layouts", "groups of rows"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made = made_up(100)
    if request.param == "one file":
        return write(tmp_path / "rows.jsonl", made)
    folder = tmp_path / "shards"
    folder.mkdir()
    if request.param == "several layouts":
        write(folder / "1.jsonl", made[:40])
        pairs = [dict(zip(("prompt", "chosen", "rejected"), ("p", *row["responses"]), strict=False)) for row in made]
        write(folder / "2.jsonl", pairs[40:])
        return folder
    if request.param == "shards":
        for number in range(3):
            (folder / f"{number}.jsonl.gz").write_bytes(
                gzip.compress(write(tmp_path / "part", made[number::3]).read_bytes(), mtime=0)
            )
        return folder
    for number in range(3):  # one response on each row
        with (folder / f"{number}.csv").open("w", encoding="utf-8") as out:
            out.write("prompt,response,score,system,annotator\n")
            for row in made[number::3]:
                for system, response in enumerate(row["responses"]):
                    out.write(f"{row['prompt']},{response},{system},s{system},ann\n")
    return folder


def test_a_kill_after_any_step_leads_to_the_same_artifact(tmp_path: Path, rows: Path) -> None:
    take_in(tmp_path / "whole", rows)
    (expected,) = Store.open(tmp_path / "whole").ids()
    step = 0
    code: int | None = -9
    while code == -9:
        step += 1
        root = tmp_path / str(step)
        code = exit_code(take_in, root, rows, failpoint=f"step.finished:{step}")
        if code == -9:
            assert not list(Store.open(root).ids())
            take_in(root, rows)
        store = Store.open(root)
        assert list(store.ids()) == [expected]
        assert not list((root / "runs").glob("*/scratch"))
        resumed = store.get(expected).manifest.run.get("resumed", [])
        # What was saved last is the step before the one that was killed.
        assert len(resumed) == (1 if code == -9 and step > 1 else 0)
    assert step >= 3


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(tmp_path / "small.jsonl", made_up(60))


@pytest.mark.parametrize(
    "failpoint",
    [
        "checkpoint.visible:1",
        "checkpoint.pruned:1",
        "step.finished:4",  # the last rows are in the scratch files and in no state
        "draft.written:1",
        "publish.renamed:1",
        "run.finished:1",
    ],
)
def test_a_kill_at_any_other_time_leads_to_the_same_artifact(tmp_path: Path, small: Path, failpoint: str) -> None:
    take_in(tmp_path / "whole", small)
    root = tmp_path / "killed"
    assert exit_code(take_in, root, small, failpoint=failpoint) == -9
    take_in(root, small)
    assert list(Store.open(root).ids()) == list(Store.open(tmp_path / "whole").ids())


def die_after(name: str, root: Path, path: Path) -> None:
    """Take in, and die as if by kill -9 once a part of the work is done."""
    work = getattr(ingesting, name)

    def do_and_die(*args: Any, **given: Any) -> None:
        work(*args, **given)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(ingesting, name, do_and_die)
    take_in(root, path)


@pytest.mark.parametrize("name", ["combine_annotators", "assess", "_tell_report", "_write_comparisons"])
def test_a_kill_after_all_was_read_leads_to_the_same_artifact(tmp_path: Path, small: Path, name: str) -> None:
    take_in(tmp_path / "whole", small)
    root = tmp_path / "killed"
    assert exit_code(die_after, name, root, small) == -9
    take_in(root, small)
    (made,) = Store.open(root).ids()
    assert [made] == list(Store.open(tmp_path / "whole").ids())
    assert Store.open(root).get(made).manifest.run["resumed"][0]["from_step"] == 60  # nothing was read again


def test_gc_leaves_what_can_be_gone_on_with_for_its_time_of_grace(tmp_path: Path, small: Path) -> None:
    take_in(tmp_path / "whole", small)
    for grace, resumed in ((DEFAULT_GRACE, 1), (timedelta(0), 0)):
        root = tmp_path / f"killed {resumed}"
        assert exit_code(take_in, root, small, failpoint="step.finished:3") == -9
        store = Store.open(root)
        sweep_store(store, grace=grace, now=utc_now())
        assert len(list(root.glob("runs/*/scratch"))) == resumed
        take_in(root, small)
        (made,) = store.ids()
        assert [made] == list(Store.open(tmp_path / "whole").ids())
        assert len(store.get(made).manifest.run.get("resumed", [])) == resumed


def test_a_forced_run_goes_on_with_nothing_that_a_kill_left(tmp_path: Path, small: Path) -> None:
    root = tmp_path / "store"
    assert exit_code(take_in, root, small, failpoint="step.finished:3") == -9
    store = Store.open(root)
    made = ingest(store, small, force=True, max_rejected="10%", held_out=0.2, view="majority")
    assert "resumed" not in made.manifest.run
    assert not list(root.glob("runs/*/scratch"))
    take_in(tmp_path / "whole", small)
    assert list(Store.open(tmp_path / "whole").ids()) == [made.id]


def test_scratch_files_that_are_not_what_they_were_are_not_gone_on_with(
    tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    assert exit_code(take_in, root, rows, failpoint="step.finished:3") == -9
    (scratch,) = (root / "runs").glob("*/scratch")
    for path in scratch.iterdir():
        whole = path.read_bytes()
        if not whole:
            continue
        for damaged in (whole[:1], bytes([whole[0] ^ 1]) + whole[1:], None):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            monkeypatch.setattr(intake, "_STEP", 16)
            with pytest.raises(StageError, match=f"expected .*{path.name} to begin with .* --force reads all anew"):
                take_in(root, rows)
            path.unlink(missing_ok=True)
            path.write_bytes(whole)
    take_in(root, rows)
    assert len(list(Store.open(root).ids())) == 1


def test_comparisons_leave_in_layouts_of_others(store: Store, tmp_path: Path, publish: Callable[..., Artifact]) -> None:
    from prefline.pipeline.rewriting import rewrite

    rows = [row for row in made_up(60) if row["responses"] != ["same"] * 3]
    artifact = ingest(store, write(tmp_path / "rows.jsonl", rows))
    assert rewrite(artifact, "pairs", tmp_path / "pairs") == (len(rows), 2 * len(rows), 0)
    with pytest.raises(
        DataError, match=f"none of {len(rows)} comparisons can be written as label-studio: a Ranker tag"
    ):
        rewrite(artifact, "label-studio", tmp_path / "tasks")
    assert not (tmp_path / "tasks").exists()
    back = ingest(store, tmp_path / "pairs", held_out=0)
    assert back.manifest.data["comparisons"] == 2 * len(rows)  # one beats two, and of a tie each beats one
    assert rewrite(artifact, "argilla", tmp_path / "records") == (len(rows), len(rows), 0)
    again = ingest(store, tmp_path / "records", held_out=0)
    assert {row["id"] for row in read(again, "train.jsonl")} == {row["id"] for row in read(artifact, "train.jsonl")} | {
        row["id"] for row in read(artifact, "held_out.jsonl")
    }
    with pytest.raises(ConfigError, match=r"unknown layout 'pair' \(did you mean 'pairs'\?\)"):
        rewrite(artifact, "pair", tmp_path / "x")
    with pytest.raises(ArtifactError, match="only comparisons can be written in a layout, found the kind thing"):
        rewrite(publish(store, {"a.txt": b"1"}), "pairs", tmp_path / "x")


@pytest.mark.parametrize(
    ("layout", "written", "lines", "files"),
    [
        ("pairs", 2, 4, {"train.jsonl", "held_out.jsonl", "left_out.jsonl"}),
        ("rewardbench-2", 2, 2, {"train.jsonl", "held_out.jsonl", "left_out.jsonl"}),
        ("label-studio", 2, 2, {"train.json", "held_out.json", "left_out.jsonl", "pairwise.xml", "ranker.xml"}),
        ("argilla", 3, 3, {"train.json", "held_out.json"}),
    ],
)
def test_the_verb_export_says_what_a_layout_could_not_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str, written: int, lines: int, files: set[str]
) -> None:
    store = Store.create(tmp_path / "store")
    rows = [
        {"prompt": "p", "responses": ["a", "b"], "best": 0},
        {"prompt": "q", "responses": ["a", "b", "c"], "best": 0, "ranks": [0, 1, 2]},
        {"prompt": "r", "responses": ["a", "b"], "best": [0, 1]},  # which is better? argilla alone can hold that
    ]
    made = ingest(store, write(tmp_path / "rows.jsonl", rows), held_out=0)
    target = tmp_path / "exported"
    words = ["export", made.id, str(target), "--layout", layout, "--store", str(tmp_path / "store")]
    get_command(app).main(words, standalone_mode=False)
    said = capsys.readouterr()
    assert said.out == f"{made.id}\n"
    expected = [f"{written} comparisons written as {lines} rows to {target}"]
    if written < 3:
        expected.append(f"1 could not be written as {layout}: {target / 'left_out.jsonl'} says why")
    assert said.err.splitlines() == expected
    assert {path.name for path in target.iterdir()} == files
    with pytest.raises(StoreError, match="exists already: give a folder that does not"):
        get_command(app).main(words, standalone_mode=False)
