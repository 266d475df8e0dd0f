"""When signals act."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.interrupts import interrupts_after_import, interrupts_noted, stop_within

Context = Callable[[], contextlib.AbstractContextManager[Any]]

NUMBERS = [signal.SIGINT, signal.SIGTERM]


def interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


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
            threading.Event().wait(60)

    assert survived(waiting, signal.SIGTERM, 1) == 1


def test_without_grace_the_first_signal_stops_the_run() -> None:
    assert survived(lambda: stop_within(0), signal.SIGTERM, 1) == 0


def test_beyond_the_main_thread_signals_are_left_alone() -> None:
    seen: list[object] = []

    def look() -> None:
        with stop_within(1) as stop, interrupts_noted() as noted, interrupts_after_import():
            seen.extend([stop.asked, noted, signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [False, [], interrupt]
