"""Text in, comparisons out. This package knows text and never imports torch.

Names are imported when they are first used, so that the command line starts quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefline.data.comparison import Comparison
    from prefline.data.contents import Message
    from prefline.data.errors import DataError, PreflineError
    from prefline.data.ingestion import Ingested, Rejection, ingest
    from prefline.data.prompts import load_prompts
    from prefline.data.quality import report
    from prefline.data.splitting import Split, split

_HOMES = {
    "Comparison": "comparison",
    "DataError": "errors",
    "Ingested": "ingestion",
    "Message": "contents",
    "PreflineError": "errors",
    "Rejection": "ingestion",
    "Split": "splitting",
    "ingest": "ingestion",
    "load_prompts": "prompts",
    "report": "quality",
    "split": "splitting",
}

__all__ = [
    "Comparison",
    "DataError",
    "Ingested",
    "Message",
    "PreflineError",
    "Rejection",
    "Split",
    "ingest",
    "load_prompts",
    "report",
    "split",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
