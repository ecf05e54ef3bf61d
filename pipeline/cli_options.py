"""Options and arguments that several verbs share, and the help of a shell that completes them."""

from pathlib import Path
from typing import Annotated

import typer

from prefline.data.errors import PreflineError

DEFAULT_STORE = Path(".prefline")


def complete_name(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the names in the store."""
    from prefline.pipeline.names import short_name
    from prefline.pipeline.store import Store

    try:
        names = {short_name(full) for full in Store.open(ctx.params.get("store") or DEFAULT_STORE).names.readable()}
    except (PreflineError, OSError):
        return []  # nothing to offer, and a line that is being typed is no place to say why
    return sorted(name for name in names if name.startswith(incomplete))


def complete_artifact(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the names in the store, and ids when one has been begun."""
    from prefline.pipeline.store import Store

    try:
        store = Store.open(ctx.params.get("store") or DEFAULT_STORE)
        # Without sha256: in front, as shells take the colon for the end of a word.
        ids = [name.removeprefix("sha256:") for name in store.ids()] if len(incomplete) >= 2 else []
    except (PreflineError, OSError):
        return []
    return complete_name(ctx, incomplete) + [digits for digits in ids if digits.startswith(incomplete)]


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
