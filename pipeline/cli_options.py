"""Options and arguments that several verbs share, and the help of a shell that completes them."""

import os
from pathlib import Path
from typing import Annotated

import typer

from prefline.data.errors import PreflineError


def complete_artifact(incomplete: str) -> list[str]:
    """Offer the names in the store, and ids when an id has been begun."""
    from prefline.pipeline.names import short_name
    from prefline.pipeline.store import Store

    try:
        store = Store.open(os.environ.get("PREFLINE_STORE") or ".prefline")
        short_names = {short_name(full) for full in store.names.all()}
        ids = [
            name
            for name in store.ids()
            if len(incomplete) >= 2 and name.startswith(("sha256:" + incomplete, incomplete))
        ]
    except PreflineError:
        return []  # nothing to offer, and a terminal that is being typed on is no place to say why
    return sorted(name for name in short_names if name.startswith(incomplete)) + ids


StoreOption = Annotated[
    Path,
    typer.Option("--store", metavar="FOLDER", envvar="PREFLINE_STORE", help="Where artifacts are kept."),
]
ArtifactArgument = Annotated[
    str,
    typer.Argument(
        metavar="ARTIFACT",
        help="An id, the first digits of one, or a name.",
        autocompletion=complete_artifact,
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
AloneOption = Annotated[bool, typer.Option("--alone", help="Leave out what the artifact was made from.")]
DEFAULT_STORE = Path(".prefline")
