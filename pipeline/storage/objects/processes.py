"""The identity of this process, and whether another process of this machine has ended."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_process() -> str:
    """Text that identifies this process and no other; `is_dead` takes it. Empty if the system does not tell enough."""
    try:
        return f"{_machine()} {os.getpid()} {_started(os.getpid())}"
    except OSError:
        return ""


def is_dead(process: str) -> bool | None:
    """Whether a process has ended, found by its `this_process`; None if this process cannot see that."""
    try:
        machine = _machine()
    except OSError:
        return None
    own, _, which = process.partition(machine)
    if own or not which:
        return None
    number, _, started = which.strip().partition(" ")
    try:
        return _started(int(number)) != started
    except (OSError, ValueError):
        return True


def _machine() -> str:
    """Text that identifies this boot of this machine and the namespace of its process numbers."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"


def _started(number: int) -> str:
    """Start of a process, in ticks since the machine started. OSError if the process has ended."""
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(number)
    return fields[19]
