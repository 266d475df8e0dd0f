"""Waits for the answers and the workers of a cluster, but never without a time limit."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from distributed import Client

from pipeline.cluster.dashboard import dashboard_link
from pipeline.errors import ClusterError
from pipeline.events import Listener, WorkersAwaited, WorkersCounted

T = TypeVar("T")

GRACE_SECONDS = 5.0
"""Longest wait for the scheduler where `cluster.timeout` sets no limit, above all when the run ends."""
_ANSWER_SECONDS = 5.0
_CHECK_SECONDS = 2.0
_POLL_SECONDS = 0.1
_SAY_SECONDS = 60.0
"""Time between two messages that there is no worker."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """The result of a call that may not end. A call that takes too long is left behind, in a thread of its own.

    Args:
        seconds: longest time to wait for the result.
        call: function to call. If it is left behind, its thread ends with the process.

    Raises:
        TimeoutError: if there is no result after that time.
        Exception: the error that the call raises.
    """
    answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return cast(T, answer)


class Liveness:
    """Counts the threads of all workers, and gives up when there has been no worker for too long.

    Args:
        client: Dask's client of the scheduler.
        limit: number of seconds without a worker, or without the scheduler, after which the run gives up; and the
            name of the key that sets it.
        tend: callable that starts workers where that is ours to do, and says why there are none.
        listener: callable that is told how many workers there are, and once a minute that there is none.
    """

    def __init__(
        self,
        client: Client,
        limit: tuple[float, str],
        tend: Callable[[], str] = lambda: "",
        listener: Listener = lambda event: None,
    ) -> None:
        self._client = client
        self._seconds, self._key = limit
        self._tend = tend
        self._listener = listener
        self._seen = self._said = time.monotonic()
        self._asked = 0.0
        self._workers = 0
        self._dashboard: str | None = None
        self.working = False
        """Whether there was a worker at the last look."""
        self.threads = 1
        """Number of threads of all workers, at the last look at which there was a worker."""

    def await_first(self) -> None:
        """Wait for the first worker.

        Raises:
            ClusterError: if no worker comes within the time limit.
        """
        while not self.working:
            self._look()
            if not self.working:
                time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Look for workers, except if the last look was a moment ago.

        Raises:
            ClusterError: if there has been no worker, or no scheduler, for longer than the time limit.
        """
        if time.monotonic() - self._asked >= _CHECK_SECONDS:
            self._look()

    def _look(self) -> None:
        now = self._asked = time.monotonic()
        threads: dict[str, Any] = {}
        answers = False
        if self._client.status == "running":
            with contextlib.suppress(OSError):  # TimeoutError is one
                threads = within(min(self._seconds, _ANSWER_SECONDS), self._client.nthreads)
                answers = True
        words = self._tend()
        self.working = bool(threads)
        if threads:
            self.threads = sum(threads.values())
            self._seen = self._said = now
            self._count(len(threads))
            return
        what = "there has been no worker" if answers else "the scheduler has been gone"
        words = words if answers else ""  # `words` are about workers, not about the scheduler
        if now - self._seen > self._seconds:
            raise ClusterError(
                f"{what} for more than {self._seconds:g} s ({self._key}){words and ': ' + words}. What was committed "
                "is kept; run again to resume"
            )
        if now - self._said >= _SAY_SECONDS:
            self._said = now
            self._listener(WorkersAwaited(now - self._seen, self._seconds, words or what))

    def _count(self, workers: int) -> None:
        """Tell the number of workers if it has changed."""
        if workers == self._workers:
            return
        self._workers = workers
        if self._dashboard is None:
            self._dashboard = dashboard_link(self._client)
        self._listener(WorkersCounted(workers, self.threads, self._dashboard))
