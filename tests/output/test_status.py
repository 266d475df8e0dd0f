import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.corpora import every_byte

from pipeline.config import JobConfig
from pipeline.errors import ConfigError, InterruptedRunError, StorageError
from pipeline.events import Event, RunStarted, ShardCommitted
from pipeline.events.tally import Amount
from pipeline.jobs import reporting
from pipeline.jobs.run import run
from pipeline.output.layout import PUBLISHED, STATUS
from pipeline.output.ledger import Ledger
from pipeline.output.status import RunStatus, Status, read_status
from pipeline.storage import LocalStorage

Build = Callable[..., JobConfig]


def status_of(config: JobConfig) -> Status:
    return read_status(config.output.url)


def told(config: JobConfig) -> RunStatus:
    found = status_of(config).run
    assert found is not None
    return found


def tell(out: Path, **changes: Any) -> None:
    """Change what the last run told."""
    plain = json.loads((out / STATUS).read_text())
    (out / STATUS).write_text(json.dumps({**plain, **changes}))


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is written twenty times a second."""
    monkeypatch.setattr(reporting, "WRITE_SECONDS", 0.05)


def until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.02)


def test_a_finished_run_says_what_it_made(job: Build) -> None:
    config = job()
    report = run(config)
    found, run_status = status_of(config), told(config)
    assert (found.state, found.holder) == ("finished", None)
    assert (run_status.run_id, run_status.host, run_status.process) == (
        report.run_id, socket.gethostname(), os.getpid(),
    )  # fmt: skip
    assert run_status.planned.utterances == run_status.done.utterances == 24
    assert run_status.planned.shards == run_status.done.shards > 3
    seconds = pytest.approx(report.totals.seconds)
    assert (run_status.done.seconds, run_status.planned.seconds) == (seconds, seconds)
    assert (run_status.in_flight, run_status.left, run_status.error, run_status.failed) == (Amount(), None, "", 0)
    assert run_status.started <= run_status.progressed <= run_status.written
    assert found.manifest is not None
    assert dataclasses.astuple(found.manifest) == (24, 0, report.totals.seconds)


def test_a_run_with_nothing_to_do_leaves_the_status_as_it_was(job: Build) -> None:
    run(job())
    before = every_byte(Path(job().output.url))
    run(job())
    assert every_byte(Path(job().output.url)) == before
    assert status_of(job()).state == "finished"


def test_while_a_run_goes_on_it_is_told_how_far_it_is(job: Build, often: None) -> None:
    seen: list[Status] = []
    events: list[Event] = []

    def look(event: Event) -> None:
        events.append(event)
        done = [each for each in events if isinstance(each, ShardCommitted)]
        if isinstance(event, RunStarted):
            seen.append(status_of(job()))
        elif isinstance(event, ShardCommitted):
            until(lambda: told(job()).done.shards == len(done))
            seen.append(status_of(job()))

    run(job(), look)
    first, *later = seen
    assert first.run is not None
    assert first.manifest is None
    assert (first.run.done, first.run.planned.utterances, first.run.left) == (Amount(), 24, None)
    made = 0.0
    for number, each in enumerate(later, 1):
        assert each.run is not None
        assert (each.state, each.run.done.shards) == ("running", number)
        assert each.holder is not None
        assert each.run.run_id in each.holder
        assert each.run.done.seconds > made
        assert each.run.speed > 0
        assert each.run.left is not None
        made = each.run.done.seconds


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (KeyboardInterrupt(), "interrupted", ""),
        (StorageError("no room at s3://me:secret@host/x"), "failed", "StorageError: no room at s3://host/x"),
        (ZeroDivisionError("secret at s3://me:secret@host/x"), "failed", "ZeroDivisionError: secret at s3://host/x"),
    ],
)
def test_how_a_run_ended_is_told(job: Build, error: BaseException, state: str, words: str) -> None:
    config = job()

    def stop(event: Event) -> None:
        if isinstance(event, ShardCommitted):
            raise error

    with pytest.raises((InterruptedRunError, StorageError, ZeroDivisionError)):
        run(config, stop)
    found = status_of(config)
    assert (found.state, told(config).error, told(config).left) == (state, words, None)
    assert told(config).done.shards == 1
    assert found.manifest is None
    run(config)
    assert (status_of(config).state, told(config).error) == ("finished", "")
    assert told(config).planned.shards == told(config).done.shards


RUN = """
import json, sys, time
from pipeline.config import JobConfig
from pipeline.events import ShardCommitted
from pipeline.jobs import reporting
from pipeline.jobs.run import run

committed = 0

def block(event):
    global committed
    committed += isinstance(event, ShardCommitted)
    while committed == 2:
        time.sleep(1)

