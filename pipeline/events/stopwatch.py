"""Measures how long each stage of a shard takes, for people and metrics. Nothing is decided by it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar, get_args

from pipeline.events import Stages

Stage = Literal["read", "decode", "examine", "encode", "commit"]
Piece = TypeVar("Piece")


class Stopwatch:
    """Adds up the seconds of each stage. While a stage runs inside another one, the outer one does not count."""

    def __init__(self) -> None:
        self._seconds: dict[Stage, float] = dict.fromkeys(get_args(Stage), 0.0)
        self._contexts: dict[Stage, _Turn] = {stage: _Turn(self, stage) for stage in self._seconds}
        self._under_way: list[Stage] = []
        self._since = time.monotonic()

    def during(self, stage: Stage) -> _Turn:
        """A context whose time counts for a stage."""
        return self._contexts[stage]

    def timed(self, stage: Stage, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """The same pieces; the time that each takes to arrive counts for a stage."""
        coming = iter(pieces)
        while True:
            with self.during(stage):
                try:
                    piece = next(coming)
                except StopIteration:
                    return
            yield piece

    def stages(self) -> Stages:
        """The seconds of each stage so far, with those of the stage that is under way."""
        seconds = dict(self._seconds)
        if self._under_way:
            seconds[self._under_way[-1]] += time.monotonic() - self._since
        return Stages(**seconds)

    def switch(self, stage: Stage | None) -> None:
        """A stage begins, inside of those that have not ended; or, with None, the one that began last ends."""
        now, under_way = time.monotonic(), self._under_way
        if under_way:
            self._seconds[under_way[-1]] += now - self._since
        self._since = now
        if stage is None:
            under_way.pop()
        else:
            under_way.append(stage)


class _Turn:
    """The context of a stage, used for every turn of it. contextlib's takes five times as long."""

    __slots__ = ("_stage", "_switch")

    def __init__(self, watch: Stopwatch, stage: Stage) -> None:
        self._switch, self._stage = watch.switch, stage

    def __enter__(self) -> None:
        self._switch(self._stage)

    def __exit__(self, *error: object) -> None:
        self._switch(None)
