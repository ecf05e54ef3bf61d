"""What was made before: the nearest of it says why a recipe has no answer yet."""

import contextlib
import functools
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from prefline.data.errors import StoreError
from prefline.pipeline.filesystem import read_file
from prefline.pipeline.lineage import Difference, compare
from prefline.pipeline.store import Store


@dataclass(frozen=True, slots=True)
class Earlier:
    """Something that was made before, and what is different now."""

    id: str
    differences: tuple[Difference, ...]


class History:
    """The records of all recipes of a store: they explain, and nothing is made from them, so none is checked."""

    def __init__(self, store: Store) -> None:
        """Read nothing yet: most plans need no explanation."""
        self._store = store
        self._of_stage: dict[str, list[_Record]] = {}

    def nearest(self, now: Mapping[str, Any], named: str | None, taken: Collection[str]) -> Earlier | None:
        """Find what was made by the same stage with the fewest differences from what is known of a recipe.

        Of equals, the one that has the name that the new one is to get; then one that is not in use
        for something else, which is `taken`; then the latest.
        """
        fields = _flatten(now)
        if now["stage"] not in self._of_stage:
            self._of_stage[now["stage"]] = list(self._read(now["stage"]))

        def closeness(record: _Record) -> tuple[int, bool, bool, str]:
            return -len(fields ^ record.fields), record.id == named, record.id not in taken, record.made

        best = max(self._of_stage[now["stage"]], key=closeness, default=None)
        return Earlier(best.id, tuple(compare(best.recipe, now))) if best else None

    def _read(self, stage: str) -> Iterator["_Record"]:
        mention = json.dumps(stage).encode()
        for raw in self._records:
            if mention in raw:  # most are of other stages and need no parsing
                with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
                    record = json.loads(raw, parse_constant=_refuse)
                    if record["recipe"]["stage"] == stage:
                        made = str(record["run"].get("started", ""))
                        yield _Record(str(record["id"]), made, record["recipe"], _flatten(record["recipe"]))

    @functools.cached_property
    def _records(self) -> list[bytes]:
        records: list[bytes] = []
        for path in self._store.entries("keys"):
            with contextlib.suppress(StoreError):
                records.append(read_file(path))
        return records


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


class _Record(NamedTuple):
    id: str
    made: str
    recipe: dict[str, Any]
    fields: frozenset[str]


def _flatten(value: Mapping[str, Any], prefix: str = "") -> frozenset[str]:
    """Return each field with its value, so that recipes can be compared by the thousand."""
    fields: set[str] = set()
    for name, item in value.items():
        fields |= _flatten(item, f"{prefix}{name}.") if isinstance(item, Mapping) else {f"{prefix}{name}={item!r}"}
    return frozenset(fields)
