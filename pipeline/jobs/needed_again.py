"""Superseded shards that are needed again, because mels, texts or settings are again what they were.

Nothing has read their objects since another shard took their place. So a run reads them before it publishes them, and
has those made again that are damaged. It does not read the objects of the last publication.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pipeline.events import Listener, SupersededNeeded
from pipeline.output.ledger import Ledger
from pipeline.output.stored_objects import damage
from pipeline.planning.commit_index import CommittedShard
from pipeline.planning.parts import WHOLE
from pipeline.planning.plan import PlannedShard
from pipeline.planning.prepare import Prepared
from pipeline.storage import translated

Chosen = Callable[[PlannedShard], bool]


def needed_again(prepared: Prepared, chosen: Chosen = WHOLE.owns) -> tuple[CommittedShard, ...]:
    """The shards that a plan finds committed, and that the last publication superseded. Reads no object.

    Args:
        prepared: the job, planned.
        chosen: whether a shard of the plan is looked at.

    Raises:
        StorageError: if storage fails.
    """
    publication = prepared.ledger.publication()
    if publication is None:
        return ()
    there = {shard.name for shard in prepared.plan.done if chosen(shard)}
    superseded = (each for each in prepared.scan.commits.shards if publication.supersedes(each.name, each.generation))
    return tuple(each for each in superseded if each.name in there)


def damaged_since(prepared: Prepared, listener: Listener, chosen: Chosen = WHOLE.owns) -> dict[str, str]:
    """Read the objects of the shards that are needed again. Returns name of each commit with a damaged one -> damage.

    Args:
        prepared: the job, planned.
        listener: callable that is told how much is read.
        chosen: whether a shard of the plan is looked at.

    Raises:
        StorageError: if something cannot be read.
    """
    again = needed_again(prepared, chosen)
    if not again:
        return {}
    listener(SupersededNeeded(len(again), sum(each.bytes for each in again)))
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        found = pool.map(lambda each: _damage(prepared.ledger, each.name), again)
        return {each.name: what for each, what in zip(again, found, strict=True) if what is not None}
    finally:
        pool.shutdown(cancel_futures=True)


def _damage(ledger: Ledger, name: str) -> str | None:
    """What is wrong with the first damaged object of a commit; None if all are whole."""
    with translated(f"reading shard {name} of {ledger.storage.url}", passing=FileNotFoundError):
        for wanted in ledger.commit(name).objects:
            try:
                what = damage(ledger.storage, wanted)
            except FileNotFoundError:
                return f"its object {wanted.name} is lost"
            if what is not None:
                return f"its object {wanted.name} was damaged since it was made: {what}"
    return None
