"""No decision reads a clock: runs by clocks a day apart, or within one second, give what they give by right ones."""

import ast
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self
from unittest import mock

import numpy as np
import pytest
from support.corpora import every_byte, objects, rows
from support.faults.children import CONTEXT
from support.faults.invariant import Reference, assert_invariant
from support.faults.places import ON_S3, Place, located, rmtree
from support.faults.ragged_store import Mels, write_store
from support.faults.scale import trials

import pipeline
from pipeline.config import JobConfig
from pipeline.jobs import steps
from pipeline.jobs.run import plan, run
from pipeline.output.ledger import Ledger
from pipeline.planning import prepare
from pipeline.storage import open_storage

Build = Callable[..., JobConfig]

ROOT = Path(pipeline.__file__).parent
READINGS = {
    ("cli/run_view.py", "datetime.now"): "the time of a line of the log",
    ("jobs/steps.py", "datetime.now"): "started and finished in job.json, for the reader",
    ("events/prometheus.py", "time.time"): "when a run succeeded last, for Prometheus",
    ("planning/prepare.py", "datetime.now"): "the beginning of the run's id; the rest of it is random",
    ("storage/base.py", "time.time"): "how long the lock is held, for the reader",
    ("storage/local.py", ".st_mtime_ns"): "a part of a record's stamp: another one means that the record is read again",
    ("storage/local.py", ".st_ctime_ns"): "as above",
    ("storage/trusted_folder.py", "time.time"): "how long nobody used a kept file, which is removed after a month",
    ("storage/trusted_folder.py", ".st_mtime"): "as above: a file that is removed too early is made again",
    ("storage/objects/lease.py", "time.clock_gettime"): "CLOCK_BOOTTIME: a waiting time, which nobody sets",
    ("jobs/reporting.py", "datetime.now"): "the signs of life, for the reader",
    ("report/one_output.py", "datetime.now"): "when the page was made, for the reader",
    ("report/two_outputs.py", "datetime.now"): "as above",
    ("report/run_traces.py", "datetime.fromtimestamp"): "when a shard was made, for the reader",
    ("views/run.py", "datetime.now"): "when an export was made, for the reader",
    ("worker/attempt.py", "time.time"): "when a shard was made, for the reader of its commit",
    ("output/status.py", "datetime.now"): "how old the signs of life are, for the reader",
    ("pack/sources.py", ".st_mtime_ns"): "a stamp: held for equal to that of the interrupted run, or not",
    ("stores/zarr_arrays/local_files.py", ".st_mtime"): "as the next one",
    (
        "stores/zarr_arrays/zarr_tree.py",
        "'mtime'",
    ): "a stamp of a chunk: part of a fingerprint, and that it is new means nothing",
    ("stores/zarr_arrays/zarr_tree.py", "'LastModified'"): "as above",
    ("stores/zarr_arrays/zarr_tree.py", "'last_modified'"): "as above",
    ("stores/zarr_arrays/zarr_tree.py", "'created'"): "as above",
}
"""Every place that reads a clock, or what one wrote, and why nothing depends on whether it is right."""

CLOCKS = {
    "time": {"time", "time_ns", "gmtime", "localtime", "ctime", "asctime", "strftime", "clock_gettime"},
    "datetime": {"now", "utcnow", "today", "fromtimestamp"},
    "date": {"today"},
    "uuid": {"uuid1"},
    "os.path": {"getmtime", "getctime", "getatime"},
}
STAMPS = {"mtime", "ctime", "LastModified", "last_modified", "created", "timestamp"}

DAY = timedelta(days=1)
RUNS = trials(5, 4)


# ---- what reads a clock


def readings(path: Path) -> set[tuple[str, str]]:
    """The places of one module that read a clock or a stamp."""
    name = str(path.relative_to(ROOT))
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if node.attr in CLOCKS.get(owner, CLOCKS.get(owner.rpartition(".")[2], ())):
                found.add((name, f"{owner}.{node.attr}"))
            elif node.attr.startswith(("st_mtime", "st_ctime", "st_atime", "st_birthtime")):
                found.add((name, f".{node.attr}"))
        elif isinstance(node, ast.Constant) and node.value in STAMPS:
            found.add((name, repr(node.value)))
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "uuid"):
            found |= {(name, f"from {node.module} import {alias.name}") for alias in node.names}
    return found


