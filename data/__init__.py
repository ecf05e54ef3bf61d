"""Text in, comparisons out. This package knows text and never imports torch."""

from prefline.data.comparison import Comparison
from prefline.data.errors import DataError, PreflineError
from prefline.data.formats import Rejection, read_native, write_native
from prefline.data.ingestion import Ingested, ingest

__all__ = [
    "Comparison",
    "DataError",
    "Ingested",
    "PreflineError",
    "Rejection",
    "ingest",
    "read_native",
    "write_native",
]
