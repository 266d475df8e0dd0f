"""Waiting for a cluster, but never for ever."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from distributed import Client

from pipeline.errors import ClusterError
from pipeline.events import Listener, WorkersAwaited

T = TypeVar("T")

GRACE_SECONDS = 5.0
"""For what needs an answer of the scheduler and is not bounded by `cluster.timeout`: good-bye, above all."""
_ANSWER_SECONDS = 5.0
_CHECK_SECONDS = 2.0
_POLL_SECONDS = 0.1
_SAY_SECONDS = 60.0
"""Of waiting for workers without a word."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` gives, if that takes no longer; else it is left behind, in a thread that ends with the process.

    Raises:
        TimeoutError: after so many seconds.
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
    """Knows how many worker threads there are, and gives up when there have been none for too long.

    Args:
        client: of the cluster.
        limit: seconds without a worker, or without the scheduler, that are borne, and the key that sets them.
        tend: keeps workers coming, where somebody has to, and says in words why there are none.
        listener: is told every minute that there are none.
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
        self._answers = True
        self.working = False
        """Whether there was a worker when it was looked last."""
        self.threads = 1
        """Of all workers, when there were some last."""

    def await_first(self) -> None:
        """Wait for the first worker.

        Raises:
            ClusterError: if there is none within the time limit.
        """
        while not self.working:
            self._look()
            if not self.working:
                time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Look, unless it was done a moment ago.

        Raises:
            ClusterError: if there has been no worker, or no scheduler, for longer than the time limit.
        """
        if time.monotonic() - self._asked >= _CHECK_SECONDS:
            self._look()

    def _look(self) -> None:
        now = self._asked = time.monotonic()
        threads: dict[str, Any] = {}
        self._answers = False
        if self._client.status == "running":
            with contextlib.suppress(OSError):  # TimeoutError is one
                threads = within(min(self._seconds, _ANSWER_SECONDS), self._client.nthreads)
                self._answers = True
        words = self._tend()
        self.working = bool(threads)
        if threads:
            self.threads = sum(threads.values())
            self._seen = self._said = now
            return
        what = "there has been no worker" if self._answers else "the scheduler has been gone"
        words = words if self._answers else ""  # they say why there are no workers, or how to start some
        if now - self._seen > self._seconds:
            raise ClusterError(
                f"{what} for more than {self._seconds:g} s ({self._key}){words and ': ' + words}. What was committed "
                "is kept; run again to resume"
            )
        if now - self._said >= _SAY_SECONDS:
            self._said = now
            self._listener(WorkersAwaited(now - self._seen, self._seconds, words or what))
