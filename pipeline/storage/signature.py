"""Who holds an output, as its lock or its lease says it."""

from __future__ import annotations

import time
from datetime import timedelta


def signed(owner: str) -> str:
    """Who holds an output, from now on; for `in_words`."""
    return f"{owner}\n{time.time()}"


def in_words(signature: str) -> str:
    """The holder, and for how long. The age is for the reader: a clock that is off matters to nothing."""
    owner, _, since = signature.strip().rpartition("\n")
    try:
        age = time.time() - float(since)
        return f"{owner}, for {timedelta(seconds=int(age))}" if age >= 0 else f"{owner}, just now"
    except (ValueError, OverflowError):
        return owner or since or "it has just begun"
