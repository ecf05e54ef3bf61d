"""The reward model: one score for a prompt with a response.

score = gain * raw + bias, where `raw` is what a linear layer makes of a state of a language model (Ziegler 2019).
Gain and bias are trained with the rest, and set anew by normalization.py. Where the state is read is found by the
attention mask, never by looking for the token that fills up: a model whose pad is its end of a text reads a response
that ends where it ends. The mean is taken over the tokens of the response alone, however long the prompt; of an empty
response it is the last token's. Several heads on one body, each with a gain and a bias of its own, give several
scores, which come to one by a rule (combining.py, heads.py).

N sequences, T tokens, D the width of the model, H heads.
"""

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prefline.data.chance import Chance, from_seed
from prefline.data.contents import Prompt, Response, Tokens
from prefline.data.errors import ConfigError, DataError
from prefline.reward_model.adapters import attach, merge, unwrap
from prefline.reward_model.batching import Batch, pad, split
from prefline.reward_model.combining import combine
from prefline.reward_model.config import Reading, TuningConfig
from prefline.reward_model.encoding import Encoder, Pair
from prefline.reward_model.optimising import halve_until_it_fits
from prefline.reward_model.pooling import take_last, take_mean, take_rows
from prefline.reward_model.pretrained import check_fit, choose_fill, load_tokenizer
from prefline.reward_model.rows import Row, lay_out, split_rows
from prefline.reward_model.safety import read_config
from prefline.reward_model.scorers import count_heads, find_head, has_head, is_causal, list_head_parts, load_scorer
from prefline.reward_model.sharing import find_window, read_states, share_prompts

if TYPE_CHECKING:
    from peft import PeftModel

ABOUT = "prefline"  # the key of config.json under which a saved scorer says how it reads
_NEAR, _FAR = 1024, 32_768  # tokens computed at once: on a CPU as many as caches hold, elsewhere to keep it busy


