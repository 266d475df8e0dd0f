"""One folder a shard: an audio file and a JSON file for each utterance."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import IO

from pipeline.records import StoredObject
from pipeline.sinks import Placement, stored_object
from pipeline.sinks.names import Apart


class FilesSink:
    """See Sink."""

    def __init__(self, folder: Path, base: str) -> None:
        self._folder = folder
        self._base = base
        self._files: list[tuple[StoredObject, Path]] = []
        self._apart = Apart()

    def add(self, name: str, extension: str, encoded: IO[bytes], sidecar: bytes) -> Placement:
        """See Sink."""
        name = self._apart.name(name)
        member = f"{name}.{extension}"
        audio = self._folder / f"{len(self._files)}"
        with open(audio, "wb") as file:
            shutil.copyfileobj(encoded, file)
        self._files.append(stored_object(f"{self._base}/{member}", audio))
        words = self._folder / f"{len(self._files)}"
        words.write_bytes(sidecar)
        self._files.append(stored_object(f"{self._base}/{name}.json", words))
        return Placement(self._base, member, 0, self._files[-2][0].bytes)

    def finish(self) -> list[tuple[StoredObject, Path]]:
        """See Sink."""
        return self._files

    def close(self) -> None:
        """See Sink. Nothing stays open."""
