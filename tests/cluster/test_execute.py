"""Runs on real clusters, and on addresses where there is no scheduler."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from support.corpora import assert_whole, lasting_store, objects
from support.faults.processes import until

from pipeline.cluster import dask_executor, on_worker
from pipeline.cluster.connection import connect
from pipeline.config import DaskConfig, JobConfig
from pipeline.errors import ClusterError
from pipeline.events import Event, ShardCommitted, UtterancesMade
from pipeline.jobs.run import run

Build = Callable[..., JobConfig]
SMALL = {"output__shard_seconds": 2, "cluster__kind": "local", "cluster__workers": 2}


def test_local_workers_make_what_this_process_makes(job: Build, tmp_path: Path) -> None:
    run(job(output__url=str(tmp_path / "here"), output__shard_seconds=2))
    config = job(output__url=str(tmp_path / "there"), **SMALL)
    events: list[Event] = []
    report = run(config, events.append)
    assert report.totals.utterances == 24
    assert objects(tmp_path / "here") == objects(tmp_path / "there")
    assert_whole(tmp_path / "there", 24)
    assert sum(event.made for event in events if isinstance(event, ShardCommitted)) == 24
    assert run(config).run_id == ""


def test_plan_and_a_run_in_this_process_import_no_dask(job: Build, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(job().model_dump_json())
    code = (
        "import pathlib, pipeline, sys\n"
        f"config = pipeline.load_job(pathlib.Path({str(tmp_path / 'job.json')!r}))\n"
        "local = pipeline.JobConfig.build({**config.model_dump(), 'cluster': {'kind': 'local'}})\n"
        "print(len(pipeline.plan(local).todo) > 1, pipeline.run(config).totals.utterances)\n"
        "print(pipeline.read_status(config.output.url).state, pipeline.verify(config.output.url).findings)\n"
        "print({'dask', 'distributed'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "24", "finished", "()", "set()"]


def test_workers_tell_how_far_they_are_before_their_shard_is_done(job: Build, packed: Path, tmp_path: Path) -> None:
    """With so much speech that its one shard takes longer than the time between two reports."""
    store, copies = lasting_store(packed, tmp_path, seconds=5)
    settings = {"input__store": str(store), "vocoder__name": "griffin-lim", "output__shard_seconds": 10**6}
    events: list[Event] = []
    run(job(**settings, cluster__kind="local", cluster__workers=1), events.append)
    told = [(event.made, event.seconds) for event in events if isinstance(event, UtterancesMade)]
    assert told
    assert told == sorted(told)
    assert 0 < told[0][0] < len(copies)


def test_a_running_scheduler_does_the_work(job: Build) -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=":0", processes=False, protocol="tcp://"
    ) as cluster:
        config = job(cluster__kind="dask", cluster__address=cluster.scheduler_address)
        assert run(config).totals.utterances == 24
    assert_whole(Path(config.output.url), 24)


def test_a_task_is_bytes_to_dask_and_the_job_is_not_in_it(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask looks into every dataclass, list and dictionary of a task. The workers get the job once, each by itself."""
    real, tasks = Client.map, list[tuple[Any, ...]]()

    def recorded(client: Client, work: Any, *columns: Any, **options: Any) -> Any:
        tasks.extend(zip(*columns, strict=True))
        return real(client, work, *columns, **options)

    monkeypatch.setattr(Client, "map", recorded)
    config = job(**SMALL)
    assert run(config).totals.utterances == 24
    assert len(tasks) > 10
    for sealed, run_id in tasks:
        assert (type(sealed), type(run_id)) == (bytes, str)
        trial = on_worker.Trial.opened(sealed)
        assert len(trial.task.utterances) > 0
        assert b"JobConfig" not in sealed
        assert len(sealed) < 2000


