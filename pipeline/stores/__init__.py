"""Mel stores in Zarr: opening, validating, listing, reading."""

from pipeline.stores.base import Catalogue, Layout, MelStore, Utterance
from pipeline.stores.detect import open_store
from pipeline.stores.inspect import StoreReport, inspect_store

__all__ = ["Catalogue", "Layout", "MelStore", "StoreReport", "Utterance", "inspect_store", "open_store"]
