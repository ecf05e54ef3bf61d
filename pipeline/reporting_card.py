"""The work of the stage `report-card`: score what is held out, some comparisons at a step, and measure."""

import functools
import math
from collections.abc import Sequence
from itertools import compress
from typing import Any

import torch

from prefline.data.chance import from_seed
from prefline.data.comparison import Comparison
from prefline.data.errors import ConfigError, DataError
from prefline.data.wording import count
from prefline.pipeline.drawing import short
from prefline.pipeline.grading import find_fitting, grade, measure_learnt, select_fitting, tell_measuring
from prefline.pipeline.inputs import check_unchanged
from prefline.pipeline.jobs import Job
from prefline.pipeline.labels import check_tokenizer, read_labels
from prefline.pipeline.learnt import explain_unknown, find_learnt, list_learning
from prefline.pipeline.normalizing import draw_samples, find_around
from prefline.pipeline.provided import TOKENIZER_FILE
from prefline.pipeline.report_card import ReportCardParams
from prefline.pipeline.scoring import load_scorer
from prefline.pipeline.sources import SourceFolder
from prefline.pipeline.stages import Input, Outcome, identify
from prefline.pipeline.store import Artifact
from prefline.reward_model.encoding import encode_comparisons
from prefline.reward_model.ensembles import Scorer, score_comparisons
from prefline.reward_model.evaluation import check_finite
from prefline.reward_model.pretrained import load_tokenizer
from prefline.reward_model.scored import Scored

_WEIGHTS = ".safetensors"
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
    fitting = _find_fitting(job, model, asked)
    gold = _open_gold(job, fitting)
    scored, worth = _score(job, model, gold, fitting)
    samples = _score_samples(job, model, fitting)
    tell_measuring(job)
    return Outcome(
        grade(
            job,
            model,
            scored,
            train=labels.train if params.side == "held_out" else [],
            learnt=learnt,
            sharpness=_find_sharpness(job),
            learnt_accuracy=measure_learnt(model, learnt or [], from_seed(0), params.tokens_at_once),
            groups=samples,
            # By its digest, and not by the name of a folder, which may differ.
            gold=(f"scorer {short(identify(job.inputs['gold']))}", worth) if gold else None,
            data={"side": params.side, "too_long": len(asked) - len(fitting)},
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
    if "gold" in job.inputs and _list_weights(job.inputs["gold"]) == _list_weights(job.inputs["scorer"]):
        raise ConfigError("gold: expected another scorer than the one that is asked about, found the same")
    if "model" in job.inputs:
        check_unchanged(job, ["model"])
        vocabulary = load_tokenizer(job.path_of("model")).get_vocab()
        if any(member.tokenizer.get_vocab() != vocabulary for member in model.members):
            raise ConfigError("model: expected one with the tokenizer of the scorer, found one with another")


def _list_weights(scorer: Input) -> list[str]:
    """Return the digests of the weights, by which a scorer is known on either side of the store."""
    if isinstance(scorer, Artifact):
        return sorted(file.sha256 for file in scorer.manifest.files if file.path.endswith(_WEIGHTS))
    files = scorer.files if isinstance(scorer, SourceFolder) else (scorer,)
    return sorted(file.sha256 for file in files if file.path.name.endswith(_WEIGHTS))


def _find_learnt(job: Job, model: Scorer) -> list[Comparison] | None:
    """Return the comparisons that the scorer has learnt from; None where nobody knows, which people are told."""
    trainings = list_learning(job.inputs["scorer"])
    if "learnt_from" in job.inputs:
        learnt_from = job.artifact("learnt_from")
        _check_readable(model, learnt_from)
        learnt = find_learnt(trainings, learnt_from)
        return read_labels(learnt_from).train if learnt is None else learnt
    learnt = find_learnt(trainings, job.artifact("comparisons"))
    if learnt is None:
        job.tell(f"{job.label}: {explain_unknown(trainings)}: say it with --learnt-from")
    return learnt


def _find_sharpness(job: Job) -> float | None:
    """Return what scores are multiplied by for their softmax to be the probability that was learnt; None: none was.

    A model that was normalised gives scores of another scale than it has learnt. Those of a scorer from outside are
    taken as they are.
    """
    scorer = job.inputs["scorer"]
    return scorer.manifest.data.get("sharpness") if isinstance(scorer, Artifact) else 1.0


def _find_fitting(job: Job, model: Scorer, comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons that are not too long for the scorer; say how many are passed over."""
    fitting = select_fitting(model, comparisons)
    if not fitting:
        raise DataError("expected comparisons that the scorer has room for, found only such as are too long for it")
    if passed := len(comparisons) - len(fitting):
        job.tell(f"{job.label}: too long for the scorer, and left out: {count(passed, 'comparison', 'comparisons')}")
    return fitting


def _open_gold(job: Job, comparisons: Sequence[Comparison]) -> Scorer | None:
    """Load the other scorer that best-of-n is held against, and see that it has room for all, before it is asked."""
    if "gold" not in job.inputs:
        return None
    gold = _open(job, "gold")
    if len(select_fitting(gold, comparisons)) < len(comparisons):
        raise DataError("gold: expected a scorer with room for texts as long as these, found some too long for it")
    return gold


def _score(
    job: Job, model: Scorer, gold: Scorer | None, comparisons: Sequence[Comparison]
) -> tuple[list[Scored], list[tuple[float, ...]]]:
    """Score comparisons step by step; return beside them what gold, if there is one, says of their responses."""
    at_once = job.params.tokens_at_once
    saved = job.resume(announce=False)
    state = saved.state if saved else {"said": [], "worth": []}
    scored = [Scored(one, *said) for one, said in zip(comparisons, state["said"], strict=False)]
    worth = [*state["worth"]]
    steps = math.ceil(len(comparisons) / _AT_ONCE)
    for step in range(saved.step if saved else 0, steps):
        some = comparisons[step * _AT_ONCE : (step + 1) * _AT_ONCE]
        scored += score_comparisons(model, some, tokens_at_once=at_once)
        if gold:
            worth += [one.scores for one in score_comparisons(gold, some, tokens_at_once=at_once)]
        job.finish_step(
            step + 1,
            of=steps,
            values={"comparisons": len(scored)},
            state=functools.partial(_save, scored, worth),
        )
    return scored, worth


def _save(scored: Sequence[Scored], worth: Sequence[tuple[float, ...]]) -> dict[str, Any]:
    return {"said": [one[1:] for one in scored], "worth": worth}


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
    scores = model.score([*prompts], [*responses], tokens_at_once=job.params.tokens_at_once)
    check_finite(torch.tensor(scores))
    return {"samples": scores}
