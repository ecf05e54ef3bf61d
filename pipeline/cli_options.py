"""Options and arguments that several verbs share, and the help of a shell that completes them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prefline.data.errors import ConfigError, PreflineError

if TYPE_CHECKING:
    from prefline.pipeline.runtime import Runtime
    from prefline.pipeline.store import Store

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


def complete_part(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the stages of the pipeline file that stands on the line."""
    from prefline.pipeline.pipeline_file import load_pipeline

    # While an option still wants its value, what stands before it has not been given to the arguments.
    files = [ctx.params.get("file"), ctx.params.get("first"), *ctx.args]
    try:
        names = load_pipeline(Path(next(filter(None, files), ""))).stages
    except (PreflineError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_tracker(incomplete: str) -> list[str]:
    """Offer the trackers that there are, installed or not."""
    from prefline.pipeline.trackers import TRACKERS

    return [name for name in TRACKERS if name.startswith(incomplete)]


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
NameOption = Annotated[str | None, typer.Option("--name", metavar="NAME", help="Call the artifact this, and keep it.")]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, metavar="SEED", help="What all chance follows from.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="As if the file said so: stages.NAME.params.KEY=VALUE."),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Make it anew, even if it was made before or was interrupted in the middle.")
]
DeviceOption = Annotated[str, typer.Option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps or auto.")]
CheckpointEveryOption = Annotated[
    str,
    typer.Option(
        "--checkpoint-every", metavar="INTERVAL", help="Save the state after a time (90s, 10m) or steps (500)."
    ),
]
KeepCheckpointsOption = Annotated[
    int, typer.Option("--keep-checkpoints", min=1, metavar="COUNT", help="How many saved states to keep.")
]
TrackOption = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="TRACKER",
        help="Log to tensorboard, wandb or trackio too; may be repeated.",
        autocompletion=complete_tracker,
    ),
]


def create_store(root: Path) -> "Store":
    """Open a store or make one, which is said: it may not be where somebody thinks it is."""
    from prefline.pipeline.places import local_folder
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import say

    is_new = not (local_folder(root) / "store.json").exists()
    store = Store.create(root)
    if is_new:
        say(f"a new store: {store.root.absolute()}")
    return store


def build_runtime(
    device: str = "auto", checkpoint_every: str = "10m", keep_checkpoints: int = 2, track: list[str] | None = None
) -> "Runtime":
    """Gather how a stage is to be run for a person at a terminal."""
    import sys

    from prefline.pipeline.devices import choose_device
    from prefline.pipeline.durations import parse_interval
    from prefline.pipeline.interruption import PROCESS
    from prefline.pipeline.progress import Progress
    from prefline.pipeline.runtime import Runtime
    from prefline.pipeline.terminal import say

    if device not in ("auto", "cpu"):
        choose_device(device)  # which imports torch, but hours may pass until a stage asks for it
    try:
        interval = parse_interval(checkpoint_every)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="--checkpoint-every") from None
    return Runtime(
        device=device,
        checkpoint_every=interval,
        keep_checkpoints=keep_checkpoints,
        trackers=tuple(track or ()),
        interruption=PROCESS,
        tell=say,
        progress=lambda label: Progress(label, sys.stderr),
    )
