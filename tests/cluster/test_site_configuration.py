"""What a site configures for Dask, in files and in variables, does not reach the workers that one run starts here."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dask
import pytest
import yaml
from support.corpora import assert_whole, objects

from pipeline.cluster.connection import connect
from pipeline.config import JobConfig, KubernetesConfig, SlurmConfig
from pipeline.errors import ConfigError
from pipeline.jobs.run import run

Build = Callable[..., JobConfig]

# Each of these alone stops a local cluster that takes it, kills its workers, or has it wait.
_OF_A_SITE = {
    "scheduler-address": "tcp://192.0.2.1:8786",
    "temporary-directory": "/proc/nowhere",
    "distributed": {
        "admin": {"event-loop": "no-such-loop", "pdb-on-err": True},
        "client": {"preload": ["no_such_module"], "security-loader": "no.such.loader"},
        "comm": {
            "compression": "no-such-compression",
            "default-scheme": "tls",
            "require-encryption": True,
            "timeouts": {"connect": "1ms", "tcp": "1ms"},
            "tls": {"ca-file": "/no/ca.pem", "scheduler": {"cert": "/no/cert.pem"}, "worker": {"cert": "/no/cert.pem"}},
        },
        "nanny": {"preload": ["no_such_module"], "environ": {"MELMILL_CACHE": "/proc/nowhere"}},
        "scheduler": {
            "active-memory-manager": {"policies": [{"class": "no.such.Policy"}]},
            "blocked-handlers": ["subscribe-topic"],
            "http": {"routes": ["no.such.route"]},
            "idle-timeout": "1ms",
            "no-workers-timeout": "1ms",
            "preload": ["no_such_module"],
            "worker-ttl": "1ms",
        },
        "worker": {
            "blocked-handlers": ["run"],
            "http": {"routes": ["no.such.route"]},
            "lifetime": {"duration": "200ms"},
            "memory": {"pause": 0.0001, "spill": 0.0001, "target": 0.0001, "terminate": 0.0002},
            "multiprocessing-method": "no-such-method",
            "preload": ["no_such_module"],
        },
    },
}
_AS_VARIABLES = {
    "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
    "DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION": "200ms",
    "DASK_DISTRIBUTED__WORKER__PRELOAD": "['no_such_module']",
    "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "0.0002",
    "DASK_DISTRIBUTED__NANNY__PRELOAD": "['no_such_module']",
}


def _run_in(job: JobConfig, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run of the job with a local worker, by the command line in this environment."""
    (folder / "job.json").write_text(job.model_dump_json())
    words = [sys.executable, "-m", "pipeline", "run", folder / "job.json"]
    return subprocess.run(
        words, capture_output=True, text=True, cwd=folder, timeout=120, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("way", ["DASK_CONFIG", "DASK_ROOT_CONFIG", "HOME", "variables"])
def test_what_a_site_configures_for_dask_does_not_reach_a_local_run(job: Build, tmp_path: Path, way: str) -> None:
    """`DASK_ROOT_CONFIG` names the folder that is `/etc/dask` otherwise."""
    folder = tmp_path / (".config/dask" if way == "HOME" else "site")
    folder.mkdir(parents=True)
    environment = _AS_VARIABLES
    if way != "variables":
        (folder / "site.yaml").write_text(yaml.safe_dump(_OF_A_SITE))
        environment = {way: str(tmp_path if way == "HOME" else folder)}
    config = job(cluster__kind="local", cluster__workers=1, cluster__timeout=60, output__shard_seconds=5)
    done = _run_in(config, tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert "lost" not in done.stderr  # a worker that ended too early was replaced
    assert_whole(Path(config.output.url), 24)
    here = job(output__url=str(tmp_path / "here"), output__shard_seconds=5)
    run(here)
    assert objects(Path(here.output.url)) == objects(Path(config.output.url))


def test_a_local_run_leaves_the_configuration_of_this_process_as_it_was(job: Build) -> None:
    with dask.config.set({"distributed.worker.resources": {"GPU": 1}, "distributed.scheduler.preload": ["no_such"]}):
        before = dask.config.config.copy()
        run(job(cluster__kind="local", cluster__workers=1))
        assert dask.config.config == before
        assert all(dask.config.config[key] is before[key] for key in before)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("distributed: [", r"site\.yaml' is malformed"),
        ("just words", r"site\.yaml' is malformed"),
        ("distributed: {comm: {offload: lots}}", "Could not interpret 'lots' as a byte unit"),
        ("logging-file-config: /no/such.ini", r"/no/such\.ini"),
    ],
)
def test_a_configuration_that_dask_itself_refuses_is_named(job: Build, tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "site.yaml").write_text(text)
    for workers in (1, "auto") if text == "just words" else (1,):  # Dask says how many cores there are
        config = job(cluster__kind="local", cluster__workers=workers)
        done = _run_in(config, tmp_path, DASK_CONFIG=str(tmp_path / "site.yaml"))
        assert done.returncode == 2, done.stderr
        with pytest.raises(AssertionError, match=named):
            raise AssertionError(done.stderr)
        assert "DASK_" in done.stderr
        assert "Traceback" not in done.stderr


def test_schedulers_beyond_this_process_have_the_configuration_of_their_site(job: Build) -> None:
    config = job(cluster__kind="dask", cluster__address="tcp://127.0.0.1:9", cluster__timeout=1)
    with (
        dask.config.set({"distributed.comm.require-encryption": True}),
        pytest.raises(ConfigError, match=r"tcp://127\.0\.0\.1:9 has no TLS, and distributed\.comm\.require-encryption"),
    ):
        run(config)
    slurm = SlurmConfig(jobs=1, memory="1 GB", walltime=60, insecure=True)
    kubernetes = KubernetesConfig(workers=1, image="melmill", memory="1 GiB", insecure=True)
    for open_kind in (slurm, kubernetes):
        with (
            dask.config.set({"distributed.comm.require-encryption": True}),
            pytest.raises(ConfigError, match=r"has no TLS, and distributed\.comm\.require-encryption"),
            connect(open_kind),
        ):
            pass
    config = job(cluster__kind="dask", cluster__address="tls://127.0.0.1:9", cluster__timeout=1)
    files = {"ca-file": "/no/ca.pem", "client.cert": "/no/cert.pem"}
    with (
        dask.config.set({f"distributed.comm.tls.{name}": path for name, path in files.items()}),
        pytest.raises(ConfigError, match=r"distributed\.comm\.tls.*cannot be used.*No such file"),
    ):
        run(config)


def test_without_a_home_folder_dask_makes_none_here(tmp_path: Path) -> None:
    """Where HOME is not set and the user has no name, as in containers, Dask would make a folder called ~."""
    code = (
        "import os, pwd\n"
        "def unknown(number): raise KeyError(number)\n"
        "pwd.getpwuid = unknown\n"
        "from pipeline.config import LocalConfig\n"
        "print(LocalConfig().worker_count() > 0)\n"
        "import distributed\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "DASK_CONFIG")}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert done.stdout == "True\n"
    assert list(tmp_path.iterdir()) == []
