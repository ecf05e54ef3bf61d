"""Listing stores of growing size: `prefline list` as a process, and `summarize` within one.

The naive version reads every manifest as the rest of prefline does, with its schema and its digests
checked. Listing leaves the checks to `verify`, and the ratio says what that saves. There is no
index behind it, so what also matters is how the time grows: the exponent is the slope of a line
through the logarithms of size and time, 1 for a list that takes twice as long for twice as much.
"""

import argparse
import functools
import math
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from timing import Times, clean_environment, describe_verdict, prefline_command, print_machine, ratio, take_turns

from prefline.pipeline import Artifact, Manifest, Recipe, Store, find_faults
from prefline.pipeline.environment import describe_environment
from prefline.pipeline.listing import summarize
from prefline.pipeline.manifest import File
from prefline.pipeline.naming import MANIFEST
from prefline.pipeline.terminal import format_table

MOST_SECONDS = 1.0
LINEAR = 1.1  # what a linear growth may look like, measured on a machine that does other things too
NAMED = 10  # one artifact in so many has a name
COMMAND, SUMMARIZE, NAIVE = "prefline list", "summarize()", "naive"

Describe = Callable[[int, bytes, dict[str, object]], Manifest]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Listing stores of growing size.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1250, 2500, 5000, 10000], help="artifacts in a store")
    parser.add_argument("--repeats", type=int, default=5, help="how often each thing is timed")
    options = parser.parse_args()
    sizes = sorted(set(options.sizes))
    with tempfile.TemporaryDirectory() as scratch:
        stores = {size: build_store(Path(scratch) / str(size), size) for size in sizes}
        for size, store in stores.items():
            check(store, size)
        print_machine(
            f"Manifests in the page cache, {options.repeats} times each in turn after a warm-up.\n"
            f"One artifact in {NAMED} has a name; {NAIVE} is store.get(id) for each of them."
        )
        times = take_turns(
            {label(what, size): act for size, store in stores.items() for what, act in list_ways(store).items()},
            options.repeats,
        )
    print(
        format_table(
            ("ARTIFACTS", COMMAND, SUMMARIZE, NAIVE, "SUMMARIZE TO NAIVE"),
            describe(times, sizes, (COMMAND, SUMMARIZE, NAIVE)),
        )
    )
    print(format_table(("BAR", "MEASURED", ""), judge(times, sizes)), end="")


def label(what: str, size: int) -> str:
    """Name a measurement."""
    return f"{what} of {size}"


def list_ways(store: Store) -> dict[str, Callable[[], object]]:
    """Return the ways to list a store that are compared."""
    command = [*prefline_command(), "list", "--store", str(store.root)]
    return {
        COMMAND: functools.partial(
            subprocess.run, command, env=clean_environment(), check=True, stdout=subprocess.DEVNULL
        ),
        SUMMARIZE: lambda: summarize(store),
        NAIVE: lambda: list_naively(store),
    }


def list_naively(store: Store) -> list[Artifact]:
    """List artifacts with every manifest checked."""
    artifacts = [store.get(artifact_id) for artifact_id in store.ids()]
    return sorted(artifacts, key=lambda artifact: artifact.manifest.run["started"], reverse=True)


def build_store(root: Path, artifacts: int, describe: Describe | None = None) -> Store:
    """Make a store as publishing would, without waiting for the disk ten thousand times."""
    store = Store.create(root)
    environment = describe_environment()
    for number in range(artifacts):
        content = b"%d\n" % number
        manifest = (describe or describe_artifact)(number, content, environment)
        folder = store.folder_of(manifest.id)
        folder.mkdir(parents=True)
        (folder / "number.txt").write_bytes(content)
        for place in (folder / MANIFEST, store.record_of(manifest.key)):
            place.write_bytes(manifest.to_bytes())
        if number % NAMED == 0:
            name = store.names.folder / manifest.kind / f"number-{number}"
            name.parent.mkdir(exist_ok=True)
            name.write_text(f"{manifest.id}\n", encoding="utf-8")
    return store


def describe_artifact(number: int, content: bytes, environment: dict[str, object]) -> Manifest:
    """Describe an artifact of one small file, with as much about its making as a real one has."""
    started = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    return Manifest.build(
        kind="thing",
        feedback=["human"],
        files=[File(path="number.txt", size=len(content), sha256=sha256(content).hexdigest())],
        data={"number": number},
        recipe=Recipe(stage="benchmark", stage_version=1, params={"number": number}, inputs={}, seed=0),
        run={"started": started.strftime("%Y-%m-%dT%H:%M:%SZ"), "elapsed_s": 0.1, "environment": environment},
    )


def check(store: Store, artifacts: int) -> None:
    """Make sure that the stores hold what real ones would, and that the list is of all of it."""
    ids = list(store.ids())
    assert [summary.kind for summary in summarize(store)] == ["thing"] * artifacts
    assert len(list_naively(store)) == len(ids) == artifacts
    assert not any(find_faults(store.folder_of(some), expected_id=some) for some in ids[:: artifacts // 5 or 1])


def describe(times: Times, sizes: list[int], ways: tuple[str, str, str]) -> list[tuple[str, ...]]:
    """A row for each size, with the ratio of the second way to the third, and one for the growth."""
    _, ours, naive = ways
    rows = [
        (
            f"{size:,}",
            *(f"{statistics.median(times[label(what, size)]):.3f} s" for what in ways),
            f"{ratio(times[label(ours, size)], times[label(naive, size)]):.2f}x",
        )
        for size in sizes
    ]
    if len(sizes) > 1:
        growth = (f"{fit_growth(times, what, sizes):.2f}" for what in ways)
        rows.append(("exponent", *growth, ""))
    return rows


def fit_growth(times: Times, what: str, sizes: list[int]) -> float:
    """Return the exponent with which the time grows."""
    medians = [statistics.median(times[label(what, size)]) for size in sizes]
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(m) for m in medians]).slope


def judge(times: Times, sizes: list[int]) -> list[tuple[str, str, str]]:
    """Hold the measurements to the bars."""
    largest = statistics.median(times[label(COMMAND, sizes[-1])])
    bar = f"{COMMAND} of {sizes[-1]:,} artifacts under {MOST_SECONDS:.0f} s"
    rows = [(bar, f"{largest:.3f} s", describe_verdict(largest < MOST_SECONDS))]
    return rows + judge_growth(times, SUMMARIZE, sizes)


def judge_growth(times: Times, what: str, sizes: list[int]) -> list[tuple[str, str, str]]:
    """Hold the growth to its bar, where there is one to be seen."""
    if len(sizes) < 2:
        return []
    growth = fit_growth(times, what, sizes)
    bar = f"{what} grows linearly or better (exponent up to {LINEAR}, for noise)"
    return [(bar, f"{growth:.2f}", describe_verdict(growth <= LINEAR))]


if __name__ == "__main__":
    main()
