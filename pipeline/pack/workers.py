"""Mels made in worker processes, or in this one, and returned in order, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.context import SpawnContext
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.errors import InterruptedRunError, StorageError
from pipeline.pack.sources import MelBlocks, SourceError
from pipeline.processes.worker_pool import done_in_order, worker_processes
from pipeline.stores.digests import MelDigest

SPOOL_BYTES = 8 << 20
"""Largest mel that a worker passes to the writer through memory [bytes]; a larger one goes through a file."""


@dataclass(frozen=True, slots=True)
class MelJob:
    """One mel to be made.

    Args:
        place: place of the item, as the corpus's `MelBlocks` takes it.
        spool: path of the file for a mel that is too long for memory.
    """

    place: Any
    spool: str


@dataclass(frozen=True)
class MadeMel:
    """One mel, or the reason why it could not be made.

    Args:
        frames: length of the mel [frames].
        digest: `MelDigest` of the mel.
        rows: values of the mel, `[frames, n_mels] float32`; None if they are in the job's spool file.
        failure: reason why the mel could not be made; None if it was.
    """

    frames: int = 0
    digest: bytes = b""
    rows: NDArray[np.float32] | None = None
    failure: str | None = None


def make_mel(blocks: MelBlocks, job: MelJob) -> MadeMel:
    """Makes one mel, in a worker.

    Args:
        blocks: function that makes the mel of an item.
        job: mel to be made.

    Raises:
        StorageError: if a long mel cannot be spooled.
        InterruptedRunError: if the packing was stopped.
    """
    digest, held = MelDigest(), []
    spooled, size = False, 0
    try:
        for block in blocks(job.place):
            if _stopping is not None and _stopping.is_set():
                raise InterruptedRunError("the packing was stopped")
            rows = np.ascontiguousarray(block.T, "<f4")
            if not np.isfinite(rows).all():
                raise SourceError(f"frame {digest.frames + int(_first_bad_row(rows))} of its mel is not finite")
            digest.push(rows)
            size += rows.nbytes
            held.append(rows)
            if size > SPOOL_BYTES:
                _spool(job.spool, held, append=spooled)
                spooled, size = True, 0
                held.clear()
    except SourceError as exc:
        Path(job.spool).unlink(missing_ok=True)
        return MadeMel(failure=str(exc))
    if spooled:
        _spool(job.spool, held, append=True)
    if digest.frames == 0:
        return MadeMel(failure="it is too short for a single frame")
    return MadeMel(digest.frames, digest.finish(), None if spooled else np.concatenate(held))


def made_in_order(blocks: MelBlocks, jobs: Sequence[MelJob], workers: int) -> Generator[MadeMel, None, None]:
    """The mels of all jobs, in order. The workers are at most four mels each ahead of the one that is returned.

    Args:
        blocks: function that makes the mel of an item.
        jobs: mels to be made.
        workers: number of worker processes; with 1, this process makes them, with one thread for matrix products, too.

    Raises:
        InterruptedRunError: if a worker process is killed.
    """
    if workers == 1:
        with threadpool_limits(1):
            yield from map(partial(make_mel, blocks), jobs)
        return
    stopping: list[Event] = []

    def arguments(context: SpawnContext) -> tuple[Event]:
        stopping.append(context.Event())
        return (stopping[0],)

    with worker_processes(workers, _start_worker, arguments) as pool:
        try:
            yield from done_in_order(pool, partial(make_mel, blocks), jobs, 4 * workers)
        finally:
            stopping[0].set()


_stopping: Event | None = None  # in a worker: set when the packing stops


def _start_worker(stopping: Event) -> None:
    global _stopping
    _stopping = stopping


def _first_bad_row(rows: NDArray[np.float32]) -> np.intp:
    return np.argmin(np.isfinite(rows).all(axis=1))


def _spool(path: str, held: list[NDArray[np.float32]], append: bool) -> None:
    try:
        with open(path, "ab" if append else "wb") as file:
            for rows in held:
                file.write(rows.data)
    except OSError as exc:
        raise StorageError(f"{path} cannot be written: {exc}; free some space, or choose another folder") from exc
