"""Where tensors lie, and how precise they are."""

import re
from typing import TYPE_CHECKING

from prefline.data.errors import ConfigError
from prefline.data.wording import did_you_mean, shorten

if TYPE_CHECKING:
    import torch

_DEVICES = r"auto|cpu|mps|(cuda|xpu)(:\d{1,3})?"
PRECISIONS = ("float32", "bfloat16", "float16")


def check_device(wanted: str) -> None:
    """Refuse what cannot be a device, before any work and without torch."""
    if not re.fullmatch(_DEVICES, wanted):
        raise ConfigError(f"expected a device (auto, cpu, cuda, cuda:1, mps, xpu), found {wanted!r}")


def choose_device(wanted: str) -> "torch.device":
    """Return the device that a person asked for; `auto` is a CUDA GPU where there is one, and the CPU elsewhere."""
    check_device(wanted)
    import torch

    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # torch explains at length; the first line says what it is about.
        reason = shorten(str(error).partition("\n")[0].partition(". ")[0], 200)
        raise ConfigError(f"the device {wanted!r} cannot be used: {reason}. `cpu` always can, `auto` chooses") from None
    return device


def describe_device(device: "torch.device") -> str:
    """Name a device by what it is rather than by its number: two GPUs of one kind compute the same."""
    import torch

    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def choose_precision(name: str) -> "torch.dtype":
    """Return the dtype of a name."""
    import torch

    if name not in PRECISIONS:
        raise ConfigError(
            f"dtype: expected one of {', '.join(PRECISIONS)}, found {name!r}{did_you_mean(name, PRECISIONS)}"
        )
    return getattr(torch, name)
