"""What a run ran on. An allow-list: nothing else of the machine, its user or its variables is looked at."""

import functools
import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

_PACKAGES = ("prefline", "datasets", "numpy", "pandas", "pydantic", "scikit-learn", "torch", "transformers")
_BINDING = ("threads", "world_size", "device", "instructions", "system", "python")  # the number of cores binds nothing


def describe_environment() -> dict[str, Any]:
    """Name what can change bytes; nothing is imported for it."""
    return {
        "python": platform.python_version(),
        "system": f"{sys.platform}-{platform.machine()}",
        "cores": os.cpu_count(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        **_describe_torch(),
    }


def compare_environments(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what differs of all that may change the last bits of a sum: "threads 2 -> 4"."""
    sides = [{**side, **(side.get("packages") or {})} for side in (before, now)]
    names = [name for name in (*_BINDING, *_PACKAGES) if all(name in side for side in sides)]
    return [f"{name} {sides[0][name]} -> {sides[1][name]}" for name in names if sides[0][name] != sides[1][name]]


def _describe_torch() -> dict[str, Any]:
    """What torch divides sums among, where a stage has used it."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return {
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "world_size": torch.distributed.get_world_size() if distributed else 1,
    }


@functools.cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
