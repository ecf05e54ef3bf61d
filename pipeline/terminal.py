"""How results look on a terminal. Results go to stdout; all talk goes to stderr."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefline.data.errors import StoreError
from prefline.data.wording import count, plain, printable
from prefline.pipeline.drawing import short
from prefline.pipeline.inspection import Checked, Inspection
from prefline.pipeline.lineage import Difference, Explanation
from prefline.pipeline.listing import Summary
from prefline.pipeline.manifest import Manifest
from prefline.pipeline.store import Artifact, Store


def say(text: str) -> None:
    """Talk to the person who is waiting; that the words cannot be written is no reason to stop work."""
    if sys.stderr is not None:  # closed by whoever called; print would take stdout instead
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr)


def print_json(value: object) -> None:
    """Print a result for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


@contextlib.contextmanager
def results() -> Iterator[Callable[[str], None]]:
    """Lend what prints results, one by one, while work goes on, which is worth more than the reader of its results.

    What others print meanwhile, libraries for example, goes to stderr. What could not be printed is an error
    at the end.
    """
    out, lost = sys.stdout, ["it is closed"] if sys.stdout is None else []

    def show(line: str) -> None:
        try:
            if not lost:
                print(line, file=out, flush=True)
        except OSError as error:
            lost.append(str(error.strerror))

    sys.stdout = sys.stderr
    try:
        yield show
    finally:
        # What is still in the buffer of a stream that failed would fail once more when Python exits.
        sys.stdout = None if lost else out
    if lost:
        raise StoreError(f"stdout: {lost[0]}: the work is done, but not every id was printed")


def describe_moved_names(before: Mapping[str, str], store: Store) -> list[str]:
    """Say which names have come to mean something else: what they meant before may now be lost to gc."""
    return [
        f"{full} was {before[full]} before; `prefline name {short(before[full])} NAME` keeps that from gc"
        for full, artifact_id in store.names.readable().items()
        if before.get(full, artifact_id) != artifact_id
    ]


def format_size(size: int) -> str:
    """1536 -> "1.5 KiB"."""
    amount, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}" if unit != "B" else f"{size} B"


def format_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Align columns, two spaces apart."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in table
    )


def format_list(summaries: list[Summary]) -> str:
    """A table of artifacts."""
    return format_table(
        ("ID", "KIND", "STAGE", "FEEDBACK", "SIZE", "MADE", "NAMES"),
        [
            (
                short(summary.id),
                printable(summary.kind) or "unreadable",
                printable(summary.stage) or "-",
                printable(",".join(summary.feedback)) or "-",
                format_size(summary.size),
                printable(summary.made) or "-",
                ",".join(summary.names),
            )
            for summary in summaries
        ],
    )


def format_artifact(
    artifact: Artifact, names: list[str], other_recipes: list[Manifest], log: Path | None = None
) -> str:
    """All that a manifest says, for people."""
    manifest, recipe, run = artifact.manifest, artifact.manifest.recipe, artifact.manifest.run
    lines = [
        ("id", manifest.id),
        ("key", manifest.key),
        ("manifest", artifact.manifest_digest),
        ("names", ", ".join(names) or "none: gc may take it"),
        ("feedback", ", ".join(manifest.feedback) or "none"),
        ("made by", printable(f"{recipe.stage}, version {recipe.stage_version}")),
        ("at", printable(f"{run.get('started', 'unknown')}, in {run.get('elapsed_s', '?')} s")),
        *(("resumed", printable(resumption)) for resumption in describe_resumptions(run)),
        ("seed", "none" if recipe.seed is None else str(recipe.seed)),
        *_pairs("params", recipe.params),
        *_pairs("inputs", _name_inputs(manifest)),
        *(
            ("also by", printable(f"{other.recipe.stage} of {', '.join(_name_inputs(other).values()) or 'no inputs'}"))
            for other in other_recipes
        ),
        *_pairs("data", manifest.data),
        *_pairs("files", {file.path: f"{format_size(file.size)}, sha256 {file.sha256}" for file in manifest.files}),
        ("path", str(artifact.path)),
        *([("log", str(log))] if log else []),
    ]
    return f"{manifest.kind}\n" + "".join(f"  {label:<9} {text}\n" for label, text in lines)


