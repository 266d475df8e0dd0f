"""The mels of a corpus that is to be packed, made in this process as a worker makes them."""

from __future__ import annotations

import numpy as np
from support.making import Mels
from support.paths import DATA

from pipeline.pack.sources import Corpus
from pipeline.pack.workers import MelJob, make_mel

DATA = DATA / "mels"


def made(corpus: Corpus) -> tuple[Mels, dict[str, str]]:
    """Mels `[n_mels, frames]` by key, and for what cannot be packed the reason by path."""
    mels: Mels = {}
    reasons = {failure.path: failure.reason for failure in corpus.sources.failures}
    for source in corpus.sources.items:
        mel = make_mel(corpus.blocks, MelJob(source.place, "/nonexistent/spool"))
        if mel.failure is not None:
            reasons[source.path] = mel.failure
        else:
            assert mel.rows is not None
            mels[source.key] = np.ascontiguousarray(mel.rows.T)
    return mels, reasons
