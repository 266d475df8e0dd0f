"""Which chunks of an array are there: by the listing of objects, and by the index of each shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StoreError
from pipeline.stores.zarr_arrays.array_metadata import ArrayMetadata
from pipeline.stores.zarr_arrays.zarr_tree import ZarrTree

_ABSENT = 2**64 - 1  # Zarr's sharding index: offset and length of an inner chunk that is not there


def present_chunks(tree: ZarrTree, array: ArrayMetadata, objects: Sequence[str]) -> NDArray[np.bool_]:
    """Which chunks (inner chunks of shards) of the array's grid are there, in the shape of the grid.

    Args:
        tree: store that holds the array.
        array: metadata of the array.
        objects: paths of all objects below the array.

    Raises:
        StoreError: if the index of a shard cannot be examined.
        StorageError: if storage fails.
    """
    present = np.zeros(array.grid, np.bool_)
    for name in objects:
        at = array.object_coordinates(name[len(array.path) + 1 :])
        if at is None:
            continue
        if array.shards is None:
            if all(i < size for i, size in zip(at, array.grid, strict=True)):
                present[at] = True
            continue
        inner = tuple(s // c for s, c in zip(array.shards, array.chunks, strict=True))
        region = tuple(slice(i * n, (i + 1) * n) for i, n in zip(at, inner, strict=True))
        whole = present[region]
        whole[...] = _shard_index(tree, array, name, inner)[tuple(slice(0, size) for size in whole.shape)]
    return present


def _shard_index(tree: ZarrTree, array: ArrayMetadata, name: str, inner: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which inner chunks a shard holds.

    The index has the offset and the length of each as little-endian uint64, and may end with a CRC.
    """
    codec = next(_sharding(array))
    index_codecs = [item if isinstance(item, str) else item["name"] for item in codec["index_codecs"]]
    if index_codecs not in (["bytes"], ["bytes", "crc32c"]):
        raise StoreError(f"array {array.path}: a shard index with the codecs {index_codecs} cannot be examined")
    checksum = 4 if "crc32c" in index_codecs else 0
    size = 16 * int(np.prod(inner))
    at_end = codec.get("index_location", "end") == "end"
    raw = tree.tail(name, size + checksum) if at_end else tree.head(name, size + checksum)
    if len(raw) != size + checksum:
        return np.zeros(inner, np.bool_)
    offsets = np.frombuffer(raw[:size], "<u8").reshape(*inner, 2)
    return np.asarray((offsets != np.uint64(_ABSENT)).all(axis=-1))


def _sharding(array: ArrayMetadata) -> Iterator[dict[str, Any]]:
    for codec in array.document["codecs"]:
        if isinstance(codec, dict) and codec.get("name") == "sharding_indexed":
            yield codec["configuration"]
