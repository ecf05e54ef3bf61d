"""YAML as whoever reads the file would expect it, and no more of YAML than that.

The grammar is PyYAML's, in its pure Python form. What the words of a file mean is decided here, from the
events of that parser: its own constructors, which know tags, merge keys, dates and `no` for false, never run.
So `no`, `12:30:00`, `007`, `0x1F` and `2026-11-21` are texts, and `1e-5` is a number.
"""

import math
import re
from typing import Any, Never

import yaml

from prefline.data.errors import ConfigError
from prefline.data.wording import printable, shorten

# Far more than a person writes, and little enough for the slowest computer.
MOST_BYTES = 256 * 1024
MOST_LEVELS = 40
MOST_VALUES = 10_000

_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
# Control characters; the line ends that only YAML 1.1 knows, which would count lines unlike any editor; what
# turns the direction of text, so that a file could look unlike what it says; halves of surrogate pairs; and what
# is no character, or marks the order of bytes.
_REFUSED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")

# What PyYAML says, and what helps whoever wrote the file.
_HELP = {
    "mapping values are not allowed": "expected no second ':' here: put text that has ': ' in quotes, "
    "or begin the keys of a map in one column",
    "sequence entries are not allowed": "expected a list to begin on a line of its own, found '-'",
    "could not find expected ':'": "expected a ':' after this key, found none",
    "expected <block end>": "expected the next key or '-' in the column of those before it, found {}",
    "expected '<document start>', but found '<stream end>'": "expected no directive, found a line that begins with %",
    "expected '<document start>'": "expected nothing after the value of the document, found {}",
    "expected the node content": "expected a value, found {}",
    "found character '\\t'": "expected spaces, found a tab",
    "cannot start any token": "expected a value, found {}: put text that begins with it in quotes",
    "expected alphabetic or numeric": "expected a value, found what YAML takes for an alias (*), an anchor (&) "
    "or a directive (%): put the text in quotes",
    "unknown escape character": "expected an escape that YAML knows, found {} after \\: use single quotes",
    "unexpected end of stream": "expected the quote that closes this text, found the end",
    "unexpected document separator": "expected the quote that closes this text, found a line of --- or ...",
}
_TOKENS = {
    "<stream end>": "the end",
    "<scalar>": "text",
    "<document start>": "---",
    "<block mapping start>": "a map",
    "<block sequence start>": "a list",
    "?": "a key",
    "\\x00": "the end",
}


def parse_yaml(raw: bytes) -> Any:
    """Read a document of UTF-8 YAML; ConfigError says in one line what is wrong with it, and where."""
    if len(raw) > MOST_BYTES:
        raise ConfigError(f"expected at most {MOST_BYTES:,} bytes of YAML, found more")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        _refuse(before, len(before), f"expected UTF-8, found the byte 0x{raw[error.start]:02x}")
    return _Document(text.removeprefix("\ufeff")).read()


def parse_scalar(text: str) -> Any:
    """Read one value, as it would be read behind `key: ` in a file. An empty text is null, as it is there."""
    if len(text) > MOST_BYTES:
        raise ConfigError(f"expected at most {MOST_BYTES:,} characters of YAML, found more")
    return _Document(text, inline=True).read()


