"""The record that both papers run on: k responses to one prompt, one of them best."""

from dataclasses import dataclass
from typing import Any

from prefline.data.errors import DataError
from prefline.data.strict_json import type_name
from prefline.data.wording import did_you_mean, shorten

_FIELDS = ("prompt", "responses", "best")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two or more responses to one prompt; `best` is the index of the one that was chosen."""

    prompt: str
    responses: tuple[str, ...]
    best: int

    def __post_init__(self) -> None:
        """Refuse what no stage could learn from."""
        if not isinstance(self.prompt, str):
            raise DataError(f"'prompt' must be a string, found {type_name(self.prompt)}")
        if not isinstance(self.responses, tuple):
            raise DataError(f"'responses' must be a tuple of strings, found {type(self.responses).__name__}")
        for index, response in enumerate(self.responses):
            if not isinstance(response, str):
                raise DataError(f"'responses[{index}]' must be a string, found {type_name(response)}")
        if len(self.responses) < 2:
            raise DataError(f"'responses' must hold at least 2, found {len(self.responses)}")
        # bool is a subclass of int: `true` must not become response number 1.
        if not isinstance(self.best, int) or isinstance(self.best, bool):
            raise DataError(f"'best' must be a whole number, found {type_name(self.best)}")
        if not 0 <= self.best < len(self.responses):
            raise DataError(f"'best' must be an index from 0 to {len(self.responses) - 1}, found {self.best}")

    @classmethod
    def from_row(cls, row: object) -> "Comparison":
        """Read a parsed row of the native layout: exactly `prompt`, `responses` and `best`."""
        if not isinstance(row, dict):
            raise DataError(f"a row must be an object, found {type_name(row)}")
        unknown = [f"{shorten(name)!r}{did_you_mean(name, _FIELDS)}" for name in row if name not in _FIELDS]
        if unknown:
            raise DataError(f"unknown key {', '.join(unknown)}")
        for name in _FIELDS:
            if name not in row:
                raise DataError(f"{name!r} is missing")
        if not isinstance(row["responses"], list):
            raise DataError(f"'responses' must be a list, found {type_name(row['responses'])}")
        return cls(row["prompt"], tuple(row["responses"]), row["best"])

    def to_row(self) -> dict[str, Any]:
        """Return the row of the native layout."""
        return {"prompt": self.prompt, "responses": list(self.responses), "best": self.best}
