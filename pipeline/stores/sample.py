"""Stretches of mels spread over a store, to be looked at before work begins."""

from __future__ import annotations

import numpy as np

from pipeline.errors import UtteranceError
from pipeline.evidence import Sample
from pipeline.stores.base import Catalogue, MelStore

_UTTERANCES, _MOST_UTTERANCES = 32, 256
_FRAMES = 4800
"""Of all utterances together: about a minute."""


def sample_mels(store: MelStore, catalogue: Catalogue) -> Sample:
    """The middle of 32 utterances, or of more where they are short, evenly spaced.

    What cannot be read is left out; it is quarantined later.

    Args:
        store: opened.
        catalogue: of the store.

    Returns:
        The sample; it may hold no mel.

    Raises:
        StorageError: if storage cannot be reached.
    """
    unlimited = store.without_limits()
    good = np.setdiff1d(np.arange(len(catalogue)), np.fromiter(catalogue.faults, np.int64))
    there = np.minimum(catalogue.frames[good], _FRAMES // _UTTERANCES).sum()
    wanted = np.clip(_FRAMES * len(good) // max(1, there), _UTTERANCES, _MOST_UTTERANCES)
    chosen = good[np.unique(np.linspace(0, len(good) - 1, min(wanted, len(good))).round().astype(np.int64))]
    each = _FRAMES // max(1, min(_UTTERANCES, len(chosen)))
    mels = []
    for index in chosen.tolist():
        utterance = catalogue[index]
        start = max(0, (utterance.frames - each) // 2)
        try:
            mels.append(unlimited.read(utterance, start, min(utterance.frames, start + each)))
        except UtteranceError:
            continue
    return Sample(tuple(mels), len(good))
