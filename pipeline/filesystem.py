"""The calls that change a disk, each one named in its error and durable when it says so.

All that an artifact's wholeness rests on passes through here, so a test can fail the N-th call, or keep
back what was not synced, by putting its own object in the place of this module's `os`.
"""

import contextlib
import errno
import fcntl
import io
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from prefline.data.errors import StoreError
from prefline.pipeline.failpoints import reach

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


@contextlib.contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn an OSError into a StoreError that names the file and what to do."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: {explain(error, path)}") from error


def explain(error: OSError, path: Path) -> str:
    """Say in words what the system refused and what would help."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{reason}: {_free_space(path)}. Free some there (`prefline gc` lists what the store can spare) "
            "and run the same command again; what was published before is untouched"
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{reason}: this place cannot be written. Make it writable, or choose another (a store with --store)"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{reason}: close other programs or raise the limit (`ulimit -n`), then run the same command again"
    if error.errno == errno.EIO:
        return (
            f"{reason}: the disk failed. What was published before is untouched; "
            "check the disk, then run the same command again"
        )
    return reason


def is_trouble(error: StoreError, *, of_the_process: bool = False) -> bool:
    """Say whether an error is about the machine, or even only about this process, rather than about the file."""
    number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
    return number in (errno.EMFILE, errno.ENFILE) or (
        not of_the_process and number in (errno.EIO, errno.ENOSPC, errno.ENOMEM)
    )


def _free_space(path: Path) -> str:
    for folder in (path, *path.parents):
        if folder.is_dir():
            free = shutil.disk_usage(folder).free
            return f"the file system that holds {folder} has {free:,} bytes left"
    return "its file system is full"


class _NewFile(io.RawIOBase):
    """A file that did not exist, whose every failing call names it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.name = str(path)
        self._path = path
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        reach("draft.writing")
        with explaining(self._path):
            return os.write(self._descriptor, content)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if not self.closed:
            super().close()
            with explaining(self._path):
                os.close(self._descriptor)


@contextlib.contextmanager
def create_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that must not exist yet, for writing bytes. Publishing syncs it later."""
    with explaining(path):
        descriptor = os.open(path, _NEW_FILE, 0o666)
    with io.BufferedWriter(_NewFile(path, descriptor), 1 << 20) as stream:
        yield cast("BinaryIO", stream)


def write_file(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet, and wait until its bytes are on the disk."""
    with create_file(path) as stream:
        stream.write(content)
        stream.flush()
        with explaining(path):
            _sync(stream.fileno())


def replace_file(path: Path, content: bytes, scratch: Path) -> None:
    """Put a whole file in the place of another, by way of a free path on the same file system."""
    write_file(scratch, content)
    with explaining(path):
        os.replace(scratch, path)
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder, if it is not there, inside one that is.

    The one above is synced even so: whoever made the folder may not have come to that.
    """
    with explaining(path), contextlib.suppress(FileExistsError):
        os.mkdir(path)
    sync_folder(path.parent)


def list_folder(path: Path) -> list[Path]:
    """Return what a folder holds, in order; nothing, where it is no folder or has just gone."""
    try:
        return sorted(path.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def make_scratch_folder(path: Path) -> None:
    """Make a folder whose loss would be no loss."""
    with explaining(path):
        os.mkdir(path)


def rename(source: Path, target: Path) -> bool:
    """Rename a folder onto a free place. False: the place is taken, and nothing has changed."""
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise StoreError(f"{target}: {explain(error, target)}") from error
    return True


def make_read_only(path: Path) -> None:
    """Guard a published file against accident; whoever means it can still change it."""
    with explaining(path):
        path.chmod(path.stat().st_mode & 0o444)


def remove_file(path: Path) -> None:
    """Remove a file that may be gone already."""
    with explaining(path), contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        sync_folder(path.parent)


def open_lock(path: Path) -> int:
    """Open a file that exists only to be locked."""
    with explaining(path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def open_to_read(path: Path) -> int:
    """Open a file, but never through a symbolic link."""
    with explaining(path):
        return os.open(path, _READ)


def read_file(path: Path) -> bytes:
    """Read a plain file whole: no link is followed, and no pipe is waited for."""
    with explaining(path), open(os.open(path, _READ | os.O_NONBLOCK), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise StoreError(f"{path}: is not a plain file")
        return stream.read()


def sync_file(path: Path) -> None:
    """Wait until a file that somebody else wrote is on the disk."""
    _sync_path(path, _READ)


def sync_folder(path: Path) -> None:
    """Wait until the entries of a folder (new names, renames) are on the disk."""
    _sync_path(path, _FOLDER)


def _sync_path(path: Path, flags: int) -> None:
    with explaining(path):
        descriptor = os.open(path, flags)
        try:
            _sync(descriptor)
        finally:
            os.close(descriptor)


def _sync(descriptor: int) -> None:
    """A failed sync is final for this attempt: the kernel may drop the pages it could not write."""
    if sys.platform == "darwin":  # plain fsync leaves the bytes in the drive's own cache there
        with contextlib.suppress(OSError):  # on volumes that do not know it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)
