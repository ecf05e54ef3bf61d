"""The work of the stage `train-reward`: read, check, train step by step, measure, write, prove."""

import json
import math
from collections.abc import Mapping
from typing import Any

from prefline.data.wording import find_typed_escapes
from prefline.pipeline.failures import telling_what_is_kept
from prefline.pipeline.filesystem import create_file
from prefline.pipeline.grading import OF_CHOICES, grade_trained
from prefline.pipeline.hashing import hash_file
from prefline.pipeline.held_out_scores import write_scores
from prefline.pipeline.inputs import check_unchanged
from prefline.pipeline.jobs import Job
from prefline.pipeline.labels import Labels, check_tokenizer, draw_labels, read_labels
from prefline.pipeline.learnt import describe_learning
from prefline.pipeline.looking import look
from prefline.pipeline.normalizing import Standards, find_around, gather_standards
from prefline.pipeline.provided import TOKENIZER_FILE
from prefline.pipeline.proving import prove
from prefline.pipeline.stages import Outcome
from prefline.pipeline.terminal_rewards import Seen, describe_evaluation, describe_reward_training
from prefline.pipeline.train_reward import ADAPTER, EVALUATION, TrainRewardParams, check_heads
from prefline.pipeline.weights import describe_model, writing_weights
from prefline.reward_model.adapters import save_adapter
from prefline.reward_model.config import Reading
from prefline.reward_model.ensembles import score_comparisons
from prefline.reward_model.evaluation import evaluate
from prefline.reward_model.model import ABOUT, RewardModel
from prefline.reward_model.normalization import center, find_wanted, level, normalize
from prefline.reward_model.preflight import check_pad, check_reading, choose_probes
from prefline.reward_model.safety import read_config
from prefline.reward_model.training import train

_TEXTS = 3  # comparisons whose texts the saved tokenizer must read as before


def train_reward(job: Job) -> Outcome:
    """Train the reward model that the job asks for, and write the files of the artifact."""
    params: TrainRewardParams = job.params
    around = find_around(job)
    labels = read_labels(job.artifact("comparisons"))
    labels = draw_labels(labels, params.most, job.randomness.derive, shuffled=params.shuffle_labels)
    model = _open(job)
    check_tokenizer(job.artifact("comparisons").path / TOKENIZER_FILE, model.tokenizer)
    seen = look(model, labels, params)
    standards = gather_standards(job, model, seen.train, around)
    check_unchanged(job, ("model", "texts"))
    _tell(job, model, seen)
    model.to(job.device)
    _check(job, model, seen)
    if params.lora_rank:
        model.adapt(params, job.randomness.derive)
    noted = _train(job, model, labels, seen, standards)
    after = _measure(job, model, seen, "after")  # at the scale that it has learnt
    scale, sharpness = _normalize(model, standards, params)
    scored = score_comparisons(model, labels.held_out, tokens_at_once=params.tokens_at_once)
    write_scores(job.folder, scored)
    if params.lora_rank:
        with writing_weights(job.folder / ADAPTER):
            save_adapter(model.scorer, job.folder / ADAPTER)  # pyright: ignore[reportArgumentType]
        model.merge()
    _save(job, model, seen, labels)
    _write_evaluation(job, noted, after)
    card = grade_trained(job, model, scored, [one.comparison for one in seen.train], standards, sharpness)
    return Outcome(
        {
            "learnt_from": describe_learning(job),
            **describe_model(model.inner),
            "reading": read_config(job.folder)[ABOUT],  # with what of the bias no weight had a place for
            **_count(seen),
            **{name: noted[name] for name in ("steps", "loss", "before")},
            "after": after,
            "card": card,
            "sharpness": sharpness,  # what makes of a score that of the softmax that was learnt
            "normalized": {"by": standards.source, "before": noted["scale"], "after": scale},
            "gain": model.gain.tolist(),  # a list, of several heads
            "bias": model.bias.tolist(),
            "tokenizer": hash_file(job.folder / TOKENIZER_FILE),
            "prompt_format": around._asdict(),
        }
    )


def _open(job: Job) -> RewardModel:
    """Load the model that training begins with; where it is read may depend on what it is."""
    params: TrainRewardParams = job.params
    folder = job.path_of("model")
    model = RewardModel.from_pretrained(folder, chance=job.randomness.derive, heads=params.heads)
    check_heads(params, model.heads)  # a scorer has those that it has
    names = ("readout", "lead", "end", "rule", "caution")
    asked = {name: given for name in names if (given := getattr(params, name)) is not None}
    if params.rule:  # a caution that a scorer has belongs to the rule that it has
        asked.setdefault("caution", 1.0)
    whole = {"prompt_length": None, "response_length": None}  # however short a scorer has cut texts before
    model.read_as(Reading.parse(model.reading.model_dump() | asked | whole))
    model.share(params.share_prompts)
    return model


def _check(job: Job, model: RewardModel, seen: Seen) -> None:
    """Prove in seconds that the score is read where it should be, before hours are spent."""
    check_pad(model, seen.pairs)
    worst = check_reading(model, choose_probes(seen.pairs))
    job.tell_people(
        f"{job.label}: a text has the same score alone, beside others and padded (to {worst:.0e} of their spread)"
    )


