"""Values of one Zarr array, read chunk by chunk; a missing chunk is never mistaken for values."""

from __future__ import annotations

import errno
import itertools
import lzma
import math
import threading
import zlib
from collections.abc import Iterator
from gzip import BadGzipFile
from typing import Any
from zipfile import BadZipFile

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import StorePath

from pipeline.errors import BadMelError, CorruptChunkError, MelmillError, StorageError, StoreError
from pipeline.stores.zarr_arrays.array_metadata import ArrayMetadata
from pipeline.stores.zarr_arrays.checked_blosc import with_checked_blosc
from pipeline.stores.zarr_arrays.zarr_tree import ZarrTree

MAX_READ_BYTES = 1 << 30
MAX_COLUMN_ITEMS = 1 << 27
_COLUMN_PIECE = 1 << 17  # number of items of a column that are read at once; a larger chunk is read whole
KEPT_BYTES = 16 << 20
"""Size of the decoded chunks that an array keeps for the next read [bytes]. One chunk may be four times as large."""

Region = tuple[slice, ...]
Coordinates = tuple[int, ...]

# What zarr and numcodecs raise on bytes that do not decode: blosc and zstd raise RuntimeError, crc32c and wrong sizes
# ValueError, a truncated gzip EOFError, a zip whose member has another checksum BadZipFile. BadGzipFile is an OSError;
# every other OSError means that storage failed.
_CORRUPT = (
    BadGzipFile, BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, TypeError, IndexError, RuntimeError,
)  # fmt: skip
_TOO_LARGE = (MemoryError, OverflowError)


