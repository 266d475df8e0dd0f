"""When signals act."""

import contextlib
import io
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline.processes import interrupts
from pipeline.processes.interrupts import interrupt, interrupts_after_import, interrupts_noted, stop_within

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
    """A file that raises so many signals, from libsndfile's third write on, where a lost exception spoils the audio."""

    def __init__(self, signals: int) -> None:
        super().__init__()
        self.writes, self.signals = 0, signals

    def write(self, piece: Any) -> int:
        self.writes += 1
        if self.writes >= 3 and self.signals:
            self.signals -= 1
            signal.raise_signal(signal.SIGTERM)
        return super().write(piece)


class InterruptedAtItsEnd:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


class HangsAtItsEnd:
    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    def __del__(self) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
            threading.Event().wait(20)
        except KeyboardInterrupt:
            self.seen.append("interrupted")


def encode(file: io.BytesIO) -> bytes:
    soundfile.write(file, np.linspace(-1, 1, 100_000, dtype=np.float32), 22050, format="WAV")
    return file.getvalue()


def interrupted_after(context: Context, work: Callable[[], object]) -> object:
    """What the work gives, which an interrupt comes after."""
    given: list[object] = []

    def waiting() -> None:
        with context():
            given.append(work())
            threading.Event().wait(20)
            given.append("it was not interrupted")

    with pytest.raises(KeyboardInterrupt):
        waiting()
    (found,) = given
    return found


@pytest.fixture
def _long_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is interrupted is over when the signal comes again, on a busy machine, too."""
    monkeypatch.setattr(interrupts, "_MOMENT", 0.3)


@pytest.mark.usefixtures("_long_moment")
@pytest.mark.parametrize(
    ("context", "signals"),
    [(contextlib.nullcontext, 1), (lambda: stop_within(0), 1), (lambda: stop_within(600), 2)],
)
def test_an_interrupt_within_a_callback_of_libsndfile_spoils_no_audio_and_comes_after_it(
    context: Context, signals: int
) -> None:
    assert interrupted_after(context, lambda: encode(InterruptedFile(signals))) == encode(io.BytesIO())
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.usefixtures("_long_moment")
@pytest.mark.parametrize("context", [contextlib.nullcontext, lambda: stop_within(0)])
def test_an_interrupt_as_an_object_is_deleted_comes_after_it(context: Context) -> None:
    def delete() -> str:
        gone = InterruptedAtItsEnd()
        del gone
        return "deleted"

    assert interrupted_after(context, delete) == "deleted"


def test_an_interrupt_that_has_to_wait_for_long_acts_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_LONGEST_WAIT", 0.2)
    seen: list[str] = []
    hanging = HangsAtItsEnd(seen)
    del hanging
    assert seen == ["interrupted"]


def test_a_command_whose_shell_ignores_ctrl_c_ignores_it() -> None:
    """As a shell has it for jobs in the background."""
    code = """
import signal
from pipeline import cli
cli.main = lambda: print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
from pipeline.__main__ import main
main()
"""
    for shell, ignored in (("trap '' INT; ", "True\n"), ("", "False\n")):
        command = ["sh", "-c", f'{shell}exec "$0" -c "$1"', sys.executable, code]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ignored


def test_beyond_the_main_thread_signals_are_left_alone() -> None:
    seen: list[object] = []

    def look() -> None:
        with stop_within(1) as stop, interrupts_noted() as noted, interrupts_after_import():
            seen.extend([stop.asked, noted, signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [False, [], interrupt]
