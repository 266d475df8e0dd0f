"""Schedulers with TLS, and keys that are no secret."""

from collections.abc import Callable
from pathlib import Path

import pytest
from distributed import LocalCluster, Security
from support.corpora import assert_whole
from support.keys import made_keys

from pipeline.cluster.security import given_security
from pipeline.config import JobConfig
from pipeline.errors import ClusterError, ConfigError
from pipeline.jobs.run import run

Build = Callable[..., JobConfig]


def test_a_scheduler_with_tls_takes_the_jobs_keys_and_no_others(job: Build, tmp_path: Path) -> None:
    ours, others = made_keys(tmp_path, "ours"), made_keys(tmp_path, "others")
    security: Security = given_security(ours)
    with LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0", processes=False, security=security
    ) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tls://")
        told = {"cluster__kind": "dask", "cluster__address": address, "cluster__timeout": 5}
        with pytest.raises(ClusterError, match=r"TLS handshake with the scheduler .* failed"):
            run(job(**told, cluster__security=others.model_dump()))
        with pytest.raises(ConfigError, match=r"cannot be used.*give cluster\.security"):
            run(job(**told))
        config = job(**told, cluster__security=ours.model_dump())
        assert run(config).totals.utterances == 24
    assert_whole(Path(config.output.url), 24)


def test_keys_that_everybody_reads_or_that_are_none_are_refused(tmp_path: Path) -> None:
    ours, others = made_keys(tmp_path, "ours"), made_keys(tmp_path, "others")
    Path(ours.key).chmod(0o644)
    with pytest.raises(ConfigError, match=r"key\.pem, may be read by everybody .* \(mode 0644\).*chmod 600"):
        given_security(ours)
    Path(ours.key).chmod(0o640)
    assert given_security(ours).tls_client_key == ours.key
    with pytest.raises(ConfigError, match=r"cluster\.security\.cert, .*nowhere.*No such file"):
        given_security(ours.model_copy(update={"cert": str(tmp_path / "nowhere")}))
    with pytest.raises(ConfigError, match=r"are not certificates and a key that belong together"):
        given_security(ours.model_copy(update={"key": others.key}))
