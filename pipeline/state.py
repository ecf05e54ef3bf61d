"""The state of a run as JSON and safetensors: all that it takes to go on, in formats that cannot run code.

`state.json` holds the tree. What JSON has no word for is an object with one key, which begins with $:

{"$tuple": [...]}                  a tuple
{"$dict": [[key, value], ...]}     a dict of which some keys are numbers or begin with $
{"$int": "-0x1f"}                  a whole number of more than 64 bits
{"$float": "7ff8000000000000"}     nan or an infinity, by its bits
{"$tensor": "0"}                   the tensor of that name in `tensors.safetensors`

The same state gives the same bytes, so what was lost and made again can be compared.
"""

import json
import math
import re
import struct
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefline.data.errors import DataError, StoreError
from prefline.data.strict_json import parse_json
from prefline.data.wording import shorten
from prefline.pipeline.filesystem import create_file, is_trouble, read_file
from prefline.pipeline.tensors import check_tensor, is_tensor, read_tensors, write_tensors

if TYPE_CHECKING:
    import torch

STATE = "state.json"
TENSORS = "tensors.safetensors"

_MOST_LEVELS = 20  # the parser stops at 64, and a dict of numbers takes three of those
_ADVICE = {"set": "sorted(...)", "frozenset": "sorted(...)", "bytes": "list(...)", "bytearray": "list(...)"}


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a state into a folder that has none yet. Publishing syncs the files later.

    Dicts, lists, tuples, text, numbers, bools, None and tensors are all that it may hold.
    """
    tensors: list[torch.Tensor] = []
    tree = _encode(dict(state), "state", tensors)
    text = json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if tensors:
        write_tensors(folder / TENSORS, tensors)
    with create_file(folder / STATE) as stream:
        stream.write(text.encode() + b"\n")


def check_state(state: Mapping[str, Any]) -> None:
    """Refuse what could not be saved, saving nothing."""
    _encode(dict(state), "state", [])


def read_state(folder: Path) -> dict[str, Any]:
    """Read a state, its tensors on the CPU. DataError: the files hold something else than a state."""
    path = folder / STATE
    tensors = read_tensors(folder / TENSORS)
    try:
        state = _decode(parse_json(_read(path)), "state", tensors)
        if not isinstance(state, dict):
            raise DataError(f"expected a dict, found a {type(state).__name__}")
        if tensors:
            raise DataError(f"{folder / TENSORS} has tensors that no part of it names: {shorten(', '.join(tensors))}")
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return state


def _encode(value: Any, place: str, tensors: "list[torch.Tensor]", level: int = 0) -> Any:
    """Put a value into words that JSON has; `tensors` receives those that are met on the way.

    Types are compared exactly: what derives from one of them (np.float64 from float, an enum from int)
    would come back as something else.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        return _encode_text(value, place)
    if kind is int:
        return value if -(2**63) <= value < 2**63 else {"$int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$float": struct.pack(">d", value).hex()}
    if is_tensor(value):
        check_tensor(value, place)
        tensors.append(value)
        return {"$tensor": str(len(tensors) - 1)}
    if kind not in (list, tuple, dict, OrderedDict):
        raise TypeError(
            f"{place}: expected a dict, list, tuple, text, number, bool, None or tensor, "
            f"found {kind.__name__}: save {_advise(value)} instead"
        )
    if level == _MOST_LEVELS:
        raise ValueError(f"{shorten(place)}: nested more than {_MOST_LEVELS} levels deep, or it contains itself")
    if kind in (dict, OrderedDict):
        return _encode_dict(value, place, tensors, level)
    items = [_encode(item, f"{place}[{index}]", tensors, level + 1) for index, item in enumerate(value)]
    return items if kind is list else {"$tuple": items}


def _encode_dict(value: dict[Any, Any], place: str, tensors: "list[torch.Tensor]", level: int) -> Any:
    pairs: list[list[Any]] = []
    for key, item in value.items():
        if type(key) not in (str, int):
            raise TypeError(f"{place}: expected keys that are text or whole numbers, found {shorten(repr(key))}")
        pairs.append([_encode(key, place, tensors), _encode(item, _below(place, key), tensors, level + 1)])
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return dict(pairs)
    return {"$dict": pairs}


def _below(place: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{place}[{key if abs(key) < 2**63 else hex(key)}]"  # Python refuses very large numbers their digits
    return f"{place}.{key}" if key.isidentifier() else f"{place}[{key!r}]"


def _encode_text(text: str, place: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{place}: expected text, found half of a surrogate pair in {shorten(ascii(text))}") from None
    return text


def _advise(value: object) -> str:
    kind = type(value)
    if kind.__module__.partition(".")[0] == "numpy":
        return "torch.from_numpy(...)" if getattr(value, "shape", ()) else "its .item()"
    for plain in (dict, list, tuple, str, int, float):
        if isinstance(value, plain):
            return f"{plain.__name__}(...)"
    return _ADVICE.get(kind.__name__, "what it is made of (its state_dict(), where it has one)")


def _decode(node: Any, place: str, tensors: "dict[str, torch.Tensor]") -> Any:
    """Undo `_encode`. A tensor is taken out of `tensors` when it is named, so it can be named only once."""
    if isinstance(node, list):
        return [_decode(item, f"{place}[{index}]", tensors) for index, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    if not any(key.startswith("$") for key in node):
        return {key: _decode(item, _below(place, key), tensors) for key, item in node.items()}
    match list(node.items()):
        case [("$tuple", list(items))]:
            return tuple(_decode(items, place, tensors))
        case [("$dict", list(pairs))]:
            return _decode_dict(pairs, place, tensors)
        case [("$int", str(digits))] if re.fullmatch(r"-?0x[0-9a-f]+", digits):
            return int(digits, 16)
        case [("$float", str(digits))] if re.fullmatch(r"[0-9a-f]{16}", digits):
            return struct.unpack(">d", bytes.fromhex(digits))[0]
        case [("$tensor", str(name))] if name in tensors:
            return tensors.pop(name)
        case [("$tensor", str(name))]:
            raise DataError(f"{shorten(place)}: the tensor {shorten(name)!r} is missing, or named twice")
    raise DataError(f"{shorten(place)}: expected a mark that prefline knows, found {shorten(repr(node))}")


def _decode_dict(pairs: list[Any], place: str, tensors: "dict[str, torch.Tensor]") -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise DataError(f"{shorten(place)}: expected a key and its value, found {shorten(repr(pair))}")
        key = _decode(pair[0], place, tensors)
        if type(key) not in (str, int) or key in result:
            raise DataError(
                f"{shorten(place)}: expected text or a whole number, each once, found {shorten(repr(pair[0]))}"
            )
        result[key] = _decode(pair[1], _below(place, key), tensors)
    return result


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except StoreError as error:
        if is_trouble(error):
            raise
        raise DataError(str(error).removeprefix(f"{path}: ")) from None
