import time

import pytest

from pipeline.events import RunStarted, ShardAbandoned, ShardCommitted, ShardRetried, UtterancesMade
from pipeline.events.tally import Amount, Tally


def test_what_is_in_flight_becomes_done_and_what_is_lost_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally()
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    assert tally.left is None
    tally.add(RunStarted("run", "out", shards=3, utterances=30, seconds=300.0, workers=2))
    tally.add(UtterancesMade(0, made=4, failed=1, seconds=40.0))
    tally.add(UtterancesMade(1, made=2, failed=0, seconds=20.0))
    assert (tally.done, tally.in_flight, tally.failed) == (Amount(), Amount(2, 6, 60.0), 1)
    tally.add(ShardRetried(1, "its worker died"))
    assert (tally.in_flight, tally.made, tally.made_seconds) == (Amount(1, 4, 40.0), 4, 40.0)
    tally.add(ShardCommitted(0, "000000-0", made=8, failed=2, seconds=80.0, bytes=1))
    tally.add(UtterancesMade(1, made=1, failed=0, seconds=10.0))
    tally.add(ShardAbandoned(2, utterances=10, reason="workers died"))
    assert (tally.done, tally.in_flight, tally.failed) == (Amount(1, 8, 80.0), Amount(1, 1, 10.0), 12)
    monkeypatch.setattr(time, "monotonic", lambda: 1030.0)
    assert (tally.made_seconds, tally.speed, tally.left) == (90.0, 3.0, 70.0)


def test_audio_that_is_copied_says_nothing_of_how_fast_audio_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally()
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    tally.add(RunStarted("run", "out", shards=3, utterances=30, seconds=100.0, workers=2))  # seconds to be made
    tally.add(ShardCommitted(0, "000000-0", made=10, failed=0, seconds=900.0, bytes=1, copied=True))
    tally.add(UtterancesMade(1, made=5, failed=0, seconds=400.0, copied=True))
    tally.add(UtterancesMade(2, made=5, failed=0, seconds=50.0))
    monkeypatch.setattr(time, "monotonic", lambda: 1010.0)
    assert (tally.made, tally.made_seconds, tally.speed, tally.left) == (20, 50.0, 5.0, 10.0)
