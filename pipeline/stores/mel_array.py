"""Mel values of one Zarr array: each is finite and possible, or the error names its place."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadMelError, MissingChunkError, UtteranceError
from pipeline.melspec import MelSpec
from pipeline.stores.possible_values import PossibleValues
from pipeline.stores.zarr_arrays import ArrayMetadata, ChunkedArray, Region, ZarrTree, open_filled

AHEAD_BYTES = 2 << 20
"""Size of the rows that are read ahead, as float32 [bytes]."""


class MelArray:
    """An array of mels, read by regions.

    Args:
        tree: store that holds the array.
        metadata: metadata of the array.
        mel_axis: axis that holds the bands.
        frame_axis: axis that counts frames.
        spec: mel contract, which limits the values; None for no limits.

    Raises:
        StoreError: if the array's codecs or chunk sizes are refused.
    """

    def __init__(
        self, tree: ZarrTree, metadata: ArrayMetadata, mel_axis: int, frame_axis: int, spec: MelSpec | None
    ) -> None:
        self.metadata = metadata
        self._tree = tree
        self._mel_axis = mel_axis
        self._frame_axis = frame_axis
        self._possible = PossibleValues.of(spec, metadata.shape[mel_axis], mel_axis, len(metadata.shape))
        self._array = ChunkedArray(tree, metadata)

    def read(self, region: Region, name: str, origin: int = 0) -> NDArray[np.float32]:
        """The mel in a region, `[bands, frames] float32`, all finite and possible.

        Args:
            region: start and stop for each axis, within the shape; one long, except on the axes of bands and frames.
            name: name of the utterance, for messages.
            origin: position of the utterance's first frame on the frame axis.

        Raises:
            MissingChunkError, CorruptChunkError, BadMelError, StorageError: as `MelStore.read`.
        """
        values = self.values(region, name, origin)
        sides = self._mel_axis, self._frame_axis
        mel = np.moveaxis(values, sides, (0, 1)).reshape([values.shape[axis] for axis in sides])
        return np.ascontiguousarray(mel)

    def values(self, region: Region, name: str, origin: int = 0) -> NDArray[np.float32]:
        """The same values in the axes of the array. See `read`."""
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which is found below
            values = self._array.read(region, name).astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise self._not_finite(values, region, name, origin)
        if self._possible is not None:
            beyond = self._possible.beyond(values)
            if beyond.any():
                raise self._impossible(self._possible, values, beyond, region, name, origin)
        return values

    def read_frames(self, start: int, stop: int, name: str, item: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """Frames `start` to `stop` of one mel, with all bands. See `read`.

        Args:
            start: first frame.
            stop: frame after the last one.
            name: name of the utterance, for messages.
            item: axis that counts mels, and the mel's position on it; None if the array holds one mel.
        """
        region = [slice(0, size) for size in self.metadata.shape]
        region[self._frame_axis] = slice(start, stop)
        if item is not None:
            region[item[0]] = slice(item[1], item[1] + 1)
        return self.read(tuple(region), name)

    def _not_finite(self, values: NDArray[np.float32], region: Region, name: str, origin: int) -> Exception:
        """The error for values that are not finite. NaN of a missing chunk is not NaN with another fill value."""
        missing = np.isnan(values)
        is_nan = bool(missing.any())
        position = _first(missing if is_nan else np.isinf(values), region)
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
        position = _first(beyond, region)
        band = position[self._mel_axis]
        value = values[tuple(i - part.start for i, part in zip(position, region, strict=True))]
        return BadMelError(
            f"{name}: the value {value:g} in band {band} of frame {position[self._frame_axis] - origin} "
            f"{self._place(position)} {possible.allowed(band)}"
        )

    def _place(self, position: tuple[int, ...]) -> str:
        return f"({self.metadata.path}[{', '.join(map(str, position))}] of {self._tree.url})"


class MelRows:
    """Mels that lie one after another in an array `[rows, bands]`: they are cut from rows that were read together.

    A read goes on to the end of its chunk, or farther if more is expected, so that short mels are read and checked many
    at once. Where that finds something wrong, each mel is read alone, and the error is about the mel that has it.

    Args:
        array: the array, whose axis of frames is the first.
    """

    def __init__(self, array: MelArray) -> None:
        self._array = array
        (self._rows, self._bands), self._chunk = array.metadata.shape, array.metadata.chunks[0]
        self._most = max(1, AHEAD_BYTES // (4 * max(1, self._bands)))
        self._held: tuple[int, NDArray[np.float32]] = 0, np.zeros((0, self._bands), np.float32)
        self._wrong = range(0)
        self._runs: list[tuple[int, int]] = []

    def expect(self, spans: Iterable[tuple[int, int]]) -> None:
        """Rows, each from a first to a last one, that will probably be read next, in any order."""
        self._runs = []
        for start, stop in sorted(spans):
            if self._runs and start <= self._runs[-1][1]:
                start = self._runs.pop()[0]
            self._runs.append((start, stop))

    def read(self, start: int, stop: int, name: str, origin: int) -> NDArray[np.float32]:
        """The rows `start` to `stop` as a mel, `[bands, stop - start] float32`. See `MelArray.read`."""
        first, rows = self._held
        if not first <= start <= stop <= first + len(rows):
            ahead = self._ahead(start, stop)
            if ahead == stop or start in self._wrong:
                return self._array.read(self._region(start, stop), name, origin)
            try:
                first, rows = self._held = start, self._array.values(self._region(start, ahead), name, origin)
            except UtteranceError:
                self._wrong = range(start, ahead)
                return self._array.read(self._region(start, stop), name, origin)
        return np.ascontiguousarray(rows[start - first : stop - first].T)

    def _ahead(self, start: int, stop: int) -> int:
        """The row up to which to read."""
        chunk, most = self._chunk, start + self._most
        run = bisect.bisect(self._runs, (start, self._rows)) - 1
        expected = min(self._runs[run][1], most // chunk * chunk) if run >= 0 else 0
        return max(stop, min(max(-(-stop // chunk) * chunk, expected), most, self._rows))

    def _region(self, start: int, stop: int) -> Region:
        return slice(start, stop), slice(0, self._bands)


def _first(marked: NDArray[np.bool_], region: Region) -> tuple[int, ...]:
    """Position in the array of the first marked value of a region."""
    found = np.unravel_index(int(np.argmax(marked)), marked.shape)
    return tuple(int(i) + part.start for i, part in zip(found, region, strict=True))
