"""Digests of the values themselves, for stores that hold none: every mel is read once, in windows."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UtteranceError
from pipeline.stores.base import Catalogue, MelStore, Utterance
from pipeline.stores.common import DIGEST_BYTES, MelDigest, add_fault

WINDOW = 16384
"""Frames of one utterance that are read at once where a whole store is gone through."""


def with_content_digests(store: MelStore, listed: Catalogue) -> Catalogue:
    """The catalogue with the `MelDigest` of each mel as its digest.

    An utterance that cannot be read is a fault, with the reason; the digest of a faulty one is all zeros.

    Args:
        store: whose catalogue this is.
        listed: utterances as the listing shows them.

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
    digest = MelDigest()
    for start in range(0, utterance.frames, WINDOW):
        digest.push(store.read(utterance, start, min(start + WINDOW, utterance.frames)).T)
    return np.frombuffer(digest.finish(), np.uint8)