class RewardModel(nn.Module):
    """A scorer of transformers with a gain and a bias, its tokenizer, and how it reads."""

    def __init__(self, scorer: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, reading: Reading) -> None:
        """Take a scorer whose config names the token that fills up."""
        super().__init__()
        self.scorer: PreTrainedModel | PeftModel = scorer
        self.tokenizer = tokenizer
        self.is_causal = is_causal(scorer)
        self.head = find_head(scorer)  # its name
        self.heads = count_heads(scorer)
        self._takes_positions = "position_ids" in signature(scorer.base_model.forward).parameters
        # Why it cannot compute a prompt once for all its responses; None: it can.
        self.unshared = share_prompts(scorer) if self.is_causal else "it is no causal model"
        self.share()
        self._window = find_window(scorer)
        shape = () if self.heads == 1 else (self.heads,)
        if torch.tensor(reading.offset).shape not in ((), shape):
            raise DataError(f"offset: expected a number for each of {self.heads} heads, found {reading.offset}")
        self.gain = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.tensor(reading.offset).expand(shape).clone())
        self.read_as(reading)

    def read_as(self, reading: Reading) -> None:
        """Read as this says from now on."""
        wanted = "last" if self.is_causal else "first"
        if reading.readout not in (wanted, "mean"):
            kind = "a causal model" if self.is_causal else "an encoder"
            raise ConfigError(f"readout: {kind} is read at {wanted!r} or 'mean', found {reading.readout!r}")
        if reading.readout == "mean" and not self.is_causal and "." in self.head:
            raise ConfigError(f"readout: the head of a {type(self.inner).__name__} reads the first token alone")
        if reading.rule != "mean" and self.heads == 1:
            raise ConfigError(f"rule: {reading.rule!r} is for the scores of several heads, found one: leave it out")
        self.reading = reading
        self.encoder = Encoder(self.tokenizer, reading, is_causal=self.is_causal)

    def share(self, wanted: bool = True) -> None:
        """Compute each prompt once for all its responses from now on, if that can be, or with each of them."""
        self.shares = wanted and self.unshared is None

    @property
    def inner(self) -> PreTrainedModel:
        """The model of transformers, without the adapters around it."""
        return unwrap(self.scorer)

    @property
    def members(self) -> list[Self]:
        """Itself: what reads texts, as in an ensemble each member does."""
        return [self]

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.gain.device

    @property
    def fill(self) -> int:
        """The token that fills up."""
        fill: Any = self.inner.config.get_text_config().pad_token_id
        return fill

    @property
    def loads_anywhere(self) -> bool:
        """Whether a saved folder gives the same scores in plain transformers."""
        return self.reading.readout != "mean" and self.heads == 1

    def forward(self, batch: Batch | Row) -> torch.Tensor:
        """Return the scores [N], in float32."""
        return self.combine(self.score_heads(batch))

    def combine(self, scores: torch.Tensor) -> torch.Tensor:
        """Return what the scores of the heads [H, N] come to [N]."""
        return combine(scores, self.reading.rule, self.reading.caution)

    def score_heads(self, batch: Batch | Row) -> torch.Tensor:
        """Return the scores of each head [H, N], in float32."""
        return (self.gain * self.read(batch) + self.bias).T

    def read(self, batch: Batch | Row) -> torch.Tensor:
        """Return what the heads say [N, H], before gain and bias."""
        inner: Any = self.inner
        head = inner.get_submodule(self.head)
        if isinstance(batch, Row):
            return head(take_rows(read_states(inner.base_model, batch), batch))
        given: dict[str, Any] = {"input_ids": batch.tokens, "attention_mask": batch.mask.long()}
        if self.is_causal:
            given |= {"use_cache": False} | ({"position_ids": batch.positions} if self._takes_positions else {})
        elif self.encoder.around.types:
            given |= {"token_type_ids": batch.types}
        if self.reading.readout == "first":
            return inner(**given).logits
        states = inner.base_model(**given).last_hidden_state
        pool = take_mean if self.reading.readout == "mean" else take_last
        return head(pool(states, batch))

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[Response], *, tokens_at_once: int | None = None
    ) -> list[float]:
        """Return the score of each prompt with its response. How many are computed at once changes nothing else."""
        return self.score_pairs(self.encoder.encode(prompts, responses), tokens_at_once=tokens_at_once).tolist()

    def score_members(
        self, prompts: Sequence[Prompt], responses: Sequence[Response], *, tokens_at_once: int | None = None
    ) -> torch.Tensor:
        """Return what each head gives to each prompt with its response [H, N], on the CPU."""
        return self.score_apart(self.encoder.encode(prompts, responses), tokens_at_once=tokens_at_once)

    def score_pairs(self, pairs: Sequence[Pair], *, tokens_at_once: int | None = None) -> torch.Tensor:
        """Return the scores of encoded pairs [N], on the CPU, without dropout and without a gradient."""
        return self.combine(self.score_apart(pairs, tokens_at_once=tokens_at_once))

    def score_apart(self, pairs: Sequence[Pair], *, tokens_at_once: int | None = None) -> torch.Tensor:
        """Return the scores of each head [H, N] for encoded pairs, as `score_pairs` does what they come to.

        What is there twice is computed once, so that no rounding tells it from itself.
        """
        distinct = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                most = tokens_at_once or choose_tokens(self.device)
                scores, _ = halve_until_it_fits(lambda at_once: self._score([*distinct], at_once), most)
        finally:
            self.train(training)
        return scores[:, [distinct[pair] for pair in pairs]]

    def _score(self, pairs: Sequence[Pair], most: int) -> torch.Tensor:
        scores = torch.empty(self.heads, len(pairs), dtype=torch.float32)
        for some in self.divide(pairs, most):
            scores[:, some] = self.score_heads(self.collate([pairs[index] for index in some])).float().cpu()
        return scores

    def divide(self, pairs: Sequence[Pair], most: int) -> list[list[int]]:
        """Divide pairs into parts of at most `most` tokens; what has one prompt, or else one length, is together."""
        first: dict[Tokens, int] = {}
        in_row = [place for place, pair in enumerate(pairs) if self.lies_in_row([pair])]
        in_row.sort(key=lambda place: first.setdefault(pairs[place].prompt, place))
        lengths = [len(pair.prompt) + len(pair.response) for pair in pairs]
        padded = sorted({*range(len(pairs))} - {*in_row}, key=lambda place: -lengths[place])
        parts = [in_row[run.start : run.stop] for run in split_rows([pairs[place] for place in in_row], most)]
        return parts + [padded[run.start : run.stop] for run in split([lengths[place] for place in padded], most)]

    def lies_in_row(self, pairs: Sequence[Pair]) -> bool:
        """Say whether these pairs are computed in a row: the model can, and its attention reaches all of each."""
        return self.shares and (
            self._window is None or max(len(pair.prompt) + len(pair.response) for pair in pairs) <= self._window
        )

    def collate(self, pairs: Sequence[Pair]) -> Batch | Row:
        """Return pairs as tensors, in the form in which they are computed fastest."""
        if self.lies_in_row(pairs):
            return lay_out(pairs, whole=self.reading.readout == "mean", device=self.device)
        return self.pad(pairs)

    def pad(self, pairs: Sequence[Pair], *, left: bool = False) -> Batch:
        """Return pairs as tensors of one length, each with its prompt."""
        return pad(pairs, self.fill, device=self.device, left=left, types=self.encoder.around.types)

    def adapt(self, config: TuningConfig, chance: Chance) -> None:
        """Train adapters instead of the weights from now on, and the head, which is new, as it is."""
        inner = self.inner
        self.scorer = attach(inner, config, chance, task="SEQ_CLS", whole=list_head_parts(inner))

    def merge(self) -> None:
        """Add adapters to the weights that they stand beside; it computes the same without them."""
        if not isinstance(self.scorer, PreTrainedModel):
            self.scorer = merge(self.scorer)

    def save_pretrained(self, folder: Path | str) -> None:
        """Save it as `AutoModelForSequenceClassification` loads it, unless it reads the mean or has several heads."""
        from prefline.reward_model.saving import save_scorer

        save_scorer(self, Path(folder))  # pyright: ignore[reportArgumentType]  which the import in a circle confuses

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        *,
        reading: Reading | None = None,
        chance: Chance | None = None,
        heads: int | None = None,
    ) -> Self:
        """Load a saved scorer, or make one of a language model, whose new heads, or one, follow from `chance`."""
        folder = Path(folder)
        tokenizer = load_tokenizer(folder)
        scorer = load_scorer(folder, chance or from_seed(0), heads)
        check_fit(scorer, tokenizer)
        choose_fill(scorer, tokenizer)
        document = read_config(folder)
        if ABOUT in document:
            saved = Reading.parse(document[ABOUT])
            if reading not in (None, saved):
                raise ConfigError(f"{folder}: a saved scorer reads as it was trained to: leave the reading out")
            return cls(scorer, tokenizer, saved)
        default = Reading(readout="last" if is_causal(scorer) else "first")
        if has_head(document) and reading is not None and reading.readout != default.readout:
            raise ConfigError(f"{folder}: its head was trained to read the {default.readout} token: leave readout out")
        return cls(scorer, tokenizer, reading or default)


def choose_tokens(device: torch.device) -> int:
    """Return how many tokens are computed at once, where nobody says."""
    return _NEAR if device.type == "cpu" else _FAR
