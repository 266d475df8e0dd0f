"""Whole jobs from one bucket to another, by the command line; and that a secret is written nowhere."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from faults.invariant import Reference, assert_invariant
from faults.layouts import MAKERS
from faults.places import ObjectPath

from pipeline import open_store
from pipeline.config import JobConfig
from pipeline.errors import ConfigError, StoreError
from pipeline.jobs import plan, run
from s3.server import BUCKET, KEY, SECRET, Server, client

Build = Callable[..., JobConfig]


@pytest.fixture(autouse=True)
def _direct(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what the tests themselves look at."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)


def upload(server: Server, folder: Path, url: str) -> str:
    """A folder's files as objects."""
    client(server.endpoint).put(f"{folder}/", f"{url.removeprefix('s3://')}/", recursive=True)
    return url


def command(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    named = [sys.executable, "-m", "pipeline", *words]
    return subprocess.run(named, env={**os.environ, **environment}, capture_output=True, text=True)


def test_a_job_from_a_bucket_into_another_writes_no_secret_anywhere(
    server: Server, small_store: Path, vocoder_path: Path, reference: Reference, folder: str, tmp_path: Path
) -> None:
    """By the command, with Dask's workers: the credentials are those of the job, in variables of its own."""
    options = {"endpoint_url": server.endpoint, "key": "$STORE_KEY", "secret": "$STORE_SECRET"}
    job = tmp_path / "job.yaml"
    values: dict[str, Any] = {
        "input": {"store": upload(server, small_store, f"{folder}/mels.zarr"), "options": options},
        "vocoder": {"name": str(vocoder_path)},
        "output": {"url": f"{folder}/audio", "options": options, "shard_seconds": 1.0},
        "cluster": {"kind": "local", "workers": 2},
    }
    job.write_text(yaml.safe_dump(values))
    environment = {"STORE_KEY": KEY, "STORE_SECRET": SECRET, "MELMILL_CACHE": os.environ["MELMILL_CACHE"]}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        environment[name] = "not-these"
    said = []

    def done(*words: str, code: int = 0) -> str:
        finished = command(*words, environment=environment)
        said.append(finished.stdout + finished.stderr)
        assert finished.returncode == code, said[-1]
        return said[-1]

    done("plan", str(job))
    done("run", str(job), "--log-json")
    assert "nothing to do" in done("run", str(job))
    access = [f"--set=output.options.{name}={value}" for name, value in options.items()]
    assert "is whole" in done("verify", f"{folder}/audio", *access)
    assert "finished" in done("status", f"{folder}/audio", *access)
    assert "nothing to delete" in done("gc", f"{folder}/audio", "--yes", *access)
    assert "nothing to do" in done("retry", f"{folder}/audio", *access)
    done("run", str(job), "--out", "s3://no-such-bucket/audio", code=6)
    done("run", str(job), "--set", "output.options.secret=" + SECRET, code=2)
    environment["STORE_SECRET"] = "not-this"
    assert "check the credentials" in done("run", str(job), code=6)
    del environment["STORE_SECRET"]
    assert "$STORE_SECRET" in done("run", str(job), code=2)
    out = ObjectPath(f"{folder}/audio")
    assert_invariant(out, reference)
    written = [path.read_bytes() for path in out.rglob("*")]
    assert len(written) > 8
    assert not any(SECRET.encode() in content or KEY.encode() in content for content in written)
    assert not any(SECRET in words or KEY in words for words in said)


@pytest.mark.parametrize("layout", list(MAKERS))
def test_every_layout_is_read_from_a_bucket_as_from_a_disk(
    server: Server, small_mels: Path, small_job: Build, reference: Reference, folder: str, tmp_path: Path, layout: str
) -> None:
    MAKERS[layout](tmp_path / "mels.zarr", small_mels)
    url = upload(server, tmp_path / "mels.zarr", f"{folder}/mels.zarr")
    config = small_job(input__store=url, input__options={"endpoint_url": server.endpoint})
    run(config)
    assert_invariant(Path(config.output.url), reference)
    assert not plan(config).todo  # stamps are ETags
    if layout.startswith("ragged"):
        return  # which is known by its digests
    chunk = next(path for path in ObjectPath(url).rglob("*") if "/c/0" in path.url or path.name == "0.0")
    chunk.write_bytes(chunk.read_bytes() + b"\0")
    assert plan(config).todo


def test_a_chunk_that_is_missing_from_a_bucket_quarantines_its_utterances_alone(
    server: Server, small_mels: Path, small_job: Build, reference: Reference, folder: str, tmp_path: Path
) -> None:
    MAKERS["grouped"](tmp_path / "mels.zarr", small_mels)
    url = upload(server, tmp_path / "mels.zarr", f"{folder}/mels.zarr")
    ObjectPath(f"{url}/piece-03/c/0/1").unlink()
    config = small_job(input__store=url, quality__max_failure_rate=1)
    run(config)
    assert_invariant(Path(config.output.url), reference, failed=frozenset({"piece-03"}))


def test_what_is_wrong_with_a_store_in_a_bucket_is_said(server: Server, small_job: Build, folder: str) -> None:
    with pytest.raises(StoreError, match="there is no Zarr group at s3://"):
        open_store(f"{folder}/nothing", options={"endpoint_url": server.endpoint})
    with pytest.raises(ConfigError, match=r"lies in the store"):
        plan(small_job(input__store=folder, output__url=f"{folder}/audio"))
    assert BUCKET in folder
