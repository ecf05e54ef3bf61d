"""The verb that trains reward models on more and more comparisons, and draws how accurate they become."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_origin

import typer

from prefline.data.wording import did_you_mean
from prefline.pipeline.cli_options import (
    DEFAULT_STORE,
    CheckpointEveryOption,
    DeviceOption,
    KeepCheckpointsOption,
    StoreOption,
    TrackOption,
    build_runtime,
    complete_artifact,
)

if TYPE_CHECKING:
    from prefline.pipeline.curve import Trained, Training
    from prefline.pipeline.labels import Labels
    from prefline.pipeline.runtime import Runtime
    from prefline.pipeline.store import Artifact, Store
    from prefline.pipeline.wiring import Source

ComparisonsArgument = Annotated[
    str,
    typer.Argument(
        metavar="COMPARISONS",
        help="An artifact of the kind comparisons.",
        autocompletion=complete_artifact,
        show_default=False,
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        help="What each training begins with, as of `train-reward`.",
        autocompletion=complete_artifact,
        show_default=False,
    ),
]
SizesOption = Annotated[
    str, typer.Option(metavar="SIZES", help="How many comparisons to learn from: 250,1000,all.", show_default=False)
]
OutputOption = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Write curve.json and curve.html to this folder.", show_default=False)
]
SeedsOption = Annotated[str, typer.Option(metavar="SEEDS", help="Train once of each size with each of these seeds.")]
TextsOption = Annotated[
    str | None, typer.Option(metavar="TEXTS", help="Texts to normalise scores by, as of `train-reward`.")
]
ShuffledOption = Annotated[
    bool, typer.Option("--shuffled", help="Train on shuffled labels too, of the largest size: it must learn nothing.")
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of `train-reward`; may be repeated."),
]

# What the curve has options of its own for.
_OPTIONS = {"seed": "--seeds", "model": "--model", "texts": "--texts"}


def curve(
    comparisons: ComparisonsArgument,
    model: ModelOption,
    sizes: SizesOption,
    output: OutputOption,
    seeds: SeedsOption = "1,2,3",
    texts: TextsOption = None,
    shuffled: ShuffledOption = False,
    set_: SettingsOption = None,
    device: DeviceOption = "auto",
    checkpoint_every: CheckpointEveryOption = "10m",
    keep_checkpoints: KeepCheckpointsOption = 2,
    track: TrackOption = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Train reward models on more and more comparisons, and draw how accurate they become."""
    wanted = tuple(None if text == "all" else _read_number(text, 1, "--sizes") for text in sizes.split(","))
    chosen = tuple(dict.fromkeys(_read_number(text, 0, "--seeds") for text in seeds.split(",")))
    settings = _read_settings(set_ or ())
    runtime = build_runtime(device, checkpoint_every, keep_checkpoints, track)

    from prefline.pipeline.curve import PAGE, Design, check_folder, describe_curve, list_trainings, write_curve
    from prefline.pipeline.labels import read_labels
    from prefline.pipeline.store import Store
    from prefline.pipeline.terminal import say
    from prefline.pipeline.terminal_curve import format_curve

    opened = Store.open(store)
    folder = check_folder(output, opened)
    artifact = _find_comparisons(opened, comparisons)
    begun, beside = _find(opened, model, "model"), None if texts is None else _find(opened, texts, "texts")
    design = Design(artifact, begun, wanted, chosen, settings, beside, shuffled)
    labels = read_labels(artifact)
    made = _train(opened, list_trainings(design, labels), labels, runtime)
    found = describe_curve(design, labels, made)
    write_curve(folder, found)
    say(format_curve(found))
    say(f"to be read: {folder / PAGE}")


def _train(store: "Store", trainings: "list[Training]", labels: "Labels", runtime: "Runtime") -> "list[Trained]":
    """Say what will be made and what is there already, then make it; each id is printed."""
    from prefline.pipeline.curve import count_seen, read_trained
    from prefline.pipeline.planning import Planner
    from prefline.pipeline.running import Ended, run
    from prefline.pipeline.terminal import results, say
    from prefline.pipeline.terminal_runs import describe_made, describe_plan, format_plan

    if (seen := count_seen(trainings)) is not None:
        say(f"steps and batch let a training see {seen:,} comparisons at most, so larger sizes teach no more than that")
    parts = [training.part for training in trainings]
    planned = Planner(store).plan(parts)
    say(format_plan(planned) + describe_plan(planned))
    artifacts: dict[str, Artifact] = {}
    with results() as show:
        for event in run(store, parts, {part.name for part in parts}, runtime=runtime):
            if isinstance(event, Ended):
                artifacts[event.part.name] = event.made.artifact
                say(f"{event.part.name}: {describe_made(event.made)}")
                show(event.made.artifact.id)
                runtime.interruption.leave_if_requested(f"after {event.part.name}: the same command goes on from there")
    return [read_trained(one, artifacts[one.part.name], labels.held_out) for one in trainings]


def _find_comparisons(store: "Store", text: str) -> "Artifact":
    from prefline.pipeline.cli_catalogue import find_artifact
    from prefline.pipeline.train_reward import TRAIN_REWARD

    found = find_artifact(store, "comparisons", text)
    TRAIN_REWARD.check_inputs({"comparisons": found})  # its kind
    return store.get_sound(found.id)


def _find(store: "Store", text: str, kind: str) -> "Source":
    from prefline.pipeline.cli_catalogue import find_artifact
    from prefline.pipeline.provided import lies_outside, parse_place

    place = parse_place(text, kind)
    return find_artifact(store, kind, text) if isinstance(place, Path) and not lies_outside(place, kind) else place


def _read_number(text: str, least: int, option: str) -> int:
    digits = text.strip()
    if not digits.isdecimal() or int(digits) < least:
        also = " or 'all'" if option == "--sizes" else ""
        raise typer.BadParameter(
            f"expected whole numbers from {least}{also} with commas between them, found {text!r}", param_hint=option
        )
    return int(digits)


def _read_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Read settings of the stage as its own verb would."""
    from prefline.pipeline.cli_catalogue import read_setting
    from prefline.pipeline.train_reward import TRAIN_REWARD

    fields = TRAIN_REWARD.params.model_fields
    given: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        field = name.replace("-", "_")
        if field in _OPTIONS:
            raise typer.BadParameter(f"{field}: say {_OPTIONS[field]}", param_hint="--set")
        if not equals or field not in fields:
            found = f"{name!r}{did_you_mean(field, fields)}" if equals else repr(text)
            raise typer.BadParameter(
                f"expected NAME=VALUE of a setting of train-reward, found {found}", param_hint="--set"
            )
        given.setdefault(field, []).append(value)
    settings: dict[str, Any] = {}
    for field, values in given.items():
        many = get_origin(fields[field].annotation) is tuple
        if len(values) > 1 and not many:
            raise typer.BadParameter(f"expected {field} once, found it {len(values)} times", param_hint="--set")
        settings[field] = read_setting(TRAIN_REWARD, field, values if many else values[0])
    return settings
