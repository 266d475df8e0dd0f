"""What becomes of shards that lose their workers, and which of their utterances kill them: pure.

The dispatcher tells what was lost, and carries out what is decided here.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from dataclasses import dataclass

from pipeline.planning.plan import ShardTask
from pipeline.stores.base import Utterance

DEATHS = 3
"""Workers that must be lost over the same work before it is blamed: a preempted one is lost through nobody's fault."""

UNSEEN_DEATHS = 10
"""Workers lost while a shard was queued there, and not known to have begun, before the shard is looked into: a worker
may die before it can say that it began."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a shard.

    Args:
        again: what is to be made of it, later; None if nothing is now.
        words: what there is to say; empty if nothing.
        abandoned: whether it is given up.
    """

    again: ShardTask | None
    words: str = ""
    abandoned: bool = False


class Blame:
    """Counts the workers that shards were lost with, and keeps the shards that are suspected."""

    def __init__(self) -> None:
        self.suspects: deque[Suspect] = deque()
        self._lost: Counter[int] = Counter()
        self._lost_unseen: Counter[int] = Counter()
        self._acquitted: set[int] = set()

    def lost(self, task: ShardTask, starts: int, how: str) -> Verdict:
        """A shard lost its workers: it is tried again, or suspected.

        Args:
            task: the shard.
            starts: how many of the workers had begun with it; where none had, one was lost with it in its queue.
            how: in what way: "died", or "hung for 300 s".
        """
        number = task.number
        self._lost[number] += starts
        self._lost_unseen[number] += not starts
        if self._lost[number] < DEATHS and self._lost_unseen[number] < UNSEEN_DEATHS:
            return Verdict(task, f"its worker {how}; it is tried again" if starts else "")
        self.suspects.append(Suspect(task))
        count = self._lost[number] or self._lost_unseen[number]
        return Verdict(
            None, f"{count} workers were lost with it, the last one {how}; what is to blame is looked for at the end"
        )

    def tried(self, suspect: Suspect) -> Verdict | None:
        """What becomes of a suspect after a group of it was tried; None while there are more to be tried."""
        if suspect.group is not None:
            return None
        self.suspects.remove(suspect)
        task = suspect.task
        self._lost[task.number] = self._lost_unseen[task.number] = 0
        if suspect.condemned:
            named = ", ".join(map(repr, list(suspect.condemned)[:5]))
            without = dataclasses.replace(task, condemned={**task.condemned, **suspect.condemned})
            return Verdict(without, f"it is made without what workers are lost with: {named}")
        if task.number not in self._acquitted:
            self._acquitted.add(task.number)
            return Verdict(task)
        return Verdict(
            None,
            f"workers were lost with shard {task.name} again and again, though each of its utterances can be made "
            "alone. Give workers more memory, or make shards shorter (output.shard_seconds) in a new output",
            abandoned=True,
        )


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
