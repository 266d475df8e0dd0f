"""What packing says while it works and when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class PackFailure:
    """A source that could not be packed.

    Args:
        path: below the packed folder, or where it stands in the packed list; bytes that are no UTF-8 are escaped.
        reason: in words.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class PackProgress:
    """How far packing is. Given to the callback at the start and after every source.

    Args:
        done: sources dealt with, the failed and the kept ones too.
        total: sources in all.
        seconds: of audio packed so far [s].
        failures: sources that could not be packed so far.
        kept: sources whose work an earlier, interrupted packing had already done.
        restarted: why an earlier, interrupted packing could not be resumed, if there was one.
    """

    done: int
    total: int
    seconds: float
    failures: int
    kept: int
    restarted: str | None = None


@dataclass(frozen=True)
class PackResult:
    """What was packed.

    Args:
        store: path of the finished store.
        utterances: in the store.
        frames: in the store.
        seconds: of audio in the store [s].
        failures: the sources that could not be packed. They are not in the store; the caller should name them.
        ignored: files in the folder that are no source by their extension.
        kept: sources whose work an earlier, interrupted packing had already done.
        restarted: why an earlier, interrupted packing could not be resumed, if there was one.
        without_metadata: keys in the store that the given metadata does not have.
        unused_metadata: keys of the given metadata that no source has.
    """

    store: str
    utterances: int
    frames: int
    seconds: float
    failures: tuple[PackFailure, ...]
    ignored: int
    kept: int
    restarted: str | None
    without_metadata: tuple[str, ...] = ()
    unused_metadata: tuple[str, ...] = ()

    @property
    def hours(self) -> float:
        """Of audio in the store [h]."""
        return self.seconds / 3600


OnProgress = Callable[[PackProgress], None]
