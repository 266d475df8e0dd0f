"""Containers: how the encoded utterances of a shard become objects, as one tar or as files in a folder.

In: encoded audio and, if asked for, a JSON text for each utterance. Out: scratch files, each with the name of the
object that it is to become, and the `Placement` of each member. Nothing here stores an object or knows what is in a
commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from pipeline.config import Container

__all__ = ["Placement", "Sink", "open_sink"]


@dataclass(frozen=True)
class Placement:
    """The place of an utterance's audio.

    Args:
        shard: name of the shard in the rows of the manifest.
        member: name of the member in the shard.
        offset: first byte of the member in the object [bytes].
        bytes: size of the member [bytes].
    """

    shard: str
    member: str
    offset: int
    bytes: int


class Sink(Protocol):
    """Gathers the members of one shard in a scratch folder."""

    def add(self, name: str, extension: str, encoded: IO[bytes], sidecar: bytes | None) -> Placement:
        """Take one utterance.

        Args:
            name: name of the member without extension, as `escape` gives it.
            extension: extension of the audio, without dot.
            encoded: encoded audio, read from the current position to the end.
            sidecar: JSON text of the utterance; None for a shard that holds audio alone.

        Raises:
            UtteranceError: if its name is too long for the output.
        """
        ...

    def finish(self) -> list[tuple[str, Path]]:
        """Close the shard. Returns the name of each object and its scratch file; none if no utterance was added."""
        ...

    def close(self) -> None:
        """Close all open files, whether the shard is finished or not. Never fails."""
        ...


def open_sink(container: Container, folder: Path, base: str, name_bytes: int) -> Sink:
    """A sink for one shard.

    Args:
        container: kind of the container.
        folder: scratch folder that the sink writes to.
        base: name of the shard (`data/000123-1a2b3c4d`).
        name_bytes: size of the longest name that an object may have [bytes].
    """
    from pipeline.audio.containers.files import FilesSink
    from pipeline.audio.containers.tar import TarSink

    return TarSink(folder, base) if container == "tar" else FilesSink(folder, base, name_bytes)
