"""Signals while processes start, and while work is in flight."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from types import FrameType


@contextlib.contextmanager
def interrupts_noted() -> Iterator[list[int]]:
    """A time in which SIGINT and SIGTERM do nothing yet. A second one acts at once.

    Yields:
        The signals that were noted, for the caller to raise again.
    """
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} if main else {}
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interrupts_after_import() -> Iterator[None]:
    """A time in which modules are imported. SIGINT and SIGTERM act after it: native ones are lost when they are cut."""
    with interrupts_noted() as noted:
        yield
    if noted:
        signal.raise_signal(noted[0])


@contextlib.contextmanager
def interrupts_held() -> Iterator[list[int]]:
    """A time in which processes are started, and signals that would leave them half there wait.

    Ctrl-C goes to all processes of a terminal, and SIGTERM to all of a group, by `timeout`, systemd or a batch system:
    both are blocked for those started in here to inherit, and they leave it to this one, which then stops them.
    Another thread may receive them all the same, so they are noted too.

    Yields:
        The signals that were noted: to be raised again once what was started can be ended.
    """
    resource_tracker.ensure_running()  # starting it later would release the signals again
    with interrupts_noted() as noted:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            yield noted
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@dataclass
class Stop:
    """Whether the run was asked to stop."""

    asked: bool = False


@contextlib.contextmanager
def stop_within(grace: float) -> Iterator[Stop]:
    """A time in which Ctrl-C and SIGTERM ask to stop, and act by themselves only after `grace` seconds.

    What is in flight can so be brought to its end, after which a KeyboardInterrupt is raised; so it is at once when the
    time is over, and at a second signal. Beyond the main thread, where no signal arrives, nothing is done.

    Yields:
        What says whether a signal came.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.asked or not grace:
            raise KeyboardInterrupt
        stop.asked = True
        signal.setitimer(signal.ITIMER_REAL, grace)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
    if stop.asked:
        raise KeyboardInterrupt