class ChunkedArray:
    """One array, read by regions. A chunk that is shared by two regions, read one after the other, is decoded once.

    Args:
        tree: tree of the store that holds the array.
        metadata: metadata of the array.

    Raises:
        StoreError: if a codec of the array is not allowed, or its chunks are too large.
    """

    def __init__(self, tree: ZarrTree, metadata: ArrayMetadata) -> None:
        metadata.check_codecs()
        self.metadata = metadata
        self._tree = tree
        self._array = open_filled(tree, metadata, "NaN" if metadata.kind == "float" else "")
        self._kept: dict[Coordinates, NDArray[Any]] = {}
        self._lock = threading.Lock()

    def read(self, region: Region, name: str) -> NDArray[Any]:
        """The values of a region as they are stored; NaN or "" where a chunk is missing.

        Args:
            region: start and stop for each axis, within the shape.
            name: name of what is read, for messages.

        Raises:
            CorruptChunkError: if a chunk does not decode.
            BadMelError: if the region, or the chunks that hold it, are too large for memory.
            StorageError: if storage fails.
        """
        size = math.prod(part.stop - part.start for part in region) * self.metadata.itemsize
        if size > MAX_READ_BYTES:
            raise BadMelError(
                f"{name}: the read takes {size / 2**30:.1f} GiB, more than {MAX_READ_BYTES / 2**30:.0f} GiB; check the "
                "length of the utterance, or read it in windows"
            )
        with self._lock:
            wanted = list(self._coordinates(region))
            chunks = {at: self._kept[at] for at in wanted if at in self._kept}
            absent = [at for at in wanted if at not in chunks]
            if absent:
                chunks |= self._fetch(absent, name)
                self._keep(chunks)
        first = next(iter(chunks.values()))
        values = np.empty([part.stop - part.start for part in region], first.dtype)
        for at, chunk in chunks.items():
            target, source = self._overlap(at, region)
            values[target] = chunk[source]
        return values

    def _coordinates(self, region: Region) -> Iterator[Coordinates]:
        ranges = [
            range(part.start // size, -(-part.stop // size))
            for part, size in zip(region, self.metadata.chunks, strict=True)
        ]
        return itertools.product(*ranges)

    def _overlap(self, at: Coordinates, region: Region) -> tuple[Region, Region]:
        target, source = [], []
        for i, size, part in zip(at, self.metadata.chunks, region, strict=True):
            start, stop = max(i * size, part.start), min((i + 1) * size, part.stop)
            target.append(slice(start - part.start, stop - part.start))
            source.append(slice(start - i * size, stop - i * size))
        return tuple(target), tuple(source)

    def _extent(self, first: Coordinates, last: Coordinates) -> Region:
        axes = zip(first, last, self.metadata.chunks, self.metadata.shape, strict=True)
        return tuple(slice(i * size, min((j + 1) * size, whole)) for i, j, size, whole in axes)

    def _fetch(self, absent: list[Coordinates], name: str) -> dict[Coordinates, NDArray[Any]]:
        """Decodes all chunks together. If that fails, decodes them one by one, so that the error names the bad one."""
        low, high = (tuple(map(extreme, zip(*absent, strict=True))) for extreme in (min, max))
        box = self._extent(low, high)
        size = math.prod(part.stop - part.start for part in box) * self.metadata.itemsize
        if size > 2 * MAX_READ_BYTES:
            raise BadMelError(
                f"{name}: the chunks that hold it take {size / 2**30:.1f} GiB decoded, more than "
                f"{2 * MAX_READ_BYTES / 2**30:.0f} GiB; rewrite {self.metadata.path} with smaller chunks"
            )
        try:
            values = self._decode(box)
        except _CORRUPT:
            return {at: self._fetch_one(at, name) for at in absent}
        return {at: values[self._overlap(at, box)[0]] for at in absent}

    def _fetch_one(self, at: Coordinates, name: str) -> NDArray[Any]:
        try:
            return self._decode(self._extent(at, at))
        except _CORRUPT as exc:
            raise CorruptChunkError(
                f"{name}: {self.metadata.chunk_name(at)} of {self._tree.url} does not decode "
                f"({type(exc).__name__}: {exc}); restore it from its source"
            ) from exc

    def _decode(self, box: Region) -> NDArray[Any]:
        try:
            with self._tree.waiting():
                return np.asarray(self._array[box])
        except _CORRUPT:
            raise
        except _TOO_LARGE as exc:
            raise ValueError(f"{type(exc).__name__}: {exc}") from exc
        except OSError as exc:
            if exc.errno == errno.EINVAL:  # a shard's index points beyond the largest file
                raise ValueError(str(exc)) from exc
            raise StorageError(f"{self._tree.url} cannot be read: {type(exc).__name__}: {exc}") from exc
        except Exception as exc:  # each remote file system has its own errors
            raise StorageError(f"{self._tree.url} cannot be read: {type(exc).__name__}: {exc}") from exc

    def _keep(self, chunks: dict[Coordinates, NDArray[Any]]) -> None:
        kept: dict[Coordinates, NDArray[Any]] = {}
        room = max(KEPT_BYTES, min(self.metadata.chunk_bytes, 4 * KEPT_BYTES))
        for at in sorted(chunks, reverse=True):  # the last ones, since reading goes forward
            if (room := room - chunks[at].nbytes) < 0:
                break
            kept[at] = self._kept[at] if at in self._kept else chunks[at].copy()
        self._kept = kept


def read_column(tree: ZarrTree, metadata: ArrayMetadata) -> NDArray[Any]:
    """A whole array of numbers or strings, `[items, ...]`; strings as numpy's StringDType.

    Args:
        tree: store that holds the array.
        metadata: metadata of the array.

    Raises:
        StoreError: if the array is too large, or a chunk is missing or does not decode.
        StorageError: if storage fails.
    """
    # A missing chunk reads as the fill value. If two fill values give the same values, no chunk is missing. Since the
    # first is rare, seldom anything is read twice.
    return _column(tree, metadata, ("\x01", "") if metadata.kind == "string" else (1, 0))


def read_numbers(tree: ZarrTree, metadata: ArrayMetadata) -> NDArray[Any]:
    """A whole array of numbers, `[items, ...]`. A missing chunk has the fill value, as Zarr has it.

    Args:
        tree: store that holds the array.
        metadata: metadata of the array.

    Raises:
        StoreError: if the array is too large, or a chunk does not decode.
        StorageError: if storage fails.
    """
    return _column(tree, metadata, (metadata.document.get("fill_value"),))


def _column(tree: ZarrTree, metadata: ArrayMetadata, fills: tuple[Any, ...]) -> NDArray[Any]:
    if math.prod(metadata.shape) > MAX_COLUMN_ITEMS:
        raise StoreError(
            f"array {metadata.path} of {tree.url} has the shape {list(metadata.shape)}, more than {MAX_COLUMN_ITEMS} "
            "items; split the store"
        )
    metadata.check_codecs()
    try:
        filled = [open_filled(tree, metadata, fill) for fill in fills]
        pieces = [_piece(tree, metadata, filled, fills, part) for part in _parts(metadata)]
        return np.concatenate(pieces) if pieces else _values(filled[0], metadata, slice(0, 0))
    except MelmillError:
        raise
    except (*_CORRUPT, *_TOO_LARGE) as exc:
        raise StoreError(f"array {metadata.path} of {tree.url} does not decode ({type(exc).__name__}: {exc})") from exc
    except Exception as exc:  # each remote file system has its own errors
        raise StorageError(f"{tree.url} cannot be read: {type(exc).__name__}: {exc}") from exc


def _parts(metadata: ArrayMetadata) -> Iterator[slice]:
    """Slices that grow: an array that only claims to be long fails before it takes memory or time. The first one is a
    chunk, which is then read once, or one item of a huge chunk.
    """
    chunk = metadata.chunks[0]
    start, stop = 0, chunk if chunk <= 2 * _COLUMN_PIECE else 1
    while start < metadata.shape[0]:
        yield slice(start, min(stop, metadata.shape[0]))
        start, stop = stop, -(-(stop + min(stop, _COLUMN_PIECE)) // chunk) * chunk


def _piece(
    tree: ZarrTree, metadata: ArrayMetadata, filled: list[zarr.Array[Any]], fills: tuple[Any, ...], part: slice
) -> NDArray[Any]:
    first = _values(filled[0], metadata, part)
    if len(filled) == 1 or not _may_be_missing(first, fills[0], metadata):
        return first
    second = _values(filled[1], metadata, part)
    same = first == second
    if first.dtype.kind == "f":
        same |= np.isnan(first) & np.isnan(second)
    if not same.all():
        where = part.start + int(np.argmin(same.reshape(len(first), -1).all(axis=1)))
        raise StoreError(f"array {metadata.path} of {tree.url} has no chunk for item {where}; restore the store")
    return first


def _may_be_missing(values: NDArray[Any], fill: Any, metadata: ArrayMetadata) -> bool:
    """Whether a chunk may be missing: there is an item, or a part of one that is a chunk, which is all fill value."""
    whole_items = all(chunk >= length for chunk, length in zip(metadata.chunks[1:], metadata.shape[1:], strict=True))
    return not whole_items or bool((values == fill).reshape(len(values), -1).all(axis=1).any())


def _values(array: zarr.Array[Any], metadata: ArrayMetadata, items: slice) -> NDArray[Any]:
    values = np.asarray(array[items])
    return _strings(values) if metadata.kind == "string" else values


def open_filled(tree: ZarrTree, metadata: ArrayMetadata, fill: Any) -> zarr.Array[Any]:
    """The array with `fill` as its fill value, whatever its metadata states. Nothing is written.

    Raises:
        StoreError: if zarr cannot read the array.
    """
    document: Any = {**with_checked_blosc(metadata.document), "fill_value": fill}
    try:
        array = zarr.AsyncArray(metadata=document, store_path=StorePath(tree.store, metadata.path))
    except (KeyError, TypeError, ValueError, NotImplementedError, AttributeError) as exc:
        raise StoreError(f"array {metadata.path} of {tree.url}: zarr cannot read it ({exc})") from exc
    return zarr.Array(array)


def _strings(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    return values.astype(np.dtypes.StringDType(), copy=False)
