"""Clean-ups of texts: each has a name, and is done only where a setting asks for it, in the order asked.

They are those that the prompts of 2019 went through, told apart so that each can be had alone. What begins a
story (by-line, place, date) is looked for only where stories begin, since in 2019 a "(CNN) --" or an "UPDATED:"
further down took all before it away. By-lines in one line, as in today's copies of CNN / Daily Mail, are known too.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from prefline.data.errors import ConfigError
from prefline.data.wording import did_you_mean

HIGHLIGHT = "@highlight"  # comes before each sentence of the summary, in the .story files of CNN / Daily Mail

_MANY_BREAKS = re.compile(r"\n{3,}")
_SINGLE_BREAK = re.compile(r"(?<!\n)\n(?!\n)")
_BY = re.compile(r"By\b")
_BY_IN_DOTS = re.compile(r"By\s+\.\s+[^\n]{1,100}?\s+\.\s+")
_SECOND_AUTHOR = re.compile(r"and \w+\n")
_PLACE = re.compile(r".{0,95}\(CNN\)(?:\s+--)?\s*", re.DOTALL)  # the whole of it in 100 characters
_UPDATED = re.compile(r".{0,300}?UPDATED:[\s.]+\d{1,2}:\d{2}[^\n]{0,40}?\b20\d{2}\b[\s.]*", re.DOTALL)

Cleanup = Callable[[str], str]


def break_less(text: str) -> str:
    """Make two line breaks of three or more."""
    return _MANY_BREAKS.sub("\n\n", text)


def unwrap(text: str) -> str:
    """Make a space of each single line break, as where lines were broken to fit a page."""
    return _SINGLE_BREAK.sub(" ", text)


def straighten_quotes(text: str) -> str:
    """Make single quotes straight."""
    return text.replace("’", "'").replace("‘", "'")


def drop_byline(text: str) -> str:
    """Drop who wrote a story: "By . NAME . ", or the first two lines of a text that opens with "By"."""
    if not _BY.match(text):
        return text
    if in_dots := _BY_IN_DOTS.match(text):
        rest = text[in_dots.end() :]
    else:
        lines = text.split("\n", 2)
        rest = lines[2] if len(lines) == 3 else text  # a text of two lines is no by-line with nothing after it
    return _drop_opening(_SECOND_AUTHOR, rest)


def drop_place(text: str) -> str:
    """Drop where a story of CNN was written: "LONDON, England (CNN) -- "."""
    return _drop_opening(_PLACE, text)


def drop_dates(text: str) -> str:
    """Drop when a story was published, up to "UPDATED: 15:36 EST, 25 October 2013"."""
    return _drop_opening(_UPDATED, text)


def drop_highlights(text: str) -> str:
    """Cut off the summary that ends a .story file."""
    return text.partition(HIGHLIGHT)[0]


def _drop_opening(opening: re.Pattern[str], text: str) -> str:
    found = opening.match(text)
    return text[found.end() :] if found else text


def _load_ftfy() -> Cleanup:
    try:
        import ftfy
    except ImportError:
        raise ConfigError(
            "the clean-up 'ftfy' needs the package of that name: pip install 'prefline[ftfy]', or leave it out"
        ) from None
    return ftfy.fix_text


CLEANUPS: Mapping[str, Cleanup] = {
    "byline": drop_byline,
    "place": drop_place,
    "dates": drop_dates,
    "quotes": straighten_quotes,
    "breaks": break_less,
    "unwrap": unwrap,
    "highlights": drop_highlights,
    "ends": str.strip,
}
_LOADED: Mapping[str, Callable[[], Cleanup]] = {"ftfy": _load_ftfy}  # what mends text that was decoded wrongly
# What was done in 2019 to stories of CNN / Daily Mail, in that order.
SETS: Mapping[str, tuple[str, ...]] = {
    "news": ("byline", "place", "dates", "quotes", "ends", "ftfy", "breaks", "highlights", "ends"),
}


def expand_cleanups(names: Iterable[str]) -> tuple[str, ...]:
    """Return the clean-ups that are meant, each by its own name, or refuse a name that is none."""
    known = [*CLEANUPS, *_LOADED, *SETS]
    expanded: list[str] = []
    for name in names:
        if name not in known:
            raise ConfigError(f"unknown clean-up {name!r}{did_you_mean(name, known)}: there are {', '.join(known)}")
        expanded += SETS.get(name, (name,))
    return tuple(expanded)


def compose_cleanups(names: Iterable[str]) -> Cleanup:
    """Return one function that cleans a text up, one clean-up after the other."""
    steps = [CLEANUPS[name] if name in CLEANUPS else _LOADED[name]() for name in expand_cleanups(names)]

    def clean(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return clean
