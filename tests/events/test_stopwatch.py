import time
from collections.abc import Iterator

import pytest

from pipeline.events import Stages
from pipeline.events.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds, to be set by a test."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_stage_within_another_stops_its_time_and_what_is_between_is_no_ones(clock: list[float]) -> None:
    watch = Stopwatch()

    def mels() -> Iterator[int]:
        for piece in range(3):
            with watch.during("read"):
                clock[0] += 10
            clock[0] += 1
            yield piece

    for piece in watch.timed("decode", mels()):
        clock[0] += 100
        with watch.during("encode"):
            clock[0] += piece
    assert watch.stages() == Stages(read=30.0, decode=3.0, encode=3.0)


def test_an_error_ends_its_stage(clock: list[float]) -> None:
    watch = Stopwatch()

    def fails() -> None:
        with watch.during("encode"), watch.during("read"):
            clock[0] += 1
            raise ValueError("no mel")

    with pytest.raises(ValueError, match="no mel"):
        fails()
    clock[0] += 5
    assert watch.stages() == Stages(read=1.0)
    assert watch.stages() + watch.stages() == Stages(read=2.0)


def test_the_stage_that_is_under_way_counts_once(clock: list[float]) -> None:
    """As that of the commit, while its own record is written."""
    watch = Stopwatch()
    with watch.during("commit"):
        clock[0] += 2
        assert watch.stages() == watch.stages() == Stages(commit=2.0)
        clock[0] += 1
    assert watch.stages() == Stages(commit=3.0)
