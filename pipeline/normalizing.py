"""The texts that scores are normalised by: samples of the model that training begins with, responses, or texts given.

Samples are drawn as in 2019: from the model as it was, at a temperature, of one length, and anew after training. They
go on from prompts of the comparisons. What the model was taught to see around prompts stands there while it writes;
the reward model does not see it.
"""

import contextlib
import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prefline.data.chance import Chance, generator
from prefline.data.contents import Prompt, Tokens
from prefline.data.documents import Document, read_documents
from prefline.data.errors import ConfigError, DataError
from prefline.data.prompts import load_format
from prefline.data.wording import count
from prefline.pipeline.document_intake import DocumentIntake
from prefline.pipeline.ingest import TRAIN
from prefline.pipeline.jobs import Job
from prefline.pipeline.store import Artifact
from prefline.pipeline.train_reward import SamplingParams, TrainRewardParams
from prefline.policy.sampling import sample
from prefline.reward_model.config import Reading
from prefline.reward_model.encoding import EncodedComparison, Encoder, Pair
from prefline.reward_model.model import RewardModel
from prefline.reward_model.pretrained import load_causal_lm
from prefline.reward_model.safety import read_config
from prefline.reward_model.scorers import count_positions, has_head

_TIMES = ("before", "after")


class Around(NamedTuple):
    """What stands around a prompt while the model writes."""

    prefix: str
    suffix: str


class Standards(NamedTuple):
    """What scores are normalised by before and after training; nothing where they are left as they are."""

    source: str
    before: list[Pair]
    after: list[Pair]


class Samples(NamedTuple):
    """Prompts, and what a model wrote behind each."""

    prompts: list[Prompt]
    responses: list[Tokens]


def find_around(job: Job) -> Around:
    """Return what stands around prompts, and refuse a model, texts and settings that do not agree on it."""
    params: SamplingParams = job.params
    found = {role: form for role in ("model", "texts") if (form := _find_format(job, role)) is not None}
    if len(set(found.values())) > 1:
        raise ConfigError(
            f"around prompts the model has learnt {[*found['model']]}, and the texts were prepared with "
            f"{[*found['texts']]}: prepare the texts anew, or take a model that was trained on them"
        )
    asked = Around(params.prefix, params.suffix)
    known = next(iter(found.values()), asked)
    for name, given, made in zip(Around._fields, asked, known, strict=True):
        if given and given != made:
            owners = " and the ".join(found)
            raise ConfigError(f"{name}: expected that of the {owners}, {made!r}, found {given!r}: leave it out")
    return known


def gather_standards(job: Job, model: RewardModel, encoded: Sequence[EncodedComparison], around: Around) -> Standards:
    """Return what scores are normalised by."""
    params: TrainRewardParams = job.params
    writes = model.is_causal and not has_head(read_config(job.path_of("model")))
    match params.normalize or ("samples" if writes else "responses"):
        case "samples":
            if not writes:
                raise ConfigError(
                    "normalize: expected a model that writes texts, to draw samples from: take 'responses'"
                )
            drawn = draw_samples(job, model.encoder, encoded, around, job.randomness.derive, _TIMES)
            return Standards("samples", *(model.encoder.encode(*samples) for samples in drawn))
        case "responses":
            pairs = [pair for one in encoded for pair in one.pairs]
            some = min(params.samples, len(pairs))
            draws = (generator(job.randomness.derive, f"responses {when}").sample(pairs, k=some) for when in _TIMES)
            return Standards("responses", *draws)
        case "texts":
            pairs = _read_texts(job, model.encoder)
            return Standards("texts", pairs, pairs)
        case "references":
            return Standards("references", [], _read_texts(job, model.encoder))
        case _:
            return Standards("none", [], [])


