"""How things are put into words for people."""

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping

# Control, invisible (bidi overrides among them), lone surrogates, line and paragraph ends.
INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def shorten(text: str, limit: int = 60) -> str:
    """Cut a text that came from outside, so that a message stays a line."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def did_you_mean(name: str, known: Iterable[str], nearness: float = 0.6) -> str:
    """Return " (did you mean 'x'?)" for the known name nearest to `name`, or "" where none is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=nearness)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


def count(number: int, one: str, many: str) -> str:
    """Write a number with the noun that goes with it."""
    return f"{number:,} {one if number == 1 else many}"


def plain(value: object) -> str:
    """Write a setting as a person would: texts without quotes, 1e-5 rather than 1e-05."""
    if isinstance(value, float):
        return re.sub(r"e([+-])0", r"e\1", repr(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def find_typed_escapes(texts: Mapping[str, str]) -> str | None:
    r"""Say which settings hold \n as two characters, as a shell passes it on where a line end was meant."""
    names = [name for name, text in texts.items() if "\\n" in text]
    if not names:
        return None
    hold = "holds" if len(names) == 1 else "hold"
    return f"{' and '.join(names)} {hold} a backslash and an n, and no line end: if one was meant, a shell wants $'\\n'"


def printable(text: object) -> str:
    """Show what a terminal would obey, or hide, as its code: texts of artifacts may come from strangers."""
    return "".join(
        f"\\u{ord(character):04x}" if unicodedata.category(character) in INVISIBLE else character
        for character in str(text)
    )
