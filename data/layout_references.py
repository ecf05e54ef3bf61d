"""Layouts of references: texts that are known to be good, and become comparisons beside texts that are made to fail."""

from dataclasses import replace

from prefline.data.comparison import Comparison
from prefline.data.document_rows import CHATS, REFERENCES, read_document
from prefline.data.errors import DataError
from prefline.data.layout import Aids, Columns, Layout, Row

HELP = (
    "prompts with references, and nothing that these are better than: --negatives last-mile makes texts that fail "
    "beside them"
)
ONE_RESPONSE = (
    "prompts with references, one response each: a labeller chooses among several responses, so give each prompt two "
    "or more (of the built-in reviews: responses=4)"
)
REMEDY = "Say which column is which: --map prompt=COLUMN --map reference=COLUMN; docs/comparisons.md says more"


def _read(row: Row, columns: Columns, aids: Aids) -> list[Comparison]:
    if aids.synthesize is None:
        raise DataError(ONE_RESPONSE if aids.label else HELP)
    document = read_document(row, columns)
    if not document.texts:
        raise DataError("the chat does not end with the assistant: there is no reference")
    return aids.synthesize(document)


LAYOUTS: tuple[Layout, ...] = (replace(CHATS, read=_read), replace(REFERENCES, read=_read))
