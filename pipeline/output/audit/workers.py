"""Checks of many shards at once: in threads of this process, or in worker processes on all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from pipeline.output.audit.findings import Checked
from pipeline.output.ledger import Ledger
from pipeline.processes.worker_pool import done_in_order, worker_processes
from pipeline.storage import open_storage, translated

Item = TypeVar("Item")
Check = Callable[[Ledger, Item], Checked]
All = Callable[[Check[Any], Iterable[Any]], Iterator[Checked]]
"""Applies a check to many items, and gives what it found in order."""

_AHEAD = 2
"""Number of shards for each thread or process that are read ahead; their lines are in memory."""
_FEW_UTTERANCES = 5000
"""For fewer utterances, new processes take longer than they save."""


def checking(
    ledger: Ledger, url: str, options: Mapping[str, Any], workers: int | None, utterances: int
) -> AbstractContextManager[All]:
    """Checks in threads of this process, or in new processes.

    Args:
        ledger: ledger of the output.
        url: URL or path of the output.
        options: options for the client of an object store.
        workers: number of processes; 1 for this process alone, which reads several shards at once. None for one process
            per core, or this one alone if there is little to read.
        utterances: number of utterances to read.
    """
    cores = len(os.sched_getaffinity(0))
    if workers is None:
        workers = 1 if utterances < _FEW_UTTERANCES else cores
    return in_threads(ledger, cores) if workers == 1 else in_processes(url, options, workers)


@contextmanager
def in_threads(ledger: Ledger, threads: int) -> Iterator[All]:
    """Checks in threads of this process. They suit small outputs, and storage that answers slowly."""
    with ThreadPoolExecutor(threads) as pool:

        def check_all(check: Check[Item], items: Iterable[Item]) -> Iterator[Checked]:
            waiting: deque[Future[Checked]] = deque()
            for item in items:
                waiting.append(pool.submit(check, ledger, item))
                if len(waiting) > _AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

        yield check_all


@contextmanager
def in_processes(url: str, options: Mapping[str, Any], workers: int) -> Iterator[All]:
    """Checks in new processes.

    Args:
        url: URL or path of the output.
        options: options for the client of an object store.
        workers: number of processes.
    """
    with worker_processes(workers, _begin, lambda context: (url, dict(options))) as pool:

        def check_all(check: Check[Item], items: Iterable[Item]) -> Iterator[Checked]:
            return done_in_order(pool, partial(_check, check), items, _AHEAD * workers)

        yield check_all


@dataclass
class _Here:
    """What a worker process keeps.

    Args:
        ledger: ledger of the output.
    """

    ledger: Ledger


_here: _Here | None = None


def _begin(url: str, options: Mapping[str, Any]) -> None:
    global _here
    _here = _Here(Ledger(open_storage(url, options)))


def _check(check: Check[Item], item: Item) -> Checked:
    assert _here is not None
    with translated(f"reading {_here.ledger.storage.url}"):
        return check(_here.ledger, item)
