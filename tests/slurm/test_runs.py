"""Whole runs on a real SLURM, and what happens to jobs there: each comes to its end without a hand.

What is to happen in the middle of a run happens while the run waits for it, in its listener: however fast the machine
is, the run is not over before.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import distributed
import pytest
from support import slurm_busy
from support.faults.invariant import Reference, assert_invariant
from support.faults.processes import events_in
from support.paths import TESTS
from support.slurm_daemons import CORPUS, LONG, NODES, PATIENCE, Process, Settings, Slurm, Start, until

from pipeline.cluster import dask_executor, liveness
from pipeline.cluster import slurm as module
from pipeline.config import load_job
from pipeline.errors import ClusterError
from pipeline.events import Event, Listener, ShardCommitted, ShardStarted, WorkersAwaited
from pipeline.jobs.run import run
from pipeline.output.layout import COMMITS


def commits(folder: Path) -> int:
    return len(list((folder / "audio" / COMMITS).glob("*")))


def at_commit(count: int, act: Callable[[], None], events: list[Event]) -> Listener:
    """Keeps all events. After so many commits it acts, and the run waits: only what is in flight goes on meanwhile."""

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, ShardCommitted) and sum(isinstance(each, ShardCommitted) for each in events) == count:
            act()

    return listen


def two_running(slurm: Slurm) -> list[str]:
    until(lambda: len(slurm.jobs("RUNNING")) == 2, "two jobs that run")
    return slurm.jobs("RUNNING")


def assert_finished(process: Process, folder: Path, reference: Reference) -> None:
    assert process.wait(LONG) == 0, (folder / "log").read_text()[-3000:]
    assert_invariant(folder / "audio", reference)


def test_a_job_runs_to_its_end_with_keys_that_nobody_else_reads(
    slurm: Slurm, settings: Settings, prompts_reference: Reference, tmp_path: Path
) -> None:
    events: list[Event] = []

    def look() -> None:
        (keys,) = (tmp_path / "shared").glob("keys-*")
        assert stat.S_IMODE(keys.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}
        assert len(slurm.jobs()) == 1
        until(lambda: len(distributed.default_client().nthreads()) == 2, "the other worker")

    run(load_job(CORPUS, settings(cores=2, jobs=1)), at_commit(1, look, events))
    assert_invariant(tmp_path / "audio", prompts_reference)
    workers = {event.worker for event in events if isinstance(event, ShardStarted)}
    assert all(worker.startswith("tls://") for worker in workers)
    assert len(workers) == 2
    assert not list((tmp_path / "shared").glob("keys-*"))
    until(lambda: not slurm.jobs(), "the end of the jobs")


def test_workers_that_are_killed_are_replaced(
    slurm: Slurm, settings: Settings, prompts_reference: Reference, tmp_path: Path
) -> None:
    earlier, first = slurm.jobs("ALL"), []

    def kill() -> None:
        first.extend(two_running(slurm))
        slurm("scancel", "--signal=KILL", *first)
        until(lambda: not slurm.jobs(), "the end of the killed")

    run(load_job(CORPUS, settings()), at_commit(2, kill, []))
    assert_invariant(tmp_path / "audio", prompts_reference)
    assert len(set(slurm.jobs("ALL")) - {*earlier, *first}) == 2


def test_a_walltime_of_a_minute_is_no_end_of_a_longer_run(
    slurm: Slurm,
    settings: Settings,
    prompts_reference: Reference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dask_executor, "make_on_worker", slurm_busy.make_shard_slowly)
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
    events: list[Event] = []
    run(load_job(CORPUS, settings(jobs=1, walltime="00:01:00")), events.append)
    assert_invariant(tmp_path / "audio", prompts_reference)
    shards = sum(isinstance(event, ShardCommitted) for event in events)
    assert shards * slurm_busy.SECONDS > 52.5  # for which a worker lives at most
    assert len({event.worker for event in events if isinstance(event, ShardStarted)}) > 1
    logs = [log.read_text() for log in (tmp_path / "shared" / "logs").glob("*.err")]
    assert any("worker-lifetime-reached" in log for log in logs)  # by themselves, not by SLURM


def test_jobs_that_a_higher_partition_preempts_are_started_again(
    slurm: Slurm,
    settings: Settings,
    prompts_reference: Reference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The urgent job lasts until the run has seen its own wait in the queue, and leaves them there."""
    monkeypatch.setattr(module, "_LOOK_SECONDS", 1.0)
    monkeypatch.setattr(liveness, "_SAY_SECONDS", 1.0)
    earlier, ours, urgent, seen = slurm.jobs("ALL"), [], [], []

    def preempt() -> None:
        ours.extend(two_running(slurm))
        alone = ["--parsable", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null"]
        urgent.append(slurm("sbatch", *alone, "--wrap=sleep 600"))
        until(lambda: all(slurm.restarts(job) for job in ours), "preemption")

    preempted = at_commit(2, preempt, [])

    def listen(event: Event) -> None:
        preempted(event)
        if isinstance(event, WorkersAwaited) and "PENDING" in event.reason and urgent and not seen:
            seen.append(event.reason)
            slurm("scancel", *urgent)

    try:
        run(load_job(CORPUS, settings(partition="work")), listen)
    finally:
        slurm("scancel", "--partition=urgent")
    assert_invariant(tmp_path / "audio", prompts_reference)
    assert "of 2 jobs in SLURM, " in seen[0]
    assert set(slurm.jobs("ALL")) - set(earlier) == {*ours, *urgent}  # no others were sent in their place


def test_a_run_goes_on_beside_a_drained_node(
    slurm: Slurm, settings: Settings, prompts_reference: Reference, tmp_path: Path
) -> None:
    """What ran on it is killed, and what replaces that finds its place elsewhere."""
    earlier, there, drained = slurm.jobs("ALL"), [], []

    def drain() -> None:
        ours = two_running(slurm)
        earlier.extend(ours)
        drained.append(slurm.node(ours[0]))
        slurm("scontrol", "update", f"NodeName={drained[0]}", "State=DRAIN", "Reason=test")
        there.extend(job for job in ours if slurm.node(job) == drained[0])
        slurm("scancel", "--signal=KILL", *there)
        until(lambda: not set(there) & set(slurm.jobs()), "the end of the killed")

    try:
        run(load_job(CORPUS, settings()), at_commit(2, drain, []))
    finally:
        for node in drained:
            slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")
    assert_invariant(tmp_path / "audio", prompts_reference)
    new = set(slurm.jobs("ALL")) - set(earlier)
    assert len(new) == len(there)
    assert not set(drained) & {slurm.node(job) for job in new}


def test_a_queue_that_gives_nothing_says_so_and_is_given_up_in_the_end(
    slurm: Slurm, settings: Settings, prompts_reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "_SAY_SECONDS", 1.0)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 1.0)
    config = load_job(CORPUS, settings(jobs=1, patience=12, insecure=True))
    events: list[Event] = []
    for node in NODES:
        slurm("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    try:
        with pytest.raises(ClusterError, match=r"no worker for more than 12 s \(cluster\.patience\): of 1 job") as end:
            run(config, events.append)
        assert end.value.exit_code == 6
        awaited = [event.reason for event in events if isinstance(event, WorkersAwaited)]
        assert len(awaited) > 3
        assert "of 1 jobs in SLURM, 1 is PENDING (" in awaited[-1]
        until(lambda: not slurm.jobs(), "the end of the jobs")
    finally:
        for node in NODES:
            slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")
    run(load_job(CORPUS, settings(jobs=1, insecure=True)), events.append)  # whose jobs may take longer to start
    assert_invariant(tmp_path / "audio", prompts_reference)
    assert all(event.worker.startswith("tcp://") for event in events if isinstance(event, ShardStarted))
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["logs"]


KILLED = """
import os, signal, sys
from pipeline.config import JobConfig
from pipeline.events import ShardCommitted
from pipeline.jobs.run import run

committed = 0

def listen(event):
    global committed
    committed += isinstance(event, ShardCommitted)
    if committed == 2:
        os.kill(os.getpid(), signal.SIGKILL)

run(JobConfig.model_validate_json(sys.argv[1]), listen)
"""


def test_jobs_whose_run_was_killed_end_by_themselves_and_it_is_resumed(
    slurm: Slurm, settings: Settings, start: Start, prompts_reference: Reference, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED, load_job(CORPUS, settings(timeout=10)).model_dump_json()]
    assert subprocess.run(command, cwd=tmp_path, timeout=PATIENCE, check=False).returncode == -signal.SIGKILL
    until(lambda: not slurm.jobs(), "the end of the jobs")
    before = commits(tmp_path)
    with start() as process:
        assert_finished(process, tmp_path, prompts_reference)
    (started,) = events_in(tmp_path / "log", "RunStarted")
    assert 0 < started["shards"] == commits(tmp_path) - before


def test_jobs_that_sbatch_refuses_or_that_end_before_they_work_are_not_sent_off_for_ever(
    slurm: Slurm, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ClusterError, match=r"sbatch refuses the workers' jobs: .*invalid partition"):
        run(load_job(CORPUS, settings(partition="nowhere")))
    monkeypatch.setattr(module, "_FRUITLESS", 2)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 2.0)
    hopeless = settings(jobs=1, directives=["--output=/nowhere/log"])
    with pytest.raises(ClusterError, match=rf"3 SLURM jobs in a row .* is in {tmp_path}/shared/logs"):
        run(load_job(CORPUS, hopeless))
    until(lambda: not slurm.jobs(), "the end of the jobs")


def test_a_site_that_takes_fewer_jobs_than_are_wanted_is_lived_with(
    slurm: Slurm,
    settings: Settings,
    prompts_reference: Reference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its sbatch takes one job, as by a limit for each user, and refuses the others, again and again."""
    (tmp_path / "site").mkdir()
    sbatch = tmp_path / "site" / "sbatch"
    refusal = "echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; exit 1"
    sbatch.write_text(f'#!/bin/sh\nmkdir {tmp_path}/one && exec {shutil.which("sbatch")} "$@"\n{refusal}\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "_FRUITLESS", 2)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 1.0)
    run(load_job(CORPUS, settings(jobs=2)))
    assert_invariant(tmp_path / "audio", prompts_reference)
