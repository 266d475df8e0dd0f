"""How many trials a fault gets, and the seeds they come from."""

import os
import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

from support.faults.places import ON_S3

T = TypeVar("T")

FULL = os.environ.get("MELMILL_FAULTS") == "full"
"""Set by `make test-faults`."""


def trials(full: int, brief: int) -> int:
    """Trials of a fault: all in the lane for faults, a few in `make test`, half as many of those in an object store."""
    return full if FULL else max(1, brief // 2) if ON_S3 else brief


def spread(cases: Sequence[T], count: int) -> list[T]:
    """So many of the cases, evenly spread; each of them more than once if there are fewer."""
    return [cases[index * len(cases) // count] for index in range(count)]


def seeded(count: int, name: str) -> Iterator[random.Random]:
    """A source of randomness for each trial; its seed is printed, and `MELMILL_SEED` repeats one alone."""
    chosen = os.environ.get("MELMILL_SEED")
    for seed in [int(chosen)] if chosen else range(count):
        print(f"{name}: MELMILL_SEED={seed}", flush=True)
        yield random.Random(f"{name} {seed}")
