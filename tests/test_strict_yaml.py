import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prefline.data.errors import ConfigError
from prefline.pipeline.strict_yaml import parse_scalar, parse_yaml

# A key that stands before a ':' has at most 1,024 characters, and JSON writes one as up to twelve.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats(allow_nan=False, allow_infinity=False)
    # Text with what YAML gives a meaning to comes up more often than chance would have it.
    | st.text() | st.text("no:-#&*!'\"[]{}, \n\\~01e.<"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=80), inner),
    max_leaves=20,
)  # fmt: skip
YAML_LIKE = st.text("ab01:-?,[]{}&*!|>'\"%@`#~ \n\r\t\\.exuUD8<=+_\x00\x85\ufeff\ud800é😀", max_size=60)

TAG = "expected a value, found a tag: remove it, or put text that begins with ! in quotes"
ALIAS = "expected a value, found the alias '*x': write it out, or put text in quotes"
ANCHOR = "expected a value, found the anchor '&x': remove it, or put text in quotes"
SIGN = (
    "expected a value, found what YAML takes for an alias (*), an anchor (&) or a directive (%): put the text in quotes"
)
COLON = "expected no second ':' here: put text that has ': ' in quotes, or begin the keys of a map in one column"
COLUMN = "expected the next key or '-' in the column of those before it"
BLOCK = "expected text in quotes, [a list] or {a: map}, found a list or a map without brackets"
HALF = "expected text, found half of a surrogate pair (\\ud800 to \\udfff on its own)"
LARGE = "expected a smaller number, found one too large to be meant"


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text.encode())
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("# only a comment", None),
        ("a:", {"a": None}),
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        ("2.5", 2.5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("007.5", 7.5),
        ("1e-400", 0.0),
        ("[a, 1, {b: [c]}]", ["a", 1, {"b": ["c"]}]),
        ("a:\n- 1\n- b: 2\n  c: 3", {"a": [1, {"b": 2, "c": 3}]}),
        ("|\n two\n lines\n", "two\nlines\n"),
        (">\n one\n line\n", "one line\n"),
        ("two\n words", "two words"),
        ("\ufeffa: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("--- a\n...\n", "a"),
        ("'it''s'", "it's"),
    ],
)
def test_yaml_means_what_it_looks_like(text: str, value: Any) -> None:
    assert repr(parse_yaml(text.encode())) == repr(value)


@pytest.mark.parametrize(
    "text",
    [
        "no", "yes", "on", "off", "No", "y", "True", "FALSE", "Null", "12:30:00", "1:30",
        "007", "-007", "2026-11-21", "2026-11-21T12:30:00Z", "0x1F", "0o17", "0b1", "1_000", ".inf", "-.INF", ".nan",
        "1e", "e5", ".", "+", "=", "<<", "1.2.3", "1e5x", "٣",
    ],
)  # fmt: skip
def test_what_other_readers_turn_into_something_else_stays_text(text: str) -> None:
    assert parse_yaml(text.encode()) == text
    assert parse_scalar(text) == text


