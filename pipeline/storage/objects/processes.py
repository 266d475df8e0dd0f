"""Which process this is, and whether another is still there: as far as can be told from here, which is one machine."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_process() -> str:
    """This process in words that no other has, in which `is_dead` looks it up. Empty where the system does not tell."""
    try:
        return f"{_machine()} {os.getpid()} {_started(os.getpid())}"
    except OSError:
        return ""


def is_dead(process: str) -> bool | None:
    """Whether a process, by its `this_process`, has ended; None if that cannot be seen from here."""
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
    """This machine since it was started, and the space in which processes have their numbers."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"


def _started(number: int) -> str:
    """When a process was started, in ticks since the machine was. OSError if it has ended."""
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(number)
    return fields[19]
