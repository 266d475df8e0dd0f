"""Processes that are made to die: forked, all imports done, from a server that has no threads."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

from support.faults.injection import CHANGES, Injection, killing
from support.faults.places import Place

from pipeline.config import JobConfig
from pipeline.errors import MelmillError
from pipeline.jobs.run import run

T = TypeVar("T")

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["pipeline.cluster.dask_executor", "pipeline.jobs.run", "pipeline.vocoders.onnx_vocoder", "zarr"]
)

AHEAD = 2
"""Children that run while what they leave behind is looked at."""


def run_killed(config: JobConfig, root: Place, number: int, after: bool) -> None:
    """A run that SIGKILL ends before or after the operation of this number below `root`."""
    with Injection(root, *killing(number, after), kinds=CHANGES):
        run(config)
    sys.exit(0)


@dataclass(frozen=True)
class Ending:
    """How a run that competed with another ended.

    Args:
        code: its exit code.
        run_id: of it; empty if there was nothing to do, or if it lost.
        words: of its error.
        process: that it ran in.
    """

    code: int
    run_id: str
    words: str
    process: int


def compete(config: JobConfig, start: Barrier, wait: float, endings: SimpleQueue[Ending]) -> None:
    """A whole run that begins, after so many seconds, when all that compete are there."""
    start.wait()
    time.sleep(wait)
    try:
        endings.put(Ending(0, run(config).run_id, "", os.getpid()))
    except MelmillError as error:
        endings.put(Ending(error.exit_code, "", str(error), os.getpid()))


def ahead(
    act: Callable[..., None], cases: Iterable[T], arguments: Callable[[T], tuple[Any, ...]]
) -> Iterator[tuple[T, int]]:
    """Each case with how the process that acted on it ended, while others act on the next ones already.

    How it ended is its exit code, or the signal that killed it, negative.
    """
    waiting: deque[tuple[T, BaseProcess]] = deque()
    for case in cases:
        child = CONTEXT.Process(target=act, args=arguments(case))
        child.start()
        waiting.append((case, child))
        if len(waiting) > AHEAD:
            yield _ended(*waiting.popleft())
    while waiting:
        yield _ended(*waiting.popleft())


def _ended(case: T, child: BaseProcess) -> tuple[T, int]:
    child.join()
    code = child.exitcode
    child.close()
    assert code is not None
    return case, code
