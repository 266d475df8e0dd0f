"""The mels of a mel store of any layout, to be packed as a ragged one."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, StoreError, UtteranceError
from pipeline.melspec import MelSpec
from pipeline.pack.sources import Corpus, Listing, PackItem, SourceError
from pipeline.stores.base import MelStore, Utterance
from pipeline.stores.digests import WINDOW
from pipeline.stores.opening import open_store


def zarr_corpus(url: str, spec: MelSpec | None = None) -> Corpus:
    """The utterances of a mel store, with their metadata.

    An utterance that cannot be read (missing chunks, NaN, impossible values, ...) is listed as a failure.

    Args:
        url: local path or any fsspec URL of the store.
        spec: mel contract, if the store states none.

    Raises:
        ConfigError: if no contract is known, or the store states another one.
        StoreError, ContractError, StorageError: as `open_store`.
    """
    store = open_store(url, mel=spec)
    if store.spec is not None and spec is not None and store.spec != spec:
        raise ConfigError(f"{store.url} states another mel contract than the one given; leave out --mel")
    contract = store.spec or spec
    if contract is None:
        raise ConfigError(f"{store.url} states no mel contract; give it with --mel")
    listing = Listing(store.url)
    catalogue = store.catalogue()
    for utterance in catalogue:
        if (fault := catalogue.faults.get(utterance.index)) is not None:
            listing.fail(utterance.key, fault)
            continue
        try:
            meta = store.meta(utterance)
        except UtteranceError as exc:
            listing.fail(utterance.key, str(exc))
            continue
        text = json.dumps(meta) if meta else ""
        listing.add(PackItem(utterance.key, utterance.key, f"{utterance.frames} {utterance.digest}", utterance, text))
    if not listing.found and not listing.failures:
        raise StoreError(f"the store {store.url} holds no utterances ({store.describe()}). Check the path")
    blocks = functools.partial(_blocks, url=url, spec=contract)
    return Corpus(listing.sources(), blocks, contract, {"from": "zarr", "layout": store.layout})


def _blocks(utterance: Utterance, url: str, spec: MelSpec) -> Iterator[NDArray[np.float32]]:
    store = _opened(url, spec)
    for start in range(0, utterance.frames, WINDOW):
        try:
            yield store.read(utterance, start, min(start + WINDOW, utterance.frames))
        except UtteranceError as exc:
            raise SourceError(str(exc)) from exc


@functools.lru_cache(maxsize=1)
def _opened(url: str, spec: MelSpec) -> MelStore:
    """The store, opened once in a worker, since it keeps the chunks that it decoded last."""
    return open_store(url, mel=spec)
