"""Pools of worker processes on this machine: their start, their end, and what Ctrl-C does meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext
from typing import Any, TypeVar

from pipeline.errors import InterruptedRunError
from pipeline.processes.collector import collect_from_now_on
from pipeline.processes.interrupts import interrupts_held

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def worker_processes(
    workers: int, begin: Callable[..., None], arguments: Callable[[SpawnContext], tuple[Any, ...]]
) -> Iterator[ProcessPoolExecutor]:
    """A pool of new processes. They ignore Ctrl-C, and end with this process, even if it is killed.

    Args:
        workers: number of processes.
        begin: called first in each process.
        arguments: gives what `begin` is called with.
    """
    context = multiprocessing.get_context("spawn")
    with interrupts_held() as held:  # an interrupted semaphore would never be unlinked
        pool = ProcessPoolExecutor(workers, context, _begin, (begin, *arguments(context)))
    try:
        if held:
            signal.raise_signal(held[0])
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def done_in_order(
    pool: ProcessPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """What the work on each item gives, in order.

    Args:
        pool: pool that `worker_processes` gave.
        work: function of a module, or a partial of one.
        items: taken one at a time.
        ahead: largest number of items that are taken before the one whose result is given.

    Raises:
        InterruptedRunError: if a worker process is killed.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            with _as_workers_start() as held:  # submitting starts the processes
                waiting.append(pool.submit(work, item))
            if held:
                signal.raise_signal(held[0])
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise InterruptedRunError(
            "a worker process was killed, perhaps because memory ran out; run again with fewer workers to resume"
        ) from error


@contextmanager
def _as_workers_start() -> Iterator[list[int]]:
    """A context in which worker processes start with one thread for matrix products, and Ctrl-C is held back.

    It gives what `interrupts_held` gives. Where numpy analyses mels, the number of OpenBLAS's threads changes the last
    bits of a mel, and so its digest; and two workers with two threads each take three times as long on two processors
    as with one thread (measured). Ctrl-C reaches all processes of a terminal; workers ignore it, and this process tells
    them to stop.
    """
    settings = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        with interrupts_held() as held:
            yield held
    finally:
        for name, value in environment.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin(begin: Callable[..., None], *arguments: Any) -> None:
    collect_from_now_on()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin(*arguments)


def _end_with_parent() -> None:
    """Ends a worker whose parent was killed, which would otherwise wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
