"""How accurate a reward model is by how many comparisons it has learnt from: figure 2 of Ziegler et al. 2019.

curve.json    each training and its accuracy, and for each size their mean
curve.html    the same as a page

Each training is an artifact of the stage `train-reward`, made once for its recipe; so a stop loses none, and more sizes
or seeds cost what they cost alone. Of one seed, more comparisons hold those of fewer.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from prefline.data.comparison import Comparison
from prefline.data.errors import ConfigError, DataError, StoreError
from prefline.data.strict_json import parse_json
from prefline.data.wording import count
from prefline.pipeline.curve_page import render_curve
from prefline.pipeline.filesystem import explaining, list_folder, replace_file
from prefline.pipeline.grading import read_ceiling
from prefline.pipeline.held_out_scores import read_scores
from prefline.pipeline.labels import Labels
from prefline.pipeline.places import local_folder
from prefline.pipeline.store import Artifact, Store
from prefline.pipeline.train_reward import TRAIN_REWARD, TrainRewardParams
from prefline.pipeline.wiring import Part, Source
from prefline.reward_model.averaging import average_accuracy, compare_accuracy
from prefline.reward_model.scored import Scored, decide, measure_accuracy

SCHEMA = "prefline.curve/1"
CURVE, PAGE = "curve.json", "curve.html"
_OURS = {"most": "--sizes", "shuffle_labels": "--shuffled"}  # settings that the curve itself sets


@dataclass(frozen=True, slots=True)
class Design:
    """What is to be trained: on which comparisons, of which sizes, with which seeds."""

    comparisons: Artifact
    model: Source
    sizes: tuple[int | None, ...]  # None: all that there are
    seeds: tuple[int, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)  # of train-reward
    texts: Source | None = None
    shuffled: bool = False


class Training(NamedTuple):
    """A reward model that is to be made, and the part that makes it."""

    size: int
    seed: int
    shuffled: bool
    part: Part


class Trained(NamedTuple):
    """A reward model that was made, and what it says of what is held out."""

    training: Training
    artifact: Artifact
    scored: list[Scored]


def list_trainings(design: Design, labels: Labels) -> list[Training]:
    """Return what must be trained, the smallest first; refuse what cannot be."""
    if not decide(Scored(one, (0.0,) * len(one.responses)) for one in labels.held_out):
        raise DataError(
            f"expected held-out comparisons in which somebody chose, to measure accuracy on, found none in "
            f"{design.comparisons.id}: ingest them with a larger --held-out"
        )
    for name, option in _OURS.items():
        if name in design.settings:
            raise ConfigError(f"--set {name}: the curve sets that itself: say {option}")
    there = len(labels.train)
    sizes = sorted({there if size is None else size for size in design.sizes})
    if sizes[-1] > there:
        raise ConfigError(
            f"--sizes: expected at most {there:,}, as many as there are to learn from, found {sizes[-1]:,}: "
            "take all of them (all)"
        )
    found = [_plan(design, size, seed, there) for size in sizes for seed in design.seeds]
    return [*found, _plan(design, sizes[-1], design.seeds[0], there, shuffled=True)] if design.shuffled else found


def _plan(design: Design, size: int, seed: int, there: int, *, shuffled: bool = False) -> Training:
    # With all of them the recipe is that of a plain training, which may have been made already.
    drawn = {"most": None if size == there else size, "shuffle_labels": shuffled}
    settings = TrainRewardParams.parse({**design.settings, **drawn})
    sources: dict[str, Source] = {"comparisons": design.comparisons, "model": design.model}
    if design.texts is not None:
        sources["texts"] = design.texts
    name = f"{size:,}, seed {seed}{', labels shuffled' if shuffled else ''}"
    return Training(size, seed, shuffled, Part(name, TRAIN_REWARD, settings, sources, seed, None))


def count_seen(trainings: Sequence[Training]) -> int | None:
    """Return how many comparisons a training sees at most, where that is less than the largest size asks for."""
    params: Any = trainings[-1].part.settings
    seen = params.steps * params.batch if params.steps else None
    return seen if seen is not None and seen < max(one.size for one in trainings) else None


def read_trained(training: Training, artifact: Artifact, held_out: Sequence[Comparison]) -> Trained:
    """Read what a model that was made says of what is held out."""
    return Trained(training, artifact, read_scores(artifact.path, held_out))


def describe_curve(design: Design, labels: Labels, made: Sequence[Trained]) -> dict[str, Any]:
    """Return the document."""
    honest = [one for one in made if not one.training.shuffled]
    probes = [_describe_training(one) for one in made if one.training.shuffled]
    scored = honest[0].scored
    return {
        "schema": SCHEMA,
        "comparisons": design.comparisons.id,
        "settings": dict(design.settings),
        "data": {
            "train": len(labels.train),
            "held_out": len(labels.held_out),
            "decided": len(decide(scored)),
            "prompts": len({one.comparison.prompt for one in decide(scored)}),
            "feedback": list(design.comparisons.manifest.feedback),
        },
        "ceiling": read_ceiling(design.comparisons),
        "sizes": _describe_sizes(honest),
        "trainings": [_describe_training(one) for one in honest],
        "shuffled": probes[0] if probes else None,
    }


def _describe_sizes(made: Sequence[Trained]) -> list[dict[str, Any]]:
    """Average over seeds, and say by how much each size is ahead of the one before."""
    found: list[dict[str, Any]] = []
    before = None
    for size in sorted({one.training.size for one in made}):
        scored = [one.scored for one in made if one.training.size == size]
        ahead = compare_accuracy(scored, before) if before else None
        found.append({"size": size, **(average_accuracy(scored) or {}), "ahead": ahead})
        before = scored
    return found


def _describe_training(one: Trained) -> dict[str, Any]:
    data = one.artifact.manifest.data
    return {
        "size": one.training.size,
        "seed": one.training.seed,
        "artifact": one.artifact.id,
        "learnt": data["comparisons"],  # of the size, those that say something
        "loss": data["after"] and data["after"]["loss"],
        **(measure_accuracy(one.scored) or {}),
    }


def check_folder(folder: Path, store: Store) -> Path:
    """Refuse a place that holds anything but an earlier curve, before hours are spent."""
    folder = local_folder(folder)
    if folder.resolve().is_relative_to(store.root.resolve()):
        raise StoreError(f"{folder} is inside the store {store.root}: give a folder outside it")
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: expected a folder, or nothing there, found something else: name another --output")
    others = [entry.name for entry in list_folder(folder) if entry.name.removesuffix(".part") not in (CURVE, PAGE)]
    if others or not _is_ours(folder / CURVE):
        found = count(len(others), "other file", "other files") if others else f"another {CURVE}"
        raise StoreError(f"{folder}: expected a new folder, or one of a curve, found {found}: name another --output")
    return folder


def _is_ours(path: Path) -> bool:
    """Say whether a file is one of ours, or not there yet."""
    if not path.exists():
        return True
    try:
        document: Any = parse_json(path.read_bytes())
        return document["schema"].startswith(SCHEMA.partition("/")[0])
    except (DataError, TypeError, KeyError, AttributeError):
        return False


def write_curve(folder: Path, curve: Mapping[str, Any]) -> None:
    """Write both files, each whole or as it was before."""
    with explaining(folder):
        folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(curve, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    for name, content in ((PAGE, render_curve(curve).encode()), (CURVE, document)):
        scratch = folder / f"{name}.part"
        scratch.unlink(missing_ok=True)  # what a kill has left
        replace_file(folder / name, content, scratch)