@pytest.mark.parametrize("text", ["true", "null", "~", "1", "1e-5", "", "<<"])
def test_quotes_make_text_of_anything(text: str) -> None:
    assert parse_yaml(f"'{text}'".encode()) == text
    assert parse_yaml(f'{{"{text}": 1}}'.encode()) == {text: 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: *x", f"line 1, column 4: {ALIAS}"),
        ("a: &x 1", f"line 1, column 4: {ANCHOR}"),
        ("- &x [1]", f"line 1, column 3: {ANCHOR}"),
        ("&x a: 1", f"line 1, column 1: {ANCHOR}"),
        ("? *x\n: 1", f"line 1, column 3: {ALIAS}"),
        *(
            (f"a: {tag}", f"line 1, column 4: {TAG}")
            for tag in ("!!python/object/apply:os.system [a]", "!!binary aGk=", "!!set {a}", "!!str 1", "! 1", "!x [1]")
        ),
        ("!!omap [a: 1]", f"line 1, column 1: {TAG}"),
        ("<<: {a: 1}", "line 1, column 1: expected a key, found <<, which merges maps elsewhere: write the keys out"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: expected each key of a map once, found 'a' again"),
        ("{a: 1, 'a': 2}", "line 1, column 8: expected each key of a map once, found 'a' again"),
        ("a:\n  1: b", "line 2, column 3: expected a text as the key, found '1': put it in quotes"),
        ("true: b", "line 1, column 1: expected a text as the key, found 'true': put it in quotes"),
        (": b", f"line 1, column 1: {COLUMN}, found ':'"),
        ("{? : b}", "line 1, column 3: expected a text as the key, found nothing"),
        ("[a]: b", "line 1, column 1: expected a text as the key, found a list or a map"),
        ("? {a: b}\n: c", "line 1, column 3: expected a text as the key, found a list or a map"),
        ("a\n---\nb", "line 2, column 1: expected one document, found another after ---"),
        ("a: b\n...\nc", "line 3, column 1: expected nothing after the value of the document, found text"),
        ("[a]\nb: c", "line 2, column 1: expected nothing after the value of the document, found a map"),
        ("[a]]", "line 1, column 4: expected nothing after the value of the document, found ']'"),
        ("%YAML 1.2\n---\na", "line 1, column 1: expected no directive, found a line that begins with %"),
        ("%x", "line 1, column 3: expected no directive, found a line that begins with %"),
        (f"%YAML 1.{'1' * 5000}\n---\na", f"line 1, column 9: {LARGE}"),
        ("1" * 5000, "line 1, column 1: expected a number, found one of more digits than Python converts"),
        ("a: [0, -1e999]", "line 1, column 8: expected a number below 1.8e308, found '-1e999'"),
        ("a: b: c", f"line 1, column 5: {COLON}"),
        ("a: 1\n  b: 2", f"line 2, column 4: {COLON}"),
        ("a:\n   b: 1\n  c: 2", f"line 3, column 3: {COLUMN}, found a map"),
        ("- a\nb: 1", f"line 2, column 1: {COLUMN}, found a key"),
        ("a: 'it's'", f"line 1, column 8: {COLUMN}, found text"),
        ("a: - b", "line 1, column 4: expected a list to begin on a line of its own, found '-'"),
        ("a: 1\nb\nc: 2", "line 2, column 1: expected a ':' after this key, found none"),
        ("a:\n\tb: 1", "line 2, column 1: expected spaces, found a tab"),
        ("a: @x", "line 1, column 4: expected a value, found '@': put text that begins with it in quotes"),
        ("a: *.jsonl", f"line 1, column 5: {SIGN}"),
        ("a: & b", f"line 1, column 5: {SIGN}"),
        ("\na: [1,\n  2", "line 2, column 4: expected ',' or ']', found the end"),
        ("{a: b c: d}", "line 1, column 8: expected ',' or '}', found ':'"),
        ("[a, , b]", "line 1, column 5: expected a value, found ','"),
        ("a: ]", "line 1, column 4: expected a value, found ']'"),
        ("a: 'x\n\n", "line 1, column 4: expected the quote that closes this text, found the end"),
        ("a: 'x\n---\n'", "line 1, column 4: expected the quote that closes this text, found a line of --- or ..."),
        ('"C:\\data"', "line 1, column 5: expected an escape that YAML knows, found 'd' after \\: use single quotes"),
        ('"\\', "line 1, column 3: expected an escape that YAML knows, found the end after \\: use single quotes"),
        ('"\\u12"', "line 1, column 4: expected escape sequence of 4 hexadecimal numbers, found '\"'"),
        ('"\\UFFFFFFFF"', f"line 1, column 4: {LARGE}"),
        ('"\\U00110000"', f"line 1, column 4: {LARGE}"),
        ('a: "\\ud800"', f"line 1, column 4: {HALF}"),
        ("a: |x\n b", "line 1, column 5: expected chomping or indentation indicators, found 'x'"),
        ("a: ? b", "line 1, column 4: expected YAML, found this: mapping keys are not allowed here"),
        ("a: !x!y z", "line 1, column 4: expected YAML, found this: undefined tag handle '!x!'"),
        ("a: \x00", "line 1, column 4: expected text that can be seen, found the character U+0000"),
        ("a: 1\r\nb: \x1b[2J", "line 2, column 4: expected text that can be seen, found the character U+001B"),
        ("a\rb\x85", "line 2, column 2: expected text that can be seen, found the character U+0085"),
        ("# \u202e", "line 1, column 3: expected text that can be seen, found the character U+202E"),
        ("a: \ufeff", "line 1, column 4: expected text that can be seen, found the character U+FEFF"),
        ("[" * 41 + "]" * 41, "line 1, column 41: expected at most 40 levels of lists and maps, found more"),
        (" " * 262_145, "expected at most 262,144 bytes of YAML, found more"),
    ],
    ids=lambda text: repr(text)[:40],
)  # fmt: skip
def test_what_nobody_means_is_refused_with_its_place(text: str, message: str) -> None:
    assert refusal(text) == message


