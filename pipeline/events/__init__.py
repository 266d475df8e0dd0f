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
class Reason:
    """Why shards are to be made.

    Args:
        words: why.
        shards: how many, for this reason.
        utterances: in them.
        first: names of the first few.
    """

    words: str
    shards: int
    utterances: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class Stages:
    """Seconds of a worker's thread, by what it did; what it waited for is in it, and no second in two of them.

    Args:
        read: the store opened, mels read and brought to the vocoder's contract.
        decode: the vocoder loaded, mels to waveforms.
        examine: levels and `mel_distance`.
        encode: resampled, brought to a loudness, quantized, encoded, gathered.
        commit: made durable.
    """

    read: float = 0.0
    decode: float = 0.0
    examine: float = 0.0
    encode: float = 0.0
    commit: float = 0.0

    def __add__(self, other: Stages) -> Stages:
        mine, theirs = dataclasses.astuple(self), dataclasses.astuple(other)
        return Stages(*(a + b for a, b in zip(mine, theirs, strict=True)))


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
        reasons: why, the commonest first; empty if all shards are there, and only the manifest is to be published.
    """

    run_id: str
    output: str
    shards: int
    utterances: int
    seconds: float
    workers: int
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class ContractDoubted(Event):
    """The store's values neither contradict its contract nor confirm all of it.

    Args:
        words: what could not be judged, and why.
    """

    words: str


@dataclass(frozen=True)
class MetadataListed(Event):
    """A list of metadata was read.

    Args:
        words: how many utterances it has metadata for.
    """

    words: str


@dataclass(frozen=True)
class PublicationDue(Event):
    """Nothing is to be made, and the manifest is published again all the same.

    Args:
        reason: in words.
    """

    reason: str


@dataclass(frozen=True)
class ShardTakenOver(Event):
    """A part of a job is done with its own, and makes a shard of another part that is not committed yet.

    Args:
        shard: its number.
        utterances: in it.
        seconds: of audio in it.
    """

    shard: int
    utterances: int
    seconds: float


@dataclass(frozen=True)
class ShardStarted(Event):
    """A worker began with a shard. Each worker that is lost with it is followed by another start.

    Args:
        shard: its number.
        worker: where.
        processor: the kind of processor there, as `versions.processor` names it; empty where it is not known.
    """

    shard: int
    worker: str
    processor: str = ""


@dataclass(frozen=True)
class OtherProcessor(Event):
    """The output holds shards that were made on another kind of processor: the samples of new ones may differ slightly.

    Told once: the output remembers each kind of processor.

    Args:
        processor: the kind that makes shards now.
        earlier: the kinds that have made shards of this output before.
    """

    processor: str
    earlier: tuple[str, ...]


@dataclass(frozen=True)
class UtterancesMade(Event):
    """A worker got on. Progress only: a worker that dies repeats its shard, and counts then go back.

    Args:
        shard: its number.
        made: utterances of this shard encoded so far.
        failed: utterances of this shard quarantined so far.
        seconds: of this shard's audio made so far.
        causes: kinds of errors for which utterances of this shard were quarantined so far.
        example: the first of those errors in words; empty if there is none.
    """

    shard: int
    made: int
    failed: int
    seconds: float
    causes: tuple[str, ...] = ()
    example: str = ""


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
        causes: kinds of errors for which utterances were quarantined.
        example: the first of those errors in words; empty if there is none.
        stages: what the time went into; nothing if another attempt had committed it.
    """

    shard: int
    name: str
    made: int
    failed: int
    seconds: float
    bytes: int
    causes: tuple[str, ...] = ()
    example: str = ""
    stages: Stages = Stages()


@dataclass(frozen=True)
class ShardRetried(Event):
    """A shard lost its worker and is tried again; `reason` says how often, and what becomes of it."""

    shard: int
    reason: str


@dataclass(frozen=True)
class ShardAbandoned(Event):
    """A shard lost its workers each time, though each of its utterances can be made alone.

    Its utterances are reported as failed; the next run tries them again.
    """

    shard: int
    utterances: int
    reason: str


@dataclass(frozen=True)
class WorkersAwaited(Event):
    """There has been no worker for a while, and the run waits for one; told once a minute.

    Args:
        seconds: without one.
        limit: seconds after which the run gives up.
        reason: what the batch system says, or what to do.
    """

    seconds: float
    limit: float
    reason: str


@dataclass(frozen=True)
class RunStopping(Event):
    """Ctrl-C or SIGTERM came: what is in flight may finish, and nothing new is begun.

    Args:
        grace: seconds that it may take.
    """

    grace: float


@dataclass(frozen=True)
class Logged(Event):
    """A library, or melmill itself, logged something in this process, a warning at least; without secrets.

    Args:
        level: WARNING, ERROR or CRITICAL.
        logger: whose.
        words: what, with a traceback if it has one.
    """

    level: str
    logger: str
    words: str


@dataclass(frozen=True)
class RunFailed(Event):
    """The run ended with an error, or its end was one; what was committed is kept.

    Args:
        error: its kind.
        message: what is wrong, where, and what to do.
        exit_code: of the command.
    """

    error: str
    message: str
    exit_code: int


@dataclass(frozen=True)
class PartFinished(Event):
    """A part of a job has nothing left to make; it publishes now, if no other part is at work.

    Args:
        run_id: of this part.
        part: index and count, `2/8`.
        made_seconds: of audio made by it.
        elapsed: wall-clock seconds.
    """

    run_id: str
    part: str
    made_seconds: float
    elapsed: float


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
