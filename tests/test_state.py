"""A state comes back as it was, bit by bit, from files that cannot run code; what would not is refused."""

import collections
import enum
import json
import math
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import strategies as st

from prefline.data.errors import DataError, StoreError
from prefline.pipeline.state import STATE, TENSORS, read_state, write_state
from prefline.pipeline.tensors import _DTYPES

DTYPES = [getattr(torch, name) for name in _DTYPES]


def bits(tensor: torch.Tensor) -> bytes:
    """The bytes of the values, in order."""
    return tensor.detach().clone(memory_format=torch.contiguous_format).flatten().view(torch.uint8).numpy().tobytes()


def plain(value: Any) -> Any:
    """Spell out what Python takes for equal, or for unequal, against our sense: types, order, bits."""
    if isinstance(value, torch.Tensor):
        return ("tensor", value.dtype, tuple(value.shape), bits(value.resolve_conj().resolve_neg()))
    if isinstance(value, dict):
        return ("dict", [(type(key), key, plain(item)) for key, item in value.items()])
    if isinstance(value, list | tuple):
        return (type(value), [plain(item) for item in value])
    return (type(value), struct.pack(">d", value) if isinstance(value, float) else value)


def round_trip(folder: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Write a state into a folder of its own, and read it."""
    folder.mkdir()
    write_state(folder, state)
    return read_state(folder)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """A tensor of any bits (nan's with anything in them too), and laid out in any way."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    size = math.prod(shape) * dtype.itemsize
    content = draw(st.binary(min_size=size, max_size=size))
    if dtype is torch.bool:
        content = bytes(byte % 2 for byte in content)
    flat = torch.frombuffer(bytearray(content), dtype=dtype) if size else torch.empty(0, dtype=dtype)
    tensor = flat.reshape(shape)
    how = draw(st.sampled_from(["as it is", "turned", "every other one", "one for many"]))
    if how == "turned":
        return tensor.permute(tuple(reversed(range(tensor.dim()))))
    if how == "every other one" and shape:
        return tensor[::2]
    return tensor.expand(2, *shape) if how == "one for many" else tensor


MARKS = ["$tuple", "$dict", "$int", "$float", "$tensor", "$", "$$"]
KEYS = st.text(max_size=4) | st.sampled_from(MARKS) | st.integers() | st.integers(-3, 3)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_subnormal=True)
    | st.text(max_size=8)
    | st.sampled_from(MARKS)
    | tensors()
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.dictionaries(st.sampled_from(MARKS), inner, min_size=1, max_size=1)
    ),
    max_leaves=12,
)


# --- it comes back ---