def describe_resumptions(run: Mapping[str, Any]) -> list[str]:
    """Say after which steps a run went on, and what was different then. `run` is free in form."""
    found = run.get("resumed")
    said: list[str] = []
    for item in found if isinstance(found, list) else []:
        if isinstance(item, dict):
            different = item.get("not_bit_exact")
            listed = ", ".join(map(str, different)) if isinstance(different, list) else ""
            said.append(f"after step {item.get('from_step')}" + (f"; not bit-exact: {listed}" if listed else ""))
    return said


def _name_inputs(manifest: Manifest) -> dict[str, str]:
    """Return the inputs, with the names that files had."""
    sources = manifest.source_names
    return {
        role: f"{source} ({sources[role]})" if role in sources else source
        for role, source in manifest.recipe.inputs.items()
    }


def _pairs(label: str, values: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = [printable(f"{name} = {plain(value)}") for name, value in values.items()] or ["none"]
    return [(label if index == 0 else "", text) for index, text in enumerate(pairs)]


def format_explanation(why: Explanation, indent: str = "") -> str:
    """Say why two artifacts differ, an input's own reasons below it."""
    lines = [f"{indent}{short(why.first)} and {short(why.second)}: {why.verdict}\n"]
    for title, differences in (
        ("recipe", why.recipe),
        ("content", why.files),
        ("circumstances, which may be the cause", why.circumstances),
    ):
        if differences:
            lines.append(f"{indent}  {title}:\n")
            lines += [f"{indent}    {_format_difference(difference)}\n" for difference in differences]
    for role, below in why.inputs.items():
        lines.append(f"{indent}  the input {role}:\n")
        lines.append(format_explanation(below, indent + "    "))
    return "".join(lines)


def _format_difference(difference: Difference) -> str:
    first = "absent" if difference.only_in == "second" else plain(difference.first)
    second = "absent" if difference.only_in == "first" else plain(difference.second)
    return printable(f"{difference.field}: {first} -> {second}")


def format_checked(checked: Checked) -> str:
    """A line for an artifact, and one for each thing that is wrong with it."""
    lines = [f"{'damaged' if checked.faults else 'sound':<8} {short(checked.id)}  {checked.kind}\n"]
    lines += [f"         {printable(fault)}\n" for fault in checked.faults]
    return "".join(lines)


def format_verdict(report: Inspection) -> str:
    """The last line of a verification."""
    damaged = sum(bool(checked.faults) for checked in report.artifacts)
    broken = f", {count(len(report.store_faults), 'name', 'names')} broken" if report.store_faults else ""
    return f"{len(report.artifacts) - damaged} sound, {damaged} damaged{broken}"


def format_store(report: Inspection) -> str:
    """What is wrong with a store beside its artifacts, and what is worth knowing."""
    lines = [f"broken   {fault}\n" for fault in report.store_faults]
    lines += [f"note     {note}\n" for note in describe_notes(report)]
    return "".join(lines)


def describe_notes(report: Inspection) -> list[str]:
    """What is harmless but worth knowing."""
    notes = [
        f"{source} is not in the store; {count(users, 'artifact', 'artifacts')} here came from it"
        for source, users in report.absent_inputs.items()
    ]
    if report.stale_records:
        recipes = count(report.stale_records, "recorded recipe leads", "recorded recipes lead")
        notes.append(f"{recipes} to no artifact; gc --delete removes such records")
    if report.dead_drafts:
        drafts = count(report.dead_drafts, "draft", "drafts")
        notes.append(f"{drafts} left behind by processes that died; gc --delete removes them")
    if report.interrupted_runs:
        runs = count(report.interrupted_runs, "run was", "runs were")
        notes.append(f"{runs} interrupted in the middle: the same command goes on")
    return notes
