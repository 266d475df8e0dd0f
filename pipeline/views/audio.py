"""Where readers of an export find the audio: links, URLs, or bytes that are copied as they are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO
from urllib.parse import quote

from pipeline.errors import ConfigError, StorageError
from pipeline.output.records import Row
from pipeline.storage import LocalStorage, Storage
from pipeline.views.files import ExportFiles
from pipeline.views.options import ExportOptions

_WEB = ("http://", "https://")


class AudioOfRows:
    """The audio of an output, for an export. Rows are asked for in their order, so that each tar is opened once.

    Args:
        storage: storage of the output.
        files: files of the export.
        options: what is asked of the export.
        in_output: whether the export is files in the output itself, which name its objects as they are.
    """

    def __init__(self, storage: Storage, files: ExportFiles, options: ExportOptions, in_output: bool = False) -> None:
        self.in_output = in_output
        self._storage = storage
        self._files = files
        self._options = options
        self._base = options.base.rstrip("/") or ("" if isinstance(storage, LocalStorage) else storage.url)
        self._open: tuple[str, IO[bytes]] | None = None

    @property
    def by_url(self) -> bool:
        """Whether readers find audio at URLs, and not in the export or through links of it."""
        return bool(self._base) and not self._options.audio

    def file(self, row: Row, folder: str) -> str:
        """The audio of an utterance as a file of its own: its name in the export, or its URL.

        The file in the export is `folder/SHARD/MEMBER`, a link or, with `--audio`, a copy of its bytes.

        Raises:
            ConfigError: if it is in a tar, and audio is not to be copied.
            StorageError: if it cannot be copied.
        """
        shard = row.shard.rpartition("/")[2].removesuffix(".tar")
        name = f"{folder}/{shard}/{row.member}" if folder else f"{shard}/{row.member}"
        if self._options.audio:
            if not self._files.keep(name, row.bytes):
                self._files.copy(name, io.BytesIO(self.content(row)))
            return name
        if row.shard.endswith(".tar"):
            raise ConfigError(
                f"--to {self._options.to} needs each utterance's audio as a file of its own, and those of "
                f"{self._storage.url} are in tars. Pass --audio to copy them out of the tars; their bytes stay the same"
            )
        return self.object(row.object_name, name)

    def local_path(self, name: str) -> Path | None:
        """Absolute path of an object of the output; None if the output is in an object store."""
        return self._storage.root / name if isinstance(self._storage, LocalStorage) else None

    def location(self, name: str) -> str:
        """Where an object of the output is, for readers that take paths as they are: its absolute path, or its URL."""
        return self._url(name) if self._base else str(self.local_path(name))

    def object(self, name: str, at: str) -> str:
        """An object of the output, a tar or an audio file: its name in the export, where a link is made, or its URL.

        Args:
            name: name of the object, relative to the output.
            at: name of the link in the export.
        """
        if self.in_output:
            return name
        path = self.local_path(name)
        if self._base or path is None:
            return self._url(name)
        self._files.link(at, path)
        return at

    def path(self, name: str) -> str:
        """Where an object of the output is, without a link: its URL, or its path relative to the export."""
        path = self.local_path(name)
        return self._url(name) if self._base or path is None else self._files.relative(path)

    def content(self, row: Row) -> bytes:
        """The encoded audio of an utterance, as it is.

        Raises:
            StorageError: if it is not there, or is shorter than the manifest says.
        """
        name = row.object_name
        where = f"{self._storage.url}/{name}, which holds the audio of {row.key!r}"
        try:
            file = self._opened(name)
        except FileNotFoundError as error:
            raise StorageError(f"{where}, is not there. `melmill verify` says what to do") from error
        file.seek(row.offset)
        content = file.read(row.bytes)
        if len(content) != row.bytes:
            raise StorageError(f"{where}, is too short. `melmill verify` says what to do")
        return content

    def close(self) -> None:
        """Close the tar that was read last."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _url(self, name: str) -> str:
        return f"{self._base}/{quote(name) if self._base.startswith(_WEB) else name}"

    def _opened(self, name: str) -> IO[bytes]:
        if self._open is None or self._open[0] != name:
            self.close()
            self._open = name, self._storage.read(name)
        return self._open[1]