@hypothesis.given(state=st.dictionaries(KEYS, TREES, max_size=4))
@hypothesis.settings(
    max_examples=300, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_a_state_comes_back_with_its_types_its_order_and_its_bits(
    state: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("state")
    assert plain(round_trip(folder / "first", state)) == plain(state)
    write_state(folder, state)
    for name in (STATE, TENSORS):
        assert (folder / name).exists() == (folder / "first" / name).exists()
        if (folder / name).exists():
            assert (folder / name).read_bytes() == (folder / "first" / name).read_bytes(), "same state, other bytes"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_tensor_of_every_type_comes_back_and_the_library_reads_it_too(dtype: torch.dtype, tmp_path: Path) -> None:
    tensor = torch.arange(24 * dtype.itemsize, dtype=torch.uint8).remainder(2).view(dtype).reshape(4, 6)
    state = {"narrow": torch.zeros(3, dtype=torch.uint8), "tensor": tensor, "empty": tensor[:0], "one": tensor[0, 0]}
    assert plain(round_trip(tmp_path / "folder", state)) == plain(state)
    by_library = safetensors.torch.load_file(tmp_path / "folder" / TENSORS)
    assert plain([by_library[str(number)] for number in range(4)]) == plain(list(state.values()))


def test_there_is_a_test_for_every_type_that_the_library_writes() -> None:
    known = {dtype for dtype in safetensors.torch._TYPES.values() if dtype is not None}
    assert known == set(DTYPES)


def test_tensors_that_share_memory_come_back_each_for_itself(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    shared = torch.nn.Parameter(base)
    state = {
        "base": base,
        "again": base,
        "parameter": shared,
        "row": base[1],
        "turned": base.T,
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "negative": torch.tensor([1 + 2j]).conj().imag,
        "one of many": torch.arange(5.0)[::5],
    }
    back = round_trip(tmp_path / "folder", state)
    assert plain(back) == plain(state)
    back["base"].zero_()
    assert torch.equal(back["again"], base)
    assert not back["parameter"].requires_grad


def test_what_was_read_does_not_need_the_file(tmp_path: Path) -> None:
    back = round_trip(tmp_path / "folder", {"tensor": torch.arange(3)})
    path = tmp_path / "folder" / TENSORS
    path.write_bytes(bytes(path.stat().st_size))
    assert back["tensor"].tolist() == [0, 1, 2]


def test_what_pytorch_calls_a_state_comes_back(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    model(torch.randn(4, 2)).sum().backward()
    optimizer.step()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "random": torch.get_rng_state(),
    }
    assert plain(round_trip(tmp_path / "folder", state)) == plain(state)


def test_the_words_on_the_disk_are_these(tmp_path: Path) -> None:
    state = {
        "step": 7,
        "pair": (1, -0.0),
        "by number": {1: "é", "1": None},
        "$": [2**64, -math.inf, torch.zeros(1)],
    }
    round_trip(tmp_path / "folder", state)
    assert (tmp_path / "folder" / STATE).read_text(encoding="utf-8") == (
        '{"$dict":[["step",7],["pair",{"$tuple":[1,-0.0]}],["by number",{"$dict":[[1,"é"],["1",null]]}],'
        '["$",[{"$int":"0x10000000000000000"},{"$float":"fff0000000000000"},{"$tensor":"0"}]]]}\n'
    )


def test_numbers_of_more_digits_than_python_converts_come_back(tmp_path: Path) -> None:
    state = {"large": 7**10_000, "key": {-(7**10_000): 1}}
    assert plain(round_trip(tmp_path / "folder", state)) == plain(state)
    with pytest.raises(TypeError, match=r"^state\.key\[-0x[0-9a-f]+\]: expected "):
        write_state(tmp_path, {"key": {-(7**10_000): {1}}})


def test_a_state_without_tensors_needs_no_torch_and_has_no_file_for_them(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from prefline.pipeline.state import read_state, write_state\n"
        "write_state(Path(sys.argv[1]), {'step': (1, 2)}); assert read_state(Path(sys.argv[1])) == {'step': (1, 2)}\n"
        "assert not {'torch', 'numpy', 'safetensors', 'pickle'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    assert os.listdir(tmp_path) == [STATE]


def test_files_have_the_rights_that_others_have_and_no_link_is_followed(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_state(tmp_path, {"tensor": torch.zeros(1)})
    finally:
        os.umask(before)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in (STATE, TENSORS)} == {0o640}
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / TENSORS).symlink_to(tmp_path / "target")
    with pytest.raises(StoreError, match=r"tensors\.safetensors: File exists"):
        write_state(tmp_path / "elsewhere", {"tensor": torch.zeros(1)})
    assert not (tmp_path / "target").exists()


# --- what is refused ---


class Colour(enum.IntEnum):
    RED = 1


Pair = collections.namedtuple("Pair", "first second")


class Own(torch.Tensor):
    pass


REFUSED: dict[str, tuple[object, str]] = {
    "a set": ({1}, r"found set: save sorted\(\.\.\.\) instead"),
    "bytes": (b"1", r"found bytes: save list\(\.\.\.\) instead"),
    "an enum": (Colour.RED, r"found Colour: save int\(\.\.\.\) instead"),
    "a named tuple": (Pair(1, 2), r"found Pair: save tuple\(\.\.\.\) instead"),
    "a size": (torch.zeros(2).shape, r"found Size: save tuple\(\.\.\.\) instead"),
    "a dict that makes up items": (collections.defaultdict(int), r"found defaultdict: save dict\(\.\.\.\) instead"),
    "a number of numpy's": (np.float64(1), r"found float64: save its \.item\(\) instead"),
    "a truth of numpy's": (np.bool_(1), r"found bool\w*: save its \.item\(\) instead"),
    "an array": (np.zeros(2), r"found ndarray: save torch\.from_numpy\(\.\.\.\) instead"),
    "a type": (torch.float32, "found dtype: save what it is made of"),
    "a module": (torch.nn.Linear(1, 1), r"found Linear: save what it is made of \(its state_dict\(\)"),
    "a function": (len, "found builtin_function_or_method: save what it is made of"),
    "a sparse tensor": (torch.zeros(2).to_sparse(), r"a layout of torch\.sparse_coo: save its \.to_dense\(\) instead"),
    "a tensor without values": (torch.zeros(2, device="meta"), "found one without values, on the meta device"),
    "a tensor of another class": (torch.zeros(2).as_subclass(Own), "found Own"),
    "a type of tensor that the format lacks": (torch.zeros(2, dtype=torch.complex128), r"found torch\.complex128"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_come_back_as_something_else_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    value, message = REFUSED[name]
    state = {"sound": torch.zeros(1), "optimizer": {"state": [{"a b": {3: value}}]}}
    with pytest.raises(TypeError, match=rf"^state\.optimizer\.state\[0\]\['a b'\]\[3\]: expected .*{message}"):
        write_state(tmp_path, state)
    assert os.listdir(tmp_path) == [], "something was written all the same"


@pytest.mark.parametrize("key", [True, None, 1.0, (1,), b"k", Colour.RED])
def test_keys_that_are_neither_text_nor_whole_numbers_are_refused(key: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^state\.a: expected keys that are text or whole numbers, found "):
        write_state(tmp_path, {"a": {key: 1}})


@pytest.mark.parametrize("state", [{"a": "\ud800"}, {"a": {"\ud800": 1}}])
def test_text_that_is_none_is_refused(state: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^state\.a: expected text, found half of a surrogate pair in '\\ud800'"):
        write_state(tmp_path, state)


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: (x,), lambda x: {"$": x}], ids=["list", "tuple", "dict"])
def test_what_is_written_is_never_too_deep_to_be_read(wrap: Callable[[Any], Any], tmp_path: Path) -> None:
    deep: Any = torch.zeros(1)
    for _ in range(19):
        deep = wrap(deep)
    assert plain(round_trip(tmp_path / "folder", {"$": deep})) == plain({"$": deep})
    with pytest.raises(ValueError, match="nested more than 20 levels deep"):
        write_state(tmp_path, {"$": wrap(deep)})


def test_what_contains_itself_is_refused(tmp_path: Path) -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="or it contains itself"):
        write_state(tmp_path, {"a": circle})


# --- what is not believed ---

STRANGE: dict[str, tuple[str, str]] = {
    "no JSON": ('{"a":', "not JSON"),
    "no dict": ("[1]", r"expected a dict, found a list"),
    "nan": ('{"a":NaN}', "NaN is not a JSON number"),
    "a key twice": ('{"a":1,"a":2}', "appears twice"),
    "too deep": ('{"a":' * 70 + "1" + "}" * 70, "nested more than 64 levels deep"),
    "far too deep": ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply|nested more than"),
    "a mark that nobody knows": ('{"a":{"$set":[1]}}', r"state\.a: expected a mark that prefline knows, found"),
    "two marks": ('{"a":{"$tuple":[],"$int":"0x1"}}', "expected a mark that prefline knows"),
    "a mark among keys": ('{"a":{"$tuple":[],"b":1}}', "expected a mark that prefline knows"),
    "a tuple of text": ('{"a":{"$tuple":"bc"}}', "expected a mark that prefline knows"),
    "a number in tens": ('{"a":{"$int":"12"}}', "expected a mark that prefline knows"),
    "few bits": ('{"a":{"$float":"7ff8"}}', "expected a mark that prefline knows"),
    "no pair": ('{"a":{"$dict":[[1,2,3]]}}', r"expected a key and its value, found \[1, 2, 3\]"),
    "the same number twice": ('{"a":{"$dict":[[1,2],[1,3]]}}', "each once, found 1"),
    "a list for a key": ('{"a":{"$dict":[[[],2]]}}', r"expected text or a whole number, each once, found \[\]"),
    "a truth for a key": ('{"a":{"$dict":[[true,2]]}}', "each once, found True"),
    "a tensor that is missing": ('{"a":{"$tensor":"0"},"b":{"$tensor":"1"}}', "the tensor '1' is missing"),
    "a tensor named twice": ('{"a":{"$tensor":"0"},"b":{"$tensor":"0"}}', "the tensor '0' is missing, or named twice"),
    "a tensor named by number": ('{"a":{"$tensor":0}}', "expected a mark that prefline knows"),
    "a tensor that nothing names": ("{}", "has tensors that no part of it names: 0"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_tree_that_was_never_written_is_not_believed(name: str, tmp_path: Path) -> None:
    text, message = STRANGE[name]
    write_state(tmp_path, {"a": torch.zeros(1)})
    (tmp_path / STATE).write_text(text)
    with pytest.raises(DataError, match=rf"state\.json: .*({message})") as caught:
        read_state(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def header(**changes: Any) -> bytes:
    """A file of one tensor, of which something is not as it should be."""
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | changes
    text = json.dumps({"0": entry}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(4)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff" * 20, header()[:-1], header() + b"x"),
        *(header(dtype="F31"), header(dtype="F6_E2M3"), header(shape=[2]), header(shape=[-1])),
        header(shape=[0, 2**63], data_offsets=[0, 0])[:-4],
    ],
)
def test_tensors_that_were_never_written_are_not_believed(content: bytes, tmp_path: Path) -> None:
    write_state(tmp_path, {"a": torch.zeros(1)})
    (tmp_path / TENSORS).write_bytes(content)
    with pytest.raises(DataError, match=r"tensors\.safetensors: ") as caught:
        read_state(tmp_path)
    assert "\n" not in str(caught.value)


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"state\.json: No such file"):
        read_state(tmp_path)
    write_state(tmp_path, {"a": torch.zeros(1)})
    (tmp_path / TENSORS).unlink()
    with pytest.raises(DataError, match=r"state\.json: state\.a: the tensor '0' is missing"):
        read_state(tmp_path)
