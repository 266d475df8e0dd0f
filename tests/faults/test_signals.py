"""SIGTERM and SIGINT at any moment: what is in flight is finished or dropped within the grace, and nothing is torn."""

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.corpora import digests, lasting_store
from support.faults.invariant import Reference, assert_invariant, assert_readable
from support.faults.places import Place, located, rmtree
from support.faults.processes import ended, events_in, session_of, start, until
from support.faults.scale import seeded, trials

from pipeline.config import JobConfig
from pipeline.jobs.run import plan, run
from pipeline.output.audit import verify
from pipeline.output.layout import COMMITS, FAILURES, JOB, MANIFEST
from pipeline.storage import SCRATCH

Build = Callable[..., JobConfig]

WORKERS = 2
LOCAL = {"cluster__kind": "local", "cluster__workers": WORKERS}
CLUSTERS: list[dict[str, Any]] = [LOCAL, {"cluster__kind": "synchronous"}]
SIGNALS = [signal.SIGTERM, signal.SIGINT]
PLAIN = re.compile(
    r"  \d+ shards?: |note:|run|stopping:|shard|melmill:|done|nothing|mel_distance|the audio does not|to load it:|"
    r"to check it:|to look at it:"
)


@pytest.fixture
def slow_job(job: Build, outputs: Place) -> Build:
    """Griffin-Lim on the prompts, in shards of some seconds: a run takes some seconds besides its start."""

    def build(**settings: Any) -> JobConfig:
        usual = {"vocoder__name": "griffin-lim", "output__shard_seconds": 4, "output__url": str(outputs / "audio")}
        return job(**{**usual, **settings})

    return build


def listens(process: subprocess.Popen[bytes]) -> bool:
    """Whether it would notice SIGTERM: it has come so far that this is ours and no longer Python's."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1 << signal.SIGTERM - 1)


def send(process: subprocess.Popen[bytes], number: signal.Signals, to_all: bool) -> None:
    """As a terminal or a batch system does it, to all of the group; or as `kill` does, to the driver alone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number) if to_all else process.send_signal(number)


def commits(out: Place) -> set[str]:
    return {path.stem for path in (out / COMMITS).glob("*.json")}


def assert_nothing_torn(out: Place, dropped: bool) -> None:
    """What a stopped run leaves: whole shards, no manifest of its own, and no scratch.

    A worker that was ended between an object and its commit leaves the object, for the next run to adopt.
    """
    assert_readable(out)
    assert not (out / SCRATCH).exists() or not list((out / SCRATCH).iterdir())
    if not (out / JOB).exists():
        assert not (out / "data").exists()
        return
    for finding in verify(str(out)).findings:
        unpublished = finding.kind == "missing" and finding.name in (MANIFEST, FAILURES)
        assert unpublished or (dropped and finding.kind == "unexpected"), finding


def assert_said_plainly(log: Path) -> None:
    """One line for each thing that happened, and no traceback."""
    for line in log.read_text().splitlines():
        assert PLAIN.match(line) or "x real time" in line, log.read_text()


def stop_at_some_moment(process: subprocess.Popen[bytes], out: Place, rng: random.Random) -> None:
    until(lambda: listens(process) or process.poll() is not None, "the beginning of the run")
    moment = rng.choice(["any", "commits", "published"])
    end, wanted = time.monotonic() + rng.uniform(0, 4), rng.randrange(14)
    while process.poll() is None and not (
        time.monotonic() > end if moment == "any" else len(commits(out)) >= wanted or (out / MANIFEST).exists()
    ):
        assert_readable(out)
    if moment == "published":
        time.sleep(rng.uniform(0, 0.5))
    number = rng.choice(SIGNALS)
    send(process, number, to_all=number == signal.SIGINT or rng.random() < 0.5)


