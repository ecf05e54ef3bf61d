"""The true scores of the built-in world, by name."""

from collections.abc import Callable, Mapping

from prefline.data.contents import Message, Prompt
from prefline.data.errors import DataError
from prefline.pipeline.builtin.review_scores import score_descriptiveness, score_sentiment
from prefline.pipeline.builtin.summaries import score_summary


def score_quality(prompt: Prompt, response: str) -> float:
    """Say how well a response sums up the note that its prompt is, from 0 to 1."""
    return score_summary(_read(prompt), response).quality


def _read(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    turns = [turn.content for turn in prompt if isinstance(turn, Message)]
    if not turns:
        raise DataError("expected a prompt of words to hold the summary against, found token ids: decode them first")
    return "\n".join(turns)


SCORERS: Mapping[str, Callable[[Prompt, str], float]] = {
    "sentiment": score_sentiment,
    "descriptiveness": score_descriptiveness,
    "summary": score_quality,
}
