"""Mel stores in Zarr, for reading: which layout a store has, its utterances, their mels, and a report on it.

In: the URL of a store, and the mel contract if the store states none. Out: a `MelStore` with its catalogue and
`[n_mels, frames] float32` values, each of which is finite and possible, or an error that names the damaged place.
What Zarr itself needs is in `zarr_arrays/`; the three layouts above it know the rest. The lists of texts that people
keep beside a corpus are read here too.
Nothing here writes a store, and nothing here knows vocoders, plans or outputs.
"""

from pipeline.stores.base import Catalogue, Layout, MelStore, Utterance
from pipeline.stores.opening import open_store
from pipeline.stores.store_report import StoreReport, inspect_store

__all__ = ["Catalogue", "Layout", "MelStore", "StoreReport", "Utterance", "inspect_store", "open_store"]
