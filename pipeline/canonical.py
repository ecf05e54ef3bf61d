"""One byte string for one JSON value (RFC 8785), so that equal values have equal digests everywhere."""

import hashlib
from typing import Any

import rfc8785

from prefline.data.errors import ManifestError


def canonical_json(value: Any) -> bytes:
    """Return the only RFC 8785 form of a JSON value; NaN, and whole numbers past 2**53, have none."""
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise ManifestError(f"a value that has no canonical JSON: {error}") from None


def digest_bytes(content: bytes) -> str:
    """Return "sha256:" and the hex digest."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digest_json(value: Any) -> str:
    """Return the digest of a value's canonical form."""
    return digest_bytes(canonical_json(value))
