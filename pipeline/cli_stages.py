"""The verbs that run a stage. `ingest` is written out, so that its help comes at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prefline.pipeline.cli_options import (
    DEFAULT_STORE,
    ForceOption,
    NameOption,
    StoreOption,
    build_runtime,
    create_store,
)
from prefline.pipeline.feedback import Feedback

if TYPE_CHECKING:
    from prefline.pipeline.making import Made
    from prefline.pipeline.store import Store


def ingest(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", show_default=False, readable=False, help='JSON lines: {"prompt", "responses", "best"}.'
        ),
    ],
    name: NameOption = None,
    feedback: Annotated[Feedback, typer.Option(help="Who chose the best response.")] = "human",
    force: ForceOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Check a file of comparisons, row by row, and make it an artifact."""
    from prefline.data.wording import count
    from prefline.pipeline.ingest import INGEST
    from prefline.pipeline.making import make
    from prefline.pipeline.stages import SourceFile
    from prefline.pipeline.terminal import results, say

    runtime = build_runtime()
    source = SourceFile.read(file)
    opened = create_store(store)
    names = opened.names.readable()
    with results() as show:
        made = make(
            opened,
            INGEST,
            params={"feedback": feedback},
            inputs={"source": source},
            name=name,
            force=force,
            runtime=runtime,
        )
        show(made.artifact.id)
    rows = count(made.artifact.manifest.data["comparisons"], "comparison", "comparisons")
    say(f"{rows} from {file}, {'made before and reused' if made.reused else 'ingested'}")
    tell_of_others(opened, made, names)


def tell_of_others(store: "Store", made: "Made", names: "Mapping[str, str]") -> None:
    """Say what else a person should know of what was made; `names` is what was named before."""
    from prefline.pipeline.terminal import describe_moved_names, say

    if store.get(made.artifact.id).manifest.key != made.artifact.manifest.key:
        say("another recipe led to the same artifact before; `prefline show` tells of both")
    for moved in describe_moved_names(names, store):
        say(moved)
