"""Text in, comparisons out. This package knows text and never imports torch."""

from prefline.data.comparison import Comparison
from prefline.data.formats import Rejection, read_native, write_native
from prefline.data.ingestion import Ingested, ingest

__all__ = [
    "Comparison",
    "Ingested",
    "Rejection",
    "ingest",
    "read_native",
    "write_native",
]
