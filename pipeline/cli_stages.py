"""The verbs that run a stage."""

from pathlib import Path
from typing import Annotated

import typer

from prefline.pipeline.cli_options import DEFAULT_STORE, StoreOption
from prefline.pipeline.feedback import Feedback


def ingest(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", show_default=False, readable=False, help='JSON lines: {"prompt", "responses", "best"}.'
        ),
    ],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Call the artifact this, and keep it.")] = None,
    feedback: Annotated[Feedback, typer.Option(help="Who chose the best response.")] = "human",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Check a file of comparisons, row by row, and make it an artifact."""
    from prefline.data.wording import count
    from prefline.pipeline.ingest import INGEST
    from prefline.pipeline.stages import SourceFile, make
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import describe_moved_names, say

    source = SourceFile.read(file)
    opened = Store.create(store)
    names = opened.names.readable()
    made = make(opened, INGEST, params={"feedback": feedback}, inputs={"source": source}, name=name)
    if made.damage:
        say(f"{made.damage}. It was made again from {file}")
    print(made.artifact.id, flush=True)
    rows = count(made.artifact.manifest.data["comparisons"], "comparison", "comparisons")
    say(f"{rows} from {file}, {'made before and reused' if made.reused else 'ingested'}")
    if opened.get(made.artifact.id).manifest.key != made.artifact.manifest.key:
        say("another recipe led to the same artifact before; `prefline show` tells of both")
    for moved in describe_moved_names(names, opened):
        say(moved)
