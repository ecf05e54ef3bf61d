"""The verb that scores responses with a reward model."""

import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from prefline.data.errors import ArtifactError, DataError, StoreError, UnknownArtifactError
from prefline.pipeline.cli_options import DEFAULT_STORE, DeviceOption, StoreOption, complete_artifact

if TYPE_CHECKING:
    from prefline.pipeline.scores_file import Sink
    from prefline.pipeline.scoring import Asked, Tally
    from prefline.pipeline.store import Artifact

ScorerArgument = Annotated[
    str,
    typer.Argument(
        metavar="SCORER",
        help="The folder of a scorer, hub:organisation/name, or an artifact of the kind reward-model.",
        autocompletion=complete_artifact,
        show_default=False,
    ),
]
SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A file, a folder of files, hub:organisation/name?split=train, or an artifact of the kind comparisons.",
        autocompletion=complete_artifact,
        show_default=False,
    ),
]
SideOption = Annotated[
    Literal["both", "train", "held_out"] | None,
    typer.Option(help="Which comparisons of an artifact: train, held_out or both. [default: both]"),
]
LayoutOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="How rows are written, by name; found out if not said.")
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="ROLE=COLUMN", help="The column of a role, or several: responses=left,right. May be repeated."
    ),
]
ChatOption = Annotated[bool, typer.Option("--chat", help="Take a prompt that is a text as what a user says in a chat.")]
OutputOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write to a file that is not there, and not to stdout.")
]
SummaryOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write what the scores come to to a file that is not there, as JSON."),
]
TokensOption = Annotated[
    int | None, typer.Option(min=1, metavar="TOKENS", help="Tokens computed at once; as suits the device if not said.")
]


