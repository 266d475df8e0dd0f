"""Measures how long each stage of a shard takes, for people and metrics. Nothing is decided by it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

from pipeline.events import Stages

Stage = Literal["read", "decode", "examine", "encode", "commit"]
Piece = TypeVar("Piece")


class Stopwatch:
    """Adds up the seconds of each stage. While a stage runs inside another one, the outer one does not count."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._under_way: list[Stage] = []
        self._since = time.monotonic()

    @contextlib.contextmanager
    def during(self, stage: Stage) -> Iterator[None]:
        """Count the time of this context for a stage."""
        self._turn()
        self._under_way.append(stage)
        try:
            yield
        finally:
            self._turn()
            self._under_way.pop()

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
        """The seconds of each stage so far."""
        return Stages(**self._seconds)

    def _turn(self) -> None:
        now = time.monotonic()
        if self._under_way:
            stage = self._under_way[-1]
            self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._since
        self._since = now
