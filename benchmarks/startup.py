"""How long the command line takes to answer, against a Python that does nothing.

Whole processes, timed from start to exit, take turns with `python -c pass`: the time that nobody's
program can save. What makes a command line slow is what it imports, so the output also says
whether torch, transformers or pandas were loaded. None of these verbs needs them.
"""

import argparse
import functools
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import (
    CALL_MAIN,
    clean_environment,
    describe_times,
    describe_verdict,
    prefline_command,
    print_machine,
    ratio,
    take_turns,
)

from prefline.pipeline import Recipe, Store, draft
from prefline.pipeline.terminal import format_table

BARE = "python -c pass"
MOST_RATIO = 8
MOST_SECONDS = 0.3
HEAVY = ("torch", "transformers", "pandas")
REPORT_IMPORTS = f"""
import atexit, sys
atexit.register(lambda: print(*(name for name in {HEAVY} if name in sys.modules), file=sys.stderr))
{CALL_MAIN}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How long the command line takes to answer.")
    parser.add_argument("--repeats", type=int, default=25, help="how often each command runs")
    parser.add_argument("--artifacts", type=int, default=10, help="how many the store holds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        store = make_store(Path(scratch) / "store", options.artifacts)
        verbs = {
            "prefline ingest --help": ["ingest", "--help"],
            "prefline --help": ["--help"],
            "prefline list": ["list", "--store", str(store.root)],
            "prefline verify --quick": ["verify", "--quick", "--store", str(store.root)],
        }
        print_machine(
            f"Whole processes, {options.repeats} of each in turn; the store holds {options.artifacts} artifacts."
        )
        commands = {BARE: [sys.executable, "-c", "pass"]}
        commands |= {name: [*prefline_command(), *words] for name, words in verbs.items()}
        times = take_turns({name: functools.partial(run, words) for name, words in commands.items()}, options.repeats)
        rows = [describe(name, times[name], times[BARE], find_heavy_imports(verbs.get(name))) for name in commands]
    print(format_table(("COMMAND", "MEDIAN", "RANGE", "RATIO", "HEAVY IMPORTS", "BAR", ""), rows), end="")
    print(f"\nHEAVY IMPORTS: which of {', '.join(HEAVY)} are in sys.modules at the end.")


def make_store(root: Path, artifacts: int) -> Store:
    """Publish some small artifacts."""
    store = Store.create(root)
    for number in range(artifacts):
        recipe = Recipe(stage="benchmark", stage_version=1, params={"number": number}, inputs={}, seed=None)
        with draft(store, recipe) as work:
            (work.folder / "number.txt").write_text(f"{number}\n", encoding="utf-8")
            work.publish(kind="thing", data={}, name=f"thing-{number}")
    return store


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, which must be a good one."""
    return subprocess.run(command, env=clean_environment(), check=True, capture_output=True, text=True)


def find_heavy_imports(words: list[str] | None) -> str:
    """Say which heavy packages a verb has loaded by the time it ends."""
    if words is None:
        return ""
    return run([sys.executable, "-c", REPORT_IMPORTS, *words]).stderr.splitlines()[-1] or "none"


def describe(name: str, times: list[float], bare: list[float], heavy: str) -> tuple[str, ...]:
    """A row of the table; the bar is for `ingest --help`, the other verbs are for comparison."""
    found = ratio(times, bare)
    cells = (name, *describe_times(times), f"{found:.1f}x", heavy)
    if not name.startswith("prefline ingest"):
        return (*cells, "", "")
    met = found <= MOST_RATIO and statistics.median(times) < MOST_SECONDS
    return (*cells, f"at most {MOST_RATIO}x and under {MOST_SECONDS} s", describe_verdict(met))


if __name__ == "__main__":
    main()
