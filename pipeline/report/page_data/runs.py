"""How runs went: throughput, workers, retries, failures, and what changed; as the page is given it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Span = tuple[float, float, str, int]
"""Begin and end of a shard on a worker [s since the run began], the shard's name, and its number of failures."""


@dataclass(frozen=True)
class Throughput:
    """Audio made over time. The audio of a shard is spread evenly over the time that it took.

    Args:
        bin_seconds: width of a bin [s].
        audio_seconds: duration of the audio made in each bin [s].
    """

    bin_seconds: float
    audio_seconds: tuple[float, ...]


@dataclass(frozen=True)
class WorkerLane:
    """What one worker did.

    Args:
        name: `worker 1`, ...: addresses of machines are private.
        spans: the shards that it made, in order.
    """

    name: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class RetryShown:
    """A shard that was begun again, or given up.

    Args:
        time_s: when [s since the run began].
        shard: number of the shard.
        reason: why, as text.
    """

    time_s: float
    shard: int
    reason: str


@dataclass(frozen=True)
class RunTrace:
    """How a run went, as far as its records say. None where a melmill of before recorded nothing.

    Args:
        run_id: identifier of the run; None if no record names it.
        generation: number of the run on this output.
        state: finished, interrupted or failed; None if it was killed, or not recorded.
        started: time when it began.
        elapsed: wall-clock time that it took [s].
        shards: number of shards of the publication that it made.
        utterances: number of utterances in them.
        seconds: duration of their audio [s].
        failed: number of utterances that it quarantined.
        copied: number of these shards with audio that was copied, since only texts had changed.
        stages: seconds that workers spent on each stage: read, decode, examine, encode, commit.
        throughput: audio over time.
        workers: what each worker did, at most 200 of them.
        workers_total: number of workers.
        retries: shards that were begun again, at most 200.
        retries_total: number of times that a shard was begun again.
    """

    run_id: str | None
    generation: int
    state: str | None
    started: str | None
    elapsed: float | None
    shards: int
    utterances: int
    seconds: float
    failed: int
    copied: int
    stages: Mapping[str, float] | None
    throughput: Throughput | None
    workers: tuple[WorkerLane, ...] | None
    workers_total: int | None
    retries: tuple[RetryShown, ...] | None
    retries_total: int | None


@dataclass(frozen=True)
class FailureShown:
    """An utterance that was quarantined: its key, and why."""

    key: str
    reason: str


@dataclass(frozen=True)
class FailureGroup:
    """Utterances that were quarantined for the same reason.

    Args:
        error: name of the error's class.
        reason: the reason; what differs from one utterance to the other is "…".
        count: number of utterances.
        what_to_do: the way out.
        examples: the first few of them.
    """

    error: str
    reason: str
    count: int
    what_to_do: str
    examples: tuple[FailureShown, ...]


@dataclass(frozen=True)
class ReasonShown:
    """Why shards were made.

    Args:
        reason: the reason, as text.
        shards: number of shards.
        utterances: number of utterances in them.
    """

    reason: str
    shards: int
    utterances: int


@dataclass(frozen=True)
class ChangesShown:
    """What changed with the last publication, and why.

    Args:
        text: one sentence.
        reasons: why shards were made; None if the run left no record.
        before: utterances, failures and seconds of the publication before; None if there was none, or as `reasons`.
        made: shards of the publication that its run made.
        kept: shards of the publication that earlier runs made.
        superseded: shards of the publication before that were replaced.
        texts_changed: number of utterances whose metadata had changed; None as `reasons`.
    """

    text: str
    reasons: tuple[ReasonShown, ...] | None
    before: Mapping[str, float] | None
    made: int
    kept: int
    superseded: int
    texts_changed: int | None


@dataclass(frozen=True)
class SupersededShown:
    """Shards that lie beside the current ones until `melmill gc` deletes them.

    Args:
        bytes: size of their objects [bytes].
        total: number of them.
        shards: name and size [bytes] of the first hundred.
        what_to_do: the command that deletes them; "" if there are none.
    """

    bytes: int
    total: int
    shards: tuple[tuple[str, int], ...]
    what_to_do: str