class _Document:
    """One YAML document. Where it is `inline`, it is one value and nothing beside it."""

    def __init__(self, text: str, *, inline: bool = False) -> None:
        refused = _REFUSED.search(text)
        if refused:
            found = f"the character U+{ord(refused[0]):04X}"
            _refuse(text, refused.start(), f"expected text that can be seen, found {found}")
        self._text = text
        self._inline = inline
        self._values = 0
        self._end = 0  # of what was read last
        self._loader = yaml.SafeLoader(text)

    def read(self) -> Any:
        """Return the value of the document: a text, a number, a truth value, None, a list or a map."""
        self._next()  # the start of the stream
        start = self._next()
        value, end = None, 0
        if isinstance(start, yaml.DocumentStartEvent):
            if self._text.startswith("%", start.start_mark.index):
                self._refuse(start, "expected no directive, found a line that begins with %")
            if start.explicit and self._inline:
                self._refuse(start, "expected a value, found ---: put it in quotes")
            value = self._value(self._next(), 1)
            end = self._end
            self._next()  # the end of the document
            following = self._next()
            if not isinstance(following, yaml.StreamEndEvent):
                self._refuse(following, "expected one document, found another after ---")
        self._refuse_comment(end)
        return value

    def _next(self) -> yaml.Event:
        try:
            event = self._loader.get_event()
        except yaml.MarkedYAMLError as error:
            raise ConfigError(_describe_problem(error)) from None
        except (ValueError, OverflowError):  # the code of a character, or the version in a directive
            where = f"line {self._loader.line + 1}, column {self._loader.column + 1}"
            raise ConfigError(f"{where}: expected a smaller number, found one too large to be meant") from None
        self._end = event.end_mark.index
        return event

    def _value(self, event: yaml.Event, level: int) -> Any:
        self._refuse_extras(event)
        self._values += 1
        if self._values > MOST_VALUES:
            self._refuse(event, f"expected at most {MOST_VALUES:,} values, found more")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if level > MOST_LEVELS:
            self._refuse(event, f"expected at most {MOST_LEVELS} levels of lists and maps, found more")
        if self._inline and isinstance(event, yaml.CollectionStartEvent) and not event.flow_style:
            self._refuse(event, "expected text in quotes, [a list] or {a: map}, found a list or a map without brackets")
        return self._map(level) if isinstance(event, yaml.MappingStartEvent) else self._list(level)

    def _list(self, level: int) -> list[Any]:
        result: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            result.append(self._value(event, level + 1))
        return result

    def _map(self, level: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event)
            if key in result:
                self._refuse(event, f"expected each key of a map once, found {_show(key)} again")
            result[key] = self._value(self._next(), level + 1)
        return result

    def _key(self, event: yaml.Event) -> str:
        self._refuse_extras(event)
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(event, "expected a text as the key, found a list or a map")
        if event.implicit[0] and event.value == "<<":
            self._refuse(event, "expected a key, found <<, which merges maps elsewhere: write the keys out")
        key = self._scalar(event)
        if not isinstance(key, str):
            found = f"{_show(event.value)}: put it in quotes" if event.value else "nothing"
            self._refuse(event, f"expected a text as the key, found {found}")
        return key

    def _refuse_extras(self, event: yaml.Event) -> None:
        """Refuse what lets a few bytes stand for much, or for what they do not look like."""
        if isinstance(event, yaml.AliasEvent):
            alias = _show(f"*{event.anchor}")
            self._refuse(event, f"expected a value, found the alias {alias}: write it out, or put text in quotes")
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            anchor = _show(f"&{event.anchor}")
            self._refuse(event, f"expected a value, found the anchor {anchor}: remove it, or put text in quotes")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            self._refuse(event, "expected a value, found a tag: remove it, or put text that begins with ! in quotes")

    def _refuse_comment(self, end: int) -> None:
        """Refuse what would be left out silently: a '#' on a command line was hardly meant as a comment."""
        rest = self._text[end:].strip() if self._inline else ""
        if rest:
            problem = f"expected one value, found {_show(rest)} after it: put text that has # in quotes"
            _refuse(self._text, self._text.index(rest, end), problem)

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text = event.value
        if not event.implicit[0]:  # in quotes, or a block of text
            return self._whole(event, text)
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INTEGER.fullmatch(text):
            try:
                return int(text)
            except ValueError:
                self._refuse(event, "expected a number, found one of more digits than Python converts")
        if _FLOAT.fullmatch(text):
            number = float(text)
            if math.isinf(number):
                self._refuse(event, f"expected a number below 1.8e308, found {_show(text)}")
            return number
        return text

    def _whole(self, event: yaml.ScalarEvent, text: str) -> str:
        """Join the surrogate pairs that JSON writes for what lies beyond 16 bits."""
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self._refuse(event, "expected text, found half of a surrogate pair (\\ud800 to \\udfff on its own)")

    def _refuse(self, event: yaml.Event, problem: str) -> Never:
        raise ConfigError(f"{_place(event.start_mark)}: {problem}")


def _refuse(text: str, index: int, problem: str) -> Never:
    """Refuse what stands at an index of a text that PyYAML has not seen."""
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    raise ConfigError(f"line {line}, column {column}: {problem}")


def _show(text: str) -> str:
    return repr(shorten(text))


def _place(mark: yaml.Mark) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _describe_problem(error: yaml.MarkedYAMLError) -> str:
    """Say in one line, and in words of our own where there are any, what PyYAML says in several."""
    problem = error.problem or "a mistake"
    # What was never closed is mended where it begins, and not where its end was missed.
    unclosed = any(sign in problem for sign in ("<stream end>", "unexpected", "could not find"))
    mark = (unclosed and error.context_mark) or error.problem_mark
    quoted = re.search(r"""(?:found|got|character) ['"](.+?)['"](?: that|$)""", problem)
    found = _TOKENS.get(quoted[1], f"'{quoted[1]}'") if quoted else "something else"
    text = next((text for known, text in _HELP.items() if known in problem), None)
    if text is None and problem.startswith("expected"):
        text = re.split(",? but (?:found|got) ", problem)[0] + ", found {}"
    text = text.replace("{}", found) if text else f"expected YAML, found this: {problem.removeprefix('found ')}"
    return (f"{_place(mark)}: " if mark else "") + shorten(printable(text), 200)
