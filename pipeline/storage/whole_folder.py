"""A folder of this machine that is replaced whole: readers see the old one or the new one, with all that is in it.

The new folder is made beside the old one, and both change places at once where the file system can do that (Linux,
`renameat2`). Elsewhere the old one has another name for an instant. A process that is killed leaves the old one as it
was, and the next one deletes what it left.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.errors import OwnedError, StorageError
from pipeline.storage.atomic import sync
from pipeline.storage.base import translated
from pipeline.storage.filelock import try_lock

_CURRENT_FOLDER, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux (fcntl.h, linux/fs.h)."""
_NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EXDEV)


class WholeFolder:
    """The next version of a folder. Use it as a context, fill `path`, and call `put_in_place`.

    Without that call everything is as it was when the context ends.

    Args:
        target: absolute path of the folder. It need not be there, and may be a symbolic link to a folder.
        doing: text that says what is being made, such as `an export`, for errors.

    Raises:
        OwnedError: if another process is at work on the same folder.
        StorageError: if the folder beside it cannot be made.
    """

    def __init__(self, target: Path, doing: str) -> None:
        self.target = Path(os.path.realpath(target))
        self.path = self.target.with_name(f".{self.target.name}.melmill-new")
        self._old = self.target.with_name(f".{self.target.name}.melmill-old")
        self._doing = doing
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with translated(f"writing {self.path}"):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._lock()
            if self._old.is_dir() and not self.target.exists():  # a process was killed between two renames
                self._old.rename(self.target)
            _empty(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.rmtree(self._old, ignore_errors=True)
        self._held.close()

    def put_in_place(self) -> None:
        """Give the new folder the name of the old one, durably. The files in it must be durable."""
        with translated(f"writing {self.target}"):
            for folder, _, _ in os.walk(self.path):
                sync(Path(folder))
            if self.target.exists():
                self._hold(self.target)  # until the old one, which then has the new one's name, is deleted
                self._exchange()
            else:
                self.path.rename(self.target)
            sync(self.target.parent)

    def _exchange(self) -> None:
        if _exchanged(self.path, self.target):
            return
        self.target.rename(self._old)
        self.path.rename(self.target)

    def _lock(self) -> None:
        """Hold the new folder. Its name may have gone to the old one, which another process deletes."""
        while True:
            self.path.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                found = self._hold(self.path)
                if os.path.samestat(os.fstat(found), os.stat(self.path)):
                    return
            self._held.close()

    def _hold(self, folder: Path) -> int:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        if not try_lock(descriptor):
            os.close(descriptor)
            raise OwnedError(f"another process is making {self._doing} in {self.target}. Wait for it to end")
        self._held.callback(os.close, descriptor)
        return descriptor


def check_folder(path: Path) -> None:
    """Raises StorageError if a path is taken by something that is no folder."""
    if path.exists() and not path.is_dir():
        raise StorageError(f"{path} is a file. Choose the name of a folder, which need not be there")


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange the names of two folders; False if this system or this file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if rename(_CURRENT_FOLDER, os.fsencode(one), _CURRENT_FOLDER, os.fsencode(other), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_SUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _empty(folder: Path) -> None:
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
