"""A folder of artifacts: one folder each, found by what they are, what they were made from, or a name.

    objects/7c/7c1e.../       an artifact: its files and manifest.json
    keys/0b9a....json         the manifest that a recipe led to; the same bytes may have several recipes
    refs/<kind>/<name>        one line: the id that people call <name>
    runs/<key>/               what a recipe needs while it is worked on, and the log of how that went
    tmp/<random>/             work in progress, invisible and locked by its process
    trash/                    what gc took away and has not erased yet
    store.json                the version of this layout

Nothing in here knows where the store lies, so it can be moved or copied as it is.
"""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from prefline.data.errors import DataError, ManifestError, StoreError, UnknownArtifactError
from prefline.data.strict_json import parse_json
from prefline.pipeline import locks
from prefline.pipeline.canonical import canonical_json, digest_bytes
from prefline.pipeline.failpoints import reach
from prefline.pipeline.filesystem import (
    explain,
    is_trouble,
    list_folder,
    make_folder,
    make_scratch_folder,
    read_file,
    replace_file,
    sync_folder,
    write_file,
)
from prefline.pipeline.manifest import Manifest
from prefline.pipeline.names import Names
from prefline.pipeline.naming import MANIFEST, check_name
from prefline.pipeline.places import STORE_MARKER, describe_missing, local_folder
from prefline.pipeline.verification import read_manifest, require_sound

LAYOUT = 1
_FOLDERS = ("objects", "keys", "refs", "tmp", "trash")
OWN = {*_FOLDERS, ".gitignore", "store.json", "lock"}  # what an interrupted making leaves
_ID = "sha256:"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHORTEST_PREFIX = 4
ERASING = ".erasing"  # ends the name of trash that may be incomplete


@dataclass(frozen=True, slots=True)
class Artifact:
    """A folder of files and the manifest that describes them."""

    path: Path
    manifest: Manifest

    @property
    def id(self) -> str:
        """What the artifact is: the digest of its content."""
        return self.manifest.id

    @property
    def manifest_digest(self) -> str:
        """The digest of the manifest's own bytes: the one to sign, or to pin elsewhere."""
        return digest_bytes((self.path / MANIFEST).read_bytes())


