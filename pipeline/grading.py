"""What the report card of a reward model is made from: comparisons that it scored, and what is known beside them."""

import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefline.data.chance import Chance, generator
from prefline.data.comparison import Comparison
from prefline.data.contents import Prompt, Response
from prefline.pipeline.card_page import render_card
from prefline.pipeline.filesystem import create_file
from prefline.pipeline.ingest import REPORT
from prefline.pipeline.jobs import Job
from prefline.pipeline.learnt import describe_learning, explain_unknown
from prefline.pipeline.report_card import CARD, PAGE
from prefline.pipeline.stages import identify
from prefline.pipeline.store import Artifact
from prefline.pipeline.terminal_card import describe_card
from prefline.pipeline.weights import describe_model
from prefline.reward_model.card import write_card
from prefline.reward_model.ensembles import Ensemble, Scorer, score_comparisons
from prefline.reward_model.scored import Scored, decide, measure_accuracy
from prefline.reward_model.scorers import count_positions

if TYPE_CHECKING:
    from prefline.pipeline.normalizing import Standards
    from prefline.pipeline.train_reward import TrainRewardParams
    from prefline.reward_model.model import RewardModel

_LEARNT = 500  # comparisons that a model has learnt from, of which it is seen whether it has learnt them by heart
OF_CHOICES = ("choice", "ranking")  # losses by which scores become probabilities


def select_fitting(model: Scorer, comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return those comparisons that are not too long for a model, or for any member of an ensemble."""
    fit = find_fitting(model, [one.prompt for one in comparisons], [one.responses for one in comparisons])
    return list(itertools.compress(comparisons, fit))


def find_fitting(model: Scorer, prompts: Sequence[Prompt], groups: Sequence[Sequence[Response]]) -> list[bool]:
    """Say of each prompt whether it has room with all its responses, in all members of an ensemble."""
    fit = [True] * len(prompts)
    for member in model.members:
        most = count_positions(member.inner)
        if most is None:
            continue
        encoded = member.encoder.encode_candidates(prompts, groups)
        longest = [max(len(pair.prompt) + len(pair.response) for pair in each.pairs) for each in encoded]
        fit = [fits and length <= most for fits, length in zip(fit, longest, strict=True)]
    return fit


def measure_learnt(
    model: Scorer, train: Sequence[Comparison], chance: Chance, tokens_at_once: int | None = None
) -> dict[str, Any] | None:
    """Return how right a model is on some of the comparisons that it has learnt from; they may have been cut then."""
    some = generator(chance, "learnt").sample(train, k=min(_LEARNT, len(train)))
    return measure_accuracy(score_comparisons(model, select_fitting(model, some), tokens_at_once=tokens_at_once))


def read_ceiling(comparisons: Artifact) -> dict[str, Any] | None:
    """Return how often one annotator chooses what the others do, by the quality report; None where nobody can tell."""
    agreement = json.loads((comparisons.path / REPORT).read_bytes())["agreement"]
    ceiling = agreement and agreement["ceiling"]
    return ceiling if ceiling and ceiling["of"] else None


def tell_measuring(job: Job) -> None:
    """Say what takes a while now, though nothing is trained or scored any more."""
    job.tell_people(f"{job.label}: measuring what it has learnt")


def grade(
    job: Job,
    model: Scorer,
    scored: Sequence[Scored],
    *,
    train: Sequence[Comparison],
    learnt: Sequence[Comparison] | None,
    learnt_accuracy: Mapping[str, Any] | None,
    sharpness: float | None,
    groups: Mapping[str, Sequence[float]] | None = None,
    gold: tuple[str, Sequence[Sequence[float]]] | None = None,
    data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the card of a model and its page, tell what they come to, and return what the manifest says of them.

    `train` is what baselines are fitted on; `learnt` what the model has learnt from, None where nobody knows.
    """
    comparisons, about = job.artifact("comparisons"), _describe(model)
    card = write_card(
        scored,
        score=functools.partial(model.score, tokens_at_once=job.params.tokens_at_once),
        train=train,
        learnt=learnt,
        train_accuracy=learnt_accuracy,
        sharpness=sharpness,
        ceiling=read_ceiling(comparisons),
        groups=groups or {},
        gold=gold,
        data={"id": comparisons.id, "feedback": [*comparisons.manifest.feedback], **(data or {})},
        # Of a model that is being trained nobody knows the id: the card is part of what it is the digest of.
        model={"id": identify(scorer), **about} if (scorer := job.inputs.get("scorer")) else about,
    )
    _write(job.folder, card)
    for line in describe_card(card):
        job.tell_people(f"{job.label}: {line}")
    return {"accuracy": card["accuracy"], "findings": [found["finding"] for found in card["verdict"]]}


def _describe(model: Scorer) -> dict[str, Any]:
    """Say what scored: how large it is, how many scores become one by what rule, and what that costs."""
    heads = sum(member.heads for member in model.members)
    parameters = sum(describe_model(member.inner)["parameters"] for member in model.members)
    about: dict[str, Any] = {"parameters": parameters}
    if heads > 1:
        rule = model.combination.rule if isinstance(model, Ensemble) else model.reading.rule
        about |= {"members": heads, "rule": rule, "cost": len(model.members)}  # times that of one model
    return about


def grade_trained(
    job: Job,
    model: "RewardModel",
    scored: Sequence[Scored],
    learnt: Sequence[Comparison],
    standards: "Standards",
    sharpness: float | None,
) -> dict[str, Any] | None:
    """Write the card of a model that the job has trained; None where nothing is held out in which somebody chose."""
    params: TrainRewardParams = job.params
    if not decide(scored):
        job.tell_people(f"{job.label}: there is no report card, as nothing is held out in which somebody chose")
        return None
    tell_measuring(job)
    learning = describe_learning(job)
    if learning["further"]:
        said = explain_unknown([learning])
        job.tell_people(f"{job.label}: {said}: say it to `prefline report-card`, with --learnt-from")
    groups: dict[str, list[float]] = {}
    if standards.after and standards.source in ("samples", "references"):
        groups[standards.source] = model.score_pairs(standards.after, tokens_at_once=params.tokens_at_once).tolist()
    return grade(
        job,
        model,
        scored,
        train=learnt,
        learnt=None if learning["further"] else learnt,
        learnt_accuracy=measure_learnt(model, learnt, job.randomness.derive, params.tokens_at_once),
        sharpness=sharpness,
        groups=groups,
    )


def _write(folder: Path, card: Mapping[str, Any]) -> None:
    with create_file(folder / CARD) as out:
        out.write(json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n")
    with create_file(folder / PAGE) as out:
        out.write(render_card(card).encode())
