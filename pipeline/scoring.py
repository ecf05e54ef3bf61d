"""Scoring: items in, lines with scores out, some at a time, so that a file of any size passes through.

Each row gets its scores or is refused by name. What the scores come to is counted on the way.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from prefline.data.contents import Message, Prompt
from prefline.data.errors import DataError, StageError
from prefline.data.ingestion import Rejection
from prefline.data.intervals import count_share
from prefline.data.items import Item, open_items
from prefline.data.layout import Columns
from prefline.data.rewardbench import Scored, Version, assess, credit, find_version
from prefline.data.rows import describe
from prefline.data.wording import printable
from prefline.pipeline.scores_file import Sink
from prefline.reward_model.combining import Scores

if TYPE_CHECKING:
    from prefline.reward_model.encoding import Candidates
    from prefline.reward_model.ensembles import Scorer

_AT_ONCE = 64  # rows between two writes: what a kill loses
_SHOWN = 5  # rows that were refused


class Asked(NamedTuple):
    """How rows are read, and how they are scored."""

    layout: str | None = None
    columns: Columns | None = None
    chat: bool = False  # whether a prompt that is a text is what a user says in a chat
    tokens_at_once: int | None = None


class Tally:
    """What scores come to."""

    def __init__(self) -> None:
        """Begin with nothing scored."""
        self.items = self.responses = self.refused = self.decided = 0
        self.prompts_cut = self.responses_cut = 0
        self.right = 0.0
        self.benches: dict[Version, list[Scored]] = {}

    def add(self, item: Item, scores: Sequence[float], version: Version | None) -> None:
        """Count an item; where all responses are best, there is nothing to be right about."""
        self.items += 1
        self.responses += len(scores)
        if 0 < len(item.best) < len(scores):
            self.decided += 1
            self.right += credit(scores, item.best)
        if item.best and version is not None:
            self.benches.setdefault(version, []).append(Scored(item.source or "none", scores, item.best, item.id))

    def summarize(self) -> dict[str, Any]:
        """Return all of it, for programs."""
        return {
            "items": self.items,
            "responses": self.responses,
            "refused": self.refused,
            "cut": {"prompts": self.prompts_cut, "responses": self.responses_cut},
            "accuracy": count_share(self.right, self.decided, name="right") if self.decided else None,
            "rewardbench": [assess(rows, version).to_dict() for version, rows in self.benches.items()],
        }


def load_scorer(folder: Path, device: str) -> "Scorer":
    """Load a scorer, or an ensemble of them."""
    from prefline.pipeline.devices import choose_device
    from prefline.reward_model.ensembles import open_scorer

    return open_scorer(folder).to(choose_device(device))


class Scoring:
    """Scores what files hold."""

    def __init__(self, scorer: "Scorer", asked: Asked, sink: Sink, tell: Callable[[str], None]) -> None:
        """Begin with nothing scored."""
        from prefline.reward_model.scorers import count_positions

        self.tally = Tally()
        self._scorer, self._asked, self._sink, self._tell = scorer, asked, sink, tell
        self._most = [count_positions(member.inner) for member in scorer.members]

    def score(self, paths: Sequence[Path]) -> Iterator[Tally]:
        """Score file after file, and yield what all comes to so far, each time that some of it is written."""
        told: list[list[str]] = []
        for path in paths:
            found, items = open_items(path, layout=self._asked.layout, columns=self._asked.columns)
            if found is not None and (said := list(found.describe())) not in told:
                told.append(said)
                self._tell("\n".join([f"{printable(path.name)}: {describe(path)}", *said]))
            first, version = 1, None
            while some := list(islice(items, _AT_ONCE)):
                if found is not None and version is None:
                    version = find_version(found.layout.name, {each.source for each in some if isinstance(each, Item)})
                    if version is not None and first > 1:
                        self._tell(
                            f"{printable(path.name)}: RewardBench {version} has none of the subsets of the first "
                            f"{first - 1:,} rows, so they are not counted by its rules"
                        )
                scorable = list(self._list_scorable(some, path.name, first))
                for item, found_of in self._settle(scorable):
                    self.tally.add(item, found_of.scores, version)
                yield self.tally
                first += len(some)

    def _list_scorable(
        self, some: Sequence[Item | Rejection], file: str, first: int
    ) -> "Iterator[tuple[Item, tuple[Candidates, ...]]]":
        """Yield items as each member sees them; what is no item, or none that the scorer takes, is refused."""
        seen = iter(self._encode([each for each in some if isinstance(each, Item)]))
        for number, each in enumerate(some, first):
            if isinstance(each, Rejection):
                self._refuse(f"{each.file}, line {each.line:,}: {each.reason}")
                continue
            encoded = next(seen)
            if isinstance(encoded, str):
                self._refuse(f"{file}, item {number:,}: {encoded}")
            else:  # of an ensemble, as the member that cuts most
                self.tally.prompts_cut += max(own.prompt_cut for own in encoded)
                self.tally.responses_cut += max(own.responses_cut for own in encoded)
                yield each, encoded

    def _encode(self, items: Sequence[Item]) -> "list[tuple[Candidates, ...] | str]":
        """Return the responses of each item as each member sees them, or why it cannot be scored."""
        from prefline.reward_model.ensembles import encode_candidates

        prompts = [self._frame(item.prompt) for item in items]
        try:
            found = encode_candidates(self._scorer, prompts, [item.responses for item in items])
        except DataError as error:
            return [str(error)] if len(items) == 1 else [found for item in items for found in self._encode([item])]
        return list(map(self._check_length, found))

    def _frame(self, prompt: Prompt) -> Prompt:
        return (Message("user", prompt),) if self._asked.chat and isinstance(prompt, str) else prompt

    def _check_length(self, encoded: "tuple[Candidates, ...]") -> "tuple[Candidates, ...] | str":
        for own, most in zip(encoded, self._most, strict=True):
            longest = max(len(pair.prompt) + len(pair.response) for pair in own.pairs)
            if most is not None and longest > most:
                return f"with a prompt and a response of {longest:,} tokens: the scorer has places for {most:,}"
        return encoded

    def _settle(self, scorable: "Sequence[tuple[Item, tuple[Candidates, ...]]]") -> Iterator[tuple[Item, Scores]]:
        """Yield items with their scores: those that were written before, or else new ones, which are written now."""
        rows = [item.to_row() for item, _ in scorable]
        found = self._sink.take(rows)
        if found is None:
            found = self._compute([encoded for _, encoded in scorable])
            self._sink.write(rows, found)
        return ((item, own) for (item, _), own in zip(scorable, found, strict=True))

    def _compute(self, seen: "Sequence[tuple[Candidates, ...]]") -> list[Scores]:
        import torch

        from prefline.reward_model.ensembles import score_candidates

        try:
            return score_candidates(self._scorer, seen, tokens_at_once=self._asked.tokens_at_once)
        except torch.OutOfMemoryError:
            raise StageError("the memory of the device is full: say --tokens-at-once, with less than now") from None

    def _refuse(self, reason: str) -> None:
        self.tally.refused += 1
        if self.tally.refused <= _SHOWN:
            self._tell(f"refused: {printable(reason)}")
