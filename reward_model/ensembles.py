"""Several reward models that score as one, and by how much they disagree.

Each member reads texts in its own way: it has a tokenizer, lengths and a place of the score of its own. What all must
have in common is the scale of their scores. As a folder:

ensemble.json               how their scores are combined
members/1/ members/2/ ...   the members, each saved as a scorer that loads by itself

M members, N prompts with a response.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from pydantic import Field

from prefline.data.comparison import Comparison
from prefline.data.contents import Prompt, Response
from prefline.data.errors import ConfigError, DataError
from prefline.data.wording import shorten
from prefline.reward_model.combining import Combination, Rule, Scores, combine, find_disagreement, find_dissent
from prefline.reward_model.encoding import Candidates, Pair
from prefline.reward_model.evaluation import check_finite
from prefline.reward_model.model import RewardModel
from prefline.reward_model.reading import list_turns
from prefline.reward_model.safety import ENSEMBLE, MEMBERS, read_config
from prefline.reward_model.scored import Scored
from prefline.reward_model.scorers import has_head

SCHEMA = "prefline.ensemble/1"


class Ensemble:
    """Reward models whose scores are combined; a score costs as much as one of each."""

    def __init__(self, members: Sequence[RewardModel], rule: Rule = "mean", caution: float = 1.0) -> None:
        """Take members whose scores are on one scale."""
        if len(members) < 2:
            raise ConfigError(f"expected at least 2 models for an ensemble, found {len(members)}")
        self.members = list(members)
        self.combination = Combination.parse({"rule": rule, "caution": caution})

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.members[0].device

    def to(self, device: torch.device | str) -> Self:
        """Compute on this device from now on."""
        for member in self.members:
            member.to(device)
        return self

    def eval(self) -> Self:
        """Compute without dropout from now on; scores are computed without it in any case."""
        for member in self.members:
            member.eval()
        return self

    @cached_property
    def has_one_vocabulary(self) -> bool:
        """Whether a token id means the same to all members."""
        first, *others = (member.tokenizer.get_vocab() for member in self.members)
        return all(other == first for other in others)

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[Response], *, tokens_at_once: int | None = None
    ) -> list[float]:
        """Return the score of each prompt with its response."""
        return self.combine(self.score_members(prompts, responses, tokens_at_once=tokens_at_once)).tolist()

    def score_members(
        self, prompts: Sequence[Prompt], responses: Sequence[Response], *, tokens_at_once: int | None = None
    ) -> torch.Tensor:
        """Return what each member gives to each prompt with its response [M, N], on the CPU."""
        self.check_ids([*prompts, *responses])
        pairs = [member.encoder.encode(prompts, responses) for member in self.members]
        return self.score_apart(pairs, tokens_at_once=tokens_at_once)

    def score_apart(self, pairs: Sequence[Sequence[Pair]], *, tokens_at_once: int | None = None) -> torch.Tensor:
        """Return what each member gives [M, N] to pairs that it has encoded itself."""
        each = zip(self.members, pairs, strict=True)
        return torch.stack([member.score_pairs(own, tokens_at_once=tokens_at_once) for member, own in each])

    def combine(self, scores: torch.Tensor) -> torch.Tensor:
        """Return what the scores of the members [M, N] come to [N]."""
        return combine(scores, self.combination.rule, self.combination.caution)

    def check_ids(self, contents: Iterable[Prompt | Response]) -> None:
        """Refuse token ids, which to some members would be other words than to others."""
        has_ids = any(not isinstance(one, str) and not list_turns(one) for one in contents)
        if has_ids and not self.has_one_vocabulary:
            raise DataError(
                "expected texts, as the members of the ensemble differ in their tokenizers, found token ids"
            )

    def save_pretrained(self, folder: Path | str) -> None:
        """Save all members, each as a folder that loads by itself, and how they are combined."""
        folder = Path(folder)
        for number, member in enumerate(self.members, 1):
            member.save_pretrained(find_member(folder, number))
        write_description(folder, len(self.members), self.combination)

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """Load a saved ensemble."""
        folder = Path(folder)
        about = _read_description(folder)
        members = [_open_model(find_member(folder, number)) for number in range(1, about.members + 1)]
        return cls(members, about.rule, about.caution)


Scorer = RewardModel | Ensemble


def encode_candidates(
    scorer: Scorer, prompts: Sequence[Prompt], groups: Sequence[Sequence[Response]]
) -> list[tuple[Candidates, ...]]:
    """Return of each prompt with its responses what each member sees."""
    if isinstance(scorer, Ensemble):
        scorer.check_ids([*prompts, *itertools.chain.from_iterable(groups)])
    return [*zip(*(one.encoder.encode_candidates(prompts, groups) for one in scorer.members), strict=True)]


def score_candidates(
    scorer: Scorer, seen: Sequence[tuple[Candidates, ...]], *, tokens_at_once: int | None = None
) -> list[Scores]:
    """Return the scores of the responses to each prompt; NotFiniteError where a member gives one that is none."""
    if not seen:
        return []
    pairs = [[pair for own in seen for pair in own[place].pairs] for place in range(len(scorer.members))]
    if isinstance(scorer, Ensemble):
        apart = scorer.score_apart(pairs, tokens_at_once=tokens_at_once)
    else:
        apart = scorer.score_apart(*pairs, tokens_at_once=tokens_at_once)
    check_finite(apart)  # of each: a minimum would hide one that is infinite
    sizes = [len(first.pairs) for first, *_ in seen]
    groups = zip(scorer.combine(apart).split(sizes), apart.split(sizes, 1), strict=True)
    if len(apart) == 1:
        return [Scores(scores.tolist()) for scores, _ in groups]
    return [
        Scores(scores.tolist(), find_disagreement(own).tolist(), find_dissent(own, scores)) for scores, own in groups
    ]


def score_comparisons(
    scorer: Scorer, comparisons: Sequence[Comparison], *, tokens_at_once: int | None = None
) -> list[Scored]:
    """Score the responses of comparisons, as a report card wants it (card.py)."""
    prompts = [one.prompt for one in comparisons]
    seen = encode_candidates(scorer, prompts, [one.responses for one in comparisons])
    return [
        Scored(one, tuple(found.scores), None if (apart := found.disagreement) is None else tuple(apart), found.dissent)
        for one, found in zip(comparisons, score_candidates(scorer, seen, tokens_at_once=tokens_at_once), strict=True)
    ]


def open_scorer(folder: Path | str) -> Scorer:
    """Load a scorer or an ensemble of them; a language model is refused: it would get a head drawn by chance."""
    folder = Path(folder)
    return Ensemble.from_pretrained(folder) if (folder / ENSEMBLE).is_file() else _open_model(folder)


class _Description(Combination):
    members: int = Field(ge=2)


def find_member(folder: Path, number: int) -> Path:
    """Return the folder of a member; the first has the number 1."""
    return folder / MEMBERS / str(number)


def write_description(folder: Path, members: int, combination: Combination) -> None:
    """Write beside members how they are combined."""
    document = {"schema": SCHEMA, "members": members, **combination.model_dump()}
    (folder / ENSEMBLE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _read_description(folder: Path) -> _Description:
    document = read_config(folder, ENSEMBLE)
    schema = document.pop("schema", None)
    if schema != SCHEMA:
        raise DataError(f"{folder / ENSEMBLE}: expected the schema {SCHEMA!r}, found {shorten(repr(schema))}")
    try:
        return _Description.parse(document)
    except ConfigError as error:
        raise DataError(f"{folder / ENSEMBLE}: {error}") from None


def _open_model(folder: Path) -> RewardModel:
    document = read_config(folder)
    if not has_head(document):
        found = shorten(", ".join(map(str, document.get("architectures") or ()))) or "a config that names none"
        raise DataError(
            f"{folder}: expected a scorer (its config names a ...ForSequenceClassification), found {found}: "
            "train one of it with `prefline train-reward`"
        )
    return RewardModel.from_pretrained(folder)
