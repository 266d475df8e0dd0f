"""The loop that makes all shards: with an executor that follows a script, in this process, and on a local cluster."""

import contextlib
import dataclasses
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from pipeline.cluster import dispatch, here
from pipeline.cluster.dask_executor import dask_executor
from pipeline.cluster.dispatch import Abandoned, Dispatcher
from pipeline.cluster.executor import Ended, Executor, Hear
from pipeline.cluster.here import Here
from pipeline.cluster.hopeless import Prospects
from pipeline.cluster.lost_workers import DEATHS, UNSEEN_DEATHS
from pipeline.config import Job, JobConfig
from pipeline.errors import ClusterError, ContractError, HopelessRunError, StorageError
from pipeline.events import (
    Event,
    RunStopping,
    ShardAbandoned,
    ShardCommitted,
    ShardRetried,
    ShardStarted,
    Stages,
    UtterancesMade,
)
from pipeline.melspec import preset
from pipeline.planning.plan import ShardTask
from pipeline.planning.prepare import prepare
from pipeline.stores.base import Utterance, Utterances
from pipeline.worker import convert

Build = Callable[..., JobConfig]
Act = Callable[[ShardTask], str]
"""What becomes of a shard: made, died (once begun), unseen (died before), hangs, fails, waits."""

SHARD = 3  # utterances


def shard(number: int) -> ShardTask:
    utterances = (Utterance(i, f"u{number}-{i}", 40, "00" * 16, i) for i in range(SHARD))
    return ShardTask(number, "f" * 32, Utterances.of(utterances))


def a_job(**cluster: Any) -> Job:
    values = {
        "input": {"store": "mels.zarr"},
        "output": {"url": "audio"},
        "cluster": {"kind": "synchronous", **cluster},
    }
    return Job(JobConfig.build(values), preset("hifigan-22k"), "", "run", 1)


class Scripted:
    """An executor whose workers do with a shard what `act` says; each call of `finished` is a step of all trials."""

    def __init__(self, act: Act, window: int = 4) -> None:
        self.act, self.window, self.working = act, window, True
        self.flying: dict[int, ShardTask] = {}
        self.rehearsed: list[tuple[str, ...]] = []
        self.rehearsing: set[int] = set()
        self.begun: set[int] = set()
        self.most = 0
        self.restarted: list[str] = []
        self.cancelled: list[int] = []
        self.step: Callable[[], None] = lambda: None

    def make(self, trial: int, task: ShardTask) -> None:
        self.flying[trial] = task
        self.most = max(self.most, len(self.flying))

    def rehearse(self, trial: int, task: ShardTask) -> None:
        assert not self.flying, "nothing else may be in flight"
        self.rehearsed.append(tuple(each.key for each in task.utterances))
        self.rehearsing.add(trial)
        self.make(trial, task)

    def finished(self, hear: Hear) -> Iterator[Ended]:
        for trial, task in list(self.flying.items()):
            act = self.act(task)
            if trial not in self.begun and act not in ("unseen", "waits"):
                self.begun.add(trial)
                hear(trial, ShardStarted(task.number, f"worker-{trial}", "kind"))
            self.step()
            if trial not in self.flying or act in ("hangs", "waits"):
                continue
            if act == "fails":
                raise StorageError(f"shard {task.number} cannot be written")
            del self.flying[trial]
            lost = act in ("died", "unseen")
            keeps = not lost and trial not in self.rehearsing
            yield Ended(trial, committed(task) if keeps else None, lost)
        time.sleep(0.001)

    def cancel(self, trials: Collection[int]) -> None:
        self.cancelled += trials
        for trial in trials:
            self.flying.pop(trial, None)

    def restart(self, worker: str) -> None:
        self.restarted.append(worker)

    def check(self) -> None:
        pass


def committed(task: ShardTask) -> ShardCommitted:
    failed = len(task.condemned)
    copied = bool(task.copied_from)
    return ShardCommitted(task.number, task.name, len(task.utterances) - failed, failed, 1.0, 1, copied=copied)


def dispatched(
    executor: Executor, tasks: Iterable[ShardTask], job: Job | None = None, limit: int = 0
) -> tuple[list[Event], list[Abandoned]]:
    events: list[Event] = []
    abandoned = Dispatcher(executor, tasks, job or a_job(), Prospects(limit, events.append)).run()
    return events, abandoned


