"""Storage operations below a folder, as the operating system or a client of an object store gets them: seen, numbered,
and met with faults.

The product knows nothing of it. While an `Injection` is entered, the functions of `os` and everything that `open` makes
of a path below its folder pass through it: each operation is told to `before`, done, and told to `after`. Either may
raise an error, wait, or kill the process; `recording`, `killing` and `failing` are those that the tests need.
"""

from __future__ import annotations

import builtins
import contextlib
import fcntl
import io
import os
import signal
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from support.faults.places import ObjectPath, Place
from support.faults.requests import patch_clients

CHANGES = frozenset({"create", "write", "truncate", "fsync", "link", "replace", "mkdir", "unlink", "rmdir", "lock"})
"""What changes a folder, or makes it durable."""
CALLS = CHANGES | {"open", "read", "list", "stat", "close"}
"""Everything that is asked of a storage, and may fail."""


@dataclass(frozen=True)
class Operation:
    """One operation.

    Args:
        number: from 1, among the kinds that are asked for.
        kind: one of CALLS.
        path: relative to the folder.
        target: of a link or a replacement, relative to the folder.
        content: that is written.
        offset: where it is written, or the length to which a file is cut.
        thread: that asks for it.
    """

    number: int
    kind: str
    path: str
    target: str = ""
    content: bytes = b""
    offset: int = 0
    thread: int = 0

    def __str__(self) -> str:
        return f"{self.number} {self.kind} {self.path}" + (f" -> {self.target}" if self.target else "")


Hook = Callable[[Operation], None]


def nothing(operation: Operation) -> None:
    """A hook that lets pass."""


