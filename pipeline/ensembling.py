"""The work of the stage `ensemble`: look whether the models go together, save each, and prove what was saved.

One model at a time is held in memory.
"""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from prefline.data.errors import ConfigError
from prefline.pipeline.drawing import short
from prefline.pipeline.ensemble import ROLES
from prefline.pipeline.jobs import Job
from prefline.pipeline.proving import prove
from prefline.pipeline.stages import Outcome
from prefline.pipeline.store import Artifact
from prefline.pipeline.weights import describe_model, writing_weights
from prefline.reward_model.combining import Combination
from prefline.reward_model.ensembles import find_member, write_description
from prefline.reward_model.model import RewardModel
from prefline.reward_model.safety import ENSEMBLE

# What members are proved by: any tokenizer makes something of it.
_TEXTS = (
    ("A letter came this morning.", " It was from my sister."),
    ("What is the capital of France?", " Paris."),
    ("Summarize: The ferry was late again, and the harbour full of people.", " The late ferry left people waiting."),
    ("Name three colours.", " Red, green and blue; or, if you like it darker, brown."),
)


def assemble(job: Job) -> Outcome:
    """Put the models that the job asks for together, and write the files of the artifact."""
    combination: Combination = job.params
    members = {role: job.artifact(role) for role in ROLES if role in job.inputs}
    _check_different(members)
    scale = _find_scale(members)
    parameters = sum(_save_member(job, number, member) for number, member in enumerate(members.values(), 1))
    write_description(job.folder, len(members), combination)
    job.tell_people(
        f"{job.label}: {len(members)} members with {parameters:,} parameters in all; a score costs as much as "
        f"{len(members)} of one member"
    )
    return Outcome(
        {
            "members": [member.id for member in members.values()],
            **combination.model_dump(),
            "parameters": parameters,
            "cost": len(members),  # of a score, in scores of one member
            "normalized": {"by": scale},
            "sharpness": _find_sharpness(members.values()),
            "learnt_from": sorted({member.manifest.recipe.inputs["comparisons"] for member in members.values()}),
        }
    )


def _check_different(members: Mapping[str, Artifact]) -> None:
    """Refuse a model that is there twice, which disagrees with nobody, and one that is an ensemble."""
    roles: dict[str, str] = {}
    for role, member in members.items():
        if (before := roles.setdefault(member.id, role)) != role:
            raise ConfigError(f"{role}: expected another model than {before}, found the same, {short(member.id)}")
        if (member.path / ENSEMBLE).is_file():
            own = ", ".join(map(short, member.manifest.data["members"]))
            raise ConfigError(f"{role}: expected a single model, found an ensemble: give those that it is of ({own})")


def _find_scale(members: Mapping[str, Artifact]) -> str:
    """Return by what the scores of all members are normalised; refuse those of which no two may be compared."""
    scales = {role: _describe_scale(member) for role, member in members.items()}
    (first, scale), *others = scales.items()
    for role, other in others:
        if other != scale:
            raise ConfigError(
                f"{role}: expected scores that are normalised as those of {first}, by {scale}, found by {other}: train "
                "one of the two anew, with the --normalize of the other"
            )
    if scale == "none":
        raise ConfigError(
            f"{first}: expected scores on a scale that those of another model can have, found such as were not "
            "normalised: train all members with --normalize samples, responses, texts or references"
        )
    return scale


def _describe_scale(member: Artifact) -> str:
    """Name the scale of scores: where the spread is as it was learnt, that of ratings is not that of choices."""
    by, loss = member.manifest.data["normalized"]["by"], member.manifest.recipe.params["loss"]
    if loss == "rating" and by == "none":
        return "ratings"
    return f"{by} of the loss {loss!r}" if by == "references" and loss in ("rating", "difference") else by


def _find_sharpness(members: Iterable[Artifact]) -> float | None:
    """Return what makes of scores those of a softmax, as the mean of what does for each member; None: nothing does."""
    found: list[Any] = [member.manifest.data.get("sharpness") for member in members]
    return None if None in found else statistics.fmean(found)


def _save_member(job: Job, number: int, member: Artifact) -> int:
    """Save a model, prove in a fresh process that it gives the same scores, and return how many parameters it has."""
    model = RewardModel.from_pretrained(member.path)
    probes = model.encoder.encode(*zip(*_TEXTS, strict=True))
    expected = model.score_pairs(probes).tolist()
    folder = find_member(job.folder, number)
    with writing_weights(folder):
        model.save_pretrained(folder)
    prove(folder, model, probes, _TEXTS, expected)
    job.tell_people(f"{job.label}: member {number}: a fresh process has loaded it, and it gave the same scores")
    return describe_model(model.inner)["parameters"]