def score(
    scorer: ScorerArgument,
    source: SourceArgument,
    side: SideOption = None,
    layout: LayoutOption = None,
    map: MapOption = None,  # noqa: A002
    chat: ChatOption = False,
    output: OutputOption = None,
    summary: SummaryOption = None,
    tokens_at_once: TokensOption = None,
    device: DeviceOption = "auto",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Score responses with a reward model: a line of JSON for each row."""
    from prefline.pipeline.devices import check_device
    from prefline.pipeline.filesystem import write_file
    from prefline.pipeline.scores_file import check_free
    from prefline.pipeline.scoring import Asked
    from prefline.pipeline.terminal import say
    from prefline.pipeline.terminal_scoring import describe_scores

    began = time.monotonic()
    asked = Asked(layout, _read_columns(map or []), chat, tokens_at_once)
    check_device(device)
    for file in (output, summary):
        if file is not None:
            check_free(file)
    found = _find(scorer, source, side, store)
    with _lend_stdout() if output is None else _lend_file(output) as sink:
        tally = _score(found, device, asked, sink)
        if not tally.items:
            refused = f"{tally.refused:,} that were refused" if tally.refused else "none"
            raise DataError(
                f"{source}: expected rows to score, found {refused}; --layout and --map say how rows are read"
            )
    results = {"scorer": scorer, "source": source, **tally.summarize(), "seconds": time.monotonic() - began}
    if summary is not None:
        write_file(summary, json.dumps(results, ensure_ascii=False, indent=1).encode() + b"\n")
    say("\n".join(describe_scores(results)))


class _Found(NamedTuple):
    """The folder of a scorer, the files of a source, and the tokenizer that its token ids belong to."""

    scorer: Path
    files: list[Path]
    tokenizer: Path | None = None


def _score(found: _Found, device: str, asked: "Asked", sink: "Sink") -> "Tally":
    """Score everything; how far it is can be seen, unless there are lines to be seen already."""
    from prefline.pipeline.interruption import PROCESS
    from prefline.pipeline.labels import check_tokenizer
    from prefline.pipeline.progress import Progress
    from prefline.pipeline.scoring import Scoring, load_scorer
    from prefline.pipeline.terminal import say

    scorer = load_scorer(found.scorer, device)
    if found.tokenizer is not None:
        for member in scorer.members:
            check_tokenizer(found.tokenizer, member.tokenizer)
    progress = Progress("score", None if sink.is_terminal else sys.stderr, unit="items")
    scoring = Scoring(scorer, asked, sink, say if sink.is_terminal else progress.tell)
    with contextlib.closing(progress):
        for tally in scoring.score(found.files):
            progress.update(tally.items, None, {"refused": tally.refused or None})
            PROCESS.leave_if_requested(f"after {tally.items:,} items; the same command goes on from there")
    return scoring.tally


@contextlib.contextmanager
def _lend_stdout() -> "Iterator[Sink]":
    """Lend stdout for lines alone: what libraries print goes to stderr. Nobody has to read it to its end."""
    from prefline.pipeline.scores_file import Stdout

    out = sys.stdout
    if out is None:
        raise StoreError("stdout: it is closed: name a file with --output")
    sys.stdout = sys.stderr
    try:
        yield Stdout(out.buffer)
    except OSError as error:
        out = None  # what is in the buffer of a stream that failed would fail once more when Python exits
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(128 + signal.SIGPIPE) from None
        raise
    finally:
        sys.stdout = out


@contextlib.contextmanager
def _lend_file(path: Path) -> "Iterator[Sink]":
    """Lend a file that is gone on with; a first signal lets rows that are being scored be written."""
    from prefline.pipeline.interruption import PROCESS
    from prefline.pipeline.scores_file import open_part
    from prefline.pipeline.terminal import say

    with open_part(path) as part, PROCESS.stepwise():
        PROCESS.doing = "writing the rows that are being scored"
        if not part.begins_anew:
            say(f"{part.path} holds scores of an earlier run: it is gone on with")
        yield part


def _find(scorer: str, source: str, side: str | None, store: Path) -> _Found:
    from prefline.pipeline.ingest import HELD_OUT, TRAIN
    from prefline.pipeline.provided import TOKENIZER_FILE

    folder = _find_scorer(scorer, store)
    files = _list_files(source)
    if files is not None and side is not None:
        raise typer.BadParameter("goes with an artifact of comparisons", param_hint="--side")
    if files is not None:
        return _Found(folder, files)
    found = _find_artifact(store, source, "comparisons", "file or folder", "these are what `prefline ingest` makes")
    names = [name for name in (TRAIN, HELD_OUT) if side in (None, "both", name.partition(".")[0])]
    tokenizer = found.path / TOKENIZER_FILE
    return _Found(folder, [found.path / name for name in names], tokenizer if tokenizer.is_file() else None)


def _find_scorer(text: str, store: Path) -> Path:
    from prefline.pipeline.provided import lies_outside, parse_place
    from prefline.pipeline.stages import MODEL, REWARD_MODEL

    place = parse_place(text, MODEL)
    if not isinstance(place, Path):
        return place.fetch().path
    if lies_outside(place, MODEL):
        return place
    return _find_artifact(store, text, REWARD_MODEL, "folder", "a scorer is what `prefline train-reward` makes").path


def _list_files(text: str) -> list[Path] | None:
    """Return the files that hold rows; None: an artifact is meant."""
    from prefline.data.rows import list_files
    from prefline.pipeline.provided import parse_place
    from prefline.pipeline.sources import list_paths
    from prefline.pipeline.stages import FILES

    place = parse_place(text, FILES)
    if not isinstance(place, Path):
        return list_paths(place.fetch())
    return list_files(place) if place.exists() else None


def _find_artifact(root: Path, text: str, kind: str, otherwise: str, remedy: str) -> "Artifact":
    """Return an artifact of a kind, every byte of it verified."""
    from prefline.pipeline.store import Store

    try:
        store = Store.open(root)
        found = store.get(store.resolve(text))
    except (StoreError, UnknownArtifactError) as error:
        raise UnknownArtifactError(f"{error}; and there is no {otherwise} {text!r}") from None
    if found.manifest.kind != kind:
        raise ArtifactError(
            f"{text}: expected an artifact of the kind {kind}, found the kind {found.manifest.kind}: {remedy}"
        )
    store.keep_young(found.id)  # gc must not take it meanwhile
    return store.get_sound(found.id)


def _read_columns(texts: list[str]) -> dict[str, str | tuple[str, ...]]:
    columns: dict[str, str | tuple[str, ...]] = {}
    for text in texts:
        role, equals, names = text.partition("=")
        if not equals or not role or role in columns:
            found = f"{role!r} twice" if role in columns else repr(text)
            raise typer.BadParameter(f"expected ROLE=COLUMN, found {found}", param_hint="--map")
        columns[role] = tuple(names.split(",")) if "," in names else names
    return columns
