"""Digests by which a changed mel, text or array is noticed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StoreError, UtteranceError
from pipeline.stores.base import Catalogue, MelStore, Utterance, add_fault
from pipeline.stores.zarr_arrays import ArrayMetadata, ChunkedArray, ZarrTree, read_column

DIGEST_BYTES = 16
WINDOW = 16384
"""Number of frames of one utterance that are read at once when all mels of a store are read."""


class MelDigest:
    """The content digest of a mel that is given piece by piece: BLAKE2b of its frames as float32, and of its shape."""

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


def digest(*parts: str | bytes) -> bytes:
    """BLAKE2b of the parts and their lengths, 16 bytes: moving a byte from one part to the next changes it."""
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(len(encoded).to_bytes(8, "little") + encoded)
    return state.digest()


def digest_column(digests: Iterable[bytes]) -> NDArray[np.uint8]:
    """The digests as an array, `[utterances, 16] uint8`."""
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)


def metadata_digest(metadata: ArrayMetadata) -> bytes:
    """Digest of all that decides how an array's chunks are decoded, 16 bytes."""
    return digest(json.dumps(metadata.document, sort_keys=True))


def strings_digest(tree: ZarrTree, metadata: ArrayMetadata) -> bytes:
    """Digest of an array of strings, 16 bytes; for strings that cannot be read, of the error's message."""
    return digest(*texts_of(tree, metadata))


def texts_of(tree: ZarrTree, metadata: ArrayMetadata) -> Iterator[str]:
    """The strings of an array of strings. For those of a chunk that cannot be read, the error's message."""
    try:
        yield from map(str, read_column(tree, metadata))
        return
    except StoreError:
        array = ChunkedArray(tree, metadata)
    size = metadata.chunks[0]
    for start in range(0, metadata.shape[0], size):
        stop = min(start + size, metadata.shape[0])
        try:
            yield from map(str, array.read((slice(start, stop),), f"{metadata.path}[{start}]"))
        except (StoreError, UtteranceError) as error:
            yield from repeat(str(error), stop - start)


def with_content_digests(store: MelStore, listed: Catalogue) -> Catalogue:
    """The catalogue with the `MelDigest` of each mel as its digest; every mel is read once, in windows.

    An utterance that cannot be read gets a fault with the reason; the digest of a faulty utterance is all zeros.

    Args:
        store: store that the catalogue is of.
        listed: catalogue as the listing of the store gives it.

    Raises:
        StorageError: if storage fails.
    """
    digests = np.zeros((len(listed), DIGEST_BYTES), np.uint8)
    faults = dict(listed.faults)
    for utterance in listed:
        if utterance.index in faults:
            continue
        try:
            digests[utterance.index] = _content_digest(store, utterance)
        except UtteranceError as error:
            add_fault(faults, utterance.index, str(error))
    return dataclasses.replace(listed, digests=digests, faults=faults)


def _content_digest(store: MelStore, utterance: Utterance) -> NDArray[np.uint8]:
    content = MelDigest()
    for start in range(0, utterance.frames, WINDOW):
        content.push(store.read(utterance, start, min(start + WINDOW, utterance.frames)).T)
    return np.frombuffer(content.finish(), np.uint8)
