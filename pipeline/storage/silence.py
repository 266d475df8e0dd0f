"""Warns that a store does not answer. Clients retry for minutes and say nothing meanwhile."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator

from pipeline.redaction import redacted

logger = logging.getLogger(__name__)

_FIRST_SECONDS, _NEXT_SECONDS = 10.0, 60.0
_LOOK_SECONDS = 1.0


@contextlib.contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Warns when the context has lasted ten seconds, and every minute after that.

    Args:
        what: text that says what is done in the context, such as `reading s3://bucket/name`.
    """
    number = _watch.begin(what)
    try:
        yield
    finally:
        _watch.end(number)


class _Watch:
    """One thread for everything that a process waits for. It starts with the first wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: dict[int, tuple[str, float, float]] = {}
        self._count = 0
        self._process = 0

    def begin(self, what: str) -> int:
        now = time.monotonic()
        with self._lock:
            self._count += 1
            self._waits[self._count] = what, now, now + _FIRST_SECONDS
            if self._process != os.getpid():  # a thread does not survive a fork
                self._process = os.getpid()
                threading.Thread(target=self._look, name="melmill-silence", daemon=True).start()
            return self._count

    def end(self, number: int) -> None:
        with self._lock:
            del self._waits[number]

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            with self._lock:
                late = [(number, what, begun) for number, (what, begun, due) in self._waits.items() if due <= now]
                for number, what, begun in late:
                    self._waits[number] = what, begun, now + _NEXT_SECONDS
            for _, what, begun in late:
                logger.warning(
                    "%s: not done after %.0f s; if nothing answers, it is asked again", redacted(what), now - begun
                )


_watch = _Watch()
