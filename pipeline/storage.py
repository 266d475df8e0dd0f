"""Storage behind five verbs: read, list, put_if_absent, replace, delete. Here: a local directory.

Each write is durable when its verb returns: the bytes are synced, then linked or renamed into place, then the folder is
synced. A reader sees a name with all of its bytes or does not see it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from pipeline.errors import ConfigError, OwnedError, StorageError
from pipeline.filelock import sign, take, who_holds

PRIVATE = "_melmill"
"""The folder of an output that holds what no reader needs."""
SCRATCH = f"{PRIVATE}/scratch"


class Storage(Protocol):
    """Named objects, each written whole. Names are relative, with forward slashes."""

    url: str

    def read(self, name: str) -> io.BufferedReader:
        """The object, opened for reading and seeking. FileNotFoundError if it is not there.

        What fails later, while it is read, is a StorageError too.
        """
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Names of all objects below the folder `prefix` ("" for all), sorted.

        What lies in `SCRATCH` is no object, and listed only where that is the prefix.
        """
        ...

    def put_if_absent(self, name: str, source: Path | bytes) -> bool:
        """Make `source` durable under `name`; False, and nothing changed, if the name is taken.

        A `source` that is a path must come from `scratch`.
        """
        ...

    def replace(self, name: str, source: Path | bytes) -> None:
        """Make `source` durable under `name`, in place of what was there, atomically."""
        ...

    def delete(self, name: str) -> None:
        """Remove the object, durably; if it is not there, that is made durable."""
        ...

    def scratch(self) -> contextlib.AbstractContextManager[Path]:
        """A folder for files that will be put; removed at the end."""
        ...

    def lock(self, owner: str) -> contextlib.AbstractContextManager[None]:
        """Hold the output for one run.

        OwnedError, with the holder's own words and how long it has held it, if another live run holds it.
        """
        ...

    def holder(self) -> str | None:
        """Who holds the output, in its own words; None if nobody does, as far as it can be seen from here."""
        ...


def open_storage(url: str) -> Storage:
    """The storage at a local path or `file://` URL. Nothing is created before the first write.

    Raises:
        ConfigError: if the URL is of a kind that melmill cannot write to.
    """
    return LocalStorage(local_path(url))


def exists(storage: Storage, name: str) -> bool:
    """Whether an object is there."""
    try:
        storage.read(name).close()
    except FileNotFoundError:
        return False
    return True


def local_path(url: str) -> Path:
    """The absolute path that a local path or `file://` URL names.

    Raises:
        ConfigError: if the URL is of another kind.
    """
    scheme = urlsplit(url).scheme if "://" in url else ""
    if scheme not in ("", "file"):
        raise ConfigError(f"{url}: output to {scheme}:// is not supported; give a local folder")
    return Path(os.path.abspath(url.removeprefix("file://")))


class LocalStorage:
    """A directory on a POSIX file system. Workers on other machines may share it over a network file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)
        self._durable_folders: set[Path] = set()

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

    def put_if_absent(self, name: str, source: Path | bytes) -> bool:
        """See Storage."""
        target = self.root / name
        with translated(f"writing {target}"), self._durable(source) as file:
            try:
                self._name(os.link, file, target)
            except FileExistsError:
                _sync_folder(target.parent)  # whoever linked it may have died before this
                return False
            _sync_folder(target.parent)
            return True

    def replace(self, name: str, source: Path | bytes) -> None:
        """See Storage."""
        target = self.root / name
        with translated(f"writing {target}"), self._durable(source) as file:
            self._name(os.replace, file, target)
            _sync_folder(target.parent)

    def delete(self, name: str) -> None:
        """See Storage. Folders go with their last object."""
        path = self.root / name
        with translated(f"deleting {path}"):
            path.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                _sync_folder(path.parent)
        with contextlib.suppress(OSError):  # it is not empty
            for folder in path.parents[: len(path.relative_to(self.root).parts) - 1]:
                folder.rmdir()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """See Storage. Its name need not outlive a power cut."""
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
        path = self.root / PRIVATE / "run.lock"
        with contextlib.ExitStack() as held:
            with translated(f"locking {path}"):
                self._make_folders(path.parent)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
                held.callback(os.close, descriptor)
                held_by = take(descriptor)
                if held_by is not None:
                    raise OwnedError(
                        f"another run is working on {self.root}: {held_by}. Wait for it to end; nothing was changed"
                    )
                sign(descriptor, owner)
                shutil.rmtree(self.root / SCRATCH, ignore_errors=True)  # what dead runs left half written
                for folder in filter(Path.is_dir, path.parent.iterdir()):
                    _sync_folder(folder)  # a dead run may have given a name, such as a commit's, and not lived to sync
            try:
                yield
            finally:
                shutil.rmtree(self.root / SCRATCH, ignore_errors=True)  # of workers that were dropped
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, 0)

    def _name(self, give: Callable[[Path, Path], None], file: Path, target: Path) -> None:
        """Give a file its name. The folder may go in between, when it is empty and another attempt discards its own."""
        self._make_folders(target.parent)
        try:
            give(file, target)
        except FileNotFoundError:
            self._durable_folders.clear()
            self._make_folders(target.parent)
            give(file, target)

    def _make_folders(self, folder: Path) -> None:
        """Like mkdir -p below the output, with the names durable in their parents.

        A folder that is there may be of a run that died before its name was durable: each is synced once.
        """
        if folder in self._durable_folders:
            return
        there = folder.is_dir()
        if there and folder == self.root:
            with contextlib.suppress(OSError):  # a parent that may not be opened is no reason to refuse its folder
                _sync_folder(folder.parent)
        elif not there or folder.is_relative_to(self.root):
            self._make_folders(folder.parent)
            folder.mkdir(exist_ok=True)
            _sync_folder(folder.parent)
        self._durable_folders.add(folder)

    def holder(self) -> str | None:
        """See Storage. Asking shares the lock for an instant, which `lock` bears with."""
        path = self.root / PRIVATE / "run.lock"
        with translated(f"reading {path}"):
            return who_holds(path)

    @contextlib.contextmanager
    def _durable(self, source: Path | bytes) -> Iterator[Path]:
        """The source as a synced file on this file system, for as long as the context lasts."""
        if isinstance(source, Path):
            descriptor = os.open(source, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            yield source
            return
        with self.scratch() as folder:
            file = folder / "object"
            with open(file, "wb") as stream:
                stream.write(source)
                stream.flush()
                os.fsync(stream.fileno())
            yield file


class _Reading(io.RawIOBase):
    """An opened object. What fails while it is read is ours."""

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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _walk_error(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise StorageError(f"listing {error.filename}: {error.strerror}") from error


_REMEDIES = {
    errno.ENOSPC: "make room, then run again to resume",
    errno.EDQUOT: "raise the quota or make room, then run again to resume",
    errno.EACCES: "check the permissions of the folder",
    errno.EPERM: "check the permissions of the folder",
    errno.EROFS: "choose an output on a writable file system",
    errno.EEXIST: "a part of this path is a file; choose another output",
    errno.ENOTDIR: "a part of this path is a file; choose another output",
}


@contextlib.contextmanager
def translated(doing: str, passing: type[OSError] | tuple[()] = ()) -> Iterator[None]:
    """Errors of the operating system become ours, with what to do about them."""
    try:
        yield
    except passing:
        raise
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "what was committed is kept; run again to resume")
        raise StorageError(f"{doing}: {error.strerror or error} ({remedy})") from error
