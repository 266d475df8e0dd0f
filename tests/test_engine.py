"""Real clusters: processes started, killed, interrupted."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from corpora import assert_whole, digests, objects

from pipeline import dispatch
from pipeline.clusters import connect
from pipeline.config import ClusterConfig, JobConfig
from pipeline.errors import ClusterError, ConfigError
from pipeline.events import Event, ShardCommitted, UtterancesMade
from pipeline.jobs import run
from pipeline.prepare import prepare

Build = Callable[..., JobConfig]
SMALL = {"output__shard_seconds": 2, "cluster__kind": "local", "cluster__workers": 2}


def start(config: JobConfig, **environment: str) -> subprocess.Popen[bytes]:
    """`melmill run` in a process group of its own, as a shell or cron starts it."""
    command = [
        sys.executable, "-m", "pipeline", "run", "--store", config.input.store, "--out", config.output.url,
        "--vocoder", config.vocoder.name, "--workers", "2", "--set", "output.shard_seconds=2",
    ]  # fmt: skip
    return subprocess.Popen(
        ["env", "--default-signal=INT", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **environment},
    )


def commits(out: Path) -> int:
    folder = out / "_melmill" / "commits"
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def wait_for_commits(out: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    while commits(out) < count and process.poll() is None:
        time.sleep(0.002)


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


def test_workers_tell_how_far_they_are_before_their_shard_is_done(job: Build, tmp_path: Path) -> None:
    """With Griffin-Lim, slow enough that a shard takes longer than the time between two reports."""
    events: list[Event] = []
    run(
        job(vocoder__name="griffin-lim", cluster__kind="local", cluster__workers=1, output__shard_seconds=600),
        events.append,
    )
    told = [(event.made, event.seconds) for event in events if isinstance(event, UtterancesMade)]
    assert told
    assert told == sorted(told)
    assert 0 < told[0][0] < 24


@pytest.mark.parametrize("after", [0, 3, 9])
def test_killed_as_a_whole_and_run_again_it_is_as_if_never_killed(job: Build, tmp_path: Path, after: int) -> None:
    whole = job(output__url=str(tmp_path / "whole"), output__shard_seconds=2)
    run(whole)
    config = job(**SMALL)
    out = Path(config.output.url)
    with start(config) as process:
        wait_for_commits(out, after, process)
        os.killpg(process.pid, signal.SIGKILL)
    kept = objects(out) if (out / "data").exists() else {}
    assert not (out / "manifest.jsonl").exists()
    report = run(config)
    assert report.made_seconds < report.totals.seconds or not after
    assert_whole(out, 24)
    assert objects(out) == objects(tmp_path / "whole")
    assert digests(out) == digests(tmp_path / "whole")
    assert kept.items() <= objects(out).items()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_exits_75_at_once_and_resumes(job: Build, stop: signal.Signals) -> None:
    config = job(**SMALL)
    out = Path(config.output.url)
    with start(config) as process:
        wait_for_commits(out, 2, process)
        if stop == signal.SIGINT:
            os.killpg(process.pid, stop)  # a terminal sends Ctrl-C to the workers too
        else:
            process.send_signal(stop)
        said = process.communicate()[0].decode()
    assert process.returncode == 75, said
    assert "run the same command again to resume" in said
    assert "Traceback" not in said
    assert run(config).made_seconds < 50
    assert_whole(out, 24)


@pytest.mark.parametrize("after", [0.3, 1.0, 1.7])
def test_terminated_while_the_cluster_starts_it_says_so_and_no_more(job: Build, after: float) -> None:
    config = job(**SMALL, vocoder__name="hifigan-universal")  # slow: it must not be done by then
    with start(config) as process:
        while not (Path(config.output.url) / "job.json").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(after)
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[0].decode()
    assert process.returncode == 75, said
    lines = [line for line in said.splitlines() if not line.startswith("stopping: ")]
    assert [line.split()[0] for line in lines] == ["run", "melmill:"], said


def test_a_workers_death_costs_only_its_shard_in_flight(job: Build) -> None:
    config = job(**SMALL)
    killed: list[int] = []

    def kill_one(event: Event) -> None:
        if isinstance(event, ShardCommitted) and not killed:
            children = subprocess.run(
                ["pgrep", "-f", "multiprocessing.spaw[n]"], capture_output=True, text=True, check=True
            )
            mine = [int(pid) for pid in children.stdout.split() if parent(int(pid)) == os.getpid()]
            killed.append(mine[0])
            os.kill(mine[0], signal.SIGKILL)

    report = run(config, kill_one)
    assert killed
    assert (report.totals.utterances, report.totals.failed) == (24, 0)
    assert_whole(Path(config.output.url), 24)


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return 0


def test_only_a_window_of_shards_is_in_flight(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    config = job(**{**SMALL, "output__shard_seconds": 0.1})
    seen: list[int] = []
    real = dispatch.Dispatcher._finished

    def counted(self: dispatch.Dispatcher) -> list:
        seen.append(len(self._flights))
        return real(self)

    monkeypatch.setattr(dispatch.Dispatcher, "_finished", counted)
    run(config)
    assert len(prepare(config).plan.done) == 24
    assert max(seen) == dispatch.WINDOW_PER_THREAD * 2


def test_a_running_scheduler_does_the_work(job: Build) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=":0", processes=False, protocol="tcp://"
    ) as cluster:
        config = job(cluster__kind="dask", cluster__address=cluster.scheduler_address)
        assert run(config).totals.utterances == 24
    assert_whole(Path(config.output.url), 24)


def test_a_scheduler_that_does_not_answer_is_an_error_after_the_time_limit(job: Build) -> None:
    config = job(cluster__kind="dask", cluster__address="tcp://127.0.0.1:9", cluster__timeout=1)
    with pytest.raises(ClusterError, match=r"tcp://127\.0\.0\.1:9 did not answer within 1 s") as caught:
        run(config)
    assert caught.value.exit_code == 6


def test_a_scheduler_without_workers_is_an_error_after_the_time_limit() -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, dashboard_address=":0", processes=False, protocol="tcp://") as cluster:
        config = ClusterConfig(kind="dask", address=cluster.scheduler_address, timeout=1)
        with pytest.raises(ClusterError, match="has had no worker for 1 s"), connect(config):
            pass


def test_workers_that_never_come_back_end_the_run(job: Build) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, dashboard_address=":0", processes=False, protocol="tcp://") as cluster:
        config = job(
            cluster__kind="dask",
            cluster__address=cluster.scheduler_address,
            cluster__timeout=2,
            output__shard_seconds=2,
        )

        def take_away(event: Event) -> None:
            if isinstance(event, UtterancesMade | ShardCommitted):
                cluster.scale(0)

        with pytest.raises(ClusterError, match=r"no worker for more than 2 s .*run again to resume"):
            run(config, take_away)
    run(job(output__shard_seconds=2))
    assert_whole(Path(config.output.url), 24)


def test_a_scheduler_that_goes_away_ends_the_run(job: Build) -> None:
    from distributed import LocalCluster

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
    from distributed import LocalCluster

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


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp://10.0.0.1:8786", "has no TLS"),
        ("10.0.0.1:8786", "has no TLS"),
        ("nowhere", "must look like tcp://host:8786"),
        ("http://127.0.0.1:8786", "must be tcp:// or tls://"),
        ("tcp://127.0.0.1:port", "must look like tcp://host:8786"),
    ],
)
def test_a_scheduler_address_that_is_wrong_or_unsafe_is_refused(job: Build, address: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        run(job(cluster__kind="dask", cluster__address=address))
