"""Data sets and models of the Hugging Face hub, as files of this machine."""

from pathlib import Path

from prefline.data.errors import DataError
from prefline.data.wording import shorten


def fetch(name: str, *, subset: str | None = None, split: str | None = None, revision: str | None = None) -> list[Path]:
    """Fetch one split of a data set, if it is not here already, and return its arrow files in their order."""
    import datasets

    try:
        splits = datasets.load_dataset(name, subset, revision=revision, keep_in_memory=False)
    except Exception as error:  # noqa: BLE001 (the library and what it rests on raise nearly anything)
        reason = shorten(" ".join(str(error).split()), 300)
        hint = "check its name, its subset, and the network or HF_HUB_OFFLINE; a file of this machine always works"
        raise DataError(f"the data set {name!r} cannot be fetched: {reason} ({hint})") from None
    known = [str(key) for key in splits]
    chosen = split or (known[0] if len(known) == 1 else None)
    if chosen not in known:
        found = f"found {split!r}" if split else "found none named"
        raise DataError(f"the data set {name!r}: expected one of its splits ({', '.join(known)}), {found}")
    return [Path(part["filename"]) for part in splits[chosen].cache_files]


def fetch_model(name: str, revision: str | None = None) -> Path:
    """Fetch a model, if it is not here already, and return its folder: no weights that could run code."""
    import huggingface_hub

    wanted = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=wanted))
    except Exception as error:  # noqa: BLE001 (the library and what it rests on raise nearly anything)
        reason = shorten(" ".join(str(error).split()), 300)
        hint = "check its name, its revision, and the network or HF_HUB_OFFLINE; a folder of this machine always works"
        raise DataError(f"the model {name!r} cannot be fetched: {reason} ({hint})") from None
