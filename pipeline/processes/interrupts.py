"""What Ctrl-C and SIGTERM do while modules are imported, while processes start, and while work is in flight."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

_MOMENT = 0.001
"""Time until a signal that had to wait is tried again [s]."""
_LONGEST_WAIT = 5.0
"""Time after which it acts in any case [s], so that a callback that hangs can be ended."""


@dataclass
class _Waiting:
    """The signal that waits.

    Args:
        since: when it came; None if none waits.
    """

    since: float | None = None


_waiting = _Waiting()


def interrupt(number: int, frame: FrameType | None) -> None:
    """A handler of signals: raise KeyboardInterrupt, or have the signal come again in a moment if it would be lost."""
    if _acts(frame):
        raise KeyboardInterrupt
    again = threading.Timer(_MOMENT, signal.pthread_kill, [threading.main_thread().ident, number])
    again.daemon = True
    again.start()


def _acts(frame: FrameType | None) -> bool:
    """Whether an interrupt acts here and now: it is not lost here, or has waited for long enough."""
    now = time.monotonic()
    if _loses_exceptions(frame):
        _waiting.since = now if _waiting.since is None else _waiting.since
        if now - _waiting.since < _LONGEST_WAIT:
            return False
    _waiting.since = None
    return True


def _loses_exceptions(frame: FrameType | None) -> bool:
    """Whether an exception raised here is known to be lost: in a callback from libsndfile, or in a `__del__`.

    libsndfile would go on as if nothing had been written or read, and the audio would not be what its row says. Other
    finalizers are not recognized.
    """
    soundfile = getattr(sys.modules.get("soundfile"), "__file__", None)
    while frame is not None:
        name = frame.f_code.co_name
        if name == "__del__" or (name.startswith("vio_") and frame.f_code.co_filename == soundfile):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def interrupts_noted() -> Iterator[list[int]]:
    """Note the first SIGINT or SIGTERM, and let only a second one act.

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
    """Import modules inside this context. SIGINT and SIGTERM act after it: native modules must not be cut off."""
    with interrupts_noted() as noted:
        yield
    if noted:
        signal.raise_signal(noted[0])


@contextlib.contextmanager
def interrupts_held() -> Iterator[list[int]]:
    """Start processes inside this context. Signals that would leave them half started wait until the end of it.

    A terminal sends Ctrl-C to all of its processes, and `timeout`, systemd or a batch system sends SIGTERM to a whole
    group. Both signals are blocked here, and the new processes inherit that: only this process receives the signals,
    and then stops the others. Another thread may receive a signal all the same, so signals are noted too.

    Yields:
        The signals that were noted, for the caller to raise again once the new processes can be ended.
    """
    from multiprocessing import resource_tracker  # which commands that start no process do without

    resource_tracker.ensure_running()  # starting it later would release the signals again
    with interrupts_noted() as noted:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            yield noted
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@dataclass
class Stop:
    """Whether the run was asked to stop.

    Args:
        asked: whether a signal came.
    """

    asked: bool = False


@contextlib.contextmanager
def stop_within(grace: float) -> Iterator[Stop]:
    """Let Ctrl-C and SIGTERM ask to stop, so that the work in flight can be finished.

    After a signal, a KeyboardInterrupt is raised at the end of the context, at a second signal, or when the grace is
    over, whichever comes first. In other threads than the main one, which receive no signals, nothing is done.

    Args:
        grace: number of seconds to finish the work in flight; 0 raises at the first signal.

    Yields:
        A value that says whether a signal came.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        at_once, stop.asked = stop.asked or not grace, True
        if not at_once:
            signal.setitimer(signal.ITIMER_REAL, grace)
        elif _acts(frame):
            raise KeyboardInterrupt
        else:
            signal.setitimer(signal.ITIMER_REAL, _MOMENT)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            if number == signal.SIGALRM:  # the last: a signal may set the alarm until the others have their handlers
                signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(number, handler)
    if stop.asked:
        raise KeyboardInterrupt
