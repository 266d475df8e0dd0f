"""Utterances and stretches of mels, evenly spaced over a store, to be examined without reading all of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UtteranceError
from pipeline.evidence import Sample, middle
from pipeline.stores.base import Catalogue, MelStore

_UTTERANCES, _MOST_UTTERANCES = 32, 256
_FRAMES = 4800
"""Number of frames that a sample has from all utterances together: about a minute."""


def evenly_spaced(indexes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Up to `count` of the indexes, evenly spaced, with the first and the last."""
    at = np.linspace(0, len(indexes) - 1, min(count, len(indexes))).round().astype(np.int64)
    return indexes[np.unique(at)]


def sample_mels(store: MelStore, catalogue: Catalogue) -> Sample:
    """The middle of 32 utterances, or of more if they are short, evenly spaced over the store.

    An utterance that cannot be read is left out: the run quarantines it later.

    Args:
        store: store to be sampled.
        catalogue: catalogue of the store.

    Returns:
        The sample; it may hold no mel.

    Raises:
        StorageError: if storage cannot be reached.
    """
    unlimited = store.without_limits()
    good = catalogue.good()
    there = np.minimum(catalogue.frames[good], _FRAMES // _UTTERANCES).sum()
    wanted = np.clip(_FRAMES * len(good) // max(1, there), _UTTERANCES, _MOST_UTTERANCES)
    chosen = evenly_spaced(good, int(wanted))
    each = _FRAMES // max(1, min(_UTTERANCES, len(chosen)))
    mels = {}
    for index in chosen.tolist():
        utterance = catalogue[index]
        try:
            mels[utterance.key] = unlimited.read(utterance, *middle(utterance.frames, each))
        except UtteranceError:
            continue
    return Sample(tuple(mels.values()), len(good), tuple(mels))
