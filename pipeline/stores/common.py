"""What the three layouts share: keys, duplicates, digests, the stated contract."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.mel import mel_ceiling
from pipeline.errors import BadMelError, ConfigError, StoreError
from pipeline.melspec import MelSpec, mel_spec
from pipeline.stores.array_metadata import ArrayMetadata
from pipeline.stores.base import Utterance
from pipeline.stores.tree import Tree

DIGEST_BYTES = 16
MAX_KEY_BYTES = 1024
"""Longest key [bytes of UTF-8]: escaped, it is at most three times as long, and a path holds 4096 bytes."""
LOUD_MARGIN = 3.0
"""Natural-log units by which a predicted mel may exceed the loudest waveform: a factor of 20 in magnitude."""
_LEAST_LOG = float(np.log(np.finfo(np.float32).smallest_subnormal)) - 1
Faults = dict[int, str]


def stated_spec(tree: Tree) -> MelSpec | None:
    """The mel contract in the root's attributes: `{"melmill": {"mel": {...}}}`, or `{"mel": a preset's name}`.

    Raises:
        StoreError: if one is stated that is no contract.
    """
    ours = tree.attributes.get("melmill")
    stated = ours.get("mel") if isinstance(ours, Mapping) else tree.attributes.get("mel")
    try:
        return mel_spec(stated) if isinstance(stated, str | Mapping) else None
    except (ConfigError, TypeError, ValueError) as exc:
        raise StoreError(f"{tree.url} states a mel contract in its attributes that is none: {exc}") from exc


def add_fault(faults: Faults, index: int, reason: str) -> None:
    """Notes one more reason against an utterance."""
    faults[index] = f"{faults[index]}; {reason}" if index in faults else reason


def key_faults(keys: NDArray[Any], faults: Faults) -> None:
    """Adds a fault for every key that is empty or too long, and for all occurrences of one that stands more than once.

    Args:
        keys: `[utterances]` of numpy's StringDType.
        faults: is added to.
    """
    for empty in np.flatnonzero(keys == "").tolist():
        add_fault(faults, empty, f"its key is empty (item {empty})")
    for index, key in enumerate(keys):
        if len(key) > MAX_KEY_BYTES // 4 and (size := len(key.encode())) > MAX_KEY_BYTES:
            add_fault(faults, index, f"its key has {size} bytes, more than {MAX_KEY_BYTES} (item {index})")
    _, which, counts = np.unique(keys, return_inverse=True, return_counts=True)
    standing: dict[str, list[int]] = {}
    for index in np.flatnonzero(counts[which] > 1).tolist():  # numpy compares only what stands before a NUL
        standing.setdefault(str(keys[index]), []).append(index)
    for text, places in standing.items():
        named = ", ".join(map(str, places[:-1]))[:200] + f" and {places[-1]}"
        for index in places if len(places) > 1 else ():
            add_fault(faults, index, f"key {text!r} stands {len(places)} times: items {named}")


@dataclass(frozen=True)
class PossibleValues:
    """What a log-mel of a contract can hold; what is beyond it is damage, or a mel of another contract.

    Args:
        low: the logarithm of the smallest float32, for each band.
        high: more than any waveform in [-1, 1] gives, by `LOUD_MARGIN`, for each band: predicted mels may be too loud.

    Both `[n_mels]` with axes of 1, in the axis order of the array that holds the mel.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    @classmethod
    def of(cls, spec: MelSpec | None, n_mels: int, mel_axis: int, dimensions: int) -> PossibleValues | None:
        """For an array of so many dimensions; None if there is no contract for this number of bands."""
        if spec is None or spec.n_mels != n_mels:
            return None
        shape = [1] * dimensions
        shape[mel_axis] = n_mels
        mean, scale = (0.0, 1.0) if spec.normalization is None else (spec.normalization.mean, spec.normalization.scale)
        low = (_LEAST_LOG * spec.log_scale - np.asarray(mean)) / np.asarray(scale)
        high = mel_ceiling(spec) + LOUD_MARGIN * spec.log_scale / np.asarray(scale)
        both = (np.broadcast_to(each, n_mels).astype(np.float32).reshape(shape) for each in (low, high))
        return cls(*both)


class MelDigest:
    """The content digest of a mel that is taken piece by piece: BLAKE2b of its frames as float32, and of its shape."""

    def __init__(self) -> None:
        self._state = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._bands = 0
        self.frames = 0

    def push(self, rows: NDArray[np.float32]) -> None:
        """Takes the next frames, `[frames, n_mels] float32`."""
        self._state.update(np.ascontiguousarray(rows, "<f4").data)
        self.frames += len(rows)
        self._bands = rows.shape[1]

    def finish(self) -> bytes:
        """The digest, 16 bytes."""
        self._state.update(f"{self.frames},{self._bands}".encode())
        return self._state.digest()


def metadata_digest(metadata: ArrayMetadata) -> bytes:
    """Digest of what decides how an array's chunks are decoded."""
    return digest(json.dumps(metadata.document, sort_keys=True))


def digest(*parts: str | bytes) -> bytes:
    """BLAKE2b of parts that are kept apart, 16 bytes."""
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(len(encoded).to_bytes(8, "little") + encoded)
    return state.digest()


def digest_column(digests: Iterable[bytes]) -> NDArray[np.uint8]:
    """`[utterances, 16] uint8` of digests."""
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)


def window(utterance: Utterance, start: int, stop: int | None) -> tuple[int, int]:
    """Start and stop of a read, checked against the utterance's frames.

    Raises:
        BadMelError: if the utterance has no frames.
        ValueError: if the window is not within it.
    """
    if utterance.frames <= 0:
        raise BadMelError(f"utterance {utterance.key!r}: it has no frames")
    end = utterance.frames if stop is None else stop
    if not 0 <= start < end <= utterance.frames:
        raise ValueError(f"frames {start} to {end} are not within the {utterance.frames} of {utterance.key!r}")
    return start, end