def draw_samples(
    job: Job,
    encoder: Encoder,
    encoded: Sequence[EncodedComparison],
    around: Around,
    chance: Chance,
    times: Sequence[str],
) -> Iterator[Samples]:
    """Draw samples of the model of the job behind prompts of comparisons, other ones each time."""
    params: SamplingParams = job.params
    usual = statistics.median(len(pair.response) for one in encoded for pair in one.pairs)
    length = params.sample_length or max(1, round(usual))
    model = load_causal_lm(job.path_of("model"))
    room = _find_room(count_positions(model), length, encoder, around)
    model.to(job.device)  # pyright: ignore[reportArgumentType]  which a decorator of transformers hides
    begun = [one.comparison.prompt for one in encoded if one.pairs[0].prompt]  # from nothing no model can go on
    if not begun:
        raise ConfigError(
            "expected prompts to draw samples from, found empty ones alone: normalise by 'responses', or draw none"
        )
    for when in times:
        prompts = generator(chance, f"prompts {when}").choices(begun, k=params.samples)
        about = f"{count(len(prompts), 'sample', 'samples')} of {count(length, 'token', 'tokens')}"
        job.tell_people(f"{job.label}: drawing {about} of the language model")
        drawn = sample(
            model,
            _frame(prompts, encoder, around, room),
            length=length,
            temperature=params.temperature,
            chance=chance,
            purpose=f"samples {when}",
            known=len(encoder.reader.numbers),
        )
        yield Samples(prompts, drawn)


def _find_room(positions: int | None, length: int, encoder: Encoder, around: Around) -> int | None:
    """Return how many tokens of a prompt there is room for beside a sample."""
    if positions is None:
        return None
    fixed = sum(map(len, encoder.reader.read(around))) + len(encoder.around.before)
    if (room := positions - length - fixed) < 1:
        raise ConfigError(
            f"sample_length: expected less than {positions - fixed:,} tokens, since the model has {positions:,} "
            f"positions, found {length:,}"
        )
    return room


def _frame(prompts: Sequence[Prompt], encoder: Encoder, around: Around, room: int | None) -> list[Tokens]:
    """Return what the model sees of prompts, as in its own training."""
    prefix, suffix = encoder.reader.read(around)
    opening = encoder.around.before
    whole = Encoder(encoder.tokenizer, Reading(readout="last", prompt_length=room), is_causal=True)
    seen = []
    for part in whole.encode_prompts(prompts):
        size = len(opening) if part.tokens[: len(opening)] == opening else 0
        seen.append(part.tokens[:size] + prefix + part.tokens[size:] + suffix)
    return seen


def _read_texts(job: Job, encoder: Encoder) -> list[Pair]:
    """Return some of the texts that were given, each behind its prompt if it has one."""
    params: TrainRewardParams = job.params
    documents = [*_read_documents(job)]
    if params.normalize == "references" and any(one.prompt is None for one in documents):
        raise DataError("texts: expected prompts with references, found texts without a prompt: take normalize 'texts'")
    pairs = [("" if one.prompt is None else one.prompt, text) for one in documents for text in one.texts]
    if not pairs:
        raise DataError(f"{job.path_of('texts')}: expected texts to normalise scores by, found none")
    some = generator(job.randomness.derive, "texts").sample(pairs, k=min(params.samples, len(pairs)))
    return encoder.encode(*zip(*some, strict=True))


def _read_documents(job: Job) -> Iterator[Document]:
    given = job.inputs["texts"]
    if isinstance(given, Artifact):
        yield from (one for one in read_documents([given.path / TRAIN]) if isinstance(one, Document))
        return
    with contextlib.closing(DocumentIntake(job, "texts", {}, None)) as intake:
        yield from intake.read()
        intake.check("1%")


def _find_format(job: Job, role: str) -> Around | None:
    """Return what an artifact says of prompts."""
    given = job.inputs.get(role)
    if not isinstance(given, Artifact):
        return None
    saved = load_format(given.path).model_dump() if role == "texts" else given.manifest.data.get("prompt_format")
    return None if saved is None else Around(saved["prefix"], saved["suffix"])
