"""What a person is told of the training of a reward model: what there is to learn from, and how well it was learnt."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from prefline.data.wording import count
from prefline.pipeline.progress import format_number
from prefline.pipeline.terminal_training import describe_sizes, quote
from prefline.reward_model.encoding import count_cuts, is_void
from prefline.reward_model.objectives import teaches

if TYPE_CHECKING:
    from prefline.pipeline.train_reward import TrainRewardParams
    from prefline.reward_model.config import Reading
    from prefline.reward_model.encoding import Cuts, EncodedComparison, Pair
    from prefline.reward_model.evaluation import Evaluation
    from prefline.reward_model.model import RewardModel

_SHOWN = 2  # comparisons
_READOUTS = {
    "last": "the last token",
    "first": "the first token, through the head of the encoder",
    "mean": "the mean over the response, which needs prefline to be loaded",
}


class Seen(NamedTuple):
    """Comparisons as the model sees them: all, and those from which there is something to learn."""

    all_train: "list[EncodedComparison]"
    all_held_out: "list[EncodedComparison]"
    train: "list[EncodedComparison]"
    held_out: "list[EncodedComparison]"

    @property
    def pairs(self) -> "list[Pair]":
        """All that is scored of those from which there is something to learn."""
        return [pair for one in (*self.train, *self.held_out) for pair in one.pairs]

    @property
    def passed(self) -> int:
        """How many comparisons to learn from say nothing."""
        return len(self.all_train) - len(self.train)


def describe_reward_training(
    model: "RewardModel", about: Mapping[str, Any], seen: Seen, params: "TrainRewardParams"
) -> Iterator[str]:
    """Say in lines what is trained, and on what."""
    yield describe_sizes(about, params.lora_rank)
    yield f"the score is read at {_READOUTS[model.reading.readout]}"
    if model.heads > 1:
        rule = f"the rule for what their scores come to: {model.reading.rule}"
        yield f"{model.heads:,} heads learn, each with weights of its own; {rule}"
    sizes = sorted({len(one.pairs) for one in seen.train})
    of = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    yield f"{count(len(seen.train), 'comparison', 'comparisons')} of {of} responses, {len(seen.held_out):,} held out"
    if params.shuffle_labels:
        yield "their labels were dealt anew by chance: accuracy on what is held out must stay at chance"
    if seen.passed:
        passed = [one for one in seen.all_train if not teaches(one, params.loss)]
        of = count(len(seen.all_train), "comparison", "comparisons")
        yield f"nothing to learn from, and left out: {seen.passed:,} of {of}{explain_void(passed)}"
    yield from describe_cuts(model.reading, count_cuts([*seen.all_train, *seen.all_held_out]))
    if model.is_causal and model.loads_anywhere and model.fill == model.tokenizer.eos_token_id:
        yield "the token that fills up is the end of a text too, so no text may end with it"
    if params.share_prompts and model.is_causal and model.unshared:
        yield f"each response is computed with a prompt of its own: {model.unshared}"
    if not seen.held_out:
        yield "nothing is held out, so accuracy is not measured"
    yield from describe_pairs(model, seen)


def explain_void(passed: "Sequence[EncodedComparison]") -> str:
    """Say of how many comparisons cutting left nothing to learn; nothing where it is of none."""
    void = sum(is_void(one) and one.responses_cut > 0 for one in passed)
    return f"; in {void:,} all responses have the same tokens once they are cut (response_length)" if void else ""


def describe_cuts(reading: "Reading", cuts: "Cuts") -> Iterator[str]:
    """Say what had to be cut off, and what that has made equal."""
    if cuts.prompts:
        yield f"cut to the last {reading.prompt_length:,} tokens: {count(cuts.prompts, 'prompt', 'prompts')}"
    if cuts.responses:
        yield f"cut to the first {reading.response_length:,} tokens: {count(cuts.responses, 'response', 'responses')}"
    if cuts.identical:
        where = count(cuts.identical, "comparison", "comparisons")
        yield f"a best has the same tokens as a response that is not best, in {where}"


def describe_pairs(model: "RewardModel", seen: Seen) -> Iterator[str]:
    """Show the first comparisons as the model sees them, special tokens and all."""
    yield "as the model sees it (| prompt, + best, - other):"
    for one in seen.train[:_SHOWN]:
        yield f"  | {quote(_decode(model, one.pairs[0].prompt), from_end=True)}"
        for place, pair in enumerate(one.pairs):
            mark = "+" if place in one.comparison.best else "-"
            yield f"  {mark} {quote(_decode(model, pair.response), from_end=False)}"


def describe_evaluation(when: str, found: "Evaluation") -> str:
    """Say in a line what was measured on what is held out."""
    accuracy = ""
    if found.accuracy is not None:
        accuracy = f", accuracy {found.accuracy:.1%} ({found.low:.1%} to {found.high:.1%}) of {found.decided:,}"
    comparisons = count(found.comparisons, "comparison", "comparisons")
    return f"{when} training, on {comparisons} held out: loss {format_number(found.loss)}{accuracy}"


def _decode(model: "RewardModel", tokens: tuple[int, ...]) -> str:
    return str(model.tokenizer.decode(list(tokens)))
