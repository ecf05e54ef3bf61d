"""Tensors in a safetensors file: bit by bit, whatever their type, and wherever they are.

torch is imported when there is a tensor to read, and not before.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from prefline.data.errors import DataError, StoreError
from prefline.pipeline.filesystem import create_file, explaining

if TYPE_CHECKING:
    import torch

_DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2": "F8_E5M2",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "complex64": "C64",
}


def is_tensor(value: object) -> bool:
    """Say whether something is a tensor, without an import of torch to find out."""
    torch = sys.modules.get("torch")  # where nobody has imported it, nothing can be a tensor
    return torch is not None and isinstance(value, torch.Tensor)


def check_tensor(tensor: "torch.Tensor", place: str) -> None:
    """Refuse what would come back as something else, or not at all; `place` says where it was found."""
    torch = sys.modules["torch"]
    found = str(tensor.dtype)
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        found = type(tensor).__name__
    elif tensor.layout is not torch.strided:
        found = f"a layout of {tensor.layout}: save its .to_dense() instead"
    elif tensor.device.type == "meta":
        found = "one without values, on the meta device"
    elif found.removeprefix("torch.") in _DTYPES:
        return
    raise TypeError(f"{place}: expected a plain dense tensor of a type that safetensors holds, found {found}")


def write_tensors(path: Path, tensors: "Sequence[torch.Tensor]") -> None:
    """Write tensors into a new file, each under its number, one by one and straight from where they are.

    The library's own writer would give the file rights of its own making, follow a link, and keep the
    system's reason for a failure to itself. The format is a length, a JSON header and the bytes.
    """
    # The widest first, so that each begins at a multiple of its width; without metadata, whose order varies.
    order = sorted(range(len(tensors)), key=lambda number: -tensors[number].element_size())
    header: dict[str, Any] = {}
    end = 0
    for number in order:
        tensor = tensors[number]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        dtype = _DTYPES[str(tensor.dtype).removeprefix("torch.")]
        header[str(number)] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with create_file(path) as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for number in order:
            stream.write(_bytes_of(tensors[number]))


def _bytes_of(tensor: "torch.Tensor") -> Any:
    """Lend the bytes of a tensor, copied only where they do not lie in the memory of the CPU in one row."""
    row = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    return row.as_strided((row.numel(),), (1,)).view(sys.modules["torch"].uint8).numpy()


def read_tensors(path: Path) -> "dict[str, torch.Tensor]":
    """Read every tensor of a file into memory of its own; none, where there is no file."""
    if not os.path.lexists(path):
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with explaining(path), safe_open(path, framework="pt") as stream:
            # Copied, since what is only mapped would keep the file's room on the disk after it was removed.
            return {name: cast("torch.Tensor", stream.get_tensor(name)).clone() for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError) as error:  # the latter for a shape that no memory could hold
        raise DataError(f"{path}: {_first_line(error)}") from None
    except RuntimeError as error:  # so torch says that the system refused something: a file too many, memory
        raise StoreError(f"{path}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
