"""Keys of utterances: which text can be one, and which keys of a listing are faulty."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stores.base import Faults, add_fault

MAX_KEY_BYTES = 1024
"""Longest key [bytes of UTF-8]: escaped, it is at most three times as long, and a path holds 4096 bytes."""


def bad_key(key: str) -> str | None:
    """Why no utterance can have this key; None if one can."""
    if not key:
        return "its key is empty"
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "its key is not valid Unicode"
    return f"its key has {size} bytes, more than {MAX_KEY_BYTES}" if size > MAX_KEY_BYTES else None


def key_faults(keys: NDArray[Any], faults: Faults) -> None:
    """Adds a fault for every key that is empty or too long, and for each utterance whose key another one has too.

    Args:
        keys: keys of all utterances, `[utterances]` of numpy's StringDType.
        faults: faults found so far; those of the keys are added to it.
    """
    for empty in np.flatnonzero(keys == "").tolist():
        add_fault(faults, empty, f"its key is empty (item {empty})")
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))  # numpy's str_len ends at a NUL
    for index in np.flatnonzero(lengths > MAX_KEY_BYTES // 4).tolist():
        if reason := bad_key(str(keys[index])):
            add_fault(faults, index, f"{reason} (item {index})")
    if (keys[1:] > keys[:-1]).all():  # as in every store whose keys are sorted
        return
    hashes = np.fromiter(map(hash, keys), np.int64, len(keys))  # to sort the keys would take four times their memory
    order = np.argsort(hashes, kind="stable")
    alike = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    found: dict[str, list[int]] = {}
    for index in np.unique(order[np.concatenate([alike, alike + 1])]).tolist():
        found.setdefault(str(keys[index]), []).append(index)
    for text, places in found.items():
        named = ", ".join(map(str, places[:-1]))[:200] + f" and {places[-1]}"
        for index in places if len(places) > 1 else ():
            add_fault(faults, index, f"key {text!r} occurs {len(places)} times: items {named}")