def test_a_run_that_is_stopped_at_random_says_so_and_is_resumed(
    small_job: Build, outputs: Place, tmp_path: Path
) -> None:
    settings = {"vocoder__name": "griffin-lim", "output__shard_seconds": 0.3}
    run(small_job(**settings, output__url=str(outputs / "reference")))
    reference = Reference(digests(outputs / "reference"))
    for trial, rng in enumerate(seeded(trials(24, 2), "signals")):
        cluster, grace = CLUSTERS[trial % 2], rng.choice([0, 1, 60])
        out, log = outputs / f"audio-{trial}", tmp_path / f"{trial}.log"
        config = small_job(**settings, output__url=str(out))
        with ended(start(small_job(**settings, **cluster, output__url=str(out), cluster__grace=grace), log)) as process:
            stop_at_some_moment(process, out, rng)
            code = process.wait()
            print(f"{cluster['cluster__kind']}, grace {grace}: exit {code}, {len(commits(out))} commits", flush=True)
            assert code in (75, 0), log.read_text()
            assert_said_plainly(log)
            until(lambda: not session_of(process.pid), "the end of the workers")
        assert (code == 75) == ("run the same command again" in log.read_text())
        assert_nothing_torn(out, dropped=True)
        run(config)
        assert_invariant(out, reference)
        rmtree(out)


@pytest.mark.parametrize("cluster", CLUSTERS[: trials(2, 1)])
@pytest.mark.parametrize("number", SIGNALS[: trials(2, 1)])
def test_within_a_long_grace_what_is_in_flight_is_finished_and_nothing_is_begun(
    slow_job: Build, packed: Path, tmp_path: Path, cluster: dict[str, Any], number: signal.Signals
) -> None:
    store, _ = lasting_store(packed, tmp_path, seconds=20)  # the run is not over before the signal comes
    config = slow_job(**cluster, input__store=str(store), cluster__grace=600, output__shard_seconds=60)
    out, log = located(config.output.url), tmp_path / "log"
    planned = len(plan(config).todo)
    with ended(start(config, log, "--log-json")) as process:
        until(lambda: len(events_in(log, "ShardCommitted")) >= 1, "a commit")
        send(process, number, to_all=True)
        assert process.wait() == 75, log.read_text()
    (stopping,) = events_in(log, "RunStopping")
    assert not events_in(log, "ShardRetried")
    before = {event["shard"] for event in events_in(log, "ShardStarted") if event["time"] < stopping["time"]}
    after = {int(name[:6]) for name in commits(out)}
    assert before <= after
    assert len(after) <= len(before) + WORKERS < planned
    assert_nothing_torn(out, dropped=False)


@pytest.mark.parametrize("cluster", CLUSTERS[trials(0, 1) :])
@pytest.mark.parametrize(("grace", "signals"), [(600, 2), (0, 1), (1, 1)][: trials(3, 1)])
def test_what_takes_longer_than_the_grace_or_a_second_signal_is_dropped(
    slow_job: Build, tmp_path: Path, cluster: dict[str, Any], grace: float, signals: int
) -> None:
    """One shard that takes a quarter of a minute or more, with the slowest vocoder in the slowest runtime."""
    slowest = {"vocoder__name": "hifigan-universal", "vocoder__runtime": "onnxruntime"}
    config = slow_job(**cluster, **slowest, cluster__grace=grace, output__shard_seconds=600)
    out, log = located(config.output.url), tmp_path / "log"
    with ended(start(config, log, "--log-json")) as process:
        until(lambda: events_in(log, "ShardStarted"), "the beginning of the shard")
        send(process, signal.SIGTERM, to_all=False)
        if signals == 2:
            until(lambda: events_in(log, "RunStopping"), "the notice that it stops")
            assert process.poll() is None
            send(process, signal.SIGTERM, to_all=False)
        assert process.wait() == 75, log.read_text()
        until(lambda: not session_of(process.pid), "the end of the workers")
    assert not commits(out)
    assert_nothing_torn(out, dropped=True)
