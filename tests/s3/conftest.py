"""A server for all tests of a process, and a folder of it for each."""

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.faults.fixtures import (  # noqa: F401  # fixtures
    few_job,
    few_reference,
    few_store,
    new_place,
    outputs,
    reference,
    small_job,
    small_mels,
    small_store,
)
from support.s3_server import BUCKET, KEY, SECRET, Server, serving

from pipeline.storage.objects import ObjectStorage

_folders = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """SeaweedFS, on loopback."""
    with serving(tmp_path_factory.mktemp("seaweedfs") / "server") as running:
        yield running


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the environment of a job has them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture
def options(server: Server) -> dict[str, Any]:
    """For a client of it, as a job file has them."""
    return {"endpoint_url": server.endpoint}


@pytest.fixture
def folder() -> str:
    """A folder of the bucket that nobody has used."""
    return f"s3://{BUCKET}/folder-{next(_folders)}"


@pytest.fixture
def opened(folder: str, options: dict[str, Any]) -> Callable[[], ObjectStorage]:
    """Opens that folder, as often as it is called."""
    return lambda: ObjectStorage(folder, options)


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`aws s3 cp URL FILE`, as the AWS CLI has it, on the path of commands."""
    program = tmp_path / "bin" / "aws"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys, fsspec\n"
        "assert sys.argv[1:3] == ['s3', 'cp'], sys.argv\n"
        "content = fsspec.open(sys.argv[3]).open().read()\n"
        "file = sys.stdout.buffer if sys.argv[4] == '-' else open(sys.argv[4], 'wb')\n"
        "file.write(content)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
