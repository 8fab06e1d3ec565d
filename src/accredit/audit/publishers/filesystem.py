"""Publishes the log as a directory in the layout of C2SP tlog-tiles: any web server can serve it as it is."""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from accredit.audit.errors import AlreadySequenced, LogBroken
from accredit.errors import Unavailable

T = TypeVar("T")

_LOCK = "lock"


class FilesystemPublisher:
    """A directory with `checkpoint`, `key`, `tile/…`, and a `lock` that one process holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: int | None = None

    async def claim(self) -> None:
        """Take the lock. The operating system gives it back when the process ends, however it ends."""
        if self._lock is None:
            self._lock = await _in_thread(self._take_lock)

    async def release(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def read(self, path: str) -> bytes | None:
        """The bytes of a file, None if it is not there."""
        return await _in_thread(lambda: _read(self._folder / path))

    async def add(self, files: Mapping[str, bytes]) -> None:
        """Write files that never change, each by rename, and wait for the disk."""
        await _in_thread(lambda: self._write(files, may_change=False))

    async def replace(self, path: str, data: bytes) -> None:
        """Replace a file by rename, and wait for the disk."""
        await _in_thread(lambda: self._write({path: data}, may_change=True))

    def _take_lock(self) -> int:
        _make_folder(self._folder)
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise AlreadySequenced(
                "another process writes this log", next_step="stop it, or give this one a data folder of its own"
            ) from error
        return descriptor

    def _write(self, files: Mapping[str, bytes], *, may_change: bool) -> None:
        folders: set[Path] = set()
        for path, data in files.items():
            target = self._folder / path
            # A file that is there may have been renamed by a process that died before the folder reached the disk.
            folders.add(target.parent)
            present = _read(target)
            if present is not None and not may_change:
                if present != data:
                    raise LogBroken(f"{path} is published with other bytes than the log gives")
                continue
            _make_folder(target.parent)
            temporary = target.with_name(f".{target.name}.new")
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        for folder in folders:
            _sync(folder)
        for path in files:
            if ".p/" not in path:
                # tlog-tiles, "Partial tiles": they may go once the full tile is there, and readers then take that.
                shutil.rmtree(self._folder / f"{path}.p", ignore_errors=True)


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise Unavailable(
            "the log cannot be published", next_step="check the disk and the folder's permissions", detail=repr(error)
        ) from error


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _make_folder(folder: Path) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
