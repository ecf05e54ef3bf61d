"""Comparisons as a reward model will see them: encoded, cut to what there is room for, and which of them teach."""

from prefline.data.errors import ConfigError, DataError
from prefline.pipeline.labels import Labels
from prefline.pipeline.terminal_rewards import Seen, explain_void
from prefline.pipeline.train_reward import TrainRewardParams
from prefline.reward_model.encoding import EncodedComparison, choose_lengths, encode_comparisons
from prefline.reward_model.model import RewardModel
from prefline.reward_model.objectives import teaches
from prefline.reward_model.scorers import count_positions
from prefline.reward_model.training import check_held_out, check_margin


def look(model: RewardModel, labels: Labels, params: TrainRewardParams) -> Seen:
    """Encode all comparisons, and choose those that teach something."""
    train, held_out = _encode(model, labels, params)
    seen = Seen(train, held_out, *([one for one in some if teaches(one, params.loss)] for some in (train, held_out)))
    if not seen.train:
        raise DataError(
            f"expected comparisons from which there is something to learn by the loss {params.loss!r}, found none"
            f"{explain_void(train)}"
        )
    check_held_out(params, seen.held_out)
    check_margin(params, [one.comparison for one in seen.train])
    return seen


def _encode(model: RewardModel, labels: Labels, params: TrainRewardParams) -> list[list[EncodedComparison]]:
    """Encode comparisons, and decide how much of them is kept; whoever scores with the model will keep as much."""
    encoded = [encode_comparisons(side, model.encoder) for side in labels]
    pairs = [pair for side in encoded for one in side for pair in one.pairs]
    if not pairs:
        return encoded
    prompts, responses = zip(*map(model.encoder.measure, pairs), strict=True)
    longest = max(prompts), max(responses)
    positions = count_positions(model.inner)
    most = None if positions is None else positions - model.encoder.around.size
    kept = _share_room(params.prompt_length, params.response_length, longest, most)
    model.read_as(model.reading.model_copy(update=dict(zip(("prompt_length", "response_length"), kept, strict=True))))
    if all(limit is None or length <= limit for length, limit in zip(longest, kept, strict=True)):
        return encoded
    return [encode_comparisons(side, model.encoder) for side in labels]


def _share_room(
    prompt: int | None, response: int | None, longest: tuple[int, int], most: int | None
) -> tuple[int | None, int | None]:
    """Return how many tokens of prompts and of responses are kept: what was asked for, else what there is room for."""
    if most is None:
        return prompt, response
    if prompt is None and response is None:
        return choose_lengths(*longest, most)
    if (prompt or 1) + (response or 1) > most:
        raise ConfigError(
            f"prompt_length, response_length: the model has room for {most:,} tokens of the two, "
            f"found {prompt or 'any'} and {response or 'any'}"
        )
    return prompt or most - (response or 0), response or most - (prompt or 0)
