"""Signals while processes start."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from types import FrameType


@contextlib.contextmanager
def interrupts_held() -> Iterator[list[int]]:
    """A time in which processes are started, and signals that would leave them half there wait.

    Ctrl-C goes to all processes of a terminal: it is blocked for those started in here to inherit, and they leave it to
    this one, which then stops them. Another thread may receive it all the same, so it is noted too, as SIGTERM is. A
    second signal acts at once.

    Yields:
        The signals that were noted: to be raised again once what was started can be ended.
    """
    resource_tracker.ensure_running()  # starting it later would release SIGINT again
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} if main else {}
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, hold)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield held
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
