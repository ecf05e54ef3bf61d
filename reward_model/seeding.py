"""Chance for tensors: generators of torch that follow from a seed, and torch's own seeded for a while."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from prefline.data.chance import Chance


def generator(chance: Chance, purpose: str, step: int = 0, *, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator of torch for one purpose at one step."""
    return torch.Generator(device).manual_seed(chance(purpose, step))


@contextlib.contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch's own generators for a while: dropout, initialisation and `generate` take none as an argument.

    Afterwards they are as they were, those of the CPU and those of the device.
    """
    device = torch.device(device)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs too, for good
        if device.type == "cpu":
            yield
            return
        own: Any = torch.get_device_module(device)
        with own.device(device) if device.index is not None else contextlib.nullcontext():
            before = own.get_rng_state()
            own.manual_seed(seed)
            try:
                yield
            finally:
                own.set_rng_state(before)
