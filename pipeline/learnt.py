"""What a reward model has learnt from: as its manifest says it, and the comparisons that this comes to.

An ensemble has learnt what its members have. Of the scorer that a training went on from nobody knows it.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from prefline.data.comparison import Comparison
from prefline.pipeline.drawing import short
from prefline.pipeline.jobs import Job
from prefline.pipeline.labels import draw_labels, read_labels
from prefline.pipeline.randomness import Randomness
from prefline.pipeline.stages import Input
from prefline.pipeline.store import Artifact
from prefline.pipeline.train_reward import TRAIN_REWARD, TrainRewardParams
from prefline.reward_model.safety import read_config
from prefline.reward_model.scorers import has_head

Learning = Mapping[str, Any]


def describe_learning(job: Job) -> dict[str, Any]:
    """Return what the manifest says of a training; `further` is one that began with a scorer."""
    params: TrainRewardParams = job.params
    draws = params.most is not None or params.shuffle_labels
    return {
        "comparisons": job.artifact("comparisons").id,
        **params.model_dump(include={"loss", "most", "shuffle_labels"}),
        "seed": job.recipe.seed if draws else None,
        "further": has_head(read_config(job.path_of("model"))),
    }


def list_learning(scorer: Input) -> list[Learning]:
    """Return the trainings of a scorer, or of the members of an ensemble; none where one of them is not known."""
    found: Any = scorer.manifest.data.get("learnt_from") if isinstance(scorer, Artifact) else None
    trainings: list[Any] = found if isinstance(found, list) else [found]
    return [] if None in trainings else trainings


def find_learnt(trainings: Sequence[Learning], comparisons: Artifact) -> list[Comparison] | None:
    """Return the comparisons that were learnt from; None where others were too, or nobody knows."""
    if not trainings or any(one["further"] or one["comparisons"] != comparisons.id for one in trainings):
        return None
    labels = read_labels(comparisons)
    draws = dict.fromkeys((one["most"], one["shuffle_labels"], one["seed"]) for one in trainings)
    learnt = [
        draw_labels(labels, most, Randomness(seed or 0, TRAIN_REWARD.name).derive, shuffled=shuffled).train
        for most, shuffled, seed in draws
    ]
    return learnt[0] if len(learnt) == 1 else [*dict.fromkeys(itertools.chain.from_iterable(learnt))]


def explain_unknown(trainings: Sequence[Learning]) -> str:
    """Say what is known of what a scorer has learnt from, where that is not all."""
    if not trainings:
        known = "what the scorer has learnt from is not known"
    else:
        named = ", ".join(dict.fromkeys(short(one["comparisons"]) for one in trainings))
        further = any(one["further"] for one in trainings)
        rest = "and before that from what is not known" if further else "of which not all are at hand"
        known = f"the scorer has learnt from {named}, {rest}"
    return f"{known}, so nobody looks whether it has seen these prompts before"
