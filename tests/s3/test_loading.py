"""Those who train load from a bucket: with `pipeline.read`, and with the lines that `run` prints."""

import hashlib
import multiprocessing
import pickle
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from support import shard_readers
from support.faults.invariant import Reference
from support.faults.places import ObjectPath
from support.pages import blocks
from support.s3_server import Server
from typer.testing import CliRunner

import pipeline
from pipeline.audio.encode import pcm_bytes, quantize
from pipeline.cli import app
from pipeline.config import JobConfig
from pipeline.jobs.run import run
from pipeline.output.ledger import Ledger
from pipeline.storage import open_storage

Build = Callable[..., JobConfig]


@pytest.fixture
def config(small_job: Build, folder: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A job whose output is in the bucket; its superseded shards lie beside, made with another subtype."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)

    def build(**settings: Any) -> JobConfig:
        return small_job(output__url=f"{folder}/audio", **settings)

    return build


def digests(dataset: pipeline.AudioDataset) -> dict[str, str]:
    return {
        item.key: hashlib.sha256(pcm_bytes(quantize(item.samples, "PCM_16")[0], "PCM_16")).hexdigest()
        for item in map(dataset.__getitem__, range(len(dataset)))
    }


@pytest.mark.parametrize("container", ["tar", "files"])
def test_read_gives_what_was_made_in_this_process_and_in_others(
    config: Build, reference: Reference, container: str
) -> None:
    run(config(output__container=container, output__subtype="PCM_24"))
    made = config(output__container=container)
    run(made)
    dataset = pipeline.read(made.output.url, check=True)
    assert digests(dataset) == reference.digests
    assert digests(pickle.loads(pickle.dumps(dataset))) == reference.digests  # noqa: S301
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply(digests, (dataset,)) == reference.digests


def test_read_takes_the_clients_options(
    config: Build, reference: Reference, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = config()
    run(made)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert digests(pipeline.read(made.output.url, {"endpoint_url": server.endpoint})) == reference.digests


@pytest.mark.parametrize("container", ["tar", "files"])
def test_the_last_lines_of_a_run_load_check_and_show_what_it_made(
    config: Build,
    small_store: Path,
    vocoder_path: Path,
    reference: Reference,
    container: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # where a report of a bucket lies
    url = config().output.url
    flags = ["--store", str(small_store), "--vocoder", str(vocoder_path), "--out", url, "--scheduler", "synchronous"]
    flags += ["--set", f"output.container={container}", "--set", "output.shard_seconds=1"]
    for subtype in ("PCM_24", "PCM_16"):  # the second supersedes the first
        said = CliRunner().invoke(app, ["run", *flags, "--subtype", subtype]).stdout
    load, *commands = (line.partition(":")[2].strip() for line in said.splitlines()[-3:])
    names: dict[str, Any] = {}
    exec(load, names)  # noqa: S102
    assert digests(names["dataset"]) == reference.digests
    for command in commands:
        assert CliRunner().invoke(app, shlex.split(command)[1:]).exit_code == 0, command


@pytest.mark.usefixtures("aws")
def test_the_function_of_the_page_streams_the_current_shards(config: Build, reference: Reference) -> None:
    run(config(output__subtype="PCM_24"))
    run(config())
    (block,) = (each for each in blocks("howto/load") if "def streamed" in each.body)
    names: dict[str, Any] = {}
    with shard_readers.installed():
        exec(block.body, names)  # noqa: S102
        loaded = list(names["streamed"](config().output.url))
    indexed = list(shard_readers.ShardListDataset(f"{config().output.url}/index.json"))
    for samples in (loaded, indexed):
        assert {unquote(each["__key__"]) for each in samples} == reference.digests.keys()
        assert len(samples) == len(reference.digests)


@pytest.mark.parametrize("container", ["tar", "files"])
def test_superseded_shards_are_deleted_from_a_bucket_after_publication(config: Build, container: str) -> None:
    run(config(output__container=container, output__subtype="PCM_24"))
    out = ObjectPath(config().output.url)
    before = {str(path) for path in (out / "data").rglob("*")}
    old = Ledger(open_storage(str(out))).commit_names()
    report = run(config(output__container=container, output__superseded="delete"))
    assert report.deleted.shards == len(old) > 2
    after = {str(path) for path in out.rglob("*")}
    assert not before & after
    assert not {name for name in after if any(each in name for each in old)}
    assert pipeline.verify(str(out)).findings == ()
    assert pipeline.find_garbage(str(out)).garbage == ()
    assert subprocess.run([sys.executable, "-m", "pipeline", "verify", str(out)], capture_output=True).returncode == 0
