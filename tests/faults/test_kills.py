"""kill -9 at random moments: of workers, of the driver with all its workers, of the driver alone."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.corpora import SPEC, digests
from support.faults.invariant import Reference, assert_invariant, assert_readable
from support.faults.places import Place, count_files, located, rmtree
from support.faults.processes import ended, events_in, session_of, start, until, workers_of
from support.faults.scale import seeded, trials
from support.packs import pack_npy

from pipeline.cluster import local
from pipeline.cluster.dask_executor import WINDOW_PER_THREAD
from pipeline.config import JobConfig
from pipeline.errors import ClusterError
from pipeline.events import Event, ShardCommitted, ShardStarted
from pipeline.jobs.run import plan, run
from pipeline.output.layout import COMMITS

Build = Callable[..., JobConfig]

WORKERS = 2
WINDOW = WINDOW_PER_THREAD * WORKERS
KILL_SECONDS = 0.8
"""Between two kills of workers, in the mean: about what one takes to start."""
COPIES = 8
"""Of the corpus, so that a run outlives many kills."""


# ---- workers


@pytest.fixture(scope="module")
def long_store(mels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prompts, each several times under other names."""
    folder = tmp_path_factory.mktemp("long")
    for copy in range(trials(COPIES, 1)):
        shutil.copytree(mels, folder / "mels" / str(copy))
    pack_npy(str(folder / "mels"), str(folder / "mels.zarr"), SPEC, workers=1)
    return folder / "mels.zarr"


@pytest.fixture(scope="module")
def long_reference(packed: Path, long_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """What Griffin-Lim makes of the prompts; a copy sounds as the first."""
    out = tmp_path_factory.mktemp("long-reference") / "audio"
    values = {"input": {"store": str(packed)}, "vocoder": {"name": "griffin-lim"}, "output": {"url": str(out)}}
    run(JobConfig.build({**values, "cluster": {"kind": "synchronous"}}))
    made = digests(out)
    return Reference({f"{copy}/{key}": digest for copy in range(trials(COPIES, 1)) for key, digest in made.items()})


class Killer(threading.Thread):
    """Kills a worker of this process now and then, as long as there are kills left."""

    def __init__(self, kills: int, rng: random.Random) -> None:
        super().__init__()
        self.left = kills
        self._rng = rng
        self._over = threading.Event()

    def run(self) -> None:
        """See Thread."""
        while self.left and not self._over.wait(self._rng.expovariate(1 / KILL_SECONDS)):
            if workers := workers_of(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._rng.choice(workers), signal.SIGKILL)
                    self.left -= 1

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.join()


def test_workers_that_are_killed_at_random_cost_nothing_but_time(
    long_store: Path, long_reference: Reference, outputs: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """Also those that are killed while they start. A run that outlives its kills is followed by another."""
    (rng,) = seeded(1, "workers")
    left = trials(200, 3)
    while left:
        out = outputs / f"audio-{left}"
        values: dict[str, Any] = {"input": {"store": str(long_store)}, "vocoder": {"name": "griffin-lim"}}
        values["output"] = {"url": str(out), "shard_seconds": 2}
        config = JobConfig.build({**values, "cluster": {"kind": "local", "workers": WORKERS}})
        shards = len(plan(config).todo)
        events: list[Event] = []
        killer = Killer(left, rng)
        with killer:
            run(config, events.append)
        kills = left - killer.left
        assert_invariant(out, long_reference)
        started = sum(isinstance(event, ShardStarted) for event in events)
        committed = [event.name for event in events if isinstance(event, ShardCommitted)]
        print(f"{kills} kills, {started} starts of {shards} shards", flush=True)
        assert len(committed) == len(set(committed)) == len(list((out / COMMITS).iterdir())) == shards
        assert shards <= started <= shards + kills * WINDOW
        left = killer.left
        rmtree(out)
    assert "never retrieved" not in caplog.text  # what asyncio prints, with a traceback, of errors that nobody handles


def test_a_worker_that_is_killed_while_it_starts_is_started_again(small_job: Build, reference: Reference) -> None:
    config = small_job(cluster__kind="local", cluster__workers=1)

    def kill_the_first() -> None:
        until(lambda: workers_of(os.getpid()), "a worker")
        os.kill(workers_of(os.getpid())[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    run(config)
    killer.join()
    assert_invariant(located(config.output.url), reference)


def test_workers_that_die_whenever_they_start_end_the_run(
    small_job: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local, "_STARTS", 2)
    over = threading.Event()

    def kill_all() -> None:
        while not over.wait(0.01):
            for worker in workers_of(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        with pytest.raises(ClusterError, match=r"a local worker died 2 times while it started.*memory for 1 worker"):
            run(small_job(cluster__kind="local", cluster__workers=1))
    finally:
        over.set()
        killer.join()


# ---- the driver


def kill_at_some_moment(process: subprocess.Popen[bytes], out: Place, rng: random.Random, whole: bool) -> None:
    """SIGKILL when so many more files are there, or after so many seconds; `out` is read meanwhile."""
    files, end = count_files(out) + rng.randrange(30), time.monotonic() + rng.uniform(0, 4)
    by_files = rng.random() < 0.7
    while process.poll() is None and (count_files(out) < files if by_files else time.monotonic() < end):
        assert_readable(out)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if whole else process.kill()
    process.wait()


def committed(out: Place) -> set[str]:
    return {path.stem for path in (out / COMMITS).glob("*.json")}


def made_by_a_resume(config: JobConfig) -> list[str]:
    events: list[Event] = []
    run(config, events.append)
    return sorted(event.name for event in events if isinstance(event, ShardCommitted))


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "alone"])
def test_a_driver_that_is_killed_at_random_is_resumed(
    small_job: Build, reference: Reference, outputs: Place, tmp_path: Path, whole: bool
) -> None:
    """With all its workers; or alone, whose workers end by themselves and disturb no resume while they do."""
    for trial, rng in enumerate(seeded(trials(25, 1), f"driver {whole}")):
        out = outputs / f"audio-{trial}"
        settings = {"output__url": str(out), "output__shard_seconds": 0.2}
        config = small_job(**settings)
        if rng.random() < 0.3:  # there is a manifest of something else, which readers use
            run(small_job(**settings, vocoder__name="griffin-lim"))
        planned = {shard.name for shard in plan(config).todo}
        log = tmp_path / f"{trial}.log"
        cluster = rng.choice([{}, {"cluster__kind": "local", "cluster__workers": WORKERS}])
        with ended(start(small_job(**settings, **cluster), log, "--log-json")) as process:
            kill_at_some_moment(process, out, rng, whole)
            if whole:
                until(lambda: not session_of(process.pid), "the end of the killed processes")
            assert_readable(out)
            before = committed(out)
            begun = {event["shard"] for event in events_in(log, "ShardStarted")}
            lost = begun - {int(name[:6]) for name in before}
            assert len(lost) <= (WINDOW if cluster else 1)
            made = made_by_a_resume(config)
            until(lambda: not session_of(process.pid), "the end of the workers left alone")
        print(f"{len(before & planned)} of {len(planned)} were committed, {len(lost)} lost", flush=True)
        if whole:
            assert made == sorted(planned - before)
        assert set(made) <= planned - before
        assert planned <= committed(out)
        assert_invariant(out, reference)
        assert run(config).run_id == ""
        rmtree(out)
