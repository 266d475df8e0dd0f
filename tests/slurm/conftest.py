"""A SLURM for the tests, a corpus that takes it a while, and the command as its users start it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.corpora import digests, lasting_store
from support.faults.invariant import Reference
from support.faults.processes import ended
from support.slurm_daemons import CORPUS, Process, Settings, Slurm, Start, running_slurm

from pipeline.config import JobConfig
from pipeline.jobs.run import run


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """With `melmill` and this Python on the path of its jobs."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with running_slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="session")
def prompts_reference(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """What a run of the prompts with Griffin-Lim in one process gives."""
    out = tmp_path_factory.mktemp("reference") / "audio"
    values = {"input": {"store": str(packed)}, "vocoder": {"name": "griffin-lim"}, "output": {"url": str(out)}}
    run(JobConfig.build({**values, "cluster": {"kind": "synchronous"}}))
    return Reference(digests(out))


@pytest.fixture
def lasting(packed: Path, prompts_reference: Reference, tmp_path: Path) -> Callable[[float], tuple[Path, Reference]]:
    """Gives a store that keeps one core busy for so many seconds at least, and what a run makes of it."""

    def build(seconds: float) -> tuple[Path, Reference]:
        store, copies = lasting_store(packed, tmp_path, seconds)
        return store, Reference({key: prompts_reference.digests[prompt] for key, prompt in copies.items()})

    return build


@pytest.fixture
def settings(packed: Path, tmp_path: Path) -> Settings:
    """Of a run of the prompts in shards of about three seconds; keywords are of the section `cluster`."""

    def build(store: Path = packed, **cluster: object) -> dict[str, object]:
        small = {"jobs": 2, "cores": 1, "memory": "1 GB", "interface": "lo", "folder": str(tmp_path / "shared")}
        return {
            "input.store": str(store),
            "vocoder.name": "griffin-lim",
            "output.url": str(tmp_path / "audio"),
            "output.shard_seconds": 2,
        } | {f"cluster.{key}": value for key, value in {**small, **cluster}.items()}

    return build


@pytest.fixture
def start(slurm: Slurm, settings: Settings, tmp_path: Path) -> Start:
    """`melmill run configs/slurm/corpus.yaml --log-json`, made small: its log is `log` in the test's folder."""

    def begin(store: Path | None = None, **cluster: object) -> contextlib.AbstractContextManager[Process]:
        chosen = settings(**cluster) if store is None else settings(store, **cluster)
        command = ["melmill", "run", str(CORPUS), "--log-json", *(f"--set={key}={chosen[key]}" for key in chosen)]
        with open(tmp_path / "log", "ab") as log:
            return ended(
                subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=tmp_path)
            )

    return begin
