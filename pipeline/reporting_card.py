"""The work of the stage `report-card`: score what is held out, some comparisons at a step, and measure."""

import functools
import math
from collections.abc import Sequence
from itertools import compress
from typing import Any

from prefline.data.chance import from_seed
from prefline.data.comparison import Comparison
from prefline.data.errors import ConfigError, DataError
from prefline.data.wording import count
from prefline.pipeline.drawing import short
from prefline.pipeline.grading import find_fitting, grade, measure_learnt, select_fitting
from prefline.pipeline.inputs import check_unchanged
from prefline.pipeline.jobs import Job
from prefline.pipeline.labels import check_tokenizer, draw_labels, read_labels
from prefline.pipeline.normalizing import draw_samples, find_around
from prefline.pipeline.provided import TOKENIZER_FILE
from prefline.pipeline.randomness import Randomness
from prefline.pipeline.report_card import ReportCardParams
from prefline.pipeline.scoring import load_scorer
from prefline.pipeline.stages import Outcome, identify
from prefline.pipeline.store import Artifact
from prefline.pipeline.train_reward import TRAIN_REWARD
from prefline.reward_model.encoding import encode_comparisons
from prefline.reward_model.ensembles import Scorer, score_comparisons
from prefline.reward_model.pretrained import load_tokenizer
from prefline.reward_model.scored import Scored

_AT_ONCE = 64  # comparisons of a step


def report_card(job: Job) -> Outcome:
    """Write the report card that the job asks for."""
    params: ReportCardParams = job.params
    comparisons = job.artifact("comparisons")
    labels = read_labels(comparisons)
    asked = {"held_out": labels.held_out, "train": labels.train, "both": labels.train + labels.held_out}[params.side]
    if not asked:
        raise ConfigError(
            f"expected comparisons that are held out, found none in {comparisons.id}: take side 'train' if the scorer "
            "has not learnt from them"
        )
    model = _open(job, "scorer")
    _check_others(job, model)
    learnt = _find_learnt(job, model)
    if learnt is None:
        job.tell(
            f"{job.label}: what the scorer has learnt from is not known, so nobody looks whether it has seen these "
            "prompts before: say it with --learnt-from"
        )
    scored, passed = _score(job, model, asked)
    return Outcome(
        grade(
            job,
            model,
            scored,
            train=labels.train if params.side == "held_out" else [],
            learnt=learnt,
            sharpness=_find_sharpness(job),
            learnt_accuracy=measure_learnt(model, learnt or [], from_seed(0), params.tokens_at_once),
            groups=_score_samples(job, model, [one.comparison for one in scored]),
            gold=_score_gold(job, scored),
            data={"side": params.side, "too_long": passed},
        )
    )


def _open(job: Job, role: str) -> Scorer:
    """Load a scorer, and see that it can read the comparisons."""
    model = load_scorer(job.path_of(role), job.runtime.device)
    check_unchanged(job, [role])
    _check_readable(model, job.artifact("comparisons"))
    return model


def _check_readable(model: Scorer, comparisons: Artifact) -> None:
    for member in model.members:
        check_tokenizer(comparisons.path / TOKENIZER_FILE, member.tokenizer)


def _check_others(job: Job, model: Scorer) -> None:
    """Refuse a gold and a language model that do not go with the scorer, before anything is scored."""
    if "gold" in job.inputs and identify(job.inputs["gold"]) == identify(job.inputs["scorer"]):
        raise ConfigError("gold: expected another scorer than the one that is asked about, found the same")
    if "model" in job.inputs:
        check_unchanged(job, ["model"])
        vocabulary = load_tokenizer(job.path_of("model")).get_vocab()
        if any(member.tokenizer.get_vocab() != vocabulary for member in model.members):
            raise ConfigError("model: expected one with the tokenizer of the scorer, found one with another")


