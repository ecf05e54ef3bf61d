"""Which names are safe: for the files inside an artifact, for kinds, and for what people call artifacts."""

import re
import unicodedata
from pathlib import PurePosixPath

from prefline.data.errors import ArtifactError, StoreError
from prefline.data.wording import INVISIBLE

MANIFEST = "manifest.json"

# Formats that cannot run code when they are opened. Pickle-based ones (.bin, .pt, .pkl) stay out.
SAFE_SUFFIXES = (".html", ".jinja", ".json", ".jsonl", ".md", ".parquet", ".safetensors", ".svg", ".txt")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGITS = re.compile(r"[0-9a-f]{4,64}")
_ID_LINE = re.compile(rb"(sha256:[0-9a-f]{64})\n?")
_KIND = re.compile(r"[a-z][a-z0-9-]{0,49}")
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)}


def check_member_path(path: str) -> None:
    """Refuse a path that could reach outside its artifact, or that some system could not hold.

    The parts are checked one by one rather than by a library's idea of "absolute", which differs
    between systems and between versions of Python.
    """
    if path.casefold() == MANIFEST:
        raise ArtifactError(f"{path!r} is the name of the manifest itself")
    for part in path.split("/"):
        problem = _problem_with_part(part)
        if problem:
            raise ArtifactError(f"unsafe path {path!r}: {problem}")
    if PurePosixPath(path).suffix not in SAFE_SUFFIXES:
        raise ArtifactError(
            f"unsafe path {path!r}: its suffix is not one of {' '.join(SAFE_SUFFIXES)}, "
            "the formats that cannot run code when they are opened"
        )


def _problem_with_part(part: str) -> str | None:
    if part == "":
        return "it is absolute or has an empty part"
    if part in (".", ".."):
        return f"the part {part!r} leads elsewhere"
    if any(character in '\\:*?"<>|' for character in part):
        return f"the part {part!r} has a character that other systems do not allow"
    if any(unicodedata.category(character) in INVISIBLE for character in part):
        return f"the part {part!r} has a control or an invisible character"
    if part[-1] in ". " or part.split(".", maxsplit=1)[0].casefold() in _WINDOWS_DEVICES:
        return f"the part {part!r} is a name that Windows cannot hold"
    if unicodedata.normalize("NFC", part) != part:
        return f"the part {part!r} is not in Unicode's composed form (NFC)"
    if len(part.encode()) > 255:
        return "a part is longer than 255 bytes"
    return None


def check_kind(kind: str) -> None:
    """A kind names a folder of refs: lower case, digits and hyphens."""
    if not _KIND.fullmatch(kind):
        raise ArtifactError(f"{kind!r} is not a kind of artifact: expected lower case letters, digits, hyphens")


def is_name(name: str) -> bool:
    """Say whether something can be a name."""
    return _NAME.fullmatch(name) is not None and not is_id_prefix(name)


def is_id_prefix(text: str) -> bool:
    """Say whether something can be an id without its sha256:, or the beginning of one."""
    return _DIGITS.fullmatch(text) is not None


def check_name(name: str) -> None:
    """A name must be typed without quotes in any shell and cannot be taken for a path or an id."""
    if is_id_prefix(name):
        raise StoreError(f"{name!r} cannot be a name: it could be taken for the beginning of an id")
    if not is_name(name):
        raise StoreError(
            f"{name!r} cannot be a name: expected letters, digits, '.', '_' and '-', "
            "the first a letter or a digit, 100 characters at most"
        )


def parse_id_line(content: bytes, where: object) -> str:
    """Read what a name points to: one line with an id."""
    found = _ID_LINE.fullmatch(content)
    if not found:
        raise StoreError(f"{where}: expected one line with an id (sha256:...), found {content[:80]!r}. Remove it")
    return found[1].decode()
