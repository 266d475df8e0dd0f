"""Several hosts in one machine: network namespaces with addresses of their own, on a switch; as root."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_COUNT = 3


@dataclass(frozen=True)
class Host:
    """A namespace.

    Args:
        name: of it.
        address: of it.
    """

    name: str
    address: str

    def command(self, *command: str) -> list[str]:
        """The command, on this host."""
        return ["ip", "netns", "exec", self.name, *command]

    def start(self, log: Path, environment: dict[str, str], *command: str) -> subprocess.Popen[bytes]:
        """The command there, in a session of its own; what it says goes to `log`."""
        with open(log, "ab") as file:
            return subprocess.Popen(
                self.command(*command),
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={**os.environ, **environment},
            )

    def set_link(self, state: str) -> None:
        """Pull its cable (`down`), or plug it in again (`up`)."""
        _ip("-n", self.name, "link", "set", "eth0", state)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextlib.contextmanager
def three_hosts() -> Iterator[list[Host]]:
    """Three hosts on one switch, 10.77.0.1 to .3; nothing of them is left afterwards."""
    prefix = f"melmill{os.getpid()}"
    switch = f"{prefix}-switch"
    hosts = [Host(f"{prefix}-{number}", f"10.77.0.{number}") for number in range(1, _COUNT + 1)]
    with contextlib.ExitStack() as stack:
        for name in (switch, *(host.name for host in hosts)):
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
        _ip("-n", switch, "link", "add", "bridge0", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge0", "up")
        for number, host in enumerate(hosts):
            port = f"port{number}"
            _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.name)
            _ip("-n", switch, "link", "set", port, "master", "bridge0", "up")
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
            _ip("-n", host.name, "link", "set", "lo", "up")
            host.set_link("up")
        yield hosts


@contextlib.contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The process and its group for as long as the context lasts."""
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
