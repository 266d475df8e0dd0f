"""Adds up the events of a run: what is done, what is in flight, the speed, the time left."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pipeline.events import (
    Event,
    RunStarted,
    ShardAbandoned,
    ShardCommitted,
    ShardRetried,
    ShardStarted,
    ShardTakenOver,
    Stages,
    UtterancesMade,
)


@dataclass(frozen=True)
class Amount:
    """An amount of work.

    Args:
        shards: number of shards.
        utterances: number of utterances in them.
        seconds: duration of their audio [s].
    """

    shards: int = 0
    utterances: int = 0
    seconds: float = 0.0


class Tally:
    """Adds up events: utterances, audio, failures, seconds by stage, speed and the time left."""

    def __init__(self) -> None:
        self.planned = Amount()
        self.done = Amount()
        self.stages = Stages()
        self._done_failed = 0
        self._shards: dict[int, UtterancesMade] = {}
        self._flying = Amount()  # the sum over them, since there may be thousands
        self._flying_failed = 0
        self._begun = time.monotonic()

    def add(self, event: Event) -> None:
        """Add the next event."""
        if isinstance(event, RunStarted):
            self.planned = Amount(event.shards, event.utterances, event.seconds)
            self._begun = time.monotonic()
        elif isinstance(event, ShardTakenOver):
            planned = self.planned
            self.planned = Amount(
                planned.shards + 1, planned.utterances + event.utterances, planned.seconds + event.seconds
            )
        elif isinstance(event, ShardStarted):
            self._fly(event.shard, UtterancesMade(event.shard, 0, 0, 0.0))
        elif isinstance(event, UtterancesMade):
            self._fly(event.shard, event)
        elif isinstance(event, ShardRetried):
            self._fly(event.shard, None)
        elif isinstance(event, ShardCommitted):
            self._fly(event.shard, None)
            self.done = Amount(
                self.done.shards + 1,
                self.done.utterances + event.made,
                self.done.seconds + event.decoded_seconds,
            )
            self._done_failed += event.failed
            self.stages += event.stages
        elif isinstance(event, ShardAbandoned):
            self._fly(event.shard, None)
            self._done_failed += event.utterances

    @property
    def in_flight(self) -> Amount:
        """Shards that workers have begun and not committed, with the utterances and audio made of them so far."""
        return self._flying if self._shards else Amount()

    def _fly(self, shard: int, now: UtterancesMade | None) -> None:
        """Replace what is known of a shard in flight; None if it is not in flight any more."""
        for each, sign in ((self._shards.pop(shard, None), -1), (now, 1)):
            if each is not None:
                flying = self._flying
                seconds = 0.0 if each.copied else each.seconds
                self._flying = Amount(
                    flying.shards + sign, flying.utterances + sign * each.made, flying.seconds + sign * seconds
                )
                self._flying_failed += sign * each.failed
        if now is not None:
            self._shards[shard] = now

    @property
    def made(self) -> int:
        """Number of utterances made so far, including those of shards in flight."""
        return self.done.utterances + self.in_flight.utterances

    @property
    def failed(self) -> int:
        """Number of utterances quarantined so far."""
        return self._done_failed + self._flying_failed

    @property
    def made_seconds(self) -> float:
        """Duration of the audio made so far [s]."""
        return self.done.seconds + self.in_flight.seconds

    @property
    def speed(self) -> float:
        """Seconds of audio made per second."""
        elapsed = time.monotonic() - self._begun
        return self.made_seconds / elapsed if elapsed > 0 else 0.0

    @property
    def left(self) -> float | None:
        """Time that the rest will take at the mean speed so far [s]; None while nothing is made."""
        speed = self.speed
        return max(0.0, self.planned.seconds - self.made_seconds) / speed if speed > 0 else None
