"""The verbs that copy artifacts out of a store and into it."""

from pathlib import Path
from typing import Annotated

import typer

from prefline.pipeline.cli_options import DEFAULT_STORE, AloneOption, ArtifactArgument, StoreOption


def export(
    artifact: ArtifactArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False, help="A folder that is not there.")],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Copy an artifact to a plain folder, with checksums."""
    from prefline.pipeline import exporting
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import say

    opened = Store.open(store)
    found = opened.get_sound(opened.resolve(artifact))
    exporting.export(found, folder)
    say(f"exported to {folder}; check it there with: sha256sum -c {exporting.CHECKSUMS}")
    print(found.id)


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
