"""The verbs that copy artifacts out of a store and into it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prefline.pipeline.cli_options import DEFAULT_STORE, AloneOption, ArtifactArgument, StoreOption

if TYPE_CHECKING:
    from prefline.pipeline.store import Artifact


def export(
    artifact: ArtifactArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False, help="A folder that is not there.")],
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Write comparisons as pairs, unpaired, rewardbench-2, label-studio, argilla."
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Copy an artifact to a plain folder, with checksums, or its comparisons in a layout of others."""
    from prefline.pipeline import exporting
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import say

    opened = Store.open(store)
    found = opened.get_sound(opened.resolve(artifact))
    if layout is None:
        exporting.export(found, folder)
        say(f"exported to {folder}; check it there with: sha256sum -c {exporting.CHECKSUMS}")
    else:
        _export_layout(found, layout, folder)
    print(found.id)


def _export_layout(artifact: "Artifact", layout: str, folder: Path) -> None:
    from prefline.data.wording import count
    from prefline.pipeline.rewriting import LEFT_OUT, rewrite
    from prefline.pipeline.terminal import say

    written = rewrite(artifact, layout, folder)
    rows = f"as {count(written.rows, 'row', 'rows')}"
    say(f"{count(written.comparisons, 'comparison', 'comparisons')} written {rows} to {folder}")
    if written.left_out:
        say(f"{written.left_out:,} could not be written as {layout}: {folder / LEFT_OUT} says why")


def push(
    artifact: ArtifactArgument,
    url: Annotated[str, typer.Argument(metavar="URL", show_default=False, help="Any that fsspec knows.")],
    alone: AloneOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Copy an artifact and what it came from to a URL."""
    from prefline.pipeline.copying import push as copy_there
    from prefline.pipeline.names import short_name
    from prefline.pipeline.remotes import Remote
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import say

    opened = Store.open(store)
    artifact_id = opened.resolve(artifact)
    named = opened.names.find(artifact)
    name = short_name(named[0]) if named else None
    copy_there(opened, artifact_id, Remote(url), alone=alone, name=name, say=say)
    print(artifact_id)


def pull(
    url: Annotated[str, typer.Argument(metavar="URL", show_default=False, help="Any that fsspec knows.")],
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", show_default=False, help="An id or a name there.")],
    alone: AloneOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Copy an artifact and what it came from from a URL, verified."""
    from prefline.pipeline.copying import pull as copy_here
    from prefline.pipeline.remotes import Remote
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import describe_moved_names, say

    remote = Remote(url)
    artifact_id, name = remote.resolve(artifact)
    opened = Store.create(store)
    names = opened.names.readable()
    copy_here(opened, artifact_id, remote, alone=alone, name=name, say=say)
    print(artifact_id, flush=True)
    for moved in describe_moved_names(names, opened):
        say(moved)