def of(kind: type[Event], events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_only_a_window_of_shards_is_in_flight_and_tasks_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[ShardTask]:
        for number in range(20):
            taken.append(number)
            yield shard(number)

    executor = Scripted(lambda task: "made")
    executor.step = lambda: ahead.append(len(taken))
    ahead: list[int] = []
    events, abandoned = dispatched(executor, tasks())
    assert executor.most == executor.window
    assert ahead[0] == executor.window
    assert [event.shard for event in of(ShardCommitted, events)] == list(range(20))
    assert abandoned == []


def test_a_shard_whose_worker_dies_is_tried_again() -> None:
    deaths = Counter({1: DEATHS - 1})

    def act(task: ShardTask) -> str:
        deaths[task.number] -= 1
        return "died" if deaths[task.number] >= 0 else "made"

    events, _ = dispatched(Scripted(act), map(shard, range(3)))
    assert {event.shard for event in of(ShardCommitted, events)} == {0, 1, 2}
    assert [event.reason for event in of(ShardRetried, events)] == ["its worker died; it is tried again"] * (DEATHS - 1)


@pytest.mark.parametrize("fate", ["died", "unseen", "hangs"])
def test_an_utterance_that_loses_its_workers_is_found_and_left_out(fate: str) -> None:
    def act(task: ShardTask) -> str:
        kills = any(each.key == "u1-2" and each.key not in task.condemned for each in task.utterances)
        return fate if kills else "made"

    executor = Scripted(act)
    events, abandoned = dispatched(executor, map(shard, range(3)), a_job(shard_timeout=0.02))
    assert abandoned == []
    assert {event.shard: event.failed for event in of(ShardCommitted, events)} == {0: 0, 1: 1, 2: 0}
    assert executor.rehearsed[0] == ()
    assert executor.rehearsed.count(("u1-2",)) == DEATHS
    assert of(ShardRetried, events)[-1].reason == "it is made without the utterances that workers are lost with: 'u1-2'"
    assert bool(executor.restarted) == (fate == "hangs")


def test_workers_that_die_before_any_utterance_end_the_run() -> None:
    starts: list[int] = []

    def act(task: ShardTask) -> str:
        starts.append(task.number)
        return "unseen"

    with pytest.raises(ClusterError, match=r"3 workers died before they came to the first utterance.*run again"):
        dispatched(Scripted(act), [shard(0)])
    assert len(starts) == UNSEEN_DEATHS + DEATHS


def test_a_shard_that_loses_workers_only_as_a_whole_is_given_up() -> None:
    executor = Scripted(lambda task: "made")
    executor.act = lambda task: "died" if len(executor.rehearsing.intersection(executor.flying)) == 0 else "made"
    events, (abandoned,) = dispatched(executor, [shard(5)])
    (told,) = of(ShardAbandoned, events)
    assert (told.shard, told.utterances, abandoned.task.number) == (5, SHARD, 5)
    assert "each of its utterances can be made alone" in abandoned.reason == told.reason


def test_a_worker_that_hangs_is_restarted_and_its_shard_is_tried_elsewhere() -> None:
    executor = Scripted(lambda task: "made")
    executor.act = lambda task: "hangs" if 0 in executor.flying and task.number == 0 else "made"
    events, _ = dispatched(executor, map(shard, range(3)), a_job(shard_timeout=0.05))
    assert executor.restarted == ["worker-0"]
    assert executor.cancelled == [0]
    assert [event.reason for event in of(ShardRetried, events)] == ["its worker hung for 0.05 s; it is tried again"]
    assert len(of(ShardCommitted, events)) == 3


def test_nothing_hangs_while_there_are_no_workers() -> None:
    executor = Scripted(lambda task: "hangs")
    end = time.monotonic() + 0.2
    executor.working = False

    def wait() -> None:
        if time.monotonic() > end:
            executor.act, executor.working = lambda task: "made", True

    executor.step = wait
    events, _ = dispatched(executor, [shard(0)], a_job(shard_timeout=0.02))
    assert executor.restarted == of(ShardRetried, events) == []


def test_a_run_in_which_nothing_moves_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_LEAST_TIMEOUT", 0.05)
    executor = Scripted(lambda task: "waits")
    with pytest.raises(ClusterError, match="no worker has begun, continued or finished a shard for 0 s"):
        dispatched(executor, [shard(0)], a_job(shard_timeout=0.02))
    assert executor.cancelled == [0]


def test_a_shard_that_takes_longer_than_workers_live_ends_the_run() -> None:
    executor = Scripted(lambda task: "hangs")
    executor.step = executor.begun.clear
    with pytest.raises(ClusterError, match=r"11 workers began with shard .* none finished.*cluster\.walltime"):
        dispatched(executor, [shard(0)])


def test_an_error_of_a_shard_ends_the_run_and_drops_what_is_in_flight() -> None:
    executor = Scripted(lambda task: "fails" if task.number == 1 else "hangs")
    with pytest.raises(StorageError, match="shard 1 cannot be written"):
        dispatched(executor, map(shard, range(9)))
    assert executor.cancelled == [0, 1, 2, 3]


def test_a_run_that_cannot_succeed_is_stopped_while_a_shard_is_being_made() -> None:
    class Failing(Scripted):
        def finished(self, hear: Hear) -> Iterator[Ended]:
            for failed in range(100):
                told.append(failed)
                hear(0, UtterancesMade(0, 0, failed, 0.0, ("BadMelError",), "a NaN"))
            yield Ended(0)

    told: list[int] = []
    with pytest.raises(HopelessRunError, match=r"the first 7 utterances .*\(BadMelError\).*The first one: a NaN"):
        dispatched(Failing(lambda task: ""), [shard(0)], limit=7)
    assert told[-1] == 7


def test_after_a_signal_what_has_begun_is_made_and_the_rest_is_dropped() -> None:
    executor = Scripted(lambda task: "hangs" if task.number < 2 else "waits")
    steps = iter(range(100))

    def step() -> None:
        if next(steps) == 5:
            signal.raise_signal(signal.SIGINT)
        if executor.cancelled:
            assert executor.cancelled == [2, 3]
            executor.act = lambda task: "made"

    executor.step = step
    events: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        Dispatcher(executor, map(shard, range(9)), a_job(grace=60), Prospects(0, events.append)).run()
    assert of(RunStopping, events) == [RunStopping(60)]
    assert {event.shard for event in of(ShardCommitted, events)} == {0, 1}
    assert not executor.flying


def test_what_is_not_made_within_the_grace_is_dropped() -> None:
    executor = Scripted(lambda task: "hangs")

    def step() -> None:
        executor.step = lambda: None
        signal.raise_signal(signal.SIGTERM)

    executor.step = step
    with pytest.raises(KeyboardInterrupt):
        dispatched(executor, map(shard, range(9)), a_job(grace=0.05))
    assert executor.cancelled == [0, 1, 2, 3]


# The same on real executors: this process, and a local cluster.

REAL = [{"cluster__kind": "synchronous"}, {"cluster__kind": "local", "cluster__workers": 1}]


@contextlib.contextmanager
def real_executor(job: Job, listener: Callable[[Event], None]) -> Iterator[Executor]:
    if job.config.cluster.kind == "synchronous":
        yield Here(job)
    else:
        with dask_executor(job, listener) as executor:
            yield executor


@pytest.fixture(params=REAL, ids=lambda settings: settings["cluster__kind"])
def planned(request: pytest.FixtureRequest, job: Build) -> tuple[Job, list[ShardTask]]:
    """A job of four shards in this process, and on a local cluster."""
    prepared = prepare(job(**request.param, output__shard_seconds=35, cluster__grace=600))
    return prepared.job, list(prepared.plan.tasks(prepared.catalogue))


def test_all_shards_are_made_and_told_in_one_thread(planned: tuple[Job, list[ShardTask]]) -> None:
    job, tasks = planned
    events: list[Event] = []
    threads: set[str] = set()

    def listen(event: Event) -> None:
        events.append(event)
        threads.add(threading.current_thread().name)

    with real_executor(job, listen) as executor:
        assert Dispatcher(executor, tasks, job, Prospects(0, listen)).run() == []
    assert threads == {threading.main_thread().name}
    started, made = of(ShardStarted, events), of(ShardCommitted, events)
    assert {event.shard for event in started} == {event.shard for event in made} == {task.number for task in tasks}
    assert all(event.processor for event in started)
    assert sum(event.made for event in made) == 24
    assert all(event.stages != Stages() for event in made)
    for task in tasks:
        order = [type(event) for event in events if getattr(event, "shard", None) == task.number]
        assert (order[0], order[-1]) == (ShardStarted, ShardCommitted)


def test_a_shards_own_error_is_raised_as_it_is(planned: tuple[Job, list[ShardTask]]) -> None:
    job, tasks = planned
    other = dataclasses.replace(job, vocoder_digest="f" * 32)
    with (
        real_executor(other, lambda event: None) as executor,
        pytest.raises(ContractError, match="but ffffffff where the run was planned"),
    ):
        Dispatcher(executor, tasks, other, Prospects(0, lambda event: None)).run()


def test_after_a_signal_the_shard_that_has_begun_is_committed(planned: tuple[Job, list[ShardTask]]) -> None:
    job, tasks = planned
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, ShardStarted) and len(of(ShardStarted, events)) == 1:
            signal.raise_signal(signal.SIGTERM)

    with real_executor(job, listen) as executor, pytest.raises(KeyboardInterrupt):
        Dispatcher(executor, tasks, job, Prospects(0, listen)).run()
    started = {event.shard for event in of(ShardStarted, events)}
    assert {event.shard for event in of(ShardCommitted, events)} == started
    assert len(started) < len(tasks)
    assert of(RunStopping, events) == [RunStopping(600)]