def test_a_scheduler_that_does_not_pass_on_what_workers_say_ends_the_run(
    job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would wait for ever: Dask says that a task is done, and its worker says nothing."""
    say = on_worker._say
    monkeypatch.setattr(
        on_worker, "_say", lambda *words: None if "committed" in words[-1] else say(*words)
    )  # of workers in this process
    with LocalCluster(n_workers=1, dashboard_address=":0", processes=False, protocol="tcp://") as cluster:
        config = job(cluster__kind="dask", cluster__address=cluster.scheduler_address, output__shard_seconds=600)
        with pytest.raises(ClusterError, match=r"1 shard was made, but .*blocked-handlers.*run again to resume"):
            run(config)


def test_a_worker_of_another_installation_is_named_as_that(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(sealed: bytes, run_id: str) -> None:
        raise ModuleNotFoundError("No module named 'pipeline.worker.task'")

    monkeypatch.setattr(dask_executor, "make_on_worker", elsewhere)
    with pytest.raises(ClusterError, match=r"cannot import.*pipeline\.worker\.task.*same melmill everywhere"):
        run(job(**SMALL))


def test_a_scheduler_that_does_not_answer_is_an_error_after_the_time_limit(job: Build) -> None:
    config = job(cluster__kind="dask", cluster__address="tcp://127.0.0.1:9", cluster__timeout=1)
    with pytest.raises(ClusterError, match=r"tcp://127\.0\.0\.1:9 did not answer within 1 s") as caught:
        run(config)
    assert caught.value.exit_code == 6


def test_a_scheduler_without_workers_is_an_error_after_the_time_limit() -> None:
    with LocalCluster(n_workers=0, dashboard_address=":0", processes=False, protocol="tcp://") as cluster:
        config = DaskConfig(address=cluster.scheduler_address, timeout=1)
        with pytest.raises(ClusterError, match=r"no worker for more than 1 s .*dask worker ADDRESS"), connect(config):
            pass


def test_workers_that_never_come_back_end_the_run(job: Build) -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", processes=False, protocol="tcp://"
    ) as cluster:
        config = job(
            cluster__kind="dask",
            cluster__address=cluster.scheduler_address,
            cluster__timeout=2,
            output__shard_seconds=2,
        )

        def take_away(event: Event) -> None:
            if isinstance(event, ShardCommitted):
                cluster.scale(0)
                until(lambda: not cluster.scheduler.workers, "the worker's end")  # before more than a few are made

        with pytest.raises(ClusterError, match=r"no worker for more than 2 s .*run again to resume"):
            run(config, take_away)
    run(job(output__shard_seconds=2))
    assert_whole(Path(config.output.url), 24)


def test_a_scheduler_that_goes_away_ends_the_run(job: Build) -> None:
    cluster = LocalCluster(n_workers=1, dashboard_address=":0", processes=False, protocol="tcp://")
    config = job(
        cluster__kind="dask", cluster__address=cluster.scheduler_address, cluster__timeout=2, output__shard_seconds=2
    )

    def take_away(event: Event) -> None:
        if isinstance(event, ShardCommitted):
            cluster.close()

    with pytest.raises(ClusterError, match="run again to resume"):
        run(config, take_away)
    run(job(output__shard_seconds=2))
    assert_whole(Path(config.output.url), 24)


def answering(reply: bytes) -> tuple[socket.socket, str]:
    """A listening socket that says `reply` to whoever connects and nothing more, and its address."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        held = []
        with contextlib.suppress(OSError):
            while True:
                held.append(listening.accept()[0])
                held[-1].sendall(reply)

    threading.Thread(target=serve, daemon=True).start()
    return listening, f"tcp://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "did not answer within 2 s"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is not a Dask scheduler"),
        (bytes(8), "is not a Dask scheduler"),
        (b"\1" + bytes(7) + b"\1" + bytes(7) + b"\xc1", "is not a Dask scheduler"),
    ],
)
def test_a_port_that_is_no_scheduler_ends_the_run_in_time(job: Build, reply: bytes, words: str) -> None:
    listening, address = answering(reply)
    config = job(cluster__kind="dask", cluster__address=address, cluster__timeout=2)
    begun = time.monotonic()
    with listening, pytest.raises(ClusterError, match=words):
        run(config)
    assert time.monotonic() - begun < 10


def test_a_worker_is_not_taken_for_a_scheduler(job: Build) -> None:
    with LocalCluster(n_workers=1, dashboard_address=":0", processes=False, protocol="tcp://") as cluster:
        config = job(cluster__kind="dask", cluster__address=cluster.workers[0].address, cluster__timeout=2)
        with pytest.raises(ClusterError, match=r"is not a Dask scheduler.*it is a Worker"):
            run(config)


def test_a_scheduler_that_is_stopped_ends_the_run_in_time(job: Build, tmp_path: Path) -> None:
    """SIGSTOP: the connection stays open, and nothing is answered any more."""
    code = (
        "from distributed import LocalCluster; import time\n"
        "if __name__ == '__main__':\n"
        "    cluster = LocalCluster(n_workers=1, dashboard_address=':0', processes=False, protocol='tcp://')\n"
        "    print(cluster.scheduler_address, flush=True); time.sleep(120)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            config = job(
                cluster__kind="dask",
                cluster__address=process.stdout.readline().strip(),
                cluster__timeout=2,
                output__shard_seconds=2,
            )
            stopped: list[float] = []

            def stop(event: Event) -> None:
                if isinstance(event, ShardCommitted) and not stopped:
                    process.send_signal(signal.SIGSTOP)
                    stopped.append(time.monotonic())

            with pytest.raises(ClusterError, match="the scheduler has been gone for more than 2 s"):
                run(config, stop)
            assert time.monotonic() - stopped[0] < 30
        finally:
            process.kill()
