"""What the dispatcher needs of whatever makes shards: this process, or workers elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.events import ShardCommitted, ShardStarted, UtterancesMade
from pipeline.planning.plan import ShardTask

Hear = Callable[[int, ShardStarted | UtterancesMade], None]
"""Takes the number of a trial, and what its worker says."""


@dataclass(frozen=True)
class Ended:
    """A trial that came to its end.

    Args:
        trial: number of the trial.
        committed: the shard that was committed; None if it was only rehearsed, or if the worker was lost.
        lost: whether the worker died.
    """

    trial: int
    committed: ShardCommitted | None = None
    lost: bool = False


class Executor(Protocol):
    """Makes shards. A trial is one submission of a shard, and has a number that the dispatcher gives it."""

    @property
    def window(self) -> int:
        """Number of trials that may be in flight at once."""

    @property
    def working(self) -> bool:
        """Whether there was a worker at the last look."""

    def make(self, trial: int, task: ShardTask) -> None:
        """Begin to make a shard, as soon as a worker is free."""

    def rehearse(self, trial: int, task: ShardTask) -> None:
        """Begin to make a shard's utterances without committing anything."""

    def finished(self, hear: Hear) -> Iterator[Ended]:
        """Wait a moment for the next trial to end, and give all trials that ended.

        Args:
            hear: callable that is told, in this thread, what workers say; what it raises ends the wait.

        Raises:
            ClusterError: if a worker cannot import what it needs.
            MelmillError: the error that stops a shard for good, such as a StorageError.
        """

    def cancel(self, trials: Collection[int]) -> None:
        """Drop trials: those that have not begun never will, and nothing is heard of the others any more."""

    def restart(self, worker: str) -> None:
        """Restart a worker that hangs."""

    def check(self) -> None:
        """Look after the workers.

        Raises:
            ClusterError: if there has been no worker for too long.
        """
