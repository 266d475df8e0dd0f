"""The container `files`: a folder per shard, with an audio file and a JSON file for each utterance."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import IO

from pipeline.audio.containers import Placement
from pipeline.audio.member_names import DistinctNames
from pipeline.errors import UtteranceError

_ROOM_BYTES = 16
"""Room for additions to a name [bytes]: a JSON file, or the replacement of a damaged file, has a longer name."""


class FilesSink:
    """A `Sink` that writes a folder of files."""

    def __init__(self, folder: Path, base: str, name_bytes: int) -> None:
        self._folder = folder
        self._name_bytes = name_bytes - _ROOM_BYTES
        self._base = base
        self._files: list[tuple[str, Path]] = []
        self._names = DistinctNames()

    def add(self, name: str, extension: str, encoded: IO[bytes], sidecar: bytes | None) -> Placement:
        """See `Sink`."""
        name = self._names.distinct(name)
        member = f"{name}.{extension}"
        if (size := len(f"{self._base}/{member}".encode())) > self._name_bytes:
            raise UtteranceError(
                f"the name of its file, {self._base}/{member[:40]}..., has {size} bytes; the output allows "
                f"{self._name_bytes}. Shorten the key, or choose output.container: tar"
            )
        audio = self._folder / f"{len(self._files)}"
        with open(audio, "wb") as file:
            shutil.copyfileobj(encoded, file)
        self._files.append((f"{self._base}/{member}", audio))
        if sidecar is not None:
            sidecar_file = self._folder / f"{len(self._files)}"
            sidecar_file.write_bytes(sidecar)
            self._files.append((f"{self._base}/{name}.json", sidecar_file))
        return Placement(self._base, member, 0, audio.stat().st_size)

    def finish(self) -> list[tuple[str, Path]]:
        """See `Sink`."""
        return self._files

    def close(self) -> None:
        """See `Sink`. No file is open."""
