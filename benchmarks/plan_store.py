"""Planning with stores of growing size: `prefline plan` as a process, and `Planner.plan` within one.

Nothing in the store fits the pipeline file, so every stage of it asks for the nearest recipe that was made:
the slowest that a plan can be. A third of the recipes are of the stage that the file runs. All have a dozen
settings, as training has; `ingest` has fewer today, so a real plan has less to compare.

The naive version checks every record as the rest of prefline does, and compares it field by field with
each stage. Both must find the same nearest recipes.
"""

import argparse
import functools
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from list_store import MOST_SECONDS, build_store, describe, judge_growth, label
from startup import HEAVY, find_heavy_imports
from timing import Times, clean_environment, describe_verdict, prefline_command, print_machine, take_turns

from prefline.pipeline import Manifest, Recipe, Store
from prefline.pipeline.lineage import compare
from prefline.pipeline.manifest import File
from prefline.pipeline.pipeline_file import load_pipeline
from prefline.pipeline.planning import Planner
from prefline.pipeline.terminal import format_table
from prefline.pipeline.wiring import Part, wire

KINDS = {"ingest": "comparisons", "train-reward": "reward-model", "tune": "policy"}
FEEDBACK = ("human", "synthetic", "mock")
COMMAND, PLAN, NAIVE = "prefline plan", "plan()", "naive"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Planning with stores of growing size.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1250, 2500, 5000, 10000], help="artifacts in a store")
    parser.add_argument("--stages", type=int, default=10, help="how many stages the pipeline file has")
    parser.add_argument("--repeats", type=int, default=5, help="how often each thing is timed")
    options = parser.parse_args()
    sizes = sorted(set(options.sizes))
    with tempfile.TemporaryDirectory() as scratch:
        file = write_pipeline(Path(scratch), options.stages)
        stores = {size: build_store(Path(scratch) / str(size), size, describe_artifact) for size in sizes}
        for store in stores.values():
            check(store, file, options.stages)
        print_machine(
            f"Records in the page cache, {options.repeats} times each in turn after a warm-up.\n"
            f"{options.stages} stages, none made before; {NAIVE} is Manifest.from_bytes of every record, and compare()."
        )
        times = take_turns(
            {label(what, size): act for size, store in stores.items() for what, act in list_ways(store, file).items()},
            options.repeats,
        )
        heavy = find_heavy_imports(list_words(stores[sizes[-1]], file))
    print(
        format_table(
            ("ARTIFACTS", COMMAND, PLAN, NAIVE, "PLAN TO NAIVE"), describe(times, sizes, (COMMAND, PLAN, NAIVE))
        )
    )
    print(format_table(("BAR", "MEASURED", ""), judge(times, sizes, heavy)), end="")


def write_pipeline(folder: Path, stages: int) -> Path:
    """Write a pipeline file, and for each of its stages a file to read."""
    entries: dict[str, object] = {}
    for number in range(stages):
        name = f"labels-{number}.jsonl"
        (folder / name).write_text(f"{number}\n", encoding="utf-8")
        params = {"feedback": FEEDBACK[number % len(FEEDBACK)]}
        entries[f"labels-{number}"] = {"stage": "ingest", "inputs": {"source": name}, "params": params}
    path = folder / "pipeline.yaml"
    path.write_text(json.dumps({"schema": "prefline.pipeline/1", "stages": entries}), encoding="utf-8")
    return path


def describe_artifact(number: int, content: bytes, environment: dict[str, object]) -> Manifest:
    """Describe an artifact with as much about its making as one of training has."""
    stage = list(KINDS)[number % len(KINDS)]
    source = sha256(b"source of %d" % number).hexdigest()
    started = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    is_first = stage == "ingest"
    return Manifest.build(
        kind=KINDS[stage],
        feedback=["human"],
        files=[File(path="number.txt", size=len(content), sha256=sha256(content).hexdigest())],
        data={"number": number},
        recipe=Recipe(
            stage=stage,
            stage_version=1,
            params=choose_params(number),
            inputs={"source": f"file:sha256:{source}"} if is_first else {"comparisons": f"sha256:{source}"},
            seed=None if is_first else number % 5,
        ),
        run={"started": started.strftime("%Y-%m-%dT%H:%M:%SZ"), "elapsed_s": 0.1, "environment": environment},
    )