@pytest.mark.parametrize(("gap", "told"), [(0, list(range(1, 25))), (600, [1])])
def test_this_process_tells_now_and_then_how_far_it_is_and_of_a_signal_at_once(
    job: Build, monkeypatch: pytest.MonkeyPatch, gap: float, told: list[int]
) -> None:
    monkeypatch.setattr(here, "_GAP_SECONDS", gap)
    prepared = prepare(job(output__shard_seconds=600, cluster__grace=600))
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, UtterancesMade) and event.made == 1:
            signal.raise_signal(signal.SIGINT)

    tasks = prepared.plan.tasks(prepared.catalogue)
    dispatcher = Dispatcher(Here(prepared.job), tasks, prepared.job, Prospects(0, listen))
    with pytest.raises(KeyboardInterrupt):
        dispatcher.run()
    assert [event.made for event in of(UtterancesMade, events)] == told
    kinds = [type(event) for event in events]
    assert kinds.index(RunStopping) == kinds.index(UtterancesMade) + 1
    assert kinds[-1] is ShardCommitted


def test_this_process_tells_of_each_failure_at_once(job: Build, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "_GAP_SECONDS", 600)
    group: Any = zarr.open_group(store, mode="r+")
    bad = (5, 6, 20)
    for index in bad:
        group["mel"][int(group["offsets"][index])] = np.nan
    prepared = prepare(job(output__shard_seconds=600, input__check_values=False))
    events: list[Event] = []
    tasks = prepared.plan.tasks(prepared.catalogue)
    Dispatcher(Here(prepared.job), tasks, prepared.job, Prospects(0, events.append)).run()
    assert [(event.made, event.failed) for event in of(UtterancesMade, events)] == [(1, 0), (5, 1), (5, 2), (18, 3)]


