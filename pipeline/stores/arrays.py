"""Values of one Zarr array: chunk-wise, with the last chunks kept, and never a fill value."""

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

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import StorePath

from pipeline.errors import BadMelError, CorruptChunkError, MelmillError, MissingChunkError, StorageError, StoreError
from pipeline.stores.array_metadata import ArrayMetadata
from pipeline.stores.blosc import with_checked_blosc
from pipeline.stores.common import PossibleValues, digest
from pipeline.stores.tree import Tree

MAX_READ_BYTES = 1 << 30
MAX_COLUMN_ITEMS = 1 << 27
_COLUMN_PIECE = 1 << 20  # items of a column that are read at once, or one chunk
KEPT_BYTES = 16 << 20
"""Decoded chunks that an array keeps for the next read [bytes]; at least the last one is kept up to four times this."""

Region = tuple[slice, ...]
Coordinates = tuple[int, ...]

# What zarr and numcodecs raise on bytes that do not decode: blosc and zstd a RuntimeError, crc32c and wrong sizes a
# ValueError, a truncated gzip EOFError. BadGzipFile is an OSError, all others of which mean storage.
_CORRUPT = (BadGzipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, TypeError, IndexError, RuntimeError)
_TOO_LARGE = (MemoryError, OverflowError)


class ChunkedArray:
    """One array, read by regions. Neighbouring regions do not decode the chunk they share twice.

    Args:
        tree: the store.
        metadata: of the array.
        frame_axis: the axis that counts frames, for messages.
        possible: what values a mel may have, if that is known.

    Raises:
        StoreError: if its codecs or chunk sizes are refused.
    """

    def __init__(
        self, tree: Tree, metadata: ArrayMetadata, frame_axis: int = 0, possible: PossibleValues | None = None
    ) -> None:
        metadata.check_codecs()
        self.metadata = metadata
        self._tree = tree
        self._frame_axis = frame_axis
        self._possible = possible
        self._array = open_filled(tree, metadata, "NaN" if metadata.kind == "float" else "")
        self._kept: dict[Coordinates, NDArray[Any]] = {}
        self._lock = threading.Lock()

    def read_mel(self, region: Region, name: str, origin: int = 0) -> NDArray[np.float32]:
        """A region of finite and possible float32 values, in the array's own axis order.

        Args:
            region: start and stop for each axis, within the shape.
            name: whose values these are, for messages.
            origin: position of that utterance's first frame on the frame axis.

        Raises:
            MissingChunkError, CorruptChunkError, BadMelError, StorageError: as `MelStore.read`.
        """
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which is found below
            values = self.read(region, name).astype(np.float32)
        if not np.isfinite(values).all():
            raise self._explain(values, region, name, origin)
        if self._possible is not None:
            beyond = (values < self._possible.low) | (values > self._possible.high)
            if beyond.any():
                raise self._impossible(self._possible, values, beyond, region, name, origin)
        return values

    def read(self, region: Region, name: str) -> NDArray[Any]:
        """A region of the array, values as they are; NaN or "" where a chunk is missing."""
        size = math.prod(part.stop - part.start for part in region) * self.metadata.itemsize
        if size > MAX_READ_BYTES:
            raise BadMelError(
                f"{name}: {size / 2**30:.1f} GiB would be read at once, more than {MAX_READ_BYTES / 2**30:.0f} GiB; "
                "an utterance of this length is a mistake, or must be read in windows"
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
        """Decodes chunks in one go, and if that fails once more, one by one, to name the one that is bad."""
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
            with self._tree.asked():
                return np.asarray(self._array[box])
        except _CORRUPT:
            raise
        except _TOO_LARGE as exc:
            raise ValueError(f"{type(exc).__name__}: {exc}") from exc
        except OSError as exc:
            if exc.errno == errno.EINVAL:  # a shard's index points to where no file reaches
                raise ValueError(str(exc)) from exc
            raise StorageError(f"{self._tree.url} cannot be read: {type(exc).__name__}: {exc}") from exc
        except Exception as exc:  # each remote file system has its own
            raise StorageError(f"{self._tree.url} cannot be read: {type(exc).__name__}: {exc}") from exc

    def _keep(self, chunks: dict[Coordinates, NDArray[Any]]) -> None:
        kept: dict[Coordinates, NDArray[Any]] = {}
        room = max(KEPT_BYTES, min(self.metadata.chunk_bytes, 4 * KEPT_BYTES))
        for at in sorted(chunks, reverse=True):  # the last ones: reading goes forward
            if (room := room - chunks[at].nbytes) < 0:
                break
            kept[at] = self._kept[at] if at in self._kept else chunks[at].copy()
        self._kept = kept

    def _explain(self, values: NDArray[np.float32], region: Region, name: str, origin: int) -> Exception:
        """The error for values that are not finite: a missing chunk's NaN goes away with another fill value."""
        missing = np.isnan(values)
        is_nan = bool(missing.any())
        found = np.unravel_index(int(np.argmax(missing if is_nan else np.isinf(values))), values.shape)
        position = tuple(int(i) + part.start for i, part in zip(found, region, strict=True))
        if is_nan:
            probe = open_filled(self._tree, self.metadata, 0.0)
            if not np.isnan(np.asarray(probe[tuple(slice(i, i + 1) for i in position)])).any():
                at = tuple(i // size for i, size in zip(position, self.metadata.chunks, strict=True))
                return MissingChunkError(f"{name}: {self.metadata.chunk_name(at)} of {self._tree.url} is missing")
        return BadMelError(
            f"{name}: {'NaN' if is_nan else 'infinity'} in frame {position[self._frame_axis] - origin} "
            f"{self._place(position)}"
        )

    def _impossible(
        self,
        possible: PossibleValues,
        values: NDArray[np.float32],
        beyond: NDArray[np.bool_],
        region: Region,
        name: str,
        origin: int,
    ) -> BadMelError:
        found = np.unravel_index(int(np.argmax(beyond)), values.shape)
        position = tuple(int(i) + part.start for i, part in zip(found, region, strict=True))
        mel_axis = 2 * len(position) - 3 - self._frame_axis  # the other one of the last two
        band = position[mel_axis]
        return BadMelError(
            f"{name}: {values[found]:g} in band {band} of frame {position[self._frame_axis] - origin} "
            f"{self._place(position)} is no value of its mel contract, which has {possible.low.flat[band]:.1f} to "
            f"{possible.high.flat[band]:.1f} there; the values are damaged, or the contract is another"
        )

    def _place(self, position: Coordinates) -> str:
        return f"({self.metadata.path}[{', '.join(map(str, position))}] of {self._tree.url})"


def read_column(tree: Tree, metadata: ArrayMetadata) -> NDArray[Any]:
    """A whole small array of integers or strings, `[items, ...]`; strings as numpy's StringDType.

    Raises:
        StoreError: if a chunk is missing or does not decode: without it the store cannot be listed.
    """
    if math.prod(metadata.shape) > MAX_COLUMN_ITEMS:
        raise StoreError(f"array {metadata.path} of {tree.url} has shape {metadata.shape}, which is too large a list")
    metadata.check_codecs()
    fills = ("", "\x01") if metadata.kind == "string" else (0, 1)
    try:
        # A missing chunk reads as the fill value: two fill values that give the same values prove that none is.
        filled = [open_filled(tree, metadata, fill) for fill in fills]
        pieces = [_piece(tree, metadata, filled, part) for part in _parts(metadata)]
        return np.concatenate(pieces) if pieces else _values(filled[0], metadata, slice(0, 0))
    except MelmillError:
        raise
    except (*_CORRUPT, *_TOO_LARGE) as exc:
        raise StoreError(f"array {metadata.path} of {tree.url} does not decode ({type(exc).__name__}: {exc})") from exc
    except Exception as exc:  # each remote file system has its own
        raise StorageError(f"{tree.url} cannot be read: {type(exc).__name__}: {exc}") from exc


def column_digest(tree: Tree, metadata: ArrayMetadata) -> bytes:
    """Digest of a list of strings, 16 bytes; of what is wrong with it where it cannot be read as a whole."""
    try:
        return digest(*map(str, read_column(tree, metadata)))
    except StoreError as error:  # the utterances whose strings can be read are made all the same
        return digest(str(error))


def _parts(metadata: ArrayMetadata) -> Iterator[slice]:
    """An item, then more and more: what is only said to be a long list takes no memory and no time."""
    start, stop = 0, 1
    while start < metadata.shape[0]:
        yield slice(start, min(stop, metadata.shape[0]))
        chunk = metadata.chunks[0]
        start, stop = stop, -(-(stop + min(stop, _COLUMN_PIECE)) // chunk) * chunk


def _piece(tree: Tree, metadata: ArrayMetadata, filled: list[zarr.Array[Any]], part: slice) -> NDArray[Any]:
    first, second = (_values(array, metadata, part) for array in filled)
    if not np.array_equal(first, second):
        where = part.start + int(np.argmax((first != second).reshape(len(first), -1).any(axis=1)))
        raise StoreError(f"array {metadata.path} of {tree.url} has no chunk for item {where}; the store is incomplete")
    return first


def _values(array: zarr.Array[Any], metadata: ArrayMetadata, items: slice) -> NDArray[Any]:
    values = np.asarray(array[items])
    return _strings(values) if metadata.kind == "string" else values


def open_filled(tree: Tree, metadata: ArrayMetadata, fill: float | str) -> zarr.Array[Any]:
    """The array with another fill value than its metadata states, in memory only."""
    document: Any = {**with_checked_blosc(metadata.document), "fill_value": fill}
    try:
        array = zarr.AsyncArray(metadata=document, store_path=StorePath(tree.store, metadata.path))
    except (KeyError, TypeError, ValueError, NotImplementedError, AttributeError) as exc:
        raise StoreError(f"array {metadata.path} of {tree.url}: zarr cannot read it ({exc})") from exc
    return zarr.Array(array)


def _strings(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    return values.astype(np.dtypes.StringDType())
