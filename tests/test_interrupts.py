"""When signals act."""

import contextlib
import io
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline.interrupts import interrupt, interrupts_after_import, interrupts_noted, stop_within

Context = Callable[[], contextlib.AbstractContextManager[Any]]

NUMBERS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def _both_interrupt() -> Iterator[None]:
    before = {number: signal.signal(number, interrupt) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def survived(context: Context, number: signal.Signals, count: int) -> int:
    """How many of so many signals within a context do not end it at once; it must be ended by them."""
    passed = 0
    with contextlib.suppress(KeyboardInterrupt):
        with context():
            for _ in range(count):
                signal.raise_signal(number)
                passed += 1
        raise AssertionError("it was not ended")
    assert signal.getsignal(number) is interrupt
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    return passed


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_while_modules_are_imported_acts_after_it_and_a_second_at_once(number: signal.Signals) -> None:
    assert survived(interrupts_after_import, number, 1) == 1
    assert survived(interrupts_after_import, number, 2) == 1


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_noted_and_a_second_acts_at_once(number: signal.Signals) -> None:
    with interrupts_noted() as noted:
        signal.raise_signal(number)
    assert noted == [number]
    assert survived(interrupts_noted, number, 2) == 1


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_asks_a_run_to_stop_and_a_second_one_stops_it(number: signal.Signals) -> None:
    seen = []

    def finish_what_is_in_flight() -> None:
        with stop_within(600) as stop:
            signal.raise_signal(number)
            seen.append(stop.asked)

    with pytest.raises(KeyboardInterrupt):
        finish_what_is_in_flight()
    assert seen == [True]
    assert survived(lambda: stop_within(600), number, 2) == 1


def test_a_run_that_does_not_stop_within_the_grace_is_stopped() -> None:
    @contextlib.contextmanager
    def waiting() -> Iterator[None]:
        with stop_within(0.05):
            yield
            threading.Event().wait(20)

    assert survived(waiting, signal.SIGTERM, 1) == 1


def test_without_grace_the_first_signal_stops_the_run() -> None:
    assert survived(lambda: stop_within(0), signal.SIGTERM, 1) == 0


class InterruptedFile(io.BytesIO):
    """A file that so many signals interrupt as libsndfile asks where it is."""

    def __init__(self, signals: int) -> None:
        super().__init__()
        self.signals = signals

    def tell(self) -> int:
        if self.signals:
            self.signals -= 1
            signal.raise_signal(signal.SIGTERM)
        return super().tell()


class InterruptedAtItsEnd:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def encode(file: io.BytesIO) -> bytes:
    soundfile.write(file, np.linspace(-1, 1, 10_000, dtype=np.float32), 22050, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize(
    ("context", "signals"),
    [(contextlib.nullcontext, 1), (lambda: stop_within(0), 1), (lambda: stop_within(600), 2)],
)
def test_an_interrupt_within_a_callback_of_libsndfile_spoils_no_audio_and_comes_after_it(
    context: Context, signals: int
) -> None:
    written = []

    def interrupted() -> None:
        with context():
            written.append(encode(InterruptedFile(signals)))
            threading.Event().wait(20)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert written == [encode(io.BytesIO())]
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("context", [contextlib.nullcontext, lambda: stop_within(0)])
def test_an_interrupt_as_an_object_is_deleted_comes_after_it(context: Context) -> None:
    def interrupted() -> None:
        with context():
            gone = InterruptedAtItsEnd()
            del gone
            threading.Event().wait(20)

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_an_interrupt_that_has_to_wait_is_not_lost_at_the_end_of_the_run() -> None:
    with pytest.raises(KeyboardInterrupt), stop_within(0):
        encode(InterruptedFile(1))


def test_beyond_the_main_thread_signals_are_left_alone() -> None:
    seen: list[object] = []

    def look() -> None:
        with stop_within(1) as stop, interrupts_noted() as noted, interrupts_after_import():
            seen.extend([stop.asked, noted, signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [False, [], interrupt]
