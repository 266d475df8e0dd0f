"""Storage in a local directory.

Each write is durable when its verb returns: the bytes are synced, then linked or renamed into place, then the folder is
synced. A reader sees a name with all of its bytes or does not see it.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import ConfigError, OwnedError, StorageError
from pipeline.storage.atomic import put_in_place, sync
from pipeline.storage.base import LOCK, SCRATCH, translated
from pipeline.storage.filelock import open_lock, sign, take, who_holds


def local_path(url: str) -> Path:
    """The absolute path that a local path or `file://` URL names.

    Raises:
        ConfigError: if it is another kind of URL.
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    if scheme not in ("", "file"):
        raise ConfigError(
            f"{url}: output to {scheme}:// is not supported; give a local folder, or an s3://, gs:// or az:// URL"
        )
    return Path(os.path.abspath(url.removeprefix("file://")))


class LocalStorage:
    """A directory on a POSIX file system. Workers on other machines may share it over a network file system.

    Args:
        root: absolute path of the directory, which need not be there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)
        self._durable_folders: set[Path] = set()

    @property
    def name_bytes(self) -> int:
        """See Storage. A path ends with a NUL (POSIX, limits.h, PATH_MAX); the underscore stands for it."""
        return os.pathconf("/", "PC_PATH_MAX") - len(os.fsencode(self.root / "_"))

    def read(self, name: str) -> io.BufferedReader:
        """See Storage."""
        with translated(f"reading {self.root / name}", passing=FileNotFoundError):
            return io.BufferedReader(_Reading(open(self.root / name, "rb", buffering=0), self.root / name))

    def list(self, prefix: str) -> Iterator[str]:
        """See Storage."""
        scratch = str(self.root / SCRATCH)
        for folder, folders, files in os.walk(self.root / prefix, onerror=_walk_error):
            folders[:] = sorted(f for f in folders if os.path.join(folder, f) != scratch)
            for file in sorted(files):
                yield os.path.relpath(os.path.join(folder, file), self.root).replace(os.sep, "/")

    def stamps(self, prefix: str) -> Iterator[tuple[str, str]]:
        """See Storage. The kernel sets the time of an inode's last change, so no edit or copy can keep it.

        Its clock has ticks of milliseconds, in which a file may be replaced by one of another inode.
        """
        for name in self.list(prefix):
            with translated(f"reading {self.root / name}", passing=FileNotFoundError):
                try:
                    found = os.stat(self.root / name)
                except FileNotFoundError:
                    continue  # it was deleted meanwhile
            yield name, f"{found.st_size}:{found.st_ino}:{found.st_mtime_ns}:{found.st_ctime_ns}"

    def put_if_absent(self, name: str, source: Path | bytes) -> bool:
        """See Storage."""
        return self._put(name, source, replace=False)

    def replace(self, name: str, source: Path | bytes) -> None:
        """See Storage."""
        self._put(name, source, replace=True)

    def delete(self, name: str) -> None:
        """See Storage. A folder is deleted with its last object."""
        path = self.root / name
        with translated(f"deleting {path}"):
            path.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                sync(path.parent)
        with contextlib.suppress(OSError):  # it is not empty
            for folder in path.parents[: len(path.relative_to(self.root).parts) - 1]:
                folder.rmdir()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """See Storage. The folder need not survive a power cut."""
        folder = self.root / SCRATCH / uuid.uuid4().hex
        with translated(f"writing {folder}"):
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, owner: str) -> Iterator[None]:
        """See Storage. The kernel frees the lock of a process that dies, so a dead run never blocks a live one."""
        with self._locked(owner, shared=False) as descriptor:
            shutil.rmtree(self.root / SCRATCH, ignore_errors=True)  # what dead runs left half written
            try:
                yield
            finally:
                shutil.rmtree(self.root / SCRATCH, ignore_errors=True)  # of workers that were dropped
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, 0)

    @contextlib.contextmanager
    def share(self, owner: str) -> Iterator[None]:
        """See Storage."""
        with self._locked(owner, shared=True):
            yield

    @contextlib.contextmanager
    def _locked(self, owner: str, shared: bool) -> Iterator[int]:
        """The lock file, locked. Names that a dead run gave, and did not live to sync, are made durable first."""
        path = self.root / LOCK
        with contextlib.ExitStack() as held:
            with translated(f"locking {path}"):
                self._make_folders(path.parent)
                descriptor = open_lock(path)
                held.callback(os.close, descriptor)
                held_by = take(descriptor, shared)
                if held_by is not None:
                    raise OwnedError(
                        f"another run is working on {self.root}: {held_by}. Wait for it to end; nothing was changed"
                    )
                sign(descriptor, owner)
                for folder in filter(Path.is_dir, path.parent.iterdir()):
                    with contextlib.suppress(FileNotFoundError):  # an attempt's scratch, which went
                        sync(folder)
            yield descriptor

    def _put(self, name: str, source: Path | bytes, replace: bool) -> bool:
        target = self.root / name
        with translated(f"writing {target}"), self._file(source) as file:
            self._make_folders(target.parent)
            try:
                return put_in_place(file, target, replace)
            except FileNotFoundError:  # the folder was empty, and another attempt removed it with an object of its own
                self._durable_folders.clear()
                self._make_folders(target.parent)
                return put_in_place(file, target, replace)

    def _make_folders(self, folder: Path) -> None:
        """Like mkdir -p below the output, with each name durable in its parent.

        A run may have made a folder and died before its name was durable, so the parent of each folder is synced once.
        """
        if folder in self._durable_folders:
            return
        there = folder.is_dir()
        if there and folder == self.root:
            with contextlib.suppress(OSError):  # a parent that cannot be opened is no reason to refuse the folder
                sync(folder.parent)
        elif not there or folder.is_relative_to(self.root):
            self._make_folders(folder.parent)
            folder.mkdir(exist_ok=True)
            sync(folder.parent)
        self._durable_folders.add(folder)

    def holder(self) -> str | None:
        """See Storage. To find out, it takes the lock for an instant, which `lock` and `share` expect."""
        path = self.root / LOCK
        with translated(f"reading {path}"):
            return who_holds(path)

    @contextlib.contextmanager
    def _file(self, source: Path | bytes) -> Iterator[Path]:
        """The source as a file on this file system, for as long as the context lasts."""
        if isinstance(source, Path):
            yield source
            return
        with self.scratch() as folder:
            file = folder / "object"
            file.write_bytes(source)
            yield file


class _Reading(io.RawIOBase):
    """An opened object. An error while it is read becomes a StorageError."""

    def __init__(self, file: io.FileIO, path: Path) -> None:
        self._file = file
        self._path = path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        with translated(f"reading {self._path}"):
            return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


def _walk_error(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise StorageError(f"listing {error.filename}: {error.strerror}") from error
