"""Folders of this machine, URLs, and what people take for the one or the other."""

import re
from pathlib import Path

from prefline.data.errors import StoreError

STORE_MARKER = b'{"layout":1}'  # what store.json holds


def local_folder(path: str | Path) -> Path:
    """Return a path of this machine, with ~ as people mean it; refuse what is a URL."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", str(path)):
        raise StoreError(
            f"expected a folder of this machine, found {without_credentials(str(path))}: "
            "push and pull copy artifacts to and from URLs"
        )
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise StoreError(f"{path}: {error}") from None


def check_url(url: str) -> None:
    """Refuse what would silently become a folder with an odd name."""
    if not url:
        raise StoreError("expected a URL or a folder, found nothing")
    if re.match(r"[A-Za-z]:\\|[^/]*@[^/]*:|[A-Za-z0-9+.-]+:/{0,2}$", url):
        raise StoreError(
            f"{without_credentials(url)!r} is no URL: expected SCHEME://PLACE, or a folder of this machine"
        )


def describe_missing(root: Path) -> str:
    """Say what is where a store should be."""
    if root.is_file():
        return f"{root} is a file, and a store is a folder"
    if (root / "objects").is_dir():
        return f"{root} is a store without its store.json: put it back, it holds {STORE_MARKER.decode()}"
    what = "is not a store: it has no store.json" if root.exists() else "does not exist"
    return f"{root} {what}. The first artifact makes a store; name another one with --store or PREFLINE_STORE"


def without_credentials(text: str) -> str:
    """Drop users, passwords and queries of all URLs in a text: tokens live there."""
    return re.sub(r"[?#][^\s?#]+", "", re.sub(r"(://)[^/@\s]+@", r"\1", text))


def credentials_of(url: str) -> list[str]:
    """Return what must not be shown of a URL, whatever it is that repeats it; the longest first."""
    users = re.findall(r"://([^/@\s]+)@", url)
    values = re.findall(r"[?&;][^=&\s]*=([^&;\s]+)", url)
    passwords = [user.partition(":")[2] for user in users]
    return sorted({secret for secret in (*users, *values, *passwords) if secret}, key=len, reverse=True)
