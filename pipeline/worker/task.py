"""What a worker does with one task: make a shard, say how far it is, and let no secret leave with an error."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from pipeline.config import Job
from pipeline.errors import MelmillError
from pipeline.events import ShardCommitted, ShardStarted, UtterancesMade
from pipeline.events.stopwatch import Stopwatch
from pipeline.planning.plan import ShardTask
from pipeline.planning.versions import processor
from pipeline.redaction import redacted
from pipeline.worker.convert import convert_shard, summary, try_shard

Tell = Callable[[ShardStarted | UtterancesMade], None]
"""What a worker says while it works: that it started with the shard, then how far it is."""

Result = TypeVar("Result")


def make_shard(task: ShardTask, job: Job, threads: int, worker: str, tell: Tell) -> ShardCommitted:
    """Make one shard and commit it.

    Args:
        task: the shard to make.
        job: the job that it belongs to, with its secrets.
        threads: number of threads for the vocoder.
        worker: name of this worker, for the events.
        tell: callable that is told what happens.

    Raises:
        MelmillError: as `convert_shard`.
    """
    tell(ShardStarted(task.number, worker, processor()))
    watch = Stopwatch()
    record = convert_shard(task, job, threads, tell, watch, worker)
    causes, example = summary(record.failures)
    return ShardCommitted(
        shard=record.shard,
        name=record.name,
        made=len(record.rows),
        failed=len(record.failures),
        seconds=record.seconds,
        bytes=sum(each.bytes for each in record.objects),
        causes=causes,
        example=example,
        stages=watch.stages(),
        copied=bool(record.copied_from) and not record.copied_seconds,
        copied_seconds=record.copied_seconds,
    )


def rehearse_shard(task: ShardTask, job: Job, threads: int, worker: str, tell: Tell) -> None:
    """Do all that `make_shard` does except the commit, to see whether this worker survives it."""
    tell(ShardStarted(task.number, worker, processor()))
    try_shard(task, job, threads, tell)


def confined(work: Callable[[], Result]) -> Result:
    """Do the work, and take the secrets out of the error that it raises.

    An error that leaves a worker is written to the worker's log, to Dask's pages and to the driver. Messages of
    MelmillErrors have no secrets. The cause and the context of an error would travel with it, so they are removed.

    Raises:
        MelmillError: the error of the work, or one that describes a defect.
        ImportError: if something is not installed here.
    """
    error: Exception
    try:
        return work()
    except MelmillError as known:
        error = known
    except ImportError as missing:
        error = ImportError(redacted(str(missing)))
    except Exception:
        words = (
            f"this is a defect of melmill, on a worker; please report it with these lines:\n{traceback.format_exc()}"
        )
        error = MelmillError(words)
    error.__cause__ = error.__context__ = None
    raise error
