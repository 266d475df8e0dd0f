"""Whole runs on a real SLURM, and what happens to jobs there: each comes to its end without a hand."""

import os
import shutil
import signal
import stat
from pathlib import Path

import pytest
from support.corpora import lasting_store
from support.faults.invariant import Reference, assert_invariant
from support.faults.processes import events_in
from support.slurm_daemons import CORPUS, LONG, NODES, Process, Settings, Slurm, Start, until

from pipeline.cluster import liveness
from pipeline.cluster import slurm as module
from pipeline.config import load_job
from pipeline.errors import ClusterError
from pipeline.events import Event, ShardStarted, WorkersAwaited
from pipeline.jobs.run import run
from pipeline.output.layout import COMMITS


def commits(folder: Path) -> int:
    return len(list((folder / "audio" / COMMITS).glob("*")))


def committed(folder: Path, count: int) -> None:
    until(lambda: commits(folder) >= count, f"commit {count}")


def assert_finished(process: Process, folder: Path, reference: Reference) -> None:
    assert process.wait(LONG) == 0, (folder / "log").read_text()[-3000:]
    assert_invariant(folder / "audio", reference)


def workers_used(folder: Path) -> set[str]:
    return {event["worker"] for event in events_in(folder / "log", "ShardStarted")}


def test_a_job_runs_to_its_end_with_keys_that_nobody_else_reads(
    slurm: Slurm, start: Start, prompts_reference: Reference, tmp_path: Path
) -> None:
    with start(cores=2, jobs=1) as process:
        committed(tmp_path, 1)
        (keys,) = (tmp_path / "shared").glob("keys-*")
        assert stat.S_IMODE(keys.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}
        assert len(slurm.jobs()) == 1
        assert_finished(process, tmp_path, prompts_reference)
    assert all(worker.startswith("tls://") for worker in workers_used(tmp_path))
    assert len(workers_used(tmp_path)) == 2
    assert not list((tmp_path / "shared").glob("keys-*"))
    until(lambda: not slurm.jobs(), "the end of the jobs")


def test_workers_that_are_killed_are_replaced(
    slurm: Slurm, start: Start, prompts_reference: Reference, tmp_path: Path
) -> None:
    with start() as process:
        committed(tmp_path, 2)
        first = slurm.jobs()
        slurm("scancel", "--signal=KILL", *first)
        until(lambda: len(set(slurm.jobs("RUNNING")) - set(first)) == 2, "two new jobs")
        assert_finished(process, tmp_path, prompts_reference)


def test_a_walltime_of_a_minute_is_no_end_of_a_job_of_two(
    slurm: Slurm, start: Start, packed: Path, tmp_path: Path
) -> None:
    store, count = lasting_store(packed, tmp_path, seconds=75)
    with start(jobs=1, walltime="00:01:00", store=store) as process:
        assert process.wait(LONG) == 0, (tmp_path / "log").read_text()[-3000:]
    assert len(workers_used(tmp_path)) > 1
    (finished,) = events_in(tmp_path / "log", "RunFinished")
    assert (finished["utterances"], finished["failed"]) == (count, 0)
    logs = [log.read_text() for log in (tmp_path / "shared" / "logs").glob("*.err")]
    assert any("worker-lifetime-reached" in log for log in logs)  # by themselves, not by SLURM


def test_jobs_that_a_higher_partition_preempts_are_started_again(
    slurm: Slurm, start: Start, prompts_reference: Reference, tmp_path: Path
) -> None:
    with start(partition="work") as process:
        committed(tmp_path, 2)
        ours = slurm.jobs("RUNNING")
        urgent = ["--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null"]
        slurm("sbatch", *urgent, "--wrap=sleep 5")
        until(lambda: not set(ours) & set(slurm.jobs("RUNNING")), "preemption")
        assert set(ours) <= set(slurm.jobs())  # in the queue, to be started again
        assert_finished(process, tmp_path, prompts_reference)


def test_a_run_goes_on_beside_a_drained_node(
    slurm: Slurm, start: Start, prompts_reference: Reference, tmp_path: Path
) -> None:
    """What ran on it is killed, and what replaces that finds its place elsewhere."""
    with start() as process:
        committed(tmp_path, 2)
        ours = slurm.jobs()
        node = slurm("squeue", "--noheader", f"--jobs={ours[0]}", "--format=%N")
        slurm("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
        try:
            there = slurm("squeue", "--noheader", f"--nodelist={node}", "--format=%A").split()
            slurm("scancel", "--signal=KILL", *there)
            assert_finished(process, tmp_path, prompts_reference)
            assert not slurm("squeue", "--noheader", f"--nodelist={node}", "--format=%A %T", "--states=RUNNING")
        finally:
            slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")


def test_a_queue_that_gives_nothing_says_so_and_is_given_up_in_the_end(
    slurm: Slurm, settings: Settings, prompts_reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "_SAY_SECONDS", 2.0)
    config = load_job(CORPUS, settings(jobs=1, patience=18, insecure=True))
    events: list[Event] = []
    for node in NODES:
        slurm("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    try:
        with pytest.raises(ClusterError, match=r"no worker for more than 18 s \(cluster\.patience\): of 1 job") as end:
            run(config, events.append)
        assert end.value.exit_code == 6
        awaited = [event.reason for event in events if isinstance(event, WorkersAwaited)]
        assert len(awaited) > 3
        assert "of 1 jobs in SLURM, 1 is PENDING (" in awaited[-1]
        until(lambda: not slurm.jobs(), "the end of the jobs")
    finally:
        for node in NODES:
            slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")
    run(config, events.append)
    assert_invariant(tmp_path / "audio", prompts_reference)
    assert all(event.worker.startswith("tcp://") for event in events if isinstance(event, ShardStarted))
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["logs"]


def test_jobs_whose_run_was_killed_end_by_themselves_and_it_is_resumed(
    slurm: Slurm, start: Start, prompts_reference: Reference, tmp_path: Path
) -> None:
    with start(timeout=10) as process:
        committed(tmp_path, 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not slurm.jobs(), "the end of the jobs")
    before = commits(tmp_path)
    with start() as process:
        assert_finished(process, tmp_path, prompts_reference)
    (started,) = events_in(tmp_path / "log", "RunStarted")[1:]
    assert started["shards"] == commits(tmp_path) - before


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
