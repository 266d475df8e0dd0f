"""Zarr arrays of versions 2 and 3: their metadata documents, their objects in storage, and their values.

In: the URL of a Zarr group. Out: checked metadata, listings of objects with stamps, and values read chunk by chunk, in
which a missing chunk is never mistaken for values. Codecs are an allow-list, and sizes are checked before memory is
taken. Nothing here knows what a mel, a layout or a catalogue is.
"""

from pipeline.stores.zarr_arrays.array_metadata import ArrayMetadata, UnreadableArray
from pipeline.stores.zarr_arrays.array_values import (
    KEPT_BYTES,
    ChunkedArray,
    Region,
    open_filled,
    read_column,
    read_numbers,
)
from pipeline.stores.zarr_arrays.chunk_presence import present_chunks
from pipeline.stores.zarr_arrays.object_names import array_of_object, arrays_of_chunks
from pipeline.stores.zarr_arrays.zarr_tree import DOCUMENT_NAMES, ZarrTree

__all__ = [
    "DOCUMENT_NAMES",
    "KEPT_BYTES",
    "ArrayMetadata",
    "ChunkedArray",
    "Region",
    "UnreadableArray",
    "ZarrTree",
    "array_of_object",
    "arrays_of_chunks",
    "open_filled",
    "present_chunks",
    "read_column",
    "read_numbers",
]
