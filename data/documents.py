"""Documents: what prompts, references and plain texts are read from, whatever their columns are called.

Each row of a file is one or is refused by name, as with comparisons; of plain text each paragraph is a row.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from prefline.data.document_rows import CHATS, PROMPTS, REFERENCES, TEXTS, Document, read_document
from prefline.data.errors import DataError
from prefline.data.ingestion import Rejection, peek, refuse
from prefline.data.layout import Columns, Found
from prefline.data.layouts import find_among
from prefline.data.row_paragraphs import is_prose, read_paragraphs
from prefline.data.rows import Reading, Row, Unreadable, list_files, read_rows

__all__ = ["Document", "find_columns", "read_documents"]

# The most particular first: the first that fits is taken.
_SHAPES = (CHATS, REFERENCES, TEXTS, PROMPTS)
_REMEDY = (
    "Say which column is which: --map prompt=COLUMN and --map reference=COLUMN, or --map text=COLUMN "
    "where there is no prompt"
)


def read_documents(
    paths: Sequence[Path], *, columns: Columns | None = None, reading: Reading | None = None
) -> Iterator[Document | Rejection]:
    """Yield what each row of the files holds, or why it holds nothing; of folders, the files right in them.

    `columns` says by hand which column is the prompt, the reference or the text, and else they are found.
    """
    reading = reading or Reading()
    for path in paths:
        for file in list_files(path):
            sample, rows = peek(_read_rows(file, reading))
            found = _find(file, sample, columns) if sample else None
            yield from _interpret(rows, found)


def find_columns(path: Path, *, columns: Columns | None = None, reading: Reading | None = None) -> Found | None:
    """Say which columns of a file are taken for what; None where no row can be read."""
    sample, _ = peek(_read_rows(path, reading or Reading()))
    return _find(path, sample, columns) if sample else None


def _read_rows(path: Path, reading: Reading) -> Iterator[Row | Unreadable]:
    return read_paragraphs(path, reading) if is_prose(path, reading) else read_rows(path, reading)


def _find(path: Path, sample: Sequence[Mapping[str, object]], columns: Columns | None) -> Found:
    try:
        return find_among(_SHAPES, sample, given=columns, remedy=_REMEDY)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _interpret(rows: Iterable[Row | Unreadable], found: Found | None) -> Iterator[Document | Rejection]:
    for row in rows:
        if isinstance(row, Unreadable) or found is None:
            yield refuse(row, row.reason if isinstance(row, Unreadable) else "of no shape that is known")
            continue
        try:
            yield read_document(row.value, found.columns)
        except DataError as error:
            yield refuse(row, str(error))
