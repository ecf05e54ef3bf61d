"""Publishing a large artifact and verifying it in full, against `sha256sum` of the same bytes.

A publish has to read every byte once, and a verification again; whatever they take beyond that is
overhead. All readers find the bytes in the page cache. A publish also waits until they are on the
disk, as sha256sum does not have to, so it is timed twice: right after the files were written,
which includes that wait, and after `os.sync()`, which leaves the hashing. The wait alone is
printed beside them.

Some builds of sha256sum do not use the processor's instructions for SHA-256 and lose to one thread of
Python's hashlib, so ratios to both are printed. The bar is about sha256sum.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from timing import Times, describe_times, describe_verdict, print_machine, ratio, repeat, seconds

from prefline.pipeline import Artifact, Recipe, Store, draft, find_faults
from prefline.pipeline.terminal import format_size, format_table

MOST_RATIO = 1.3
MIB = 1 << 20
PEER, ONE_THREAD = "sha256sum", "hashlib, one thread"
PUBLISH, PUBLISH_FLUSHED, FLUSH, VERIFY = "publish", "publish, flushed before", "the flush alone", "verify"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Publishing and verifying, against sha256sum.")
    parser.add_argument("--mib", type=int, default=1024, help="the size of the artifact")
    parser.add_argument("--repeats", type=int, default=3, help="how often each thing is timed")
    parser.add_argument("--folder", type=Path, help="where to write; default: the system's folder for temporary files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch)
        needed, free = 2 * options.mib * MIB, shutil.disk_usage(folder).free
        if free < needed:
            print(
                f"Nothing was measured: {folder.parent} has {format_size(free)} free and {format_size(needed)} are "
                "needed. Give another place with --folder, or a smaller size with --mib."
            )
            return
        print_machine(describe_conditions(options.mib, options.repeats))
        for files in (1, 8):
            shape = Shape(files, options.mib * MIB // files)
            times = repeat(lambda shape=shape: measure(folder / "store", shape), options.repeats)
            print_times(shape, times)


def describe_conditions(mib: int, repeats: int) -> str:
    """Say what was measured and what the numbers include."""
    peer = "" if shutil.which(PEER) else f"\n{PEER} is not installed: one thread of hashlib stands in for it."
    return (
        f"{format_size(mib * MIB)} of random bytes in the page cache, {repeats} times each after a warm-up.\n"
        f"{PUBLISH!r} includes the disk's flush of all of it; {PUBLISH_FLUSHED!r} came after os.sync()." + peer
    )


@dataclass(frozen=True)
class Shape:
    """How the bytes of an artifact are divided."""

    files: int
    size: int

    def __str__(self) -> str:
        """1 file of 1.0 GiB."""
        return f"{self.files} file{'s' if self.files > 1 else ''} of {format_size(self.size)}"


def measure(root: Path, shape: Shape) -> dict[str, float]:
    """Time everything once, publishing into a store made anew so that nothing is there already."""
    measured: dict[str, float] = {}
    for flushed in (False, True):
        store = Store.create(root)
        os.sync()  # what the step before left to be written is not ours to wait for
        recipe = Recipe(stage="benchmark", stage_version=1, params={}, inputs={}, seed=None)
        with draft(store, recipe) as work:
            write_files(work.folder, shape)
            if flushed:
                measured[FLUSH] = seconds(os.sync)
            published: list[Artifact] = []
            took = seconds(lambda: published.append(work.publish(kind="thing", data={})))  # noqa: B023
        measured[PUBLISH_FLUSHED if flushed else PUBLISH] = took
        if flushed:
            measured |= measure_readers(published[0])
        shutil.rmtree(root)
    return measured


def write_files(folder: Path, shape: Shape) -> None:
    """Write random bytes as any program would, leaving it to the system when they reach the disk."""
    for number in range(shape.files):
        with open(folder / f"part-{number}.safetensors", "wb") as stream:
            for begin in range(0, shape.size, MIB):
                stream.write(os.urandom(min(MIB, shape.size - begin)))


def measure_readers(artifact: Artifact) -> dict[str, float]:
    """Time a verification and its peers, each of which must find the same digests."""
    paths = [artifact.path / file.path for file in artifact.manifest.files]
    expected = [file.sha256 for file in artifact.manifest.files]

    def verify() -> None:
        assert find_faults(artifact.path) == []

    def hash_with_sha256sum() -> None:
        lines = subprocess.run([PEER, "--", *paths], check=True, capture_output=True, text=True).stdout.splitlines()
        assert [line.split()[0] for line in lines] == expected

    def hash_in_one_thread() -> None:
        assert [hash_plainly(path) for path in paths] == expected

    peer = hash_with_sha256sum if shutil.which(PEER) else hash_in_one_thread
    return {PEER: seconds(peer), VERIFY: seconds(verify), ONE_THREAD: seconds(hash_in_one_thread)}


def hash_plainly(path: Path) -> str:
    """Hash one file with what the standard library offers for it."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def print_times(shape: Shape, times: Times) -> None:
    """Print a table for one shape."""
    rows = [describe(name, times) for name in (PEER, ONE_THREAD, FLUSH, PUBLISH, PUBLISH_FLUSHED, VERIFY)]
    header = (str(shape).upper(), "MEDIAN", "RANGE", "TO SHA256SUM", "TO HASHLIB", "BAR", "")
    print(format_table(header, rows))


def describe(name: str, times: Times) -> tuple[str, ...]:
    """A row of the table; the bar is for what prefline does."""
    to_peer, to_one_thread = (ratio(times[name], times[other]) for other in (PEER, ONE_THREAD))
    cells = (name, *describe_times(times[name]), f"{to_peer:.2f}x", f"{to_one_thread:.2f}x")
    if name not in (PUBLISH, VERIFY):
        return (*cells, "", "")
    return (*cells, f"at most {MOST_RATIO}x sha256sum", describe_verdict(to_peer <= MOST_RATIO))


if __name__ == "__main__":
    main()