def choose_params(number: int) -> dict[str, object]:
    """Return settings as somebody has them who tries one after the other."""
    return {
        "feedback": FEEDBACK[number // 3 % len(FEEDBACK)],
        "base": "EleutherAI/pythia-160m",
        "dtype": "bfloat16",
        "learning_rate": 1e-5 * (1 + number % 7),
        "schedule": {"warmup_steps": 10 * (number % 11), "decay": "cosine", "floor": 0.1},
        "batch_size": 8 << number % 4,
        "gradient_accumulation": 4,
        "epochs": 1 + number % 3,
        "max_length": 512,
        "weight_decay": 0.01,
        "betas": [0.9, 0.95],
        "clip_norm": 1.0,
        "dropout": 0.05 * (number % 3),
    }


def list_words(store: Store, file: Path) -> list[str]:
    """Return what a person would type after `prefline`."""
    return ["plan", str(file), "--store", str(store.root)]


def list_ways(store: Store, file: Path) -> dict[str, Callable[[], object]]:
    """Return the ways to plan that are compared."""
    parts = wire(load_pipeline(file), file.parent, store)
    command = [*prefline_command(), *list_words(store, file)]
    return {
        COMMAND: functools.partial(subprocess.run, command, env=clean_environment(), check=True, capture_output=True),
        PLAN: lambda: Planner(store).plan(parts),
        NAIVE: lambda: plan_naively(store, parts),
    }


def plan_naively(store: Store, parts: list[Part]) -> list[str]:
    """Return the id of what is nearest to each part, with every record checked."""
    manifests = [Manifest.from_bytes(path.read_bytes()) for path in store.entries("keys")]
    known = [(manifest, manifest.recipe.model_dump()) for manifest in manifests]
    nearest: list[str] = []
    for decision in Planner(None).plan(parts):
        assert decision.recipe is not None
        now = decision.recipe.model_dump()
        same = [(manifest, recipe) for manifest, recipe in known if recipe["stage"] == now["stage"]]
        best, _ = min(
            sorted(same, key=lambda pair: pair[0].run["started"], reverse=True),
            key=lambda pair: count_differences(pair[1], now),
        )
        nearest.append(best.id)
    return nearest


def count_differences(before: dict[str, object], now: dict[str, object]) -> int:
    """Count what is new, what is gone, and what has changed for both."""
    found = compare(before, now)
    return sum((difference.first is not None) + (difference.second is not None) for difference in found)


def check(store: Store, file: Path, stages: int) -> None:
    """Make sure that every stage gets an explanation, and the same from both ways."""
    parts = wire(load_pipeline(file), file.parent, store)
    decisions = Planner(store).plan(parts)
    found = [decision.nearest.id for decision in decisions if decision.nearest is not None]
    assert found == plan_naively(store, parts)
    assert len(found) == stages
    assert {store.get(nearest).manifest.recipe.stage for nearest in found} == {"ingest"}


def judge(times: Times, sizes: list[int], heavy: str) -> list[tuple[str, str, str]]:
    """Hold the measurements to the bars."""
    largest = statistics.median(times[label(COMMAND, sizes[-1])])
    bar = f"{COMMAND} with {sizes[-1]:,} artifacts under {MOST_SECONDS:.0f} s"
    rows = [
        (bar, f"{largest:.3f} s", describe_verdict(largest < MOST_SECONDS)),
        (f"{COMMAND} imports none of {', '.join(HEAVY)}", heavy, describe_verdict(heavy == "none")),
    ]
    return rows + judge_growth(times, PLAN, sizes)


if __name__ == "__main__":
    main()
