"""Utterances that kill the worker that makes them, or make it hang, in real worker processes."""

import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import cloudpickle
import distributed
import pytest
from distributed.scheduler import KilledWorker
from support.corpora import assert_whole, objects, rows
from support.faults.invariant import Reference, assert_invariant
from support.faults.places import located
from support.faults.scale import trials

from pipeline.cluster import dask_executor, dispatch
from pipeline.cluster import lost_workers as suspects
from pipeline.config import Job, JobConfig
from pipeline.errors import ClusterError
from pipeline.events import Event, ShardCommitted, ShardRetried
from pipeline.jobs.run import run
from pipeline.planning.plan import ShardTask

Build = Callable[..., JobConfig]
LOCAL = {"cluster__kind": "local", "cluster__workers": 2, "quality__max_failure_rate": 0.9}


@pytest.fixture(autouse=True)
def _sabotage_travels() -> Iterator[None]:
    """This module's functions go to workers as code, which could not import it."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def sabotaged(name: str, victims: dict[str, str], task: ShardTask, job: Job, trial: int) -> Any:
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
    return getattr(on_worker, name)(task, job, trial)


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
    assert run(config).run_id == ""  # it is accounted for, until
    assert run(config, retry=True).totals.failed == 0
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
    config = small_job(**LOCAL, output__shard_seconds=600)
    with monkeypatch.context() as patch:
        patch.setattr(suspects, "UNSEEN_DEATHS", trials(10, 3))
        spoil(patch, {"": "abort"})
        with pytest.raises(ClusterError, match=r"before they came to the first utterance.*run again to resume"):
            run(config)
    run(config)
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


def test_a_worker_that_is_lost_with_its_result_is_a_lost_worker_like_any_other(
    small_job: Build, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shard was done, its answer not fetched yet, and whoever made it again was lost too."""
    config = small_job(**LOCAL)
    real, lost = distributed.Future.result, []

    def gone(future: distributed.Future, *rest: Any) -> Any:
        if not lost:
            lost.append(future.key)
            raise KilledWorker(future.key, None, 0)
        return real(future, *rest)

    monkeypatch.setattr(distributed.Future, "result", gone)
    events: list[Event] = []
    run(config, events.append)
    assert_invariant(located(config.output.url), reference)
    assert [event.reason for event in events if isinstance(event, ShardRetried)] == [
        "its worker died; it is tried again"
    ]
    assert len(lost) == 1


def mute(task: ShardTask, job: Job, trial: int) -> Any:
    from pipeline.cluster import on_worker
    from pipeline.worker import convert

    marker = located(f"{job.config.output.url}.{task.name}")
    if marker.exists():
        with mock.patch.object(convert, "_convert_utterances", None):  # to be called would be a TypeError
            return on_worker.make_on_worker(task, job, trial)
    on_worker.make_on_worker(task, job, trial)
    marker.touch()
    os.abort()
