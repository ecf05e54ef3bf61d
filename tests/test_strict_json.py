import pytest

from prefline.data.errors import DataError
from prefline.data.strict_json import parse_json


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"a": 1, "a": 2}', "key 'a' appears twice"),
        (b'[{"b": {"c": 1, "c": 1}}]', "key 'c' appears twice"),
        (b"[NaN]", "NaN is not a JSON number"),
        (b"-Infinity", "-Infinity is not a JSON number"),
        (b'"\\ud800"', "half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (b"\xff\xfe{}", "not UTF-8: byte 0xff at offset 0"),
        (b'{"a": ', "not JSON: Expecting value at column 7"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5000, "not acceptable JSON"),
        (b"", "not JSON"),
    ],
)
def test_what_python_lets_pass_is_refused_in_one_line(raw: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message.replace("(", r"\(")) as caught:
        parse_json(raw)
    assert "\n" not in str(caught.value)


def test_proper_json_is_read_as_it_stands() -> None:
    assert parse_json('{"ü": ["\\ud83d\\ude00", 1, 2.5, true, null]}'.encode()) == {"ü": ["😀", 1, 2.5, True, None]}
