"""Utterances that kill the worker that makes them, or make it hang, in real worker processes."""

import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import cloudpickle
import pytest
from support.corpora import assert_whole, objects, rows
from support.faults.invariant import Reference, assert_invariant
from support.faults.places import located
from support.faults.scale import trials

from pipeline.cluster import dask_executor, dispatch
from pipeline.cluster import lost_workers as suspects
from pipeline.config import JobConfig
from pipeline.errors import ClusterError
from pipeline.events import Event, ShardCommitted, ShardRetried
from pipeline.jobs.run import run

Build = Callable[..., JobConfig]
LOCAL = {"cluster__kind": "local", "cluster__workers": 2, "quality__max_failure_rate": 0.9}


@pytest.fixture(autouse=True)
def _sabotage_travels() -> Iterator[None]:
    """This module's functions go to workers as code, which could not import it."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def sabotaged(name: str, victims: dict[str, str], sealed: bytes, run_id: str) -> None:
    """What runs on a worker, there where the vocoder aborts, or never ends, on some utterances."""
    from pipeline.cluster import on_worker
    from pipeline.worker import convert

    real = getattr(convert, "_unspoilt", convert.convert_utterance)
    convert._unspoilt = real

    def convert_utterance(mel: Any, *rest: Any) -> Any:
        match victims.get(mel.utterance.key):
            case "abort":
                os.abort()
            case "hang":
                time.sleep(3600)
        return real(mel, *rest)

    convert.convert_utterance = convert_utterance
    if "" in victims:
        os.abort()
    getattr(on_worker, name)(sealed, run_id)


def spoil(monkeypatch: pytest.MonkeyPatch, victims: dict[str, str]) -> None:
    for name in ("make_on_worker", "rehearse_on_worker"):
        spoilt = functools.partial(sabotaged, name, victims)
        spoilt.__name__ = name  # type: ignore[attr-defined]  # Dask wants one
        monkeypatch.setattr(dask_executor, name, spoilt)


@pytest.mark.parametrize("guilty", [[5], [0, 5], [3, 4, 11]][: trials(3, 1)])
def test_an_utterance_that_aborts_its_workers_is_found_and_quarantined_alone(
    small_job: Build, reference: Reference, monkeypatch: pytest.MonkeyPatch, guilty: list[int]
) -> None:
    config = small_job(**LOCAL)
    out = located(config.output.url)
    keys = [list(reference.digests)[index] for index in guilty]
    events: list[Event] = []
    with monkeypatch.context() as patch:
        spoil(patch, dict.fromkeys(keys, "abort"))
        assert run(config, events.append).totals.failed == len(keys)
    assert_invariant(out, reference, failed=frozenset(keys))
    for row in rows(out, "failures.jsonl"):
        assert row["error"] == "WorkerLostError"
        assert "every worker that made it died" in row["reason"]
    assert any(isinstance(event, ShardRetried) and repr(keys[0]) in event.reason for event in events)
    here = small_job(quality__max_failure_rate=0.9)
    assert run(here).run_id == ""  # it is accounted for, until
    assert run(here, retry=True).totals.failed == 0
    assert_invariant(out, reference)


def test_an_utterance_that_hangs_is_tried_elsewhere_and_then_quarantined(
    small_job: Build, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_job(**LOCAL, cluster__shard_timeout=2, output__shard_seconds=0.1)
    out = located(config.output.url)
    key = list(reference.digests)[7]
    with monkeypatch.context() as patch:
        for module in (dispatch, suspects):  # each costs six seconds
            patch.setattr(module, "DEATHS", trials(3, 1))
        spoil(patch, {key: "hang"})
        assert run(config).totals.failed == 1
    assert_invariant(out, reference, failed=frozenset({key}))
    assert "every worker that made it hung for 2 s" in rows(out, "failures.jsonl")[0]["reason"]


def test_workers_that_die_before_the_first_utterance_end_the_run(
    small_job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_job(**{**LOCAL, "cluster__workers": 1}, output__shard_seconds=600)
    with monkeypatch.context() as patch:
        patch.setattr(suspects, "UNSEEN_DEATHS", trials(10, 3))
        spoil(patch, {"": "abort"})
        with pytest.raises(ClusterError, match=r"before they came to the first utterance.*run again to resume"):
            run(config)
    run(small_job(output__shard_seconds=600))
    assert_whole(located(config.output.url), 12)


def test_a_worker_that_died_after_its_commit_does_not_make_the_shard_again(
    small_job: Build, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed between the commit and its answer: the next one finds the commit."""
    config = small_job(**LOCAL)
    monkeypatch.setattr(dask_executor, "make_on_worker", mute)
    events: list[Event] = []
    run(config, events.append)
    out = located(config.output.url)
    assert_invariant(out, reference)
    assert sum(isinstance(event, ShardCommitted) for event in events) == len(objects(out)) > 3


def test_a_shard_whose_worker_is_lost_right_after_its_answer_is_made(
    small_job: Build, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask does not know yet that the task is done, and takes it for lost."""
    config = small_job(**{**LOCAL, "cluster__workers": 1})
    monkeypatch.setattr(dask_executor, "make_on_worker", outspoken)
    events: list[Event] = []
    run(config, events.append)
    assert_invariant(located(config.output.url), reference)
    assert [event for event in events if isinstance(event, ShardRetried)] == []


def outspoken(sealed: bytes, run_id: str) -> None:
    from pipeline.cluster import on_worker

    on_worker.make_on_worker(sealed, run_id)
    trial = on_worker.Trial.opened(sealed)
    marker = located(f"{on_worker._at_work(run_id)[1].config.output.url}.died")
    if trial.task.number == 1 and not marker.exists():
        marker.touch()
        time.sleep(0.3)
        os.abort()


def mute(sealed: bytes, run_id: str) -> None:
    from pipeline.cluster import on_worker
    from pipeline.worker import convert

    trial = on_worker.Trial.opened(sealed)
    marker = located(f"{on_worker._at_work(run_id)[1].config.output.url}.{trial.task.name}")
    if marker.exists():
        with mock.patch.object(convert, "_convert_utterances", None):  # to be called would be a TypeError
            on_worker.make_on_worker(sealed, run_id)
        return
    say = on_worker._say

    def without_the_end(worker: Any, run: str, message: dict[str, Any]) -> None:
        if "committed" not in message:
            say(worker, run, message)

    with mock.patch.object(on_worker, "_say", without_the_end):
        on_worker.make_on_worker(sealed, run_id)
    marker.touch()
    os.abort()
