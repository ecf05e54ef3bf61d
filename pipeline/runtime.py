"""How a stage is run. Nothing in here changes what is made, so nothing of it belongs to the recipe."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from prefline.pipeline.devices import check_device
from prefline.pipeline.interruption import Interruption
from prefline.pipeline.progress import Progress
from prefline.pipeline.trackers import check_trackers


def log_warning(text: str) -> None:
    """Tell a program that calls prefline as a library what a person would be told."""
    logging.getLogger("prefline").warning(text)


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where a stage works, how often it saves its state, and whom it tells how it goes."""

    label: str = ""  # what to call the stage when talking of it, if not by its own name
    device: str = "auto"
    checkpoint_every: timedelta | int = timedelta(minutes=10)  # a time, or a number of steps
    keep_checkpoints: int = 2
    trackers: tuple[str, ...] = ()
    interruption: Interruption = field(default_factory=Interruption)
    tell: Callable[[str], None] = log_warning
    progress: Callable[[str], Progress] | None = None  # what a person sees of a stage, given its name

    def __post_init__(self) -> None:
        """Refuse what cannot be had before anything is made."""
        check_device(self.device)
        check_trackers(self.trackers)
