"""Audio out: quantizing, encoding, and the containers that hold it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from pipeline.config import Container

__all__ = ["Placement", "Sink", "open_sink"]


@dataclass(frozen=True)
class Placement:
    """Where a member went: the shard as manifest rows name it, the member, its first byte and its size."""

    shard: str
    member: str
    offset: int
    bytes: int


class Sink(Protocol):
    """Gathers the members of one shard in a scratch folder."""

    def add(self, name: str, extension: str, encoded: IO[bytes], sidecar: bytes) -> Placement:
        """Take one utterance: its encoded audio, from where it stands to its end, and its JSON.

        UtteranceError if the output has no place for its name.
        """
        ...

    def finish(self) -> list[tuple[str, Path]]:
        """Close the shard: the name of each object with the scratch file that holds it. Empty if nothing was added."""
        ...

    def close(self) -> None:
        """Let go of what is open, finished or not. Never fails."""
        ...


def open_sink(container: Container, folder: Path, base: str, name_bytes: int) -> Sink:
    """A sink for one shard.

    Args:
        container: of the audio.
        folder: that it writes below.
        base: what the shard will be called (`data/000123-1a2b3c4d`).
        name_bytes: that the longest name of an object may have.
    """
    from pipeline.audio.containers.files import FilesSink
    from pipeline.audio.containers.tar import TarSink

    return TarSink(folder, base) if container == "tar" else FilesSink(folder, base, name_bytes)
