"""Texts in pieces: the words and signs that they are made of, or the tokens of a tokenizer.

A piece keeps the white space before it, and the last one also what comes after, so that pieces in their order give
the text again, to the letter. In scripts that put no spaces between words a character counts as a word.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai and Lao, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana and han
)
_LAST_MARK = 0x1E000  # beyond it there are marks of rare scripts only
_JOINERS = "\u200c\u200d"  # within words of Persian and Hindi, and between signs that are shown as one
_TONES = "\U0001f3fb-\U0001f3ff"  # of skin, after a sign
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
_UNSPACED_START, _UNSPACED_END = re.compile(rf"\W*[{_UNSPACED}]"), re.compile(rf"[{_UNSPACED}]\W*$")


def split_pieces(text: str, tokenizer: "Tokenizer | None" = None) -> list[str]:
    """Split a text into words and signs, or into the tokens of a tokenizer; those that share a character are one."""
    if tokenizer is None:
        return _cut(text, [found.end() for found in _compile_pattern().finditer(text)])
    ends: list[int] = []
    for start, end in tokenizer.encode(text, add_special_tokens=False).offsets:
        if ends and start < ends[-1]:
            ends[-1] = max(end, ends[-1])
        elif start < end:
            ends.append(end)
    return _cut(text, ends)


def split_words(text: str) -> list[str]:
    """Split a text into words, each with the signs at it."""
    return _cut(text, [found.end() for found in _compile_words().finditer(text)])


def list_words(text: str) -> list[str]:
    """Return the words of a text without signs and white space, whatever their case."""
    return [piece for piece in _compile_pattern().findall(text.casefold()) if piece[0].isalnum()]


def join_pieces(pieces: Sequence[str], *, whole: bool) -> str:
    """Join pieces that did not stand side by side; the white space before the first is left out.

    Where `whole` is true a piece is never a part of a word: a blank comes between two that would become one.
    """
    if not pieces:
        return ""
    joined = [pieces[0].lstrip()]
    for before, piece in pairwise(pieces):
        joined.append(f" {piece}" if whole and _would_merge(before, piece) else piece)
    return "".join(joined)


def loosen(pieces: Sequence[str]) -> list[str]:
    """Return pieces that can stand in any order: the first, which has nothing before it, gets a blank.

    It gets none where no piece has any, as in scripts without spaces.
    """
    spaced = any(piece[0].isspace() for piece in pieces[1:])
    return [f" {piece}" if index == 0 and spaced else piece for index, piece in enumerate(pieces)]


def fold(text: str) -> str:
    """Return what texts have in common that differ in case and white space alone."""
    return " ".join(text.split()).casefold()


def count_words(text: str) -> int:
    """Count the words of a text."""
    return sum(1 for _ in _compile_words().finditer(text))


def find_gap(before: str, after: str) -> str:
    """Return what comes between two texts that are put side by side: nothing in scripts without spaces."""
    return "" if _UNSPACED_END.search(before) and _UNSPACED_START.match(after) else " "


def _would_merge(before: str, piece: str) -> bool:
    """Whether the end of one piece and the beginning of the next would be read as one."""
    if before[-1].isspace() or piece[0].isspace():
        return False
    *_, last = _compile_pattern().finditer(before + piece[0])
    return last.start() < len(before)


def _cut(text: str, ends: Sequence[int]) -> list[str]:
    """Cut a text at the ends of its pieces; the last takes what is left."""
    return [text[start:end] for start, end in pairwise((0, *ends[:-1], len(text)))] if text else []


@cache
def _compile_pattern() -> re.Pattern[str]:
    spaced = rf"[^\W{_UNSPACED}]"
    marks = f"[{_list_marks()}{_JOINERS}]"
    sign = rf"[^\w\s](?:[{_list_marks()}{_JOINERS}{_TONES}]|(?<=\u200d)[^\w\s])*"
    return re.compile(rf"{spaced}+(?:{marks}+{spaced}*)*|[{_UNSPACED}]{marks}*|{_FLAG}|{sign}")


@cache
def _compile_words() -> re.Pattern[str]:
    return re.compile(rf"[{_UNSPACED}][^\w\s]*|[^\s{_UNSPACED}]+")


def _list_marks() -> str:
    """Return the marks that go with the letter before them (accents, vowel signs), as ranges of a pattern."""
    codes = [code for code in range(0x300, _LAST_MARK) if unicodedata.category(chr(code)) in ("Mn", "Mc")]
    # Codes that follow each other differ from their places by the same.
    runs = ([code for _, code in run] for _, run in groupby(enumerate(codes), lambda pair: pair[1] - pair[0]))
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)
