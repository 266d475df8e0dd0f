"""Stops this process's work as a kill would: before or after one of its deletions, or before a commit."""

import pytest

from pipeline.config import JobConfig, StoreInRows
from pipeline.errors import InterruptedRunError
from pipeline.jobs.run import run
from pipeline.output.ledger import Ledger
from pipeline.output.records import ShardRecord
from pipeline.storage import Storage, open_storage


class Killed(BaseException):
    """What no code catches."""


def dies_at(url: str, point: int, patch: pytest.MonkeyPatch) -> None:
    """Make the deletions in outputs of one kind of storage stop at a point.

    Before the first deletion is 0, after it 1, before the second 2. So each state is met twice.

    Args:
        url: an output in that kind of storage.
        point: the point.
        patch: what undoes it.
    """
    kind, passed = type(open_storage(url)), 0
    delete = kind.delete

    def counted(storage: Storage, name: str) -> None:
        nonlocal passed
        for step in (lambda: None, lambda: delete(storage, name)):
            step()
            if passed == point:
                raise Killed
            passed += 1

    patch.setattr(kind, "delete", counted)


def interrupted_after(config: JobConfig, shards: int) -> None:
    """A run that is interrupted when it is about to commit one more shard than these."""
    put, done = Ledger.put_commit, 0

    def put_or_stop(ledger: Ledger, record: ShardRecord, store: StoreInRows) -> ShardRecord:
        nonlocal done
        if done == shards:
            raise KeyboardInterrupt
        done += 1
        return put(ledger, record, store)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "put_commit", put_or_stop)
        with pytest.raises(InterruptedRunError):
            run(config)
