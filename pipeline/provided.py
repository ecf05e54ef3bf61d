"""What is known by a name rather than by a path: data sets and models of the Hugging Face Hub, and those built in.

hub:organisation/name?split=train&subset=main&revision=v1     a data set
hub:organisation/name?revision=v1                             a model
builtin:reviews?rows=5000&split=held_out                      a data set of the built-in world
builtin:tiny                                                  its model

Each is fetched to this machine, and from there on known by its bytes, like any file.
"""

import atexit
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl

from prefline.data.errors import ConfigError, DataError
from prefline.data.wording import did_you_mean
from prefline.pipeline.sources import Outside, SourceFile, SourceFolder
from prefline.pipeline.stages import FILES, MODEL, SCORER, TEXTS, TOKENIZER

HUB, BUILTIN = "hub:", "builtin:"
TOKENIZER_FILE = "tokenizer.json"
_OF_DATA, _OF_MODELS = (FILES, TEXTS), (MODEL, SCORER, TOKENIZER)


@dataclass(frozen=True, slots=True)
class HubDataset:
    """A data set of the Hub."""

    name: str
    split: str | None = None
    subset: str | None = None
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a person wrote."""
        name, given = _parse(text, HUB, ("split", "subset", "revision"))
        return cls(name, **given)

    def fetch(self) -> SourceFolder:
        """Bring it here through `datasets`, which keeps it in its cache, and take its digests."""
        from prefline.data.hub import fetch

        files = fetch(self.name, subset=self.subset, split=self.split, revision=self.revision)
        if not files:
            raise DataError(f"{HUB}{self.name}: expected files in the cache of `datasets`, found none: it has no rows")
        read = tuple(SourceFile.read(path) for path in files)
        return SourceFolder(files[0].parent, read, chosen=True, title=f"{HUB}{self.name}")


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model of the Hub."""

    name: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a person wrote."""
        name, given = _parse(text, HUB, ("revision",))
        return cls(name, **given)

    def fetch(self) -> SourceFolder:
        """Bring it here through `huggingface_hub`, which keeps it in its cache, and take its digests."""
        from prefline.data.hub import fetch_model

        return SourceFolder.read_model(fetch_model(self.name, self.revision), f"{HUB}{self.name}")


@dataclass(frozen=True, slots=True)
class BuiltinData:
    """A data set of the built-in world, which is written when it is asked for."""

    text: str  # as a person wrote it

    def fetch(self) -> SourceFile:
        """Write it where it lies until this process ends, and take its digest."""
        from prefline.pipeline.builtin.world import render

        name, given = _parse(self.text, BUILTIN, None)
        # Under the name that it was asked for by, which messages show.
        path = _folder() / f"{self.text.replace('/', '_')}.jsonl"
        path.write_bytes(render(name, given))
        return replace(SourceFile.read(path), title=self.text)


@dataclass(frozen=True, slots=True)
class BuiltinModel:
    """A model that comes with prefline."""

    text: str

    def fetch(self) -> SourceFolder:
        """Take the digests of its files."""
        from prefline.pipeline.builtin.models import find_model

        name, _ = _parse(self.text, BUILTIN, ())
        return SourceFolder.read_model(find_model(name), self.text)


Provided = HubDataset | HubModel | BuiltinData | BuiltinModel


def parse_place(text: str, kind: str) -> Path | Provided:
    """Tell a path from the name of something that is provided; what there is depends on the kind that is wanted."""
    if text.startswith(HUB) and kind in (*_OF_DATA, *_OF_MODELS):
        return HubModel.parse(text) if kind in _OF_MODELS else HubDataset.parse(text)
    if text.startswith(BUILTIN) and kind in (*_OF_DATA, *_OF_MODELS):
        return BuiltinModel(text) if kind in _OF_MODELS else BuiltinData(text)
    return Path(text)


def lies_outside(path: Path, kind: str) -> bool:
    """Say whether what a path leads to can be an input of a kind that may be an artifact as well."""
    try:
        return path.is_dir() or (path.is_file() and kind in (TOKENIZER, TEXTS))
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def read_source(place: Path | Provided, kind: str = FILES) -> Outside:
    """Take the digests of what a person named."""
    if kind == TOKENIZER:
        return _read_tokenizer(place)
    if not isinstance(place, Path):
        return place.fetch()
    if kind in (MODEL, SCORER):
        return SourceFolder.read_model(place)
    return SourceFolder.read(place) if place.is_dir() else SourceFile.read(place)


def _read_tokenizer(place: Path | Provided) -> SourceFile:
    """Take the digest of a tokenizer, wherever it lies: whatever model it comes with, it is known by its own bytes."""
    if isinstance(place, Path):
        return SourceFile.read(place / TOKENIZER_FILE if place.is_dir() else place)
    model = place.fetch()
    return replace(SourceFile.read(model.path / TOKENIZER_FILE), title=model.name)


def _parse(text: str, scheme: str, keys: Collection[str] | None) -> tuple[str, dict[str, str]]:
    """Return a name and what was said of it; with no keys given, whoever provides it knows them."""
    name, _, query = text.removeprefix(scheme).partition("?")
    if not name:
        example = f"{HUB}organisation/name" if scheme == HUB else f"{BUILTIN}reviews"
        raise ConfigError(f"expected {example}, found {text!r}")
    given: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if keys is not None and key not in keys:
            known = f"there are {', '.join(keys)}" if keys else "it takes none"
            raise ConfigError(f"{text}: unknown key {key!r}{did_you_mean(key, keys)}: {known}")
        if not value or key in given:
            found = "it twice" if key in given else "nothing"
            raise ConfigError(f"{text}: expected one value of {key!r}, as in {key}=NAME, found {found}")
        given[key] = value
    return name, given


@cache
def _folder() -> Path:
    """Return a folder of this process, which goes when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="prefline-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
