"""The work of the stage `ensemble`: look whether the models go together, save each, and prove what was saved.

One model at a time is held in memory.
"""

import statistics
from collections.abc import Mapping
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

# The input of the training that the texts are of which scores are normalised by.
_OF = {"samples": "model", "responses": "comparisons", "texts": "texts", "references": "texts"}
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
    _tell_of_texts(job, members)
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
            "sharpness": _find_sharpness(combination, members),
            "learnt_from": [member.manifest.data.get("learnt_from") for member in members.values()],
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
    data = member.manifest.data
    # A model of an earlier version says its loss in its recipe alone.
    by, loss = data["normalized"]["by"], (data.get("learnt_from") or member.manifest.recipe.params)["loss"]
    if loss == "rating" and by == "none":
        return "ratings"
    return f"{by} of the loss {loss!r}" if by == "references" and loss in ("rating", "difference") else by


def _tell_of_texts(job: Job, members: Mapping[str, Artifact]) -> None:
    """Say where scores are normalised by the same means, but not of the same texts: nobody knows what that does."""
    by = next(iter(members.values())).manifest.data["normalized"]["by"]
    if (role := _OF.get(by)) is None:
        return
    if len({member.manifest.recipe.inputs.get(role) for member in members.values()}) > 1:
        same = "one model" if role == "model" else f"the same {role}"
        job.tell(
            f"{job.label}: the scores of all are normalised by {by}, but not of {same}, so their scales may differ"
        )


def _find_sharpness(combination: Combination, members: Mapping[str, Artifact]) -> float | None:
    """Return what makes of scores about those of a softmax: the mean of what does for each member; None: none does.

    What the least of several scores comes to, or their mean less something, was never learnt as a probability.
    """
    found: list[Any] = [member.manifest.data.get("sharpness") for member in members.values()]
    return None if None in found or combination.rule != "mean" else statistics.fmean(found)


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
