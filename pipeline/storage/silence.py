"""Says that a store does not answer, which clients wait for in silence: minutes, since they ask again and again."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

logger = logging.getLogger(__name__)

_FIRST_SECONDS, _NEXT_SECONDS = 10.0, 60.0


@contextlib.contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Warns when the context has lasted for ten seconds, and each minute from then on.

    Args:
        what: is done in it, as `reading s3://bucket/name`.
    """
    begun = time.monotonic()
    answered = threading.Event()

    def watch() -> None:
        patience = _FIRST_SECONDS
        while not answered.wait(patience):
            logger.warning("%s: no answer for %.0f s; it is asked again", what, time.monotonic() - begun)
            patience = _NEXT_SECONDS

    threading.Thread(target=watch, name="melmill-silence", daemon=True).start()
    try:
        yield
    finally:
        answered.set()
