"""Events of one shard."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.events.base import Event, Stages


@dataclass(frozen=True)
class ShardTakenOver(Event):
    """A part of a job has made its own shards, and now makes one that belongs to another part and is not committed yet.

    Args:
        shard: number of the shard.
        utterances: number of utterances in it.
        seconds: duration of the audio in it [s].
    """

    shard: int
    utterances: int
    seconds: float


@dataclass(frozen=True)
class ShardStarted(Event):
    """A worker began a shard. If that worker is lost, the shard starts again.

    Args:
        shard: number of the shard.
        worker: address of the worker.
        processor: kind of the worker's processor, as `versions.processor` names it; empty if it is not known.
    """

    shard: int
    worker: str
    processor: str = ""


@dataclass(frozen=True)
class UtterancesMade(Event):
    """A worker made progress. If it dies, its shard starts again and the counts go back.

    Args:
        shard: number of the shard.
        made: number of the shard's utterances encoded so far.
        failed: number of the shard's utterances quarantined so far.
        seconds: duration of the shard's audio made so far [s], without what is copied beside it.
        causes: kinds of errors for which utterances of the shard were quarantined so far.
        example: message of the first of those errors; empty if there is none.
        copied: whether all of the shard's audio is copied, since only texts changed; then `seconds` is of that.
    """

    shard: int
    made: int
    failed: int
    seconds: float
    causes: tuple[str, ...] = ()
    example: str = ""
    copied: bool = False


@dataclass(frozen=True)
class ShardCommitted(Event):
    """A shard is durable.

    Args:
        shard: number of the shard.
        name: name of its commit.
        made: number of utterances in it.
        failed: number of utterances quarantined.
        seconds: duration of the audio in it [s].
        bytes: size of its objects.
        causes: kinds of errors for which utterances were quarantined.
        example: message of the first of those errors; empty if there is none.
        stages: time spent on each stage; all zero if another attempt had committed the shard.
        copied: whether all of its audio was copied, since only texts had changed.
        copied_seconds: duration of the audio that was copied beside audio that was decoded [s].
    """

    shard: int
    name: str
    made: int
    failed: int
    seconds: float
    bytes: int
    causes: tuple[str, ...] = ()
    example: str = ""
    stages: Stages = field(default_factory=Stages)
    copied: bool = False
    copied_seconds: float = 0.0

    @property
    def decoded_seconds(self) -> float:
        """Duration of the audio that was decoded [s]."""
        return 0.0 if self.copied else self.seconds - self.copied_seconds


@dataclass(frozen=True)
class ShardRetried(Event):
    """A shard lost its worker and is tried again.

    Args:
        shard: number of the shard.
        reason: text that says how often the shard was tried, and what happens to it now.
    """

    shard: int
    reason: str


@dataclass(frozen=True)
class ShardAbandoned(Event):
    """A shard lost its worker every time, though each of its utterances can be made alone.

    Its utterances are reported as failed. The next run tries them again.

    Args:
        shard: number of the shard.
        utterances: number of its utterances.
        reason: text that says what happened to its workers.
    """

    shard: int
    utterances: int
    reason: str
