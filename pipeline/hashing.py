"""The sha256 of many files at once: hashing and syncing leave Python free, so threads do help."""

import contextlib
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from prefline.data.errors import StoreError
from prefline.pipeline.failpoints import reach
from prefline.pipeline.filesystem import explaining, open_to_read, sync_file
from prefline.pipeline.manifest import File

_CHUNK = 1 << 20


def hash_file(path: Path, stop: threading.Event | None = None) -> str:
    """Return the hex digest of a file, never following a symbolic link. Whoever waits no longer sets `stop`."""
    digest = hashlib.sha256()
    chunk = memoryview(bytearray(_CHUNK))
    with open(open_to_read(path), "rb", buffering=0) as stream, explaining(path):
        while length := stream.readinto(chunk):
            digest.update(chunk[:length])
            if stop is not None and stop.is_set():
                raise StoreError(f"{path}: hashing was stopped")
    return digest.hexdigest()


def hash_and_sync(folder: Path, paths: list[str]) -> list[File]:
    """Describe files for a manifest, and wait until the bytes described are on the disk.

    A large file is hashed and synced at the same time: the one keeps a core busy, the other the disk.
    """

    def describe(path: str, synced: Future[None]) -> File:
        size = (folder / path).stat(follow_symlinks=False).st_size
        file = File(path=path, size=size, sha256=hash_file(folder / path, stop))
        synced.result()
        reach("publish.hashed")
        return file

    with _pool(syncing=True) as (pool, stop):
        # Each sync is queued just before its hash, so a hash only ever waits for a sync that has begun.
        described = [pool.submit(describe, path, pool.submit(sync_file, folder / path)) for path in paths]
        return [file.result() for file in described]


def hash_all(folder: Path, paths: list[str]) -> Iterator[tuple[str, str | StoreError]]:
    """Yield each path with its digest, or with what kept it from being read."""

    def attempt(path: str) -> tuple[str, str | StoreError]:
        try:
            return path, hash_file(folder / path, stop)
        except StoreError as error:
            return path, error

    with _pool() as (pool, stop):
        yield from pool.map(attempt, paths)


@contextlib.contextmanager
def _pool(*, syncing: bool = False) -> Iterator[tuple[ThreadPoolExecutor, threading.Event]]:
    pool = ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) + syncing, thread_name_prefix="hash")
    stop = threading.Event()
    try:
        yield pool, stop
    finally:
        # After an error or a signal nobody waits for the rest, which can be many gigabytes.
        stop.set()
        pool.shutdown(cancel_futures=True)


def list_files(folder: Path) -> Iterator[tuple[str, os.stat_result | None]]:
    """Yield every path below a folder, with its status where it is a plain file and None where it is not.

    Links, devices and empty folders are no plain files. What is below a link is not looked at.
    """
    pending = [("", folder)]
    while pending:
        prefix, current = pending.pop()
        with os.scandir(current) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        if not found and prefix:
            yield prefix.rstrip("/"), None
        for entry in found:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                pending.append((f"{prefix}{entry.name}/", Path(entry.path)))
            else:
                yield prefix + entry.name, status if stat.S_ISREG(status.st_mode) else None
