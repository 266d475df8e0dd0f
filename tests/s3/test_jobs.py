"""Whole jobs from one bucket to another, by the command line; and that a secret is written nowhere."""

import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.faults.invariant import Reference, assert_invariant
from support.faults.layouts import MAKERS
from support.faults.places import ObjectPath
from support.faults.places import client as client_of_tests
from support.s3_server import BUCKET, KEY, SECRET, Server, client
from typer.testing import CliRunner

from pipeline import open_store
from pipeline.cli import app
from pipeline.config import JobConfig, load_job
from pipeline.errors import ConfigError, StoreError
from pipeline.jobs.run import plan, run
from pipeline.planning.prepare import prepare
from pipeline.stores.zarr_arrays import DOCUMENT_NAMES

Build = Callable[..., JobConfig]


@pytest.fixture(autouse=True)
def _direct(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what the tests themselves look at."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)


def upload(server: Server, folder: Path, url: str) -> str:
    """A folder's files as objects."""
    client(server.endpoint).put(f"{folder}/", f"{url.removeprefix('s3://')}/", recursive=True)
    return url


def begin_upload(server: Server, folder: str, name: str) -> None:
    """As a writer of a large object does that dies."""
    key = f"{folder.partition(f'{BUCKET}/')[2]}/{name}"
    client(server.endpoint).call_s3("create_multipart_upload", Bucket=BUCKET, Key=key)


def test_a_job_from_a_bucket_into_another_writes_no_secret_anywhere(
    server: Server,
    small_store: Path,
    vocoder_path: Path,
    reference: Reference,
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the command, with Dask's workers: the credentials are those of the job, in variables of its own."""
    options = {"endpoint_url": server.endpoint, "key": "$STORE_KEY", "secret": "$STORE_SECRET"}
    job = tmp_path / "job.yaml"
    values: dict[str, Any] = {
        "input": {"store": upload(server, small_store, f"{folder}/mels.zarr"), "options": options},
        "vocoder": {"name": str(vocoder_path)},
        "output": {"url": f"{folder}/audio", "options": options, "shard_seconds": 1.0},
        "cluster": {"kind": "local", "workers": 1},
    }
    job.write_text(yaml.safe_dump(values))
    client_of_tests()  # with the credentials that it needs
    for name, value in (("STORE_KEY", KEY), ("STORE_SECRET", SECRET), ("AWS_SECRET_ACCESS_KEY", "another")):
        monkeypatch.setenv(name, value)
    begun = [sys.executable, "-m", "pipeline", "run", str(job), "--log-json"]
    first = subprocess.run(begun, capture_output=True, text=True)
    said = [first.stdout + first.stderr]
    assert first.returncode == 0, said

    def done(*words: str, code: int = 0) -> str:
        finished = CliRunner().invoke(app, words)
        said.append(finished.output + "".join(traceback.format_exception(finished.exception)))
        assert finished.exit_code == code, said[-1]
        return said[-1]

    assert "nothing to do" in done("run", str(job))
    access = [f"--set=output.options.{name}={value}" for name, value in options.items()]
    assert "is whole" in done("verify", f"{folder}/audio", *access)
    assert "finished" in done("status", f"{folder}/audio", *access)
    begin_upload(server, f"{folder}/audio", "data/000009-0123abcd.tar")
    for words in (("gc", f"{folder}/audio", *access), ("gc", f"{folder}/audio", "--yes", *access)):
        assert "half written by a run that died" in done(*words)
    assert "nothing to delete" in done("gc", f"{folder}/audio", "--yes", *access)
    assert "nothing to do" in done("retry", f"{folder}/audio", *access)
    assert "check that the bucket exists" in done("run", str(job), "--out", "s3://no-such-bucket/audio", code=6)
    done("run", str(job), "--set", f"output.options.secret={SECRET}", code=2)
    payload = pickle.dumps(prepare(load_job(job)).job)
    monkeypatch.setenv("STORE_SECRET", "not-this")
    assert "check the credentials" in done("run", str(job), code=6)
    monkeypatch.delenv("STORE_SECRET")
    assert "$STORE_SECRET" in done("run", str(job), code=2)
    out = ObjectPath(f"{folder}/audio")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert_invariant(out, reference)
    written = [payload, *(path.read_bytes() for path in out.rglob("*"))]
    assert len(written) > 8
    assert not any(SECRET.encode() in content or KEY.encode() in content for content in written)
    assert not any(SECRET in words or KEY in words for words in said)


@pytest.mark.parametrize("layout", list(MAKERS))
def test_every_layout_is_read_from_a_bucket_as_from_a_disk(
    server: Server, small_mels: Path, small_job: Build, reference: Reference, folder: str, tmp_path: Path, layout: str
) -> None:
    MAKERS[layout](tmp_path / "mels.zarr", small_mels)
    url = upload(server, tmp_path / "mels.zarr", f"{folder}/mels.zarr")
    access = {"endpoint_url": server.endpoint}
    config = small_job(input__store=url, input__options=access, input__check_values=False)
    run(config)
    assert_invariant(Path(config.output.url), reference)
    assert not plan(config).todo  # stamps are ETags
    if layout.startswith("ragged"):
        return  # which is known by its digests
    values = (path for path in ObjectPath(url).rglob("*") if "/mel/" in path.url or "/piece-" in path.url)
    chunk = next(path for path in values if path.name not in DOCUMENT_NAMES)
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
