"""Planted secrets, looked for in every byte of what a run says, writes and sends to Dask."""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import distributed.protocol
import pytest
from distributed import Client
from support.guarded_server import BROKEN, PASSWORD, SIGNATURE, url_of
from support.paths import DATA, TESTS
from support.recipes import PACKAGE
from typer.testing import CliRunner

import pipeline
from pipeline.audio import encode
from pipeline.cli import app
from pipeline.cluster import job_on_workers
from pipeline.config import JobConfig, resolved
from pipeline.errors import ConfigError, StorageError
from pipeline.jobs import run as jobs
from pipeline.redaction import public_url, redacted

Build = Callable[..., JobConfig]

VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_KEY", "AZURE_STORAGE_CONNECTION_STRING",
             "GOOGLE_APPLICATION_CREDENTIALS_JSON", "FSSPEC_S3_SECRET")  # fmt: skip
OF_THE_ENVIRONMENT = "5ecret-of-the-environment"
OF_THE_JOB = "5ecret-of-the-job"
TLS = DATA / "tls"
KEY = (TLS / "key.pem").read_text().splitlines()[1]
SECRETS = (PASSWORD, SIGNATURE, OF_THE_ENVIRONMENT, OF_THE_JOB, KEY)

SCHEDULER = """
import sys, time
from distributed import LocalCluster, Security
from support import guarded_server as guarded
from support.paths import DATA, TESTS

certificate, key = sys.argv[2:]
security = Security(
    require_encryption=True, tls_ca_file=certificate,
    **{f"tls_{role}_{what}": path for role in ("scheduler", "worker", "client")
       for what, path in (("cert", certificate), ("key", key))},
)
guarded.defect = sys.argv[1]
if __name__ == "__main__":
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", processes=False, protocol="tls://", security=security
    )
    print(cluster.scheduler_address, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, OF_THE_ENVIRONMENT)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address of a scheduler with a worker in another process, by TLS, and what both log."""
    log, certificate, key = tmp_path / "cluster.log", tmp_path / "cert.pem", tmp_path / "key.pem"
    for path in (certificate, key):
        shutil.copy(TLS / path.name, path)
        path.chmod(0o600)
    (tmp_path / "cluster.py").write_text(SCHEDULER)
    path = os.pathsep.join([str(TESTS), str(PACKAGE)])
    environment = {**os.environ, "PYTHONPATH": path, "DASK_LOGGING__DISTRIBUTED": "debug"}
    with (
        open(log, "wb") as file,
        subprocess.Popen(
            [sys.executable, tmp_path / "cluster.py", tmp_path / "defect", certificate, key],
            stdout=subprocess.PIPE,
            stderr=file,
            env=environment,
            text=True,
        ) as process,
        dask.config.set(
            {
                "distributed.comm.tls.ca-file": str(certificate),
                "distributed.comm.tls.client.cert": str(certificate),
                "distributed.comm.tls.client.key": str(key),
            }
        ),
    ):
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), log
        finally:
            process.kill()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All that clients send to their scheduler in messages, graphs above all, as it goes over the wire."""
    frames: list[bytes] = []
    send = Client._send_to_scheduler

    def recorded(client: Client, message: dict[str, Any]) -> None:
        with dask.config.set({"distributed.comm.compression": None}):
            frames.extend(bytes(frame) for frame in distributed.protocol.dumps(message))
        send(client, message)

    monkeypatch.setattr(Client, "_send_to_scheduler", recorded)
    return frames


def guarded(job: Build, **settings: Any) -> JobConfig:
    """The job on its store by a URL with secrets; mels are first read by workers, and all may fail."""
    store = url_of(job().input.store)
    return job(
        input__store=store, input__check_values=False, quality__give_up_after=0, output__shard_seconds=600, **settings
    )


def without_secrets(*texts: str | bytes) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret.encode() not in (text if isinstance(text, bytes) else text.encode()), secret


def files_of(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def said(*arguments: object, code: int) -> str:
    """Standard output and error of a command that must end with this exit code, and say no secret."""
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == code, done.output
    without_secrets(done.output, repr(done.exception))
    return done.output


def test_no_secret_of_a_stores_url_comes_out_anywhere(
    job: Build, cluster: tuple[str, Path], sent: list[bytes], tmp_path: Path
) -> None:
    """The store opens only with them, in this process and on the worker; one run that is good, and two that are not."""
    address, log = cluster
    config = guarded(job, cluster__kind="dask", cluster__address=address)
    file, out, store = tmp_path / "job.yaml", Path(config.output.url), Path(job().input.store)
    file.write_text(config.model_dump_json())
    metrics = tmp_path / "melmill.prom"
    common = ["run", file, "--metrics", metrics, "--log-json"]

    (tmp_path / "defect").touch()
    assert "defect of melmill, on a worker" in said(*common, code=1)
    assert "LookupError: no cache for guarded://host" in said("retry", out, "--store", config.input.store, code=1)
    (tmp_path / "defect").unlink()
    assert "24 utterances" in said(*common, code=0)
    for command in (["plan", file, "--json"], ["inspect", config.input.store]):
        said(*command, code=0)
    for command in (["status", out, "--json"], ["status", out], ["verify", out, "--json"], ["gc", out, "--json"]):
        said(*command, code=0)

    without_secrets(*files_of(out), metrics.read_bytes(), log.read_bytes())
    assert b"Compute Failed" in log.read_bytes()
    assert b"make_on_worker" in log.read_bytes()  # the task as the worker shows it
    (key, *_) = pipeline.open_store(str(store)).catalogue().keys
    assert any(b"make_on_worker" in frame and key.encode() in frame for frame in sent)
    assert address.startswith("tls://")
    without_secrets(*sent)


def test_no_secret_comes_out_of_this_process(
    job: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect here, with the secrets in its words; what is logged; and a job file that is wrong."""
    config = guarded(job)
    file, store, out = tmp_path / "job.yaml", Path(job().input.store), Path(config.output.url)
    file.write_text(config.model_dump_json())
    (store / BROKEN).touch()
    said("run", file, code=7)
    (store / BROKEN).unlink()
    assert "GET guarded://host/" in (out / "failures.jsonl").read_text()

    def strange(*_: object) -> None:
        raise ValueError(f"{config.input.store} with password={PASSWORD}")

    with monkeypatch.context() as patch, caplog.at_level(logging.DEBUG):
        patch.setattr(encode, "quantize", strange)
        said("retry", out, "--store", config.input.store, code=7)
    assert "Traceback" in caplog.text
    assert "guarded://host/" in caplog.text
    without_secrets(caplog.text)
    said("retry", out, "--store", config.input.store, code=0)

    def defect(*_: object) -> None:
        raise LookupError(f"{config.input.store} and {{'secret': '{OF_THE_JOB}', 'anon': False}}")

    monkeypatch.setattr(jobs, "run", defect)
    assert "this is a defect in melmill" in said("run", file, code=1)
    assert "LookupError" in said("run", file, "--log-json", code=1)
    for text in (
        f"input: {{store: '{config.input.store}', stores: x}}\n",
        f"input:\n  options:\n    secret: {OF_THE_JOB}: x\n",
        f"input:\n  secret: '{OF_THE_JOB}'\n  store: [\n",
        f"input: {{store: x, options: {{secret: {OF_THE_JOB}, client_kwargs: {{password: {OF_THE_JOB}}}}}}}\n",
        f"input: {{store: x}}\noutput: {{options: {{key: {OF_THE_JOB}}}}}\n",
        f"input: '{config.input.store}'\n",
    ):
        file.write_text(text)
        said("run", file, "--out", tmp_path / "x", code=2)
    said("run", "--store", store, "--out", tmp_path / "x", "--set", f"input.options.secret={OF_THE_JOB}: x", code=2)
    without_secrets(*files_of(out))


