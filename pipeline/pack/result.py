"""Progress and result of a packing, as values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PackFailure:
    """An utterance that could not be packed.

    Args:
        path: path below the packed folder, or place in the packed list; bytes that are not valid UTF-8 are escaped.
        reason: text that says why.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class PackProgress:
    """The progress of a packing. The callback is given it at the start and after every utterance.

    Args:
        done: number of utterances done so far, with those that failed and those that were kept.
        total: number of utterances to be packed.
        seconds: duration of what was packed so far [s].
        failures: number of utterances so far that could not be packed.
        kept: number of utterances that an earlier, interrupted packing had already done.
        restarted: reason why an earlier, interrupted packing could not be resumed; None if there was none, or it was.
    """

    done: int
    total: int
    seconds: float
    failures: int
    kept: int
    restarted: str | None = None


@dataclass(frozen=True)
class PackResult:
    """The result of a packing.

    Args:
        store: path of the finished store.
        utterances: number of utterances in the store.
        frames: number of frames in the store.
        seconds: duration of all mels in the store [s].
        failures: utterances that could not be packed and are not in the store; the caller should name them. If there
            are any, `<store>.failures.jsonl` has one JSON object for each, with `path` and `reason`.
        ignored: number of files in the folder that were left out because of their extension.
        kept: number of utterances that an earlier, interrupted packing had already done.
        restarted: reason why an earlier, interrupted packing could not be resumed; None if there was none, or it was.
        without_metadata: keys in the store that the given metadata lacks.
        unused_metadata: keys in the given metadata that no utterance has.
        clutter: number of files that machines leave lying about (.DS_Store, ._x, x~, @eaDir, ...); they are no sources.
        notes: texts that say what is strange in the metadata: keys that are alike and not equal, line breaks in texts.
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
    clutter: int = 0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values, with all failures."""
        return dataclasses.asdict(self)


FAILURES_SUFFIX = ".failures.jsonl"
"""What the list of failures has after the name of the store, beside which it lies."""
OnProgress = Callable[[PackProgress], None]
