"""How many trials a fault gets, and the seeds they come from."""

import os
import random
from collections.abc import Iterator

FULL = os.environ.get("MELMILL_FAULTS") == "full"
"""Set by `make test-faults`."""


def trials(full: int, brief: int) -> int:
    """Trials of a fault: all of them in the lane for faults, a few in `make test`."""
    return full if FULL else brief


def seeded(count: int, name: str) -> Iterator[random.Random]:
    """A source of randomness for each trial; its seed is printed, and `MELMILL_SEED` repeats one alone."""
    chosen = os.environ.get("MELMILL_SEED")
    for seed in [int(chosen)] if chosen else range(count):
        print(f"{name}: MELMILL_SEED={seed}", flush=True)
        yield random.Random(f"{name} {seed}")