reporting.WRITE_SECONDS = 0.05
run(JobConfig.build(json.loads(sys.argv[1])), block)
"""


def test_a_run_elsewhere_is_seen_and_so_is_that_it_was_killed(job: Build) -> None:
    config = job()
    command = [sys.executable, "-c", RUN, config.model_dump_json()]
    with subprocess.Popen(command) as process:
        until(lambda: (Path(config.output.url) / STATUS).exists() or process.poll() is not None)
        until(lambda: told(config).done.shards == 2)
        running = status_of(config)
        written = told(config).written
        until(lambda: told(config).written > written)  # it gives a sign of life also while nothing is made
        process.kill()
    killed = status_of(config)
    assert (running.state, killed.state, killed.holder) == ("running", "killed", None)
    assert running.run is not None
    assert running.run.process == process.pid
    assert running.holder is not None
    assert running.run.run_id in running.holder
    assert told(config).state == "running"
    assert killed.age is not None
    run(config)
    assert status_of(config).state == "finished"
    assert told(config).planned.shards == running.run.planned.shards - 2


def test_a_run_on_a_machine_that_cannot_be_asked_is_silent_after_a_while(job: Build) -> None:
    out = Path(job().output.url)
    run(job())
    tell(out, state="running", host="elsewhere")
    assert status_of(job()).state == "running"
    before = datetime.now(UTC) - timedelta(hours=2)
    tell(out, written=before.isoformat())
    assert status_of(job()).state == "silent"
    assert (status_of(job()).age or 0) >= 7200
    with LocalStorage(out).lock(f"run {told(job()).run_id} on elsewhere"):
        assert status_of(job()).state == "running"
    with LocalStorage(out).lock("run another on elsewhere"):
        assert status_of(job()).state == "killed"
    tell(out, written=(datetime.now(UTC) + timedelta(days=1)).isoformat())  # a clock that is ahead
    assert (status_of(job()).state, status_of(job()).age) == ("running", 0)


def test_who_works_on_the_output_is_told_apart_from_how_the_last_run_ended(job: Build) -> None:
    run(job())
    with LocalStorage(Path(job().output.url)).lock("gc on here"):
        found = status_of(job())
    assert (found.state, (found.holder or "")[:16]) == ("finished", "gc on here, for ")


def test_an_end_between_the_two_questions_is_not_taken_for_a_kill(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Path(job().output.url)
    run(job())
    tell(out, state="running")
    holder = LocalStorage.holder

    def ends_meanwhile(storage: LocalStorage) -> str | None:
        tell(out, state="finished")
        return holder(storage)

    monkeypatch.setattr(LocalStorage, "holder", ends_meanwhile)
    assert status_of(job()).state == "finished"


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"version": 2}', '{"version": 1, "state": "asleep"}'])
def test_what_is_no_status_is_none(job: Build, damage: str) -> None:
    config = job()
    run(config)
    (Path(config.output.url) / STATUS).write_text(damage)
    found = status_of(config)
    assert (found.state, found.run, found.age) == ("unknown", None, None)
    assert found.manifest is not None


def test_a_time_without_zone_is_none_either(job: Build) -> None:
    run(job())
    tell(Path(job().output.url), written="2024-01-01T00:00:00")
    assert status_of(job()).state == "unknown"


def test_a_status_that_cannot_be_written_stops_no_run(job: Build, often: None, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, refused = LocalStorage.replace, 0

    def full(storage: LocalStorage, name: str, source: Path | bytes) -> None:
        nonlocal refused
        if name == STATUS:
            refused += 1
            raise StorageError("no room")
        replace(storage, name, source)

    monkeypatch.setattr(LocalStorage, "replace", full)
    run(job())
    assert refused >= 2
    assert status_of(job()).state == "unknown"


def test_where_no_output_is_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match="holds no melmill output"):
            read_status(str(out))
    assert not list(tmp_path.iterdir())


def test_before_a_first_run_has_told_anything_it_is_seen_that_there_is_one(tmp_path: Path) -> None:
    with LocalStorage(tmp_path).lock("run 1 on here"):
        found = read_status(str(tmp_path))
    assert (found.state, found.run, found.manifest) == ("unknown", None, None)
    assert (found.holder or "").startswith("run 1 on here, for ")


def test_the_json_is_what_dashboards_were_promised(job: Build) -> None:
    run(job())
    plain = json.loads(json.dumps(status_of(job()).to_dict()))
    promise = Status.to_dict.__doc__ or ""
    amount = {"shards", "utterances", "seconds"}
    assert plain["version"] == 1
    names = {"output", "state", "holder", "age", "run", "manifest", "parts", "superseded", "manifests", "exports"}
    assert set(plain) == {"version", *names}
    assert plain["manifests"] == ["manifest.jsonl"]
    assert set(plain["superseded"]) == {"shards", "bytes"}
    assert set(plain["manifest"]) == {"utterances", "failed", "seconds"}
    assert set(plain["run"]["planned"]) == set(plain["run"]["done"]) == set(plain["run"]["in_flight"]) == amount
    for name in {*plain, *plain["run"], *plain["manifest"], *amount}:
        assert name in promise, name


def test_a_status_comes_back_as_it_was_written(job: Build) -> None:
    run(job())
    assert RunStatus.from_json(told(job()).to_json()) == told(job())


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    def writers() -> int:
        return sum(thread.name == "melmill-status" for thread in threading.enumerate())

    def stopped() -> None:
        with reporting.reporting(LocalStorage(tmp_path), "run", lambda event: None):
            assert writers() == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert writers() == 0


def test_a_parquet_manifest_is_named_if_a_run_published_it_and_not_if_it_is_of_others(job: Build) -> None:
    run(job())
    out = Path(job().output.url)
    (out / "manifest.parquet").write_bytes(b"mine")
    assert status_of(job()).manifests == ("manifest.jsonl",)
    ledger = Ledger(LocalStorage(out))
    publication = ledger.publication()
    assert publication is not None
    parquet = dataclasses.replace(publication.files[0], name="manifest.parquet")
    published = dataclasses.replace(publication, files=(*publication.files, parquet))
    (out / PUBLISHED).write_bytes(published.to_json())
    assert status_of(job()).manifests == ("manifest.jsonl", "manifest.parquet")