def test_a_secret_of_the_environment_is_not_shown_in_any_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients' errors have wordings of their own. URLs are written down as they were, whatever is known by then."""
    monkeypatch.setenv("MY_SECRET", OF_THE_JOB + "/+'")
    monkeypatch.setenv("REGION", "somewhere")
    words = f"the server took {OF_THE_JOB}/+' (or {OF_THE_JOB}%2F%2B%27) of somewhere for a lie"
    assert redacted(words) == words
    resolved({"client_kwargs": {"headers": [["X-API-Key", "$MY_SECRET"]], "region_name": "$REGION"}})
    shown = "the server took ... (or ...) of somewhere for a lie"
    assert redacted(words) == str(StorageError(words)) == shown
    assert public_url(f"s3://{OF_THE_JOB}") == f"s3://{OF_THE_JOB}"


def test_secrets_do_not_go_to_workers_over_an_open_network(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(job_on_workers, "is_loopback", lambda host: False)
    with LocalCluster(n_workers=1, dashboard_address=":0", processes=False, protocol="tcp://") as cluster:
        config = guarded(job, cluster__kind="dask", cluster__address=cluster.scheduler_address)
        with pytest.raises(ConfigError, match="sent without TLS"):
            jobs.run(config)
        jobs.run(job(cluster__kind="dask", cluster__address=cluster.scheduler_address), adopt=True)
