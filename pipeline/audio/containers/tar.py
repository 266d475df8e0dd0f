"""The container `tar`: one tar per shard, with pairs of audio and JSON, which is also a WebDataset shard."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from pathlib import Path
from typing import IO

from pipeline.audio.containers import Placement
from pipeline.audio.member_names import DistinctNames


class TarSink:
    """A `Sink` that writes a tar. Members have mtime 0, mode 0444 and no owner: equal audio gives equal bytes."""

    def __init__(self, folder: Path, base: str) -> None:
        self._name = f"{base}.tar"
        self._path = folder / "shard.tar"
        self._file: IO[bytes] | None = None
        self._tar: tarfile.TarFile | None = None
        self._names = DistinctNames()

    def add(self, name: str, extension: str, encoded: IO[bytes], sidecar: bytes | None) -> Placement:
        """See `Sink`."""
        name = self._names.distinct(name)
        member = f"{name}.{extension}"
        offset, size = self._write(member, encoded)
        if sidecar is not None:
            self._write(f"{name}.json", io.BytesIO(sidecar))
        return Placement(self._name, member, offset, size)

    def finish(self) -> list[tuple[str, Path]]:
        """See `Sink`."""
        if self._tar is None or self._file is None:
            return []
        self._tar.close()
        self._file.close()
        return [(self._name, self._path)]

    def close(self) -> None:
        """See `Sink`."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # the disk may be full; `finish` raises the error
                self._file.close()

    def _write(self, member: str, source: IO[bytes]) -> tuple[int, int]:
        if self._tar is None:
            self._file = open(self._path, "wb")  # noqa: SIM115
            self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        info = tarfile.TarInfo(member)
        info.mode = 0o444
        start = source.tell()
        info.size = source.seek(0, os.SEEK_END) - start
        source.seek(start)
        offset = self._tar.offset + len(info.tobuf(tarfile.PAX_FORMAT))
        self._tar.addfile(info, source)
        return offset, info.size
