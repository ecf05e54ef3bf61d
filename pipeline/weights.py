"""Weights in the folder of an artifact, written so that they are files like all others."""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from prefline.pipeline.filesystem import explaining

_NUMBER = re.compile(r"os error (\d+)")


@contextlib.contextmanager
def writing_weights(folder: Path) -> Iterator[None]:
    """Save a model in a folder: who may read its config may read its weights, and of a full disk one line tells.

    safetensors lets nobody but their owner read its files, and what the system refused it tells in its own way.
    """
    with explaining(folder):
        try:
            yield
        except SafetensorError as error:
            if number := _NUMBER.search(str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from None
            raise
        for weights in folder.glob("*.safetensors"):
            config = next(folder.glob("*config.json"))
            weights.chmod(stat.S_IMODE(config.stat().st_mode))
