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

T = TypeVar("T")

GRACE_SECONDS = 5.0
"""For what needs an answer of the scheduler and is not bounded by `cluster.timeout`: good-bye, above all."""
_ANSWER_SECONDS = 5.0
_CHECK_SECONDS = 2.0


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
        timeout: seconds without a worker, or without the scheduler, that are borne.
    """

    def __init__(self, client: Client, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._seen = time.monotonic()
        self._asked = 0.0
        self.threads = 1
        self.check()

    def check(self) -> None:
        """Look, unless it was done a moment ago.

        Raises:
            ClusterError: if there has been no worker, or no scheduler, for longer than the time limit.
        """
        if time.monotonic() - self._asked < _CHECK_SECONDS:
            return
        self._asked = time.monotonic()
        threads: dict[str, Any] = {}
        answers = False
        if self._client.status == "running":
            with contextlib.suppress(OSError):  # TimeoutError is one
                threads = within(min(self._timeout, _ANSWER_SECONDS), self._client.nthreads)
                answers = True
        if threads:
            self.threads = sum(threads.values())
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > self._timeout:
            what = "there has been no worker" if answers else "the scheduler has been gone"
            raise ClusterError(
                f"{what} for more than {self._timeout:g} s (cluster.timeout). What was committed is kept; run again to "
                "resume"
            )
