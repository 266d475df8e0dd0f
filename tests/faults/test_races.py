"""Two attempts at one shard, and two runs on one output, at the same time."""

import itertools
import random
import re
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from support.corpora import digests
from support.faults.children import CONTEXT, Ending, ahead, compete, run_killed
from support.faults.injection import CALLS, CHANGES, Injection, Operation
from support.faults.invariant import Reference, assert_invariant
from support.faults.places import HELD, ON_S3, Place, located, lock_of_the_dead, rmtree
from support.faults.scale import seeded, trials

from pipeline.config import Job, JobConfig
from pipeline.jobs.run import run
from pipeline.jobs.steps import describe_job
from pipeline.output.commit_format import Commit
from pipeline.output.layout import COMMITS
from pipeline.output.records import ShardRecord
from pipeline.planning.plan import ShardTask
from pipeline.planning.prepare import prepare
from pipeline.worker.convert import convert_shard

Build = Callable[..., JobConfig]
FORMS = [("tar", "flac", "PCM_16"), ("files", "flac", "PCM_16"), ("tar", "wav", "FLOAT"), ("files", "wav", "FLOAT")]
MEETINGS = 3
"""Points at which two attempts wait for each other, to go on together."""
PATIENCE = 60.0
MET = CALLS if ON_S3 else CHANGES
"""Operations at which they may. In an object store an attempt has no more changes than an object and its commit."""


class Meetings:
    """A hook that makes two threads meet before operations that are drawn by chance for each."""

    def __init__(self, rng: random.Random, operations: int) -> None:
        self._barrier = threading.Barrier(2)
        self._drawn = [sorted(rng.sample(range(1, operations + 1), MEETINGS)) for _ in range(2)]
        self._own = threading.local()
        self._numbers = itertools.count()
        self.met = 0

    def enter(self) -> None:
        """To be called by each of the two before it begins."""
        self._own.count = 0
        self._own.at = self._drawn[next(self._numbers)]
        self._barrier.wait(PATIENCE)

    def leave(self) -> None:
        """To be called by each in the end: the other need not wait any more."""
        self._barrier.abort()

    def __call__(self, operation: Operation) -> None:
        self._own.count += 1
        if self._own.count in self._own.at:
            try:
                self._barrier.wait(PATIENCE)
                self.met += 1
            except threading.BrokenBarrierError:
                pass  # the other one has ended


def first_task(config: JobConfig) -> tuple[ShardTask, Job]:
    prepared = prepare(config)
    prepared.ledger.write_job(describe_job(prepared))
    return next(prepared.plan.tasks(prepared.catalogue)), prepared.job


def attempted(task: ShardTask, job: Job, meetings: Meetings) -> ShardRecord:
    meetings.enter()
    try:
        return convert_shard(task, job)
    finally:
        meetings.leave()


def test_of_two_attempts_at_one_shard_one_counts_and_the_other_leaves_nothing(few_job: Build, fast_path: Place) -> None:
    def build(place: str, form: tuple[str, str, str]) -> JobConfig:
        names = ("output__container", "output__codec", "output__subtype")
        return few_job(output__url=str(fast_path / place), **dict(zip(names, form, strict=True)))

    references, operations = {}, {}
    for number, form in enumerate(FORMS):
        config = build(f"alone-{number}", form)
        task, job = first_task(config)
        with Injection(located(config.output.url), kinds=MET) as seen:
            convert_shard(task, job)
        operations[form] = seen.count
        run(config)
        references[form] = Reference(digests(located(config.output.url)))
    met = 0
    for form, rng in zip(itertools.cycle(FORMS), seeded(trials(50, 8), "two attempts"), strict=False):
        config = build("both", form)
        out = located(config.output.url)
        task, job = first_task(config)
        meetings = Meetings(rng, operations[form])
        with Injection(out, before=meetings, kinds=MET), ThreadPoolExecutor(2) as pool:
            both = [pool.submit(attempted, task, job, meetings) for _ in range(2)]
            first, second = (each.result() for each in both)
        met += meetings.met
        assert first == second
        assert Commit((out / COMMITS / f"{task.name}.json").read_bytes()).record == first
        run(config)
        assert_invariant(out, references[form])
        rmtree(out)
    assert met >= trials(50, 8)  # each of the two is counted


def test_of_two_runs_on_one_output_one_wins_and_the_other_says_who_or_finds_nothing_to_do(
    few_job: Build, few_reference: Reference, fast_path: Place
) -> None:
    config = few_job(output__url=str(fast_path / "audio"))
    out = located(config.output.url)
    told = set()
    for rng in seeded(trials(50, 6), "two runs"):
        start, endings = CONTEXT.Barrier(2), CONTEXT.SimpleQueue()
        waits = [0.0, rng.choice([0.0, 0.02, 0.05, 0.1, 0.5])]
        runs = [CONTEXT.Process(target=compete, args=(config, start, wait, endings)) for wait in waits]
        for each in runs:
            each.start()
        one, other = endings.get(), endings.get()
        for each in runs:
            each.join()
        told.add(judged(*((one, other) if one.run_id else (other, one))))
        assert_invariant(out, few_reference)
        rmtree(out)
    print(told)


def judged(winner: Ending, other: Ending) -> str:
    """What came of the run that did not win."""
    assert (winner.code, bool(winner.run_id)) == (0, True)
    if other.code == 0:
        assert other.run_id == ""
        return "nothing to do"
    assert other.code == 5
    host = re.escape(socket.gethostname())
    held = rf"run {winner.run_id} on {host}, process {winner.process}, (for \d+:\d\d:\d\d|just now)\. Wait"
    assert re.search(held, other.words), other.words
    return "owned"


def test_the_lock_of_a_killed_run_neither_blocks_nor_speaks_for_the_next(
    few_job: Build, few_reference: Reference, fast_path: Place
) -> None:
    """Killed while it holds the lock: two runs compete for what it left."""
    config = few_job(output__url=str(fast_path / "place" / "audio"))
    out = located(config.output.url)
    for rng in seeded(trials(10, 2), "a dead run's lock"):
        out.parent.mkdir()
        points = [rng.choice(HELD)]
        ((_, code),) = ahead(run_killed, points, lambda number: (config, out.parent, number, False))
        assert code == -signal.SIGKILL
        dead = lock_of_the_dead(out).split()[1]
        start, endings = CONTEXT.Barrier(2), CONTEXT.SimpleQueue()
        runs = [CONTEXT.Process(target=compete, args=(config, start, wait, endings)) for wait in (0.0, 0.05)]
        for each in runs:
            each.start()
        one, other = endings.get(), endings.get()
        for each in runs:
            each.join()
        assert dead not in (one.words + other.words)
        judged(*((one, other) if one.run_id else (other, one)))
        assert_invariant(out, few_reference)
        rmtree(out.parent)