def _find_learnt(job: Job, model: Scorer) -> list[Comparison] | None:
    """Return the comparisons that the scorer has learnt from; None where nobody knows."""
    if "learnt_from" in job.inputs:
        learnt_from = job.artifact("learnt_from")
        _check_readable(model, learnt_from)
        return read_labels(learnt_from).train
    scorer, comparisons = job.inputs["scorer"], job.artifact("comparisons")
    if not isinstance(scorer, Artifact):
        return None
    recipe = scorer.manifest.recipe
    # An ensemble says what its members have learnt from.
    if scorer.manifest.data.get("learnt_from", [recipe.inputs.get("comparisons")]) != [comparisons.id]:
        return None
    labels = read_labels(comparisons)
    if recipe.stage == TRAIN_REWARD.name and recipe.seed is not None:  # of which it may have drawn some
        chance, asked = Randomness(recipe.seed, recipe.stage).derive, recipe.params
        labels = draw_labels(labels, asked.get("most"), chance, shuffled=asked.get("shuffle_labels", False))
    return labels.train


def _find_sharpness(job: Job) -> float | None:
    """Return what scores are multiplied by for their softmax to be the probability that was learnt; None: none was.

    A model that was normalised gives scores of another scale than it has learnt. Those of a scorer from outside are
    taken as they are.
    """
    scorer = job.inputs["scorer"]
    return scorer.manifest.data.get("sharpness") if isinstance(scorer, Artifact) else 1.0


def _score(job: Job, model: Scorer, comparisons: Sequence[Comparison]) -> tuple[list[Scored], int]:
    """Score comparisons step by step; those that are too long for the scorer are passed over, and counted."""
    params: ReportCardParams = job.params
    fitting = select_fitting(model, comparisons)
    if not fitting:
        raise DataError("expected comparisons that the scorer has room for, found only such as are too long for it")
    passed = len(comparisons) - len(fitting)
    if passed:
        job.tell(f"{job.label}: too long for the scorer, and left out: {count(passed, 'comparison', 'comparisons')}")
    saved = job.resume(announce=False)
    scored = [Scored(one, *said) for one, said in zip(fitting, saved.state["said"], strict=False)] if saved else []
    steps = math.ceil(len(fitting) / _AT_ONCE)
    for step in range(saved.step if saved else 0, steps):
        some = fitting[step * _AT_ONCE : (step + 1) * _AT_ONCE]
        scored += score_comparisons(model, some, tokens_at_once=params.tokens_at_once)
        job.finish_step(
            step + 1,
            of=steps,
            values={"comparisons": len(scored)},
            state=functools.partial(_save, scored),
        )
    return scored, passed


def _save(scored: Sequence[Scored]) -> dict[str, Any]:
    return {"said": [(one.scores, one.disagreement) for one in scored]}


def _score_samples(job: Job, model: Scorer, comparisons: Sequence[Comparison]) -> dict[str, list[float]]:
    """Score what the language model writes behind the same prompts, if there is one."""
    if "model" not in job.inputs:
        return {}
    encoder = model.members[0].encoder
    encoded = encode_comparisons(comparisons, encoder)
    [samples] = draw_samples(job, encoder, encoded, find_around(job), from_seed(0), ["card"])
    fit = find_fitting(model, samples.prompts, [[response] for response in samples.responses])
    if left_out := fit.count(False):
        job.tell(f"{job.label}: too long for the scorer, and left out: {count(left_out, 'sample', 'samples')}")
    if not any(fit):
        return {}
    prompts, responses = compress(samples.prompts, fit), compress(samples.responses, fit)
    return {"samples": model.score([*prompts], [*responses], tokens_at_once=job.params.tokens_at_once)}


def _score_gold(job: Job, scored: Sequence[Scored]) -> tuple[str, list[tuple[float, ...]]] | None:
    """Return what another scorer says, which best-of-n is held against."""
    if "gold" not in job.inputs:
        return None
    model = _open(job, "gold")
    comparisons = [one.comparison for one in scored]
    if len(select_fitting(model, comparisons)) < len(comparisons):
        raise DataError("gold: expected a scorer with room for texts as long as these, found some too long for it")
    job.show(0, len(comparisons), "comparisons by gold")
    by = f"scorer {short(identify(job.inputs['gold']))}"  # and no name of a folder, which may differ
    scores = score_comparisons(model, comparisons, tokens_at_once=job.params.tokens_at_once)
    return by, [one.scores for one in scores]
