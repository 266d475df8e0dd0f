"""Event, the base of all events, and values that several of them hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """Base of all events."""

    def to_dict(self) -> dict[str, Any]:
        """The event as plain JSON values, under its name."""
        return {"event": type(self).__name__, **dataclasses.asdict(self)}


Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Reason:
    """Why shards are to be made.

    Args:
        words: the reason, as text.
        shards: number of shards with this reason.
        utterances: number of utterances in these shards.
        first: names of the first few of these shards.
    """

    words: str
    shards: int
    utterances: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class Stages:
    """Seconds that a worker's thread spent on each stage, waiting included. No second counts for two stages.

    Args:
        read: time to open the store, read mels and convert them to the vocoder's contract.
        decode: time to load the vocoder and turn mels into waveforms.
        examine: time to measure levels and `mel_distance`.
        encode: time to resample, set the loudness, quantize, encode and gather.
        commit: time to make objects and the commit record durable.
    """

    read: float = 0.0
    decode: float = 0.0
    examine: float = 0.0
    encode: float = 0.0
    commit: float = 0.0

    def __add__(self, other: Stages) -> Stages:
        mine, theirs = dataclasses.astuple(self), dataclasses.astuple(other)
        return Stages(*(a + b for a, b in zip(mine, theirs, strict=True)))
