"""What a run ran on. An allow-list: nothing else of the machine, its user or its variables is looked at."""

import os
import platform
import sys
from importlib import metadata
from typing import Any

_PACKAGES = ("prefline", "datasets", "pandas", "pydantic", "scikit-learn", "torch", "transformers")


def describe_environment() -> dict[str, Any]:
    """Name the versions that can change bytes; nothing is imported for it."""
    return {
        "python": platform.python_version(),
        "system": f"{sys.platform}-{platform.machine()}",
        "cores": os.cpu_count(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
