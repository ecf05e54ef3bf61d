"""Names that people give to artifacts: one small file each, which may be moved to another artifact.

A name is written as kind/name where several kinds use it, and as name alone where only one does.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from prefline.data.errors import StoreError, UnknownArtifactError
from prefline.data.wording import did_you_mean
from prefline.pipeline.filesystem import list_folder, make_folder, read_file, remove_file, replace_file
from prefline.pipeline.naming import is_name, parse_id_line


class Names:
    """The names of one store."""

    def __init__(self, folder: Path) -> None:
        """Use the names below a store's folder `refs`."""
        self.folder = folder

    def files(self) -> list[Path]:
        """Return the file behind every name. Systems leave files of their own in any folder: those are no names."""
        return [path for kind in list_folder(self.folder) for path in list_folder(kind) if is_name(path.name)]

    def all(self) -> dict[str, str]:
        """Return the id behind every name, the names written as kind/name.

        A name that cannot be read is not passed over here: what it keeps would be lost.
        """
        return dict(self._read(self.files()))

    def by_id(self) -> dict[str, tuple[str, ...]]:
        """Return the names of every artifact that has some, without their kinds."""
        result: dict[str, tuple[str, ...]] = {}
        for full, artifact_id in self.readable().items():
            result[artifact_id] = (*result.get(artifact_id, ()), short_name(full))
        return result

    def readable(self) -> dict[str, str]:
        """Return the id behind every name that can be read; `verify` tells of the others."""
        names: dict[str, str] = {}
        for path in self.files():
            with contextlib.suppress(StoreError):
                names |= dict(self._read([path]))
        return names

    def find(self, text: str) -> tuple[str, str] | None:
        """Return the full name and the id that a text means, or None where it is no name."""
        meant = [path for path in self.files() if text in (path.name, f"{path.parent.name}/{path.name}")]
        found = list(self._read(meant))
        if len({artifact_id for _, artifact_id in found}) > 1:
            choices = ", ".join(full for full, _ in found)
            raise UnknownArtifactError(f"{text!r} names several artifacts; say which: {choices}")
        return found[0] if found else None

    def suggest(self, text: str) -> str:
        """Return " (did you mean ...?)" for the nearest name, or nothing."""
        return did_you_mean(text, [path.name for path in self.files()])

    def _read(self, paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
        for path in paths:
            try:
                content = read_file(path)
            except StoreError:
                if not path.exists():
                    continue  # removed since it was listed
                raise
            yield f"{path.parent.name}/{path.name}", parse_id_line(content, path)

    def write(self, kind: str, name: str, artifact_id: str, scratch: Path) -> None:
        """Point a name to an artifact. The caller holds the store's lock and lends a scratch folder."""
        make_folder(self.folder / kind)
        replace_file(self.folder / kind / name, f"{artifact_id}\n".encode(), scratch / "name")

    def remove(self, text: str) -> str:
        """Forget a name, and return what it meant. The artifact stays until gc finds that nothing leads to it."""
        found = self.find(text)
        if found is None:
            raise UnknownArtifactError(f"{text!r} is not a name here{self.suggest(text)}")
        remove_file(self.folder / found[0])
        return found[1]


def short_name(full: str) -> str:
    """kind/name -> name."""
    return full.partition("/")[2]
