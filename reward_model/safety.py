"""What is looked at before a model from elsewhere is loaded: nothing in its folder may ask for code to be run.

transformers runs what a config names under `auto_map`, under keys of attention and experts (CVE-2026-4372), and in a
pickle. We allow none of these, so none of their safeguards has to hold.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prefline.data.errors import DataError
from prefline.data.strict_json import type_name
from prefline.data.wording import shorten

# What the folder of an ensemble has in the place of a config.json, and where the folders of its members lie.
ENSEMBLE, MEMBERS = "ensemble.json", "members"
_FORBIDDEN = ("_attn_implementation", "_experts")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Read a JSON object that lies in the folder of a model."""
    path = folder / name
    if not folder.is_dir():
        raise DataError(f"{folder}: expected the folder of a model, found {'a file' if folder.exists() else 'nothing'}")
    if not path.is_file():
        raise DataError(f"{folder}: expected a {name} in the folder of a model, found none{explain_ensemble(folder)}")
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path}: expected JSON, found something else: {error}") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: expected an object, found {type_name(document)}")
    return document


def explain_ensemble(folder: Path) -> str:
    """Say what to do with a folder that holds several models where one is wanted; nothing of any other."""
    if not (folder / ENSEMBLE).is_file():
        return ""
    return (
        ": it is an ensemble, which Ensemble.from_pretrained loads: where one model is wanted, take a member, such as "
        f"{folder / MEMBERS / '1'}"
    )


def check_config(document: Mapping[str, Any], where: object) -> None:
    """Refuse a config that names code to run, at any depth."""
    for key, value in _walk(document):
        code = key in ("auto_map", "trust_remote_code") or key.startswith(_FORBIDDEN)
        if code or (key == "attn_implementation" and "/" in str(value)):
            raise DataError(
                f"{where}: the key {shorten(key)!r} asks for code from elsewhere to be run, which is never done: "
                "use a model that transformers knows by itself, or take the key out if you are sure it needs none"
            )


def check_weights(folder: Path) -> None:
    """Refuse a folder whose weights are not in safetensors."""
    if any(folder.glob("*.safetensors")):
        return
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if not pickles:
        raise DataError(f"{folder}: expected weights (model.safetensors), found none")
    raise DataError(
        f"{folder}: expected weights as safetensors, found a pickle ({shorten(pickles[0])}), which can run code when "
        "it is read: if you trust it, load it with transformers and save it again with save_pretrained"
    )


def _walk(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key), inner
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)