def test_forty_levels_are_read() -> None:
    assert parse_yaml(b"[" * 40 + b"]" * 40) == json.loads("[" * 40 + "]" * 40)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\xff\xfea\x00", "line 1, column 1: expected UTF-8, found the byte 0xff"),
        ("a: 1\nü: ".encode() + b"\xe9", "line 2, column 4: expected UTF-8, found the byte 0xe9"),
        (b"\xed\xa0\x80", "line 1, column 1: expected UTF-8, found the byte 0xed"),
    ],
)
def test_what_is_not_utf_8_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(raw)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("  ", None),
        ("null", None),
        ("2e-5", 2e-5),
        (" 3 ", 3),
        ("a b", "a b"),
        ("[1, {a: b}]", [1, {"a": "b"}]),
        ("'# a'", "# a"),
        ("a#b", "a#b"),
        ("x=y", "x=y"),
        ("a, b", "a, b"),
    ],
)
def test_a_value_of_the_command_line_is_read_as_in_a_file(text: str, value: Any) -> None:
    assert parse_scalar(text) == value
    assert parse_yaml(f"key: {text}".encode()) == {"key": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#5", "line 1, column 1: expected one value, found '#5' after it: put text that has # in quotes"),
        ("a #b", "line 1, column 3: expected one value, found '#b' after it: put text that has # in quotes"),
        ("a: b", f"line 1, column 1: {BLOCK}"),
        ("- a", f"line 1, column 1: {BLOCK}"),
        ("---", "line 1, column 1: expected a value, found ---: put it in quotes"),
        ("\udcff", "line 1, column 1: expected text that can be seen, found the character U+DCFF"),
        ("{a: 1", "line 1, column 1: expected ',' or '}', found the end"),
        ("a" * 262_145, "expected at most 262,144 characters of YAML, found more"),
    ],
    ids=lambda text: repr(text)[:40],
)  # fmt: skip
def test_a_value_of_the_command_line_is_one_value(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_scalar(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "raw",
    [
        b"a: &a [x,x]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (i + 1, i + 1, i, i) for i in range(97, 122)),
        b"[" * 100_000,
        b"{" * 100_000,
        b"- " * 130_000,
        b"? " * 130_000,
        b"[a: " * 60_000,
        b"[" + b"1," * 40_000 + b"]",
        b"[" + (b"[" * 38 + b"]" * 38 + b",") * 3_300 + b"]",
        b"".join(b"%d: 1\n" % i for i in range(20_000)),
        b"".join(b"k%d: 1\n" % i for i in range(20_000)),
        b"".join(b" " * i + b"a:\n" for i in range(600)),
        b"---\n" * 60_000,
        b"%A\n" * 80_000,
        b"&a " * 80_000,
        b"!" * 260_000,
        b"!" + b"%41" * 80_000,
        b"'" * 262_143,
        b'"' + b"\\ud800" * 40_000 + b'"',
        b"1" * 260_000,
        b"a: " * 80_000,
        b"x" * 10_000_000,
    ],
    ids=lambda raw: repr(raw[:12]),
)
@pytest.mark.timeout(20)
def test_what_is_made_to_exhaust_a_reader_is_refused_soon(raw: bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(raw)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "raw",
    [b"[" + b"1," * 9_000 + b"]", b"\n" * 262_000, b"1" * 262_000 + b"e", b">\n" + b" a\n" * 80_000, b"a\n\n" * 80_000],
    ids=lambda raw: repr(raw[:12]),
)
@pytest.mark.timeout(20)
def test_what_is_long_and_flat_is_read(raw: bytes) -> None:
    parse_yaml(raw)


@given(JSON, st.sampled_from([None, 2]))
@example({"<<": {"": "\x00\x85\u2028\U0001f600 "}, "a": [-0.0, 5e-324, 10**300, 1e300]}, None)
def test_json_is_read_as_it_stands(value: Any, indent: int | None) -> None:
    assert repr(parse_yaml(json.dumps(value, indent=indent).encode())) == repr(value)


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))


def require_one_line(message: str) -> None:
    assert message.isprintable()
    assert len(message) < 300


@given(st.binary() | YAML_LIKE.map(lambda text: text.encode(errors="replace")) | st.text().map(str.encode))
@example(b'"\\U00110000"')
@example(b"{? [a]: b, *c : &d")
def test_any_bytes_are_plain_data_or_refused_in_one_line(raw: bytes) -> None:
    try:
        value = parse_yaml(raw)
    except ConfigError as error:
        require_one_line(str(error))
    else:
        assert is_plain(value)
        json.dumps(value, ensure_ascii=False).encode()


@given(YAML_LIKE | st.text(st.characters()))
def test_any_text_of_the_command_line_is_plain_data_or_refused_in_one_line(text: str) -> None:
    try:
        value = parse_scalar(text)
    except ConfigError as error:
        require_one_line(str(error))
    else:
        assert is_plain(value)
