"""What lies outside the store: files and folders, known to recipes by their bytes and not by their place."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from prefline.data.errors import DataError
from prefline.data.wording import did_you_mean, shorten
from prefline.pipeline.filesystem import list_folder
from prefline.reward_model.safety import ENSEMBLE, MEMBERS

_REMEDY = "run again when nobody writes there"
# Settings, weights, tokenizers, templates. Weights of other kinds could run code; states of optimisers are no model.
_OF_MODELS = (".json", ".safetensors", ".jinja", ".model", ".txt")

Stamp = tuple[int, int]  # the size of a file and when it was last written, in nanoseconds


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file outside the store."""

    path: Path
    sha256: str
    stamp: Stamp | None = field(default=None, compare=False, repr=False)
    title: str | None = field(default=None, compare=False)  # what people call it, if not by the name of the file

    @classmethod
    def read(cls, path: str | Path) -> "SourceFile":
        """Take the digest of a file."""
        path = Path(path)
        if path.is_dir():
            raise DataError(f"{path}: expected a file, found a folder")
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: expected a file that can be read twice, found a pipe or a device: save it first")
        try:
            with path.open("rb") as stream:
                stamp = _stamp(os.fstat(stream.fileno()))  # before: what is written meanwhile is seen later
                return cls(path, hashlib.file_digest(stream, "sha256").hexdigest(), stamp)
        except OSError as error:
            near = "" if path.exists() else did_you_mean(path.name, [other.name for other in list_folder(path.parent)])
            raise DataError(f"{path}: cannot be read: {error.strerror}{near}") from None

    @property
    def identity(self) -> str:
        """What stands for it in a recipe."""
        return f"file:sha256:{self.sha256}"

    @property
    def name(self) -> str:
        """What people call it, wherever it lies."""
        return self.title or self.path.name

    def check_unchanged(self) -> None:
        """Refuse a file that is no longer what the recipe names."""
        if SourceFile.read(self.path) != self:
            raise DataError(f"{self.path}: changed while it was read: {_REMEDY}")

    def check_untouched(self) -> None:
        """The same at little cost: every byte is looked at only where its size or its time is another one."""
        try:
            touched = _stamp(self.path.stat()) != self.stamp
        except OSError:
            touched = True
        if touched:
            self.check_unchanged()


@dataclass(frozen=True, slots=True)
class SourceFolder:
    """A folder outside the store, or some files of one."""

    path: Path
    files: tuple[SourceFile, ...]
    chosen: bool = False  # whether these are only some of its files
    title: str | None = field(default=None, compare=False)  # what people call it, if not by the name of the folder

    @classmethod
    def read(cls, path: str | Path) -> "SourceFolder":
        """Take the digests of the files right in a folder; hidden ones and folders in it are left out."""
        path = Path(path)
        found = _list_files(path)
        if not found:
            raise DataError(f"{path}: expected a folder with files in it, found none")
        return cls(path, tuple(SourceFile.read(entry) for entry in found))

    @classmethod
    def read_model(cls, path: str | Path, title: str | None = None) -> "SourceFolder":
        """Take the digests of those files of a folder that a model can be made of, whatever else lies there.

        They lie right in it, or, of an ensemble, in the folders of its members too.
        """
        path = Path(path)
        folders = [path]
        if (path / ENSEMBLE).is_file():
            folders += sorted(member for member in path.glob(f"{MEMBERS}/*/") if member.name.isdecimal())
        found = [entry for folder in folders for entry in _list_files(folder) if entry.suffix in _OF_MODELS]
        if not found:
            known = ", ".join(_OF_MODELS)
            raise DataError(f"{path}: expected the folder of a model, found no file of it ({known})")
        return cls(path, tuple(SourceFile.read(entry) for entry in found), chosen=True, title=title)

    @property
    def name(self) -> str:
        """What people call it, wherever it lies."""
        return self.title or self.path.name

    @property
    def identity(self) -> str:
        """What stands for it in a recipe: the names of the files, and their bytes."""
        listing = "".join(f"{file.sha256}  {os.path.relpath(file.path, self.path)}\n" for file in self.files)
        return f"folder:sha256:{hashlib.sha256(listing.encode(errors='surrogateescape')).hexdigest()}"

    def check_unchanged(self) -> None:
        """Refuse a folder whose files are no longer what the recipe names."""
        for file in self.files:
            file.check_unchanged()
        if not self.chosen and (new := {*_list_files(self.path)} - {file.path for file in self.files}):
            names = ", ".join(sorted(path.name for path in new))
            raise DataError(f"{self.path}: files were added while it was read ({shorten(names, 200)}): {_REMEDY}")

    def check_untouched(self) -> None:
        """The same at little cost, of the files that are known."""
        for file in self.files:
            file.check_untouched()


Outside = SourceFile | SourceFolder


def list_paths(source: Outside) -> list[Path]:
    """List the files with rows, all of them known to the recipe."""
    if not isinstance(source, SourceFolder):
        return [source.path]
    known = [file.path for file in source.files]
    if source.chosen:
        return known
    from prefline.data.rows import list_files  # the readers, which no plan needs

    paths = list_files(source.path)
    for path in sorted({*paths} - {*known}):
        raise DataError(
            f"{source.path}: expected files that were there at the beginning, right in this folder, found {path}: "
            "copy it there, and run again when nobody writes there"
        )
    return paths


def _list_files(folder: Path) -> list[Path]:
    """List the files right in a folder, in order of name, without hidden ones."""
    try:
        found = sorted(entry for entry in list_folder(folder) if entry.is_file() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None
    for entry in found:
        if "\n" in entry.name:  # or two folders could have one listing
            raise DataError(f"{folder}: expected names without line ends, found {entry.name!r}: rename that file")
    return found


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns
