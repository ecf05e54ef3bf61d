"""From a file that somebody has to comparisons that every stage can trust."""

from pathlib import Path
from typing import NamedTuple

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError
from prefline.data.formats import Rejection, read_native


class Ingested(NamedTuple):
    """What a file held: each of its rows is in one of the two lists."""

    comparisons: list[Comparison]
    rejected: list[Rejection]


def ingest(path: str | Path) -> Ingested:
    """Read a file of comparisons in the native layout, keeping the rows that are refused apart."""
    result = Ingested([], [])
    try:
        with Path(path).open("rb") as lines:
            for item in read_native(lines):
                if isinstance(item, Rejection):
                    result.rejected.append(item)
                else:
                    result.comparisons.append(item)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    return result