class Store:
    """The artifacts below one folder."""

    def __init__(self, root: Path) -> None:
        """Use `Store.open` to read and `Store.create` to write; this only remembers the place."""
        self.root = root
        self.lock = root / "lock"
        self.names = Names(root / "refs")

    @classmethod
    def open(cls, root: str | Path) -> Self:
        """Open a store that exists."""
        root = local_folder(root)
        marker = root / "store.json"
        try:
            layout = parse_json(marker.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise StoreError(describe_missing(root)) from None
        except OSError as error:
            raise StoreError(f"{marker}: {explain(error, marker)}") from None
        except DataError as error:
            raise StoreError(f"{marker}: {error}. It should hold {STORE_MARKER.decode()}") from None
        layout = layout.get("layout") if isinstance(layout, dict) else None
        if not isinstance(layout, int) or layout < 1:
            raise StoreError(f"{marker}: it should hold {STORE_MARKER.decode()}")
        if layout != LAYOUT:
            raise StoreError(f"{root} has layout {layout}; this prefline knows layout {LAYOUT}: upgrade prefline")
        return cls(root)

    @classmethod
    def create(cls, root: str | Path) -> Self:
        """Open a store, making it first if there is none."""
        root = local_folder(root)
        if root.exists() and not root.is_dir():
            raise StoreError(f"{root} is a file, and a store is a folder: give another one with --store")
        if (root / "objects").is_dir() and any((root / "objects").iterdir()) and not (root / "store.json").exists():
            raise StoreError(describe_missing(root))
        if (root / "store.json").exists():
            store = cls.open(root)
            sync_folder(root)  # whoever made the store may not have come to that
            for name in _FOLDERS:
                if not (root / name).is_dir():  # copied by a tool that drops empty folders
                    make_folder(root / name)
            return store
        for folder in reversed((root, *root.parents)):
            if folder == root or not folder.exists():
                make_folder(folder)
        if {entry.name for entry in list_folder(root)} - OWN:
            raise StoreError(f"{root} holds other things and is not a store: give a new folder with --store")
        for name in _FOLDERS:
            make_folder(root / name)
        for name, content in ((".gitignore", b"*\n"), ("store.json", STORE_MARKER)):
            replace_file(root / name, content, root / "tmp" / secrets.token_hex(8))
        return cls(root)

    def folder_of(self, artifact_id: str) -> Path:
        """Where an artifact lies, if it is here."""
        digest = artifact_id.removeprefix(_ID)
        return self.root / "objects" / digest[:2] / digest

    def record_of(self, key: str) -> Path:
        """Where the manifest that a recipe led to is recorded."""
        return self.root / "keys" / f"{key.removeprefix(_ID)}.json"

    def entries(self, folder: str) -> list[Path]:
        """Return what one of the store's folders holds, in order."""
        return list_folder(self.root / folder)

    def has(self, artifact_id: str) -> bool:
        """Say whether an artifact is here; it may still be damaged."""
        return os.path.isfile(self.folder_of(artifact_id) / MANIFEST)  # noqa: PTH113  unreadable counts as absent

    def ids(self) -> Iterator[str]:
        """Yield the id of every artifact, in order."""
        for shard in self.entries("objects"):
            for folder in list_folder(shard):
                if _DIGEST.fullmatch(folder.name):  # systems leave files of their own in any folder
                    yield _ID + folder.name

    def get(self, artifact_id: str) -> Artifact:
        """Return an artifact with its manifest read and checked, its files not looked at."""
        folder = self.folder_of(artifact_id)
        if not folder.exists():
            raise UnknownArtifactError(f"no artifact {artifact_id} in {self.root}{self._look_in_trash(artifact_id)}")
        manifest = read_manifest(folder)
        if manifest.id != artifact_id:
            raise ManifestError(f"{folder / MANIFEST}: describes {manifest.id}, not {artifact_id}")
        return Artifact(folder, manifest)

    def get_sound(self, artifact_id: str) -> Artifact:
        """Return an artifact for use: every byte of it has just been verified."""
        artifact = self.get(artifact_id)
        require_sound(artifact.path, artifact_id)
        return artifact

    def find(self, key: str) -> Artifact | None:
        """Return what a recipe led to before, with the manifest of that very making."""
        try:
            manifest = Manifest.from_bytes(read_file(self.record_of(key)))
        except ManifestError:
            return None  # a damaged record is as good as none: the recipe runs again
        except StoreError as error:
            if is_trouble(error):
                raise
            return None
        found = manifest.key == key and self.has(manifest.id)
        return Artifact(self.folder_of(manifest.id), manifest) if found else None

    def resolve(self, text: str) -> str:
        """Return the id that a person means by an id, the beginning of one, or a name."""
        named = self.names.find(text)
        if named:
            return named[1]
        prefix = text.removeprefix(_ID).lower()
        shard = self.root / "objects" / prefix[:2]
        if len(prefix) >= _SHORTEST_PREFIX and prefix.isalnum():
            found = [entry.name for entry in list_folder(shard) if entry.name.startswith(prefix)]
            found = [name for name in found if _DIGEST.fullmatch(name)]
            if len(found) == 1:
                return _ID + found[0]
            if found:
                raise UnknownArtifactError(f"{text!r} begins {len(found)} ids; give more of it")
        raise UnknownArtifactError(
            f"no artifact in {self.root} has the id or the name {text!r}{self.names.suggest(text)}"
            f"{self._look_in_trash(prefix)}. `prefline list` shows what there is"
        )

    def trashed(self) -> set[str]:
        """Return the ids of what gc took and has not begun to erase."""
        pieces = [path.name for path in self.entries("trash") if not path.name.endswith(ERASING)]
        return {_ID + piece.partition(".")[0] for piece in pieces}

    def _look_in_trash(self, artifact_id: str) -> str:
        digest = artifact_id.removeprefix(_ID)
        if len(digest) < _SHORTEST_PREFIX or not any(name.startswith(_ID + digest) for name in self.trashed()):
            return ""
        return f"; it is in the trash: `prefline gc --restore {digest[:12]}` brings it back"

    def set_name(self, name: str, artifact_id: str) -> str | None:
        """Let a name mean this artifact from now on, and so keep it from gc. Return what it meant before."""
        check_name(name)
        with self.staging([artifact_id]) as scratch, locks.shared(self.lock):
            kind = self.get(artifact_id).manifest.kind
            before = self.names.all().get(f"{kind}/{name}")
            self.names.write(kind, name, artifact_id, scratch)
            return before

    def keep_young(self, artifact_id: str) -> None:
        """Let gc's time of grace begin again: somebody has just asked for this artifact."""
        with contextlib.suppress(OSError):  # in a store that cannot be written there is no gc either
            os.utime(self.folder_of(artifact_id) / MANIFEST)

    @contextlib.contextmanager
    def staging(self, inputs: Iterable[str] = ()) -> Iterator[Path]:
        """Lend a folder for work in progress.

        It is locked while this process lives, which tells gc that it is in use, and lists the
        artifacts that the work needs, which keeps gc from taking them.
        """
        folder = self.root / "tmp" / secrets.token_hex(8)
        with contextlib.ExitStack() as held:
            # gc excludes everybody, so it can see neither a folder that is not locked yet
            # nor an input that is checked here and not listed yet.
            with locks.shared(self.lock):
                needed = sorted(set(inputs))
                for artifact_id in needed:
                    if not self.has(artifact_id):
                        raise UnknownArtifactError(f"no artifact {artifact_id} in {self.root}")
                if not folder.parent.is_dir():
                    make_folder(folder.parent)  # lost by a tool that drops empty folders
                make_scratch_folder(folder)
                held.callback(shutil.rmtree, folder, ignore_errors=True)  # if it cannot be locked
                held.enter_context(locks.exclusive(folder / "lock"))
                # Removed while the lock is still held; what cannot be removed is left to gc.
                held.callback(shutil.rmtree, folder, ignore_errors=True)
                write_file(folder / "inputs.json", canonical_json(needed))
            reach("draft.opened")
            yield folder
