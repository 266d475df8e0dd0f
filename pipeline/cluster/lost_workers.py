"""Decides what becomes of shards that lose their workers, and which of their utterances kill workers.

It knows no cluster: the dispatcher says what was lost, and carries out what is decided here.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from dataclasses import dataclass

from pipeline.planning.plan import ShardTask
from pipeline.stores.base import Utterances
from pipeline.wording import counted

DEATHS = 3
"""Number of workers that must be lost with the same work before the work is blamed: a preempted worker says nothing
about the shard."""

UNSEEN_DEATHS = 10
"""Number of workers lost while a shard was queued there, and was not known to have begun, before the shard is examined:
a worker may die before it can say that it began."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a shard.

    Args:
        again: the task to make later; None if there is none now.
        words: the message for the listener; empty if there is none.
        abandoned: whether the shard is given up.
    """

    again: ShardTask | None
    words: str = ""
    abandoned: bool = False


class Blame:
    """Counts the workers that were lost with each shard, and keeps the shards that are suspected."""

    def __init__(self) -> None:
        self.suspects: deque[Suspect] = deque()
        self._lost: Counter[int] = Counter()
        self._lost_unseen: Counter[int] = Counter()
        self._acquitted: set[int] = set()

    def lost(self, task: ShardTask, starts: int, how: str) -> Verdict:
        """Decide about a shard that lost its workers: it is tried again, or suspected.

        Args:
            task: the shard.
            starts: number of workers that had begun with it; 0 if it was lost in the queue of one worker.
            how: description of what happened to the worker: "died", or "hung for 300 s".
        """
        number = task.number
        self._lost[number] += starts
        self._lost_unseen[number] += not starts
        if self._lost[number] < DEATHS and self._lost_unseen[number] < UNSEEN_DEATHS:
            return Verdict(task, f"its worker {how}; it is tried again" if starts else "")
        self.suspects.append(Suspect(task))
        count = self._lost[number] or self._lost_unseen[number]
        return Verdict(
            None,
            f"{counted(count, 'worker was', 'workers were')} lost with it, the last one {how}; the cause is searched "
            "for at the end of the run",
        )

    def tried(self, suspect: Suspect) -> Verdict | None:
        """Decide about a suspect after one of its groups was tried; None while there are more groups to try."""
        if suspect.group is not None:
            return None
        self.suspects.remove(suspect)
        task = suspect.task
        self._lost[task.number] = self._lost_unseen[task.number] = 0
        if suspect.condemned:
            named = ", ".join(map(repr, list(suspect.condemned)[:5]))
            without = dataclasses.replace(task, condemned={**task.condemned, **suspect.condemned})
            return Verdict(without, f"it is made without the utterances that workers are lost with: {named}")
        if task.number not in self._acquitted:
            self._acquitted.add(task.number)
            return Verdict(task)
        return Verdict(
            None,
            f"workers were lost with shard {task.name} again and again, although each of its utterances can be made "
            "alone. Give workers more memory, or make shards shorter (output.shard_seconds) in a new output",
            abandoned=True,
        )


class Suspect:
    """A shard that lost its workers again and again, and the next group to try to find out why.

    Groups of its utterances are tried one at a time, with nothing else in flight, so that nothing else can be at fault.
    A group that survives is innocent. A group that loses a worker is halved. A single utterance that loses `DEATHS`
    workers is condemned. The empty group is tried first: if workers die even without an utterance, no utterance is at
    fault.

    Args:
        task: the shard.
    """

    def __init__(self, task: ShardTask) -> None:
        self.task = task
        self.condemned: dict[str, str] = {}
        self._groups: list[Utterances] = [task.utterances, task.utterances[:0]]
        self._deaths = 0

    @property
    def group(self) -> Utterances | None:
        """The group to try next; None if every utterance was acquitted or condemned."""
        return self._groups[-1] if self._groups else None

    @property
    def setup_is_at_fault(self) -> bool:
        """Whether workers are lost even without an utterance."""
        return self.group is not None and not self.group and self._deaths >= DEATHS

    def survived(self) -> None:
        """Note that the group was made."""
        self._next_group()

    def _next_group(self) -> None:
        self._groups.pop()
        self._deaths = 0

    def lost(self, how: str, workers: int = 1) -> None:
        """Note that the group lost its workers.

        Args:
            how: description of what happened to the worker: "died", or "hung for 300 s".
            workers: number of workers that were lost.
        """
        group = self._groups[-1]
        self._deaths += workers
        if len(group) > 1:
            self._groups[-1:] = [group[len(group) // 2 :], group[: len(group) // 2]]
            self._deaths = 0
        elif group and self._deaths >= DEATHS:
            self.condemned[group[0].key] = f"every worker that made it {how}, {self._deaths} of them while it was alone"
            self._next_group()
