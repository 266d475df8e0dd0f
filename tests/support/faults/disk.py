"""A disk whose power can be cut: of what was done to it, what was synced is there afterwards, of the rest who knows.

POSIX promises no more: fsync of a file makes its content durable and no name, fsync of a folder makes the names in it
durable and no content, and what was not synced may be there or not, in any combination.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from support.faults.injection import Operation

Tree = dict[str, bytes | None]
"""Content by path; None for a folder."""

Fate = Literal["nothing more", "names, no content", "names, garbage", "anything"]
"""What a power cut leaves of what was not synced."""


@dataclass(eq=False)
class File:
    """A file, under any number of names.

    Args:
        content: that readers see.
        synced: that a power cut leaves.
    """

    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""


@dataclass(eq=False)
class Folder:
    """A folder.

    Args:
        names: each with what it stood for since the last sync: what is synced first, what readers see last.
    """

    names: dict[str, list[File | Folder | None]] = field(default_factory=dict)

    def put(self, name: str, node: File | Folder | None) -> None:
        """The name stands for this from now on, or for nothing."""
        self.names.setdefault(name, [None]).append(node)


class Disk:
    """Everything below one folder, as recorded operations make it. The folder is empty, and durable, at first."""

    def __init__(self) -> None:
        self._root = Folder()

    def apply(self, operation: Operation) -> bool:
        """Do it. Whether it changed anything: an fsync does if there was something to be synced."""
        if "/#" in operation.path:
            return False  # a file without a name
        folder, name = self._place(operation.path)
        node = self._find(operation.path)
        if operation.kind == "fsync":
            return self._sync(node)
        if operation.kind == "mkdir":
            folder.put(name, Folder())
        elif operation.kind == "create":
            folder.put(name, File())
        elif operation.kind in ("unlink", "rmdir"):
            folder.put(name, None)
        elif operation.kind in ("link", "replace"):
            target, new = self._place(operation.target)
            target.put(new, node)
            if operation.kind == "replace":
                folder.put(name, None)
        elif operation.kind in ("write", "truncate"):
            assert isinstance(node, File), operation
            _write(node, operation)
        else:
            return False
        return True

    def now(self) -> Tree:
        """What readers see."""
        return dict(self._walk(self._root, "", lambda versions: versions[-1], lambda file: bytes(file.content)))

    def after_power_cut(self, fate: Fate, rng: random.Random) -> Tree:
        """What could be there if the power were cut now."""
        contents: dict[File, bytes] = {}  # one file has one content under all of its names

        def name(versions: list[File | Folder | None]) -> File | Folder | None:
            if fate == "anything":
                return rng.choice(versions)
            return versions[0] if fate == "nothing more" else versions[-1]

        def content(file: File) -> bytes:
            return contents.setdefault(file, _survived(file, fate, rng))

        return dict(self._walk(self._root, "", name, content))

    def _walk(
        self,
        folder: Folder,
        path: str,
        name: Callable[[list[File | Folder | None]], File | Folder | None],
        content: Callable[[File], bytes],
    ) -> Iterator[tuple[str, bytes | None]]:
        for each, versions in folder.names.items():
            node = name(versions)
            below = os.path.join(path, each)
            if isinstance(node, Folder):
                yield below, None
                yield from self._walk(node, below, name, content)
            elif node is not None:
                yield below, content(node)

    def _sync(self, node: File | Folder | None) -> bool:
        assert node is not None
        if isinstance(node, File):
            changed, node.synced = node.synced != node.content, bytes(node.content)
            return changed
        changed = any(len(versions) > 1 for versions in node.names.values())
        node.names = {name: [versions[-1]] for name, versions in node.names.items() if versions[-1] is not None}
        return changed

    def _place(self, path: str) -> tuple[Folder, str]:
        parent, name = os.path.split(path)
        folder = self._find(parent)
        assert isinstance(folder, Folder), path
        return folder, name

    def _find(self, path: str) -> File | Folder | None:
        node: File | Folder | None = self._root
        for part in path.split("/"):
            if part not in ("", "."):
                node = node.names.get(part, [None])[-1] if isinstance(node, Folder) else None
        return node


def _write(file: File, operation: Operation) -> None:
    end = operation.offset + (len(operation.content) if operation.kind == "write" else 0)
    if operation.kind == "truncate":
        del file.content[end:]
    file.content.extend(bytes(max(0, end - len(file.content))))
    file.content[operation.offset : end] = operation.content


def _survived(file: File, fate: Fate, rng: random.Random) -> bytes:
    written = bytes(file.content)
    if written == file.synced or fate == "nothing more":
        return file.synced
    garbage = rng.randbytes(len(written))
    if fate == "anything":
        return rng.choice([file.synced, written, written[: len(written) // 2], garbage])
    return garbage if fate == "names, garbage" else b""
