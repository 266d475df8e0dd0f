"""Whole runs over a network that cuts, resets, stalls, loses answers and answers 503."""

import io
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.faults.invariant import Reference, assert_invariant, assert_readable
from support.faults.places import ObjectPath
from support.faults.scale import FULL, seeded
from support.s3_proxy import FATES, Proxy, proxying
from support.s3_server import BUCKET, KEY, SECRET, Server

from pipeline.config import JobConfig
from pipeline.errors import StorageError
from pipeline.jobs.run import run
from pipeline.storage.objects import ObjectStorage

Build = Callable[..., JobConfig]

RUNS = 100 if FULL else 20
IMPATIENT = {"read_timeout": 1, "connect_timeout": 1, "retries": {"max_attempts": 1}}


@pytest.fixture(scope="module")
def proxy(server: Server) -> Iterator[Proxy]:
    with proxying(server.port) as running:
        yield running


@pytest.fixture
def through(proxy: Proxy) -> dict[str, Any]:
    """Options of a client that goes through the proxy."""
    return {"endpoint_url": proxy.endpoint, "config_kwargs": IMPATIENT}


@pytest.fixture
def _direct(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests themselves look at is not disturbed."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)


@pytest.mark.usefixtures("_direct")
def test_every_run_over_a_bad_network_ends_whole_or_with_exit_6_and_is_resumed(
    few_job: Build, few_reference: Reference, proxy: Proxy, through: dict[str, Any]
) -> None:
    made, told = 0, []
    for number, rng in enumerate(seeded(RUNS, "a bad network")):
        out = ObjectPath(f"s3://{BUCKET}/bad-network-{number}")
        config = few_job(output__url=str(out))
        proxy.disturb(rng, rng.choice([0.02, 0.1, 0.3]))
        try:
            run(few_job(output__url=str(out), output__options=through))
            made += 1
        except StorageError as error:
            told.append(str(error))
        proxy.heal()
        assert_readable(out)
        run(config)
        assert_invariant(out, few_reference)
        assert run(config).run_id == ""
    print(f"{made} of {RUNS} runs made it, {dict(proxy.dealt)}")
    assert not any(secret in words for words in told for secret in (KEY, SECRET))
    assert set(proxy.dealt) == set(FATES)
    assert made


def test_an_upload_in_parts_over_a_bad_network_is_whole_or_not_there(
    folder: str,
    proxy: Proxy,
    through: dict[str, Any],
    opened: Callable[[], ObjectStorage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.storage.objects.transfers._PART_BYTES", 5 << 20)
    storage, ends = ObjectStorage(folder, through), set()
    whole = random.Random(0).randbytes(11 << 20)
    with storage.scratch() as scratch:
        (scratch / "big").write_bytes(whole)
        for number, rng in enumerate(seeded(RUNS // 4, "parts")):
            proxy.disturb(rng, 0.3)
            try:
                ends.add(storage.put_if_absent(f"data/{number}", scratch / "big"))
                proxy.heal()
                with opened().read(f"data/{number}") as file:
                    assert file.read() == whole
            except StorageError:
                proxy.heal()
                if f"data/{number}" in opened().list("data"):  # and nobody was told
                    with opened().read(f"data/{number}") as file:
                        assert file.seek(0, io.SEEK_END) == len(whole)
    assert ends == {True}