def test_a_defect_in_this_process_is_raised_with_its_traceback(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise LookupError("nothing is there")

    monkeypatch.setattr(convert, "_convert_utterances", defect)
    prepared = prepare(job())
    with pytest.raises(LookupError, match="nothing is there") as caught:
        dispatched(Here(prepared.job), prepared.plan.tasks(prepared.catalogue), prepared.job)
    assert caught.traceback[-1].name == "defect"


def test_how_fast_audio_is_copied_says_nothing_of_when_a_worker_that_decodes_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatch, "_LEAST_TIMEOUT", 0.05)
    until = time.monotonic() + 0.5
    executor = Scripted(lambda task: "made" if task.copied_from or time.monotonic() > until else "hangs")
    tasks = [dataclasses.replace(shard(0), copied_from="000000-ffffffff"), shard(1)]
    events, _ = dispatched(executor, tasks)
    assert executor.restarted == []
    assert [event.shard for event in of(ShardCommitted, events)] == [0, 1]


def test_failures_and_utterances_that_are_copied_say_nothing_of_the_prospects() -> None:
    """Twenty that were quarantined before do not stop a run, and one that was copied does not vouch for the decoder."""
    heard: list[Event] = []
    prospects = Prospects(2, heard.append)
    prospects(ShardCommitted(0, "a", 0, 20, 0.0, 0, ("E",), "why", copied=True))
    prospects.check()
    prospects(UtterancesMade(1, 5, 0, 1.0, copied=True))
    prospects(ShardCommitted(2, "b", 0, 2, 0.0, 0, ("E",), "why"))
    with pytest.raises(HopelessRunError):
        prospects.check()
    assert len(heard) == 3