def test_what_reads_a_clock_is_known_and_decides_nothing() -> None:
    assert set().union(*(readings(path) for path in ROOT.rglob("*.py"))) == set(READINGS)


# ---- clocks that are wrong


class Wrong(datetime):
    """A clock that is `off`, or stands still since `frozen`."""

    off = timedelta()
    frozen: datetime | None = None

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        right = cls.frozen or datetime.now(tz)
        return cls.fromtimestamp((right + cls.off).timestamp(), tz)


def run_by(config: JobConfig, off: timedelta, frozen: datetime | None) -> None:
    """A run on a machine whose clock is wrong, and the times of what it wrote."""
    Wrong.off, Wrong.frozen = off, frozen
    out = located(config.output.url)
    before = set(out.rglob("*"))
    with (
        mock.patch("time.time", side_effect=lambda: Wrong.now().timestamp()),
        mock.patch.object(steps, "datetime", Wrong),
        mock.patch.object(prepare, "datetime", Wrong),
    ):
        run(config)
    for path in set(out.rglob("*")) - before if not ON_S3 else ():  # which has a clock of its own
        os.utime(path, (Wrong.now().timestamp(),) * 2)


def convert(config: JobConfig, off: timedelta, frozen: datetime | None = None) -> None:
    child = CONTEXT.Process(target=run_by, args=(config, off, frozen))
    child.start()
    child.join()
    assert child.exitcode == 0


def mels(seed: int, *keys: str) -> Mels:
    """Short mels; another seed gives other values."""
    return {
        key: np.random.default_rng((seed, number)).uniform(-8, 0, (80, 20)).astype(np.float32)
        for number, key in enumerate(keys)
    }


CORPORA = [
    mels(0, *"abcdefgh"),
    {**mels(0, *"abcdefgh"), **mels(1, "b", "e")},  # two are changed
    {**mels(0, *"adfgh"), **mels(1, *"xyz")},  # three have left, three came
    {**mels(0, *"abcdefgh"), **mels(1, *"xyz")},  # and back they are
    mels(0, *"abcdefgh"),
]
"""What one store holds, one after another."""


def assert_order_is_all(
    build: Build, folder: Path, outputs: Place, clocks: Sequence[tuple[timedelta, datetime | None]], container: str
) -> None:
    """Runs whose clocks are these give, one after another, what runs by right clocks give."""
    store = folder / "mels.zarr"
    settings = {"input__store": str(store), "output__shard_seconds": 0.4, "output__container": container}
    right = build(**settings, output__url=str(outputs / "right"))
    wrong = build(**settings, output__url=str(outputs / "wrong"))
    out = located(wrong.output.url)
    ids: list[str] = []
    for corpus, (off, frozen) in zip(CORPORA, clocks, strict=False):
        write_store(store, corpus)
        assert str(plan(wrong).to_dict()) == str(plan(right).to_dict())
        run(right)
        convert(wrong, off, frozen)
        reference = Reference({row["key"]: row["pcm_sha256"] for row in rows(outputs / "right")})
        assert set(reference.digests) == set(corpus)
        assert_invariant(out, reference)
        assert rows(out) == rows(outputs / "right")
        assert objects(out) == objects(outputs / "right")
        described = Ledger(open_storage(str(out))).job()
        assert described is not None
        ids.append(described["run_id"])
        assert described["generation"] == len(ids)
        assert run(wrong).run_id == ""  # may renew the heads: `convert` has given the commits other times
        left = every_byte(out)
        assert run(wrong).run_id == ""
        assert every_byte(out) == left
    assert len(set(ids)) == len(ids)
    rmtree(outputs / "right")


@pytest.mark.parametrize("container", ["tar", "files"][: trials(2, 1)])
def test_runs_by_clocks_a_day_apart_count_in_the_order_in_which_they_ran(
    small_job: Build, tmp_path: Path, outputs: Place, container: str
) -> None:
    clocks = [(days * DAY, None) for days in (0, 1, -1, 0, -1)]
    assert_order_is_all(small_job, tmp_path, outputs, clocks[:RUNS], container)


def test_runs_within_one_second_count_in_the_order_in_which_they_ran(
    small_job: Build, tmp_path: Path, outputs: Place
) -> None:
    moment = datetime.fromisoformat("2031-02-03T04:05:06.789+00:00")
    assert_order_is_all(small_job, tmp_path, outputs, [(0 * DAY, moment)] * RUNS, "tar")
