"""Which utterances of a shard kill their workers: a search by halves, pure, for the dispatcher to carry out."""

from __future__ import annotations

from pipeline.planner import ShardTask
from pipeline.stores.base import Utterance

DEATHS = 3
"""Workers that must be lost over the same work before it is blamed: a preempted one is lost through nobody's fault."""


class Suspect:
    """A shard that lost its workers again and again, and what is to be tried next to learn why.

    Groups of its utterances are tried one at a time, with nothing else in flight, so that nobody else can be at fault.
    A group that comes through is innocent. One that loses a worker is halved; a single utterance that loses as many as
    `DEATHS` is condemned. First of all the empty group is tried: a worker that dies before any utterance has another
    trouble.

    Args:
        task: the shard.
    """

    def __init__(self, task: ShardTask) -> None:
        self.task = task
        self.condemned: dict[str, str] = {}
        self._groups: list[tuple[Utterance, ...]] = [task.utterances, ()]
        self._deaths = 0

    @property
    def group(self) -> tuple[Utterance, ...] | None:
        """What is to be tried next; None when every utterance was acquitted or condemned."""
        return self._groups[-1] if self._groups else None

    @property
    def setup_is_at_fault(self) -> bool:
        """Whether workers are lost without any utterance."""
        return self.group == () and self._deaths >= DEATHS

    def survived(self) -> None:
        """The group was made."""
        self._groups.pop()
        self._deaths = 0

    def lost(self, how: str, workers: int = 1) -> None:
        """The group lost its workers. `how` says in what way: "died", or "hung for 300 s"."""
        group = self._groups[-1]
        self._deaths += workers
        if len(group) > 1:
            self._groups[-1:] = [group[len(group) // 2 :], group[: len(group) // 2]]
            self._deaths = 0
        elif group and self._deaths >= DEATHS:
            self.condemned[group[0].key] = f"every worker that made it {how}, {self._deaths} of them while it was alone"
            self.survived()