def _train(job: Job, model: RewardModel, labels: Labels, seen: Seen, standards: Standards) -> dict[str, Any]:
    """Train to the end, or on from what was saved; return what was noted on the way."""
    params: TrainRewardParams = job.params
    saved = job.resume()
    if saved is not None:
        state, noted = saved.state["training"], saved.state["noted"]
    else:
        state, noted = None, {"before": None, "curve": [], "loss": None, "steps": 0, "scale": None}
        if standards.before:
            wanted = find_wanted(labels.train, params.loss)
            noted["scale"] = level(model, standards.before, wanted, tokens_at_once=params.tokens_at_once)._asdict()
        noted["before"] = _measure(job, model, seen, "before")
    job.show(saved.step if saved else 0, None, "steps")
    of = 0
    with telling_what_is_kept(job.label, job.checkpoints.steps):
        for step in train(
            model, seen.all_train, params, job.randomness.derive, held_out=seen.all_held_out, saved=state
        ):
            if step.evaluation:
                noted["curve"].append({"step": step.index, **step.evaluation._asdict()})
            noted["loss"], noted["steps"], of = step.loss, step.index, step.of
            job.finish_step(
                step.index,
                of=step.of,
                values={
                    "loss": step.loss,
                    "accuracy": None if math.isnan(step.accuracy) else step.accuracy,
                    "held_out_loss": step.evaluation and step.evaluation.loss,
                    "held_out_accuracy": step.evaluation and step.evaluation.accuracy,
                    "learning_rate": step.learning_rate,
                    "gradient_norm": step.gradient_norm,
                },
                state=lambda save=step.save: {"training": save(), "noted": noted},
            )
    if noted["steps"] < of:
        best = min(noted["curve"], key=lambda found: found["loss"])["step"]
        job.tell_people(f"{job.label}: stopped after step {noted['steps']:,} of {of:,}; the best was step {best:,}")
    return noted


def _measure(job: Job, model: RewardModel, seen: Seen, when: str) -> dict[str, Any] | None:
    """Measure loss and accuracy on what is held out, and say so; None where nothing is held out."""
    params: TrainRewardParams = job.params
    if not seen.held_out:
        return None
    found = evaluate(model, seen.held_out, loss=params.loss, margin=params.margin, tokens_at_once=params.tokens_at_once)
    job.tell_people(f"{job.label}: {describe_evaluation(when, found)}")
    return found._asdict()


def _normalize(
    model: RewardModel, standards: Standards, params: TrainRewardParams
) -> tuple[dict[str, Any] | None, float | None]:
    """Give scores their scale, now that they are learnt; return what it was, and their sharpness.

    Multiplied by that, scores have the softmax that was learnt, or about that of several heads, which each learnt one
    and whose gains change apart; None where none was, or where the least of heads, or a cautious one, stands for it.
    """
    scale, sharpness = None, 1.0
    if standards.source == "references":
        scale = {"mean": center(model, standards.after, tokens_at_once=params.tokens_at_once)}
    elif standards.after:
        learnt = model.score_pairs(standards.after, tokens_at_once=params.tokens_at_once)
        scale = normalize(model, standards.after, tokens_at_once=params.tokens_at_once)._asdict()
        sharpness = learnt.double().std(correction=0).item()
    learns_choices = params.loss in OF_CHOICES and model.reading.rule == "mean"
    return scale, (sharpness or None) if learns_choices else None


def _count(seen: Seen) -> dict[str, int]:
    return {"comparisons": len(seen.train), "passed_over": seen.passed, "held_out": len(seen.held_out)}


def _save(job: Job, model: RewardModel, seen: Seen, labels: Labels) -> None:
    """Write the model, and prove in a fresh process that what was written gives the same scores."""
    probes = choose_probes(seen.pairs)
    check_reading(model, probes)
    expected = model.score_pairs(probes).tolist()
    with writing_weights(job.folder):
        model.save_pretrained(job.folder)
    texts = [
        (one.prompt, response)
        for one in labels.train[:_TEXTS]
        for response in one.responses
        if isinstance(one.prompt, str) and isinstance(response, str)
    ]
    proof = prove(job.folder, model, probes, texts, expected)
    who = "prefline" if proof.plain is None else "plain transformers and prefline"
    job.tell_people(f"{job.label}: a fresh process has loaded it, and {who} gave the same scores")


def _tell(job: Job, model: RewardModel, seen: Seen) -> None:
    """Say what is going to be trained, before it takes hours."""
    params: TrainRewardParams = job.params
    if params.dtype == "bfloat16" and job.device.type == "cpu":
        job.tell(f"{job.label}: a CPU computes bfloat16 slowly, most of them slower than float32 (--dtype float32)")
    if said := find_typed_escapes({"lead": params.lead or "", "prefix": params.prefix, "suffix": params.suffix}):
        job.tell(f"{job.label}: {said}")
    for line in describe_reward_training(model, describe_model(model.inner), seen, params):
        job.tell_people(f"{job.label}: {line}")


def _write_evaluation(job: Job, noted: Mapping[str, Any], after: Mapping[str, Any] | None) -> None:
    evaluation = {"before": noted["before"], "curve": noted["curve"], "after": after}
    with create_file(job.folder / EVALUATION) as out:
        out.write(json.dumps(evaluation, indent=1).encode() + b"\n")