class Injection:
    """A context in which storage operations below `root` are seen.

    Args:
        root: the folder, which need not be there.
        before: is told of each operation before it is done; what it raises is raised in place of it.
        after: is told of each operation that was done.
        kinds: of operations that are counted and told; the others just pass.
    """

    def __init__(
        self, root: Place, before: Hook = nothing, after: Hook = nothing, kinds: frozenset[str] = CALLS
    ) -> None:
        self.root = root.url.partition("://")[2] if isinstance(root, ObjectPath) else os.path.abspath(root)
        self._in_store = isinstance(root, ObjectPath)
        self.count = 0
        self._before = before
        self._after = after
        self._kinds = kinds
        self._counting = threading.Lock()
        self._patches = contextlib.ExitStack()

    def __enter__(self) -> Injection:
        if self._in_store:
            patch_clients(self, self._patch)
            return self
        real_open = io.open
        for place in ((builtins, "open"), (io, "open"), (tarfile, "bltn_open")):
            self._patch(*place, lambda file, *given, **named: self._open(real_open, file, *given, **named))
        for name, kind in (("fsync", "fsync"), ("mkdir", "mkdir"), ("unlink", "unlink"), ("remove", "unlink")):
            self._patch_one_path(os, name, kind)
        for name, kind in (("rmdir", "rmdir"), ("scandir", "list"), ("stat", "stat"), ("lstat", "stat")):
            self._patch_one_path(os, name, kind)
        self._patch_one_path(fcntl, "flock", "lock")
        for name, kind in (("link", "link"), ("replace", "replace"), ("rename", "replace")):
            self._patch_two_paths(name, kind)
        self._patch_descriptors()
        return self

    def __exit__(self, *error: object) -> None:
        self._patches.close()

    def told(self, kind: str, path: str | None, do: Callable[..., Any], *arguments: Any, **details: Any) -> Any:
        """Do it, as an operation if it is one below the folder."""
        details, named = details.pop("details", {}), details
        if path is None or kind not in self._kinds:
            return do(*arguments, **named)
        with self._counting:
            self.count += 1
            operation = Operation(self.count, kind, path, thread=threading.get_ident(), **details)
        self._before(operation)
        result = do(*arguments, **named)
        try:
            self._after(operation)
        except OSError:  # done, but the answer is lost
            if kind == "list":
                result.close()
            raise
        return result

    def below(self, path: Any, folder: int | None = None) -> str | None:
        """The path, or that of a descriptor, relative to the folder; None if it is not below it."""
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}").removesuffix(" (deleted)")
        path = os.fspath(path)
        path = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
        if folder is not None:
            path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
        if path == self.root:
            return "."
        return path[len(self.root) + 1 :] if path.startswith(self.root + os.sep) else None

    def _patch(self, module: Any, name: str, instead: Callable[..., Any]) -> None:
        self._patches.enter_context(mock.patch.object(module, name, instead))

    def _patch_one_path(self, module: Any, name: str, kind: str) -> None:
        real = getattr(module, name)

        def call(path: Any = ".", *given: Any, **named: Any) -> Any:
            return self.told(kind, self.below(path, named.get("dir_fd")), real, path, *given, **named)

        self._patch(module, name, call)

    def _patch_two_paths(self, name: str, kind: str) -> None:
        real = getattr(os, name)

        def call(source: Any, target: Any, **named: Any) -> Any:
            details = {"target": self.below(target)}
            return self.told(kind, self.below(source), real, source, target, details=details, **named)

        self._patch(os, name, call)

    def _patch_descriptors(self) -> None:
        real_open, real_pwrite, real_truncate = os.open, os.pwrite, os.ftruncate

        def opened(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            below = self.below(path, dir_fd)
            kind = "create" if below is not None and flags & os.O_CREAT and not os.path.lexists(path) else "open"
            made: list[int] = []
            try:
                self.told(kind, below, lambda: made.append(real_open(path, flags, mode, dir_fd=dir_fd)))
            except OSError:
                for descriptor in made:  # it is open if only the answer was lost
                    os.close(descriptor)
                raise
            return made[0]

        def pwrite(descriptor: int, content: bytes, offset: int) -> int:
            details = {"content": bytes(content), "offset": offset}
            return int(
                self.told("write", self.below(descriptor), real_pwrite, descriptor, content, offset, details=details)
            )

        def truncate(descriptor: int, length: int) -> None:
            self.told("truncate", self.below(descriptor), real_truncate, descriptor, length, details={"offset": length})

        self._patch(os, "open", opened)
        self._patch(os, "pwrite", pwrite)
        self._patch(os, "ftruncate", truncate)

    def _open(
        self,
        real: Callable[..., Any],
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Callable[..., int] | None = None,
    ) -> Any:
        """What `open` gives, above a raw file that is seen."""
        below = None if isinstance(file, int) else self.below(file)
        if below is None:
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = _Seen(self, below, file, mode.replace("b", "").replace("t", ""), opener)
        if buffering == 0:
            return raw
        buffered = (io.BufferedRandom if "+" in mode else io.BufferedReader if "r" in mode else io.BufferedWriter)(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)


class _Seen(io.FileIO):
    """A raw file whose operations are seen."""

    def __init__(
        self, injection: Injection, below: str, file: Any, mode: str, opener: Callable[..., int] | None
    ) -> None:
        self._injection, self._below = injection, below
        if opener is not None:  # it calls os.open, which is seen
            super().__init__(file, mode, opener=opener)
            self._below = injection.below(self.fileno()) or below
            return
        kind = "open" if "r" in mode or (os.path.lexists(file) and "a" in mode) else "create"
        try:
            injection.told(kind, below, super().__init__, file, mode)
        except OSError:
            super().close()  # it is open if only the answer was lost
            raise

    def write(self, content: Any) -> int:
        details = {"content": bytes(content), "offset": self.tell()}
        return int(self._injection.told("write", self._below, super().write, content, details=details))

    def readinto(self, buffer: Any) -> int:
        return int(self._injection.told("read", self._below, super().readinto, buffer))

    def readall(self) -> bytes:
        return bytes(self._injection.told("read", self._below, super().readall))

    def truncate(self, size: int | None = None) -> int:
        length = self.tell() if size is None else size
        return int(self._injection.told("truncate", self._below, super().truncate, size, details={"offset": length}))

    def close(self) -> None:
        if self.closed:
            return
        if not self.writable():
            super().close()
            return
        try:
            self._injection.told("close", self._below, lambda: None)
        finally:
            super().close()


def killing(number: int, after: bool = False) -> tuple[Hook, Hook]:
    """Hooks with which operation `number` is never reached, or is the last: SIGKILL to this process."""

    def kill(operation: Operation) -> None:
        if operation.number == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return (nothing, kill) if after else (kill, nothing)


def failing(number: int, code: int, for_ever: bool = False, answer_lost: bool = False) -> tuple[Hook, Hook]:
    """Hooks with which operation `number`, or it and all that follow, fail with an errno.

    Args:
        number: of the first operation that fails.
        code: errno.
        for_ever: whether all that follow fail, too.
        answer_lost: whether it is done all the same, as when a server answers too late.
    """

    def fail(operation: Operation) -> None:
        if operation.number == number or (for_ever and operation.number > number):
            raise OSError(code, os.strerror(code), operation.path)

    return (nothing, fail) if answer_lost else (fail, nothing)


@contextlib.contextmanager
def recording(root: Place, kinds: frozenset[str] = CHANGES) -> Iterator[list[Operation]]:
    """All operations that were done, in order, for as long as the context lasts."""
    operations: list[Operation] = []
    with Injection(root, after=operations.append, kinds=kinds):
        yield operations
