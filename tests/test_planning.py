"""Pipelines before anything runs: how parts hang together, what would be made, and why."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
import toy

from prefline.data.configuration import Config
from prefline.data.errors import ConfigError
from prefline.pipeline import Artifact, Job, Recipe, Store, draft
from prefline.pipeline.collection import sweep_store
from prefline.pipeline.making import Made
from prefline.pipeline.naming import MANIFEST
from prefline.pipeline.pipeline_file import PipelineFile
from prefline.pipeline.planning import Decision, Planner, select, upstream_of
from prefline.pipeline.publishing import utc_now
from prefline.pipeline.running import Ended, run
from prefline.pipeline.runs import claim, run_folder
from prefline.pipeline.wiring import Part, wire

Publish = Callable[..., Artifact]


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy.catalogue, "STAGES", dict(toy.catalogue.STAGES))
    toy.list_stages()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "numbers.txt").write_text("1\n2\n3\n")
    return tmp_path


def parts_of(folder: Path, store: Store | None, stages: dict[str, Any], seed: int | None = 1) -> list[Part]:
    file = PipelineFile.from_document({"schema": "prefline.pipeline/1", "seed": seed, "stages": stages})
    return wire(file, folder, store)


NUMBERS = {"stage": "toy-numbers", "inputs": {"source": "numbers.txt"}}
TRAIN = {"stage": "toy-train", "inputs": {"numbers": "numbers"}}
SAMPLE = {"stage": "toy-sample", "inputs": {"model": "train"}}
CHAIN = {"numbers": NUMBERS, "train": TRAIN, "sample": SAMPLE}


def names(parts: list[Part]) -> list[str]:
    return [part.name for part in parts]


# --- wiring ---


def test_parts_stand_in_the_order_of_the_file_but_after_what_they_need(folder: Path) -> None:
    stages = {"sample": SAMPLE, "other": NUMBERS, "train": TRAIN, "numbers": NUMBERS}
    assert names(parts_of(folder, None, stages)) == ["numbers", "train", "sample", "other"]


def test_a_chain_may_be_longer_than_pythons_stack(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.catalogue.STAGES["toy-again"] = toy.catalogue.Listed("toy:AGAIN", "Toy: again.")
    again = toy.Stage("toy-again", 1, toy.NumbersParams, toy.make_numbers, "toy-numbers", {"numbers": "toy-numbers"})
    monkeypatch.setattr(toy, "AGAIN", again, raising=False)
    chain = {f"n{i}": {"stage": "toy-again", "inputs": {"numbers": f"n{i + 1}"}} for i in range(2000)}
    assert names(parts_of(folder, None, chain | {"n2000": NUMBERS}))[:2] == ["n2000", "n1999"]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (
            {"a": {"stage": "toy-nmbers"}},
            r"stages.a: expected a stage \(.*\), found 'toy-nmbers' \(did you mean 'toy-numbers'\?\)",
        ),
        ({"a": {**NUMBERS, "params": {"scal": 2}}}, r"stages.a.params: unknown key 'scal' \(did you mean 'scale'\?\)"),
        ({"a": {**NUMBERS, "params": {"scale": "x"}}}, "stages.a.params: scale: Input should be a valid number"),
        ({"a": {**NUMBERS, "seed": 1}}, "stages.a.seed: toy-numbers leaves nothing to chance and takes no seed"),
        ({"a": {"stage": "toy-numbers"}}, "stages.a.inputs: the input 'source' is missing: expected a file"),
        (
            {"a": {"stage": "toy-numbers", "inputs": {"sorce": "numbers.txt"}}},
            r"stages.a.inputs: unknown input 'sorce' \(did you mean 'source'\?\): toy-numbers takes source",
        ),
        (
            {"a": {"stage": "toy-numbers", "inputs": {"source": "numbers"}}},
            "stages.a.inputs.source: expected a file, found nothing there: .*numbers",
        ),
        (
            {"a": {"stage": "toy-numbers", "inputs": {"source": "."}}},
            "stages.a.inputs.source: expected a file, found a folder",
        ),
        (
            {"a": {"stage": "toy-numbers", "inputs": {"source": "b"}}, "b": NUMBERS},
            "stages.a.inputs.source: expected a file, found the stage 'b', which makes the kind toy-numbers",
        ),
        (
            {"a": NUMBERS, "b": {"stage": "toy-sample", "inputs": {"model": "a"}}},
            "stages.b.inputs.model: expected the kind toy-model, found the stage 'a', which makes toy-numbers",
        ),
        (
            {"numbers": NUMBERS, "train": {"stage": "toy-train", "inputs": {"numbers": "numbrs"}}},
            r"stages.train.inputs.numbers: no stage of this file is called 'numbrs' \(did you mean 'numbers'\?\)",
        ),
        (
            {"train": {"stage": "toy-train", "inputs": {"numbers": "numbers.txt"}}},
            "stages.train.inputs.numbers: no stage of this file is called 'numbers.txt', and there is no",
        ),
        (
            {"a": {**NUMBERS, "name": "mine"}, "b": {**NUMBERS, "name": "mine"}},
            "stages.b.name: 'mine' is what a is to be called already",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(folder: Path, stages: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        parts_of(folder, None, stages)
    assert "\n" not in str(refused.value)


def test_a_stage_that_needs_a_seed_takes_the_files_or_its_own(folder: Path) -> None:
    stages = {"numbers": NUMBERS, "one": TRAIN, "two": {**TRAIN, "seed": 5}}
    assert [part.seed for part in parts_of(folder, None, stages)] == [None, 1, 5]
    with pytest.raises(ConfigError, match=r"stages.one.seed: toy-train needs a seed: any whole number from 0"):
        parts_of(folder, None, stages, seed=None)


def test_a_circle_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.catalogue.STAGES["toy-again"] = toy.catalogue.Listed("toy:AGAIN", "Toy: again.")
    again = toy.Stage("toy-again", 1, toy.NumbersParams, toy.make_numbers, "toy-numbers", {"numbers": "toy-numbers"})
    monkeypatch.setattr(toy, "AGAIN", again, raising=False)
    circle = {
        "a": {"stage": "toy-again", "inputs": {"numbers": "b"}},
        "b": {"stage": "toy-again", "inputs": {"numbers": "a"}},
    }
    with pytest.raises(ConfigError, match=r"stages wait for each other in a circle: (a <- b <- a|b <- a <- b)"):
        parts_of(folder, None, circle)
    itself = {"a": {"stage": "toy-again", "inputs": {"numbers": "a"}}}
    with pytest.raises(ConfigError, match="in a circle: a <- a"):
        parts_of(folder, None, itself)


def test_an_artifact_is_found_by_its_id_the_beginning_of_it_and_its_name(
    folder: Path, store: Store, publish: Publish
) -> None:
    made = publish(store, {"numbers.json": b"[1]"}, kind="toy-numbers", name="mine")
    for text in (made.id, made.id.removeprefix("sha256:")[:8], "mine", "toy-numbers/mine"):
        (part,) = parts_of(folder, store, {"train": {"stage": "toy-train", "inputs": {"numbers": text}}})
        assert part.sources == {"numbers": made}
    with pytest.raises(ConfigError, match=r"inputs.numbers: no stage of this file is called 'mne', and no artifact in"):
        parts_of(folder, store, {"train": {"stage": "toy-train", "inputs": {"numbers": "mne"}}})
    with pytest.raises(
        ConfigError, match="expected the kind toy-model, found 'mine', which is of the kind toy-numbers"
    ):
        parts_of(folder, store, {"sample": {"stage": "toy-sample", "inputs": {"model": "mine"}}})


def test_a_stage_of_the_file_goes_before_a_name_in_the_store(folder: Path, store: Store, publish: Publish) -> None:
    publish(store, {"numbers.json": b"[1]"}, kind="toy-numbers", name="numbers")
    assert parts_of(folder, store, CHAIN)[1].upstream == ["numbers"]


# --- what would be made, and why ---


def pretend(store: Store, decision: Decision, content: bytes = b"made") -> Artifact:
    """Publish something as what a recipe led to, without running the stage."""
    assert decision.recipe is not None
    with draft(store, decision.recipe) as work:
        (work.folder / "made.txt").write_bytes(content)
        return work.publish(kind=decision.part.stage.makes, data={"key": decision.recipe.key})


def pretend_all(store: Store, parts: list[Part]) -> None:
    for part in parts:
        decision = next(found for found in Planner(store).plan(parts) if found.part.name == part.name)
        if decision.reuse is None:
            pretend(store, decision)


def whys(store: Store | None, parts: list[Part]) -> dict[str, str]:
    return {
        decision.part.name: f"{'make' if decision.reuse is None else 'reuse'}: {decision.why}"
        for decision in Planner(store).plan(parts)
    }


def test_without_a_store_all_is_made(folder: Path) -> None:
    assert whys(None, parts_of(folder, None, CHAIN)) == {
        "numbers": "make: there is no store yet",
        "train": "make: waits for numbers",
        "sample": "make: waits for train",
    }


def test_what_was_made_is_reused_and_a_change_makes_what_comes_after_wait(folder: Path, store: Store) -> None:
    parts = parts_of(folder, store, CHAIN)
    assert whys(store, parts)["numbers"] == "make: never made"
    pretend_all(store, parts)
    assert all(why.startswith("reuse: ") for why in whys(store, parts).values())
    changed = parts_of(folder, store, CHAIN | {"train": {**TRAIN, "params": {"learning_rate": 2e-5, "epochs": 4}}})
    found = whys(store, changed)
    assert found["numbers"].startswith("reuse")
    assert found["train"] == "make: params.epochs changed 3 -> 4; params.learning_rate changed 0.01 -> 2e-5"
    assert found["sample"] == "make: waits for train"


def test_every_kind_of_change_is_said(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_all(store, parts_of(folder, store, CHAIN))
    reseeded = whys(store, parts_of(folder, store, CHAIN | {"train": {**TRAIN, "seed": 2}}))
    assert reseeded["train"] == "make: seed changed 1 -> 2"
    (folder / "numbers.txt").write_text("4\n")
    assert whys(store, parts_of(folder, store, CHAIN))["numbers"].startswith("make: inputs.source changed ")
    newer = toy.Stage("toy-numbers", 2, toy.NumbersParams, toy.make_numbers, "toy-numbers", {"source": toy.FILE})
    (folder / "numbers.txt").write_text("1\n2\n3\n")
    monkeypatch.setattr(toy, "NUMBERS", newer)
    assert whys(store, parts_of(folder, store, CHAIN))["numbers"] == "make: stage_version changed 1 -> 2"


def test_the_nearest_of_all_that_were_made_is_compared_and_of_equals_the_latest(folder: Path, store: Store) -> None:
    for params in ({"epochs": 9, "batch": 9, "hidden": 9}, {"epochs": 8, "batch": 9}, {"epochs": 7}):
        pretend_all(store, parts_of(folder, store, CHAIN | {"train": {**TRAIN, "params": params}}))
    parts = parts_of(folder, store, CHAIN | {"train": {**TRAIN, "params": {"epochs": 8, "batch": 9, "hidden": 8}}})
    assert whys(store, parts)["train"] == "make: params.hidden changed 16 -> 8"


def test_what_has_the_name_goes_before_what_another_part_uses_and_that_before_the_latest(
    folder: Path, store: Store
) -> None:
    """Each of three settings is one change away from the fourth."""
    for epochs in (1, 2, 3):
        pretend_all(store, parts_of(folder, store, CHAIN | {"train": {**TRAIN, "params": {"epochs": epochs}}}))
    three = {**TRAIN, "params": {"epochs": 3}}
    four = {**TRAIN, "params": {"epochs": 4}}
    parts = parts_of(folder, store, {"numbers": NUMBERS, "three": three, "four": four})
    found = {decision.part.name: decision for decision in Planner(store).plan(parts)}
    assert found["four"].why == "params.epochs changed 2 -> 4"
    one = Planner(store).plan(parts_of(folder, store, {"numbers": NUMBERS, "a": {**TRAIN, "params": {"epochs": 1}}}))
    assert one[1].reuse is not None
    store.set_name("mine", one[1].reuse.id)
    parts = parts_of(folder, store, {"numbers": NUMBERS, "three": three, "four": {**four, "name": "mine"}})
    found = {decision.part.name: decision for decision in Planner(store).plan(parts)}
    assert found["four"].why == "params.epochs changed 1 -> 4"


def test_more_than_three_changes_are_counted(folder: Path, store: Store) -> None:
    pretend_all(store, parts_of(folder, store, CHAIN))
    params = {"epochs": 9, "batch": 9, "hidden": 9, "learning_rate": 9, "poison": 9}
    found = whys(store, parts_of(folder, store, CHAIN | {"train": {**TRAIN, "params": params}}))
    assert found["train"].endswith("params.hidden changed 16 -> 9; 2 more changes")


def test_what_is_damaged_is_made_again(folder: Path, store: Store) -> None:
    parts = parts_of(folder, store, CHAIN)
    pretend_all(store, parts)
    (decision,) = (found for found in Planner(store).plan(parts) if found.part.name == "train")
    assert decision.reuse
    os.unlink(decision.reuse.path / "made.txt")
    assert whys(store, parts)["train"].endswith("is damaged: made.txt: is missing")
    shutil.rmtree(decision.reuse.path)
    assert whys(store, parts)["train"].startswith("make: ")


def test_a_plan_reads_records_that_nobody_could_use_and_passes_over_them(folder: Path, store: Store) -> None:
    hostile = [
        b"{",
        b"[]",
        b'{"recipe": "toy-numbers"}',
        b'{"recipe": {"stage": "toy-numbers"}, "run": 3}',
        b"\xff",
        b"[" * 99999,
    ]
    hostile += [b'{"recipe": {"stage": "toy-numbers", "params": 3}, "run": {}, "id": 5}']
    for number, raw in enumerate(hostile):
        (store.root / "keys" / f"{number:064x}.json").write_bytes(raw)
    assert whys(store, parts_of(folder, store, CHAIN))["numbers"].startswith("make: ")


# --- what is selected, and run ---


def test_selections(folder: Path) -> None:
    parts = parts_of(folder, None, CHAIN | {"other": NUMBERS})
    assert select(parts) == {"numbers", "train", "sample", "other"}
    assert select(parts, ["train"]) == {"train"}
    assert select(parts, start="train") == {"train", "sample"}
    with pytest.raises(ConfigError, match="--only and --from do not go together"):
        select(parts, ["sample", "other"], start="train")
    assert upstream_of("train", parts) == {"numbers", "train"}
    with pytest.raises(ConfigError, match=r"no stage of this file is called 'trian' \(did you mean 'train'\?\)"):
        select(parts, ["trian"])


def results(events: Any) -> dict[str, Made]:
    return {event.part.name: event.made for event in events if isinstance(event, Ended)}


def test_a_run_makes_what_is_missing_and_a_second_one_reuses_it(folder: Path, store: Store) -> None:
    walks = {"numbers": NUMBERS, "walk": {"stage": "toy-walk", "name": "mine"}}
    first = results(run(store, parts_of(folder, store, walks), {"numbers", "walk"}))
    assert [made.reused for made in first.values()] == [False, False]
    assert store.names.all() == {"toy-place/mine": first["walk"].artifact.id}
    second = results(run(store, parts_of(folder, store, walks), {"numbers", "walk"}))
    assert [made.reused for made in second.values()] == [True, True]
    assert [made.artifact.id for made in second.values()] == [made.artifact.id for made in first.values()]


def test_what_is_left_out_must_have_been_made(folder: Path, store: Store) -> None:
    parts = parts_of(folder, store, CHAIN)
    with pytest.raises(
        ConfigError, match=r"train needs numbers, which is not there yet \(never made\): leave out --only"
    ):
        next(run(store, parts, {"train"}))
    assert list(store.ids()) == []
    pretend_all(store, parts[:1])
    decision = next(run(store, parts, {"train"}))
    assert isinstance(decision, Decision)
    assert (decision.part.name, decision.why) == ("train", "never made")


def test_a_forced_run_makes_anew_what_is_selected_and_nothing_else(folder: Path, store: Store) -> None:
    walks = {"numbers": NUMBERS, "walk": {"stage": "toy-walk"}}
    parts = parts_of(folder, store, walks)
    before = results(run(store, parts, {"numbers", "walk"}))
    records = {name: store.record_of(made.artifact.manifest.key) for name, made in before.items()}
    stamps = {name: record.stat().st_mtime_ns for name, record in records.items()}
    forced = results(run(store, parts, {"walk"}, force=True))
    assert {name: made.reused for name, made in forced.items()} == {"walk": False}
    assert forced["walk"].artifact.id == before["walk"].artifact.id
    assert records["numbers"].stat().st_mtime_ns == stamps["numbers"]
    assert records["walk"].stat().st_mtime_ns != stamps["walk"]


def test_a_forced_run_that_fails_leaves_what_was_there_but_not_as_the_answer(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = {"walk": {"stage": "toy-walk"}}
    made = results(run(store, parts_of(folder, store, walk), {"walk"}))["walk"].artifact

    def stumble(_: Job) -> NoReturn:
        raise LookupError("there is a stone")

    sound = toy.WALK
    monkeypatch.setattr(toy, "WALK", dataclasses.replace(sound, run=stumble))
    with pytest.raises(LookupError, match="there is a stone"):
        list(run(store, parts_of(folder, store, walk), {"walk"}, force=True))
    assert store.has(made.id)
    assert store.find(made.manifest.key) is None
    monkeypatch.setattr(toy, "WALK", sound)
    again = results(run(store, parts_of(folder, store, walk), {"walk"}))["walk"]
    assert (again.reused, again.artifact.id) == (False, made.id)


def test_what_comes_out_as_it_was_lets_the_rest_be_reused(folder: Path, store: Store) -> None:
    """A changed setting that changes no byte makes one part anew, and nothing after it."""
    walks = {"numbers": NUMBERS, "train": TRAIN}
    parts = parts_of(folder, store, walks)
    made = next(iter(results(run(store, parts[:1], {"numbers"})).values())).artifact
    pretend(store, Planner(store).plan(parts)[1])
    (folder / "numbers.txt").write_text("1.0\n2.0\n3.0\n")  # other bytes, the same numbers
    again = results(run(store, parts_of(folder, store, walks), {"numbers", "train"}))
    assert (again["numbers"].reused, again["numbers"].artifact.id) == (False, made.id)
    assert again["train"].reused
    assert (made.path / MANIFEST).is_file()
    assert isinstance(made.manifest.recipe, Recipe)


def test_gc_takes_nothing_that_a_later_part_needs(folder: Path, store: Store) -> None:
    parts = parts_of(folder, store, {"numbers": NUMBERS, "walk": {"stage": "toy-walk"}, "train": TRAIN})
    swept = [
        sweep_store(store, grace=timedelta(0), now=utc_now()).artifacts
        for event in run(store, parts, {"numbers", "walk", "train"})
        if isinstance(event, Ended)
    ]
    assert swept == [[], [], []]
    assert len(list(store.ids())) == 3
    assert store.entries("tmp") == []


def test_what_is_gone_is_said_with_the_way_to_bring_it_back(folder: Path, store: Store) -> None:
    parts = parts_of(folder, store, {"numbers": NUMBERS})
    made = pretend(store, Planner(store).plan(parts)[0])
    for path in (made.path, made.path / MANIFEST):
        os.utime(path, (0, 0))
    sweep_store(store, grace=timedelta(days=1), now=utc_now())
    short = made.id[7:19]
    gone = f"make: was made before, but {short} is not in the store any more"
    assert whys(store, parts)["numbers"] == f"{gone}: `prefline gc --restore {short}`"
    shutil.rmtree(store.root / "trash")
    assert whys(store, parts)["numbers"] == gone


def test_a_record_that_is_damaged_is_not_taken_for_an_artifact_that_is_gone(folder: Path, store: Store) -> None:
    parts = parts_of(folder, store, {"numbers": NUMBERS})
    made = pretend(store, Planner(store).plan(parts)[0])
    record = store.record_of(made.manifest.key)
    record.write_bytes(record.read_bytes().replace(b'"kind": "toy-numbers"', b'"kind": "toy-nombers"'))
    assert whys(store, parts)["numbers"] == f"make: the record that it led to {made.id[7:19]} is damaged"


def test_what_another_process_is_making_is_not_called_interrupted(folder: Path, store: Store) -> None:
    parts = parts_of(folder, store, {"walk": {"stage": "toy-walk"}})
    recipe = Planner(store).plan(parts)[0].recipe
    assert recipe is not None
    with claim(store, recipe.key, on_wait=lambda: None):
        assert whys(store, parts)["walk"] == "make: another process is making it"
        (run_folder(store, recipe.key) / "checkpoints" / "000000000004").mkdir(parents=True)
        assert whys(store, parts)["walk"] == "make: another process is making it, and has saved step 4"
    assert whys(store, parts)["walk"] == "make: was interrupted: goes on after step 4"


def test_a_part_that_waits_says_its_own_changes_too(folder: Path, store: Store) -> None:
    pretend_all(store, parts_of(folder, store, CHAIN))
    changed = {
        "numbers": {**NUMBERS, "params": {"scale": 2}},
        "train": {**TRAIN, "params": {"epochs": 5}},
        "sample": SAMPLE,
    }
    assert whys(store, parts_of(folder, store, changed)) == {
        "numbers": "make: params.scale changed 1.0 -> 2.0",
        "train": "make: waits for numbers; params.epochs changed 3 -> 5",
        "sample": "make: waits for train",
    }


class Optional(Config):
    """Settings of which one may be null, and another one came later."""

    longest: int | None = None


class More(Optional):
    """The same with one more."""

    shortest: int | None = None


def test_null_is_a_value_and_not_an_absence(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"walk": {"stage": "toy-walk"}}
    monkeypatch.setattr(toy, "WALK", dataclasses.replace(toy.WALK, params=Optional))
    pretend_all(store, parts_of(folder, store, stages))
    longer = {"walk": {"stage": "toy-walk", "params": {"longest": 6}}}
    assert whys(store, parts_of(folder, store, longer))["walk"] == "make: params.longest changed null -> 6"
    monkeypatch.setattr(toy, "WALK", dataclasses.replace(toy.WALK, params=More))
    assert whys(store, parts_of(folder, store, stages))["walk"] == "make: params.shortest is new: null"


@pytest.mark.parametrize("text", ["~nobody-of-this-name/x", "x" * 5000, "a\0b"])
def test_a_path_that_cannot_be_one_is_refused_with_its_place(folder: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"stages.a.inputs.source: expected a file, found ") as refused:
        parts_of(folder, None, {"a": {"stage": "toy-numbers", "inputs": {"source": text}}})
    assert len(str(refused.value)) < 300


def test_a_folder_beside_the_file_hides_no_name_of_the_store(folder: Path, store: Store, publish: Publish) -> None:
    made = publish(store, {"numbers.json": b"[1]"}, kind="toy-numbers", name="mine")
    (folder / "mine").mkdir()
    (part,) = parts_of(folder, store, {"train": {"stage": "toy-train", "inputs": {"numbers": "mine"}}})
    assert part.sources == {"numbers": made}
