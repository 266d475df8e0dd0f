"""Python's collector of garbage, which rests while a process imports what it needs.

What was imported stays, and each collection would walk over all of it: a quarter of the time that a command or a worker
takes to start. `__main__` lets it rest in a command, and in the processes that the command starts.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


def collect_later() -> None:
    """Collect nothing until `collect_from_now_on`."""
    gc.disable()


def collect_from_now_on() -> None:
    """Collect garbage again, if that was put off, and look no more at what is there already, not even at the end."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """A time for importing modules, in which nothing is collected."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
