"""What SLURM's queue says of the jobs of this user."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterable

ANSWER_SECONDS = 20.0
"""Longest time that a command of SLURM may take to answer."""


def queue_states() -> dict[str, tuple[str, str]]:
    """Number of each job of this user that is queued or running -> its state, and the reason why it waits.

    Jobs in hidden partitions are in it: without --all they would look gone, and be replaced again and again.
    """
    answer = subprocess.run(
        ["squeue", "--all", "--noheader", f"--user={os.getuid()}", "--format=%A|%T|%r"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=ANSWER_SECONDS,
    )
    lines = [line.split("|") for line in answer.stdout.splitlines()]
    return {number: (state, reason) for number, state, reason in lines}


def describe_jobs(states: dict[str, tuple[str, str]], numbers: Iterable[str | None]) -> str:
    """A description of the jobs with these numbers, from the answer of `queue_states`.

    >>> waits = ("PENDING", "Resources")
    >>> describe_jobs({"7": waits, "8": waits, "9": ("RUNNING", "None")}, ["7", "8", "6"])
    'of 3 jobs in SLURM, 2 are PENDING (Resources), 1 is gone'
    >>> describe_jobs({}, [])
    'no job is in SLURM yet'
    """
    numbers = list(numbers)
    if not numbers:
        return "no job is in SLURM yet"
    found = [states.get(number or "") for number in numbers]
    words = Counter("gone" if state is None else state[0] + _because(state[1]) for state in found)
    return f"of {len(numbers)} jobs in SLURM, " + ", ".join(
        f"{count} {'is' if count == 1 else 'are'} {state}" for state, count in words.items()
    )


def _because(reason: str) -> str:
    return "" if reason == "None" else f" ({reason})"
