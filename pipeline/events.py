"""What happens in a run, as small values. The engine emits them; progress, logs and metrics only listen."""

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
class RunStarted(Event):
    """A run begins.

    Args:
        run_id: of this run.
        output: where it writes.
        shards: to be made.
        utterances: to be made.
        seconds: of audio to be made.
        workers: worker processes, as far as they are known at the start.
    """

    run_id: str
    output: str
    shards: int
    utterances: int
    seconds: float
    workers: int


@dataclass(frozen=True)
class UtterancesMade(Event):
    """A worker got on. Progress only: a worker that dies repeats its shard, and counts then go back.

    Args:
        shard: its number.
        made: utterances of this shard encoded so far.
        failed: utterances of this shard quarantined so far.
        seconds: of this shard's audio made so far.
    """

    shard: int
    made: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class ShardCommitted(Event):
    """A shard is durable.

    Args:
        shard: its number.
        name: of its commit.
        made: utterances in it.
        failed: utterances quarantined.
        seconds: of audio in it.
        bytes: of its objects.
    """

    shard: int
    name: str
    made: int
    failed: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class ShardRetried(Event):
    """A shard's worker died; the shard is tried again."""

    shard: int
    reason: str


@dataclass(frozen=True)
class ShardAbandoned(Event):
    """A shard's workers died each time; its utterances are reported as failed and tried again by the next run."""

    shard: int
    utterances: int
    reason: str


@dataclass(frozen=True)
class RunFinished(Event):
    """The manifest is published, or there was nothing to do.

    Args:
        run_id: of this run; empty if there was nothing to do.
        utterances: rows in the manifest.
        failed: rows in failures.jsonl.
        seconds: of audio in the manifest.
        made_seconds: of audio made by this run.
        elapsed: wall-clock seconds of this run.
    """

    run_id: str
    utterances: int
    failed: int
    seconds: float
    made_seconds: float
    elapsed: float
