"""The files of an export while it is made: written, linked, copied, or taken over from the export before."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pipeline.storage.atomic import sync
from pipeline.views.receipt import ExportedFile, Receipt

_PIECE_BYTES = 1 << 20


class ExportFiles:
    """The files of the next export. Names are relative to it, with forward slashes; folders are made as needed.

    Args:
        folder: folder that gets the files.
        target: path that the folder will have in the end, for relative links.
        before: receipt of the export that is there now; None if there is none.
        earlier: gives the text of a file that is there now, if it is not at `target`; empty if there is none.
    """

    def __init__(
        self,
        folder: Path,
        target: Path,
        before: Receipt | None = None,
        earlier: Callable[[str], str] | None = None,
    ) -> None:
        self.folder = folder
        self.target = target
        self.earlier = earlier or self._text
        self._before = {} if before is None else {each.made_of: each for each in before.files if each.made_of}
        self._open: dict[str, tuple[IO[bytes], Any]] = {}
        self._files: dict[str, ExportedFile] = {}
        self.reused = 0

    def write(self, name: str, content: str | bytes) -> None:
        """Write the next bytes of a file. Text is written as UTF-8; the file is begun with the first bytes."""
        if name not in self._open:
            self._open[name] = open(self.place(name), "wb"), hashlib.sha256()  # noqa: SIM115
        file, digest = self._open[name]
        content = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
        file.write(content)
        digest.update(content)

    @contextlib.contextmanager
    def taken_back(self, name: str) -> Iterator[IO[bytes]]:
        """A file that was written, to be read once more and deleted: it is not in the export."""
        file, _ = self._open.pop(name)
        file.close()
        with open(self.folder / name, "rb") as content:
            yield content
        (self.folder / name).unlink()

    def link(self, name: str, to: Path) -> None:
        """Make a symbolic link. It is relative, so it stays valid if output and export are moved together.

        Args:
            name: name of the link.
            to: absolute path that it leads to.
        """
        self.place(name).symlink_to(os.path.relpath(to, (self.target / name).parent))

    def relative(self, to: Path) -> str:
        """The path from the export, in the end, to another file."""
        return os.path.relpath(to, self.target).replace(os.sep, "/")

    def copy(self, name: str, content: IO[bytes]) -> None:
        """Write the rest of an opened file as a file that the receipt does not name, such as an utterance's audio."""
        path = self.place(name)
        with open(path, "wb") as file:
            shutil.copyfileobj(content, file, _PIECE_BYTES)
        sync(path)

    def keep(self, name: str, size: int, earlier: str | None = None) -> bool:
        """Take a file over from the export before; False if it is not there.

        Args:
            name: name of the file. Without `earlier`, it must be one that no other content ever has.
            size: its size [bytes].
            earlier: its name in the export before, if that is another one.
        """
        there = self.target / (earlier or name)
        try:
            found = there.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size != size:
                return False
            os.link(there, self.place(name))
            return True
        except OSError:  # it is gone, or the file system has no links
            return False

    @contextlib.contextmanager
    def made(self, name: str, made_of: str) -> Iterator[Path]:
        """The path of a file that a library writes in the context.

        Args:
            name: name of the file.
            made_of: digest of all that it depends on, so that the next export can take it over; see `take_over`.
        """
        path = self.place(name)
        yield path
        sync(path)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            self._files[name] = ExportedFile(name, file.tell(), digest, made_of)

    def take_over(self, name: str, made_of: str) -> bool:
        """Take a file over from the export before if it was made of the same; False if there is none."""
        earlier = self._before.get(made_of)
        if earlier is None or not self.keep(name, earlier.bytes, earlier.name):
            return False
        self._files[name] = ExportedFile(name, earlier.bytes, earlier.sha256, made_of)
        self.reused += 1
        return True

    def _text(self, name: str) -> str:
        try:
            return (self.target / name).read_text("utf-8", "replace")
        except OSError:
            return ""

    def sha256(self, name: str) -> str:
        """Digest of a file that was made or taken over, as hexadecimal."""
        return self._files[name].sha256

    def make_once(self, name: str, made_of: str, make: Callable[[Path], Any]) -> None:
        """Take a file over from the export before if it was made of the same, or else make it.

        Args:
            name: name of the file.
            made_of: digest of all that it depends on.
            make: callable that writes the file to a path.
        """
        if not self.take_over(name, made_of):
            with self.made(name, made_of) as path:
                make(path)

    def size(self, name: str) -> int:
        """Size of a file that was made or taken over [bytes]."""
        return self._files[name].bytes

    def finish(self) -> tuple[ExportedFile, ...]:
        """Close all files and make them durable. Returns those that have digests, by name."""
        for name, (file, digest) in self._open.items():
            size = file.tell()
            file.close()
            sync(self.folder / name)
            self._files[name] = ExportedFile(name, size, digest.hexdigest())
        self._open.clear()
        return tuple(self._files[name] for name in sorted(self._files))

    def close(self) -> None:
        """Close all open files, whether the export is finished or not."""
        for file, _ in self._open.values():
            with contextlib.suppress(OSError):  # the disk may be full; `finish` raises the error
                file.close()

    def place(self, name: str) -> Path:
        """The path of a file to be made, with its folder made. A name that leads elsewhere is a defect."""
        parts = PurePosixPath(name).parts
        assert parts, "a name is empty"
        assert {"..", "/"}.isdisjoint(parts), name
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
