"""The padded layout: one array [items, n_mels, frames] or [items, frames, n_mels], and the lengths of the items.

Other axes of length 1, such as the channel axis that models take, may be anywhere.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import repeat
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadMelError, ContractError, StoreError
from pipeline.melspec import MelSpec
from pipeline.stores.base import Catalogue, Faults, Fingerprint, Layout, Utterance, add_fault
from pipeline.stores.digests import (
    digest,
    digest_column,
    metadata_digest,
    strings_digest,
    texts_of,
    with_content_digests,
)
from pipeline.stores.keys import key_faults
from pipeline.stores.mel_array import MelArray
from pipeline.stores.mel_axis import FRAME_AXIS_NAMES, MEL_AXIS_NAMES, fitting_axes, item_axis, named_mel_axis, two_axes
from pipeline.stores.number_columns import NumberColumns
from pipeline.stores.object_arrays import about_object_arrays
from pipeline.stores.root_attributes import stated_spec
from pipeline.stores.whole_numbers import read_whole_numbers
from pipeline.stores.zarr_arrays import ArrayMetadata, ChunkedArray, ZarrTree, read_column

MEL_ARRAYS = ("mel", "mels", "mel_spec", "mel_spectrogram", "mel_spectrograms", "spectrogram", "features")
LENGTH_ARRAYS = (
    "lengths", "length", "mel_lengths", "mel_length", "mel_lens", "mel_len", "lens", "n_frames", "num_frames",
    "frames", "frame_counts",
)  # fmt: skip
KEY_ARRAYS = ("keys", "key", "ids", "id", "utt_id", "utt_ids", "utterance_id", "utterance_ids", "names", "name")

_NAMED = 10  # number of arrays that a line names that are no metadata


class PaddedStore:
    """A store whose items are padded to one length. See `MelStore`.

    Args:
        tree: objects of the store.
        mel: mel contract, used for n_mels if the store states no contract.
        fingerprint: basis of the digests: the chunks or the content.

    Raises:
        StoreError: if an array is missing or not as it must be, or the mel axis cannot be found.
        ContractError: if no axis fits n_mels.
    """

    layout: Layout = "padded"

    def __init__(self, tree: ZarrTree, mel: MelSpec | None, fingerprint: Fingerprint = "chunks") -> None:
        self.url = tree.url
        self.digest_is_of_content = fingerprint == "content"
        self.zarr_format: Literal[2, 3] = tree.zarr_format
        self.tree = tree
        self.spec: MelSpec | None = stated_spec(tree.attributes, tree.url)
        children = tree.children()
        found = [array for path in children if (array := tree.array(path)) is not None]
        bare = set(children) - {array.path for array in found}
        tree.listed.check_none_is_gone(bare, self.url)
        if lost := next((path for path in sorted(bare) if path.lower() in LENGTH_ARRAYS + KEY_ARRAYS), None):
            raise StoreError(f"{self.url}: {lost} is there but has no metadata; restore its metadata, or delete it")
        self._arrays = found
        self.mel = self._find_mel(found)
        self._item_axis = item_axis(self.mel.shape) or 0
        self._count = self.mel.shape[self._item_axis]
        self._columns = [array for array in found if array.shape == (self._count,)]
        self._lengths = self._find_lengths()
        for array in found:
            if array.path.lower() in KEY_ARRAYS[:2] and not (array.kind == "string" and array in self._columns):
                raise StoreError(
                    f"{self.url}: {array.path} is {array.dtype} {list(array.shape)}; keys must be one string per item"
                )
        self._keys = next((c for name in self._key_names() for c in self._columns if _is_keys(c, name)), None)
        spec = self.spec or mel
        self._mel_axis, self._frame_axis = self._find_axes(spec.n_mels if spec else None)
        self.n_mels = self.mel.shape[self._mel_axis]
        self._reader = MelArray(tree, self.mel, self._mel_axis, self._frame_axis, spec)
        self._texts = {
            column.path: ChunkedArray(tree, column)
            for column in self._columns
            if column.kind == "string" and column is not self._keys
        }
        used = (self._lengths, self._keys)
        self._numbers = NumberColumns(
            tree, [each for each in self._columns if each not in used and each.path != self.mel.names[0]]
        )

    def _find_mel(self, found: list[ArrayMetadata]) -> ArrayMetadata:
        solid = [array for array in found if item_axis(array.shape) is not None]
        named = [array for array in solid if array.path.lower() in MEL_ARRAYS]
        chosen = named if len(named) == 1 else solid
        if len(chosen) != 1:
            shown = ", ".join(f"{array.path} {list(array.shape)}" for array in (solid or found)[:5])
            which = "" if solid else "its arrays are " if found else "it has no array"
            raise StoreError(
                f"{self.url} has {len(solid)} arrays of three dimensions, besides those of length 1 ({which}{shown}); "
                "a padded store has one such array, or names one of them mel"
                f"{about_object_arrays(found) if not solid else ''}"
            )
        if chosen[0].kind != "float":
            raise StoreError(
                f"{self.url}: array {chosen[0].path} is {chosen[0].dtype}; mels have floating-point values"
            )
        return chosen[0]

    def _key_names(self) -> tuple[str, ...]:
        return (*KEY_ARRAYS, self.mel.names[self._item_axis] or "")

    def _find_lengths(self) -> ArrayMetadata:
        for name in LENGTH_ARRAYS:
            for column in self._columns:
                if column.path.lower() == name and column.kind in ("int", "float"):
                    return column
        named = [f"{each.path} is {each.dtype} {list(each.shape)}" for each in self._arrays if _is_lengths(each)]
        raise StoreError(
            f"{self.url}: {self.mel.path} is padded, but no array of {self._count} whole numbers says how long "
            f"its items are{''.join(f' ({each})' for each in named)}; add an array named lengths (or "
            f"{', '.join(LENGTH_ARRAYS[1:5])})"
        )

    def _find_axes(self, n_mels: int | None) -> tuple[int, int]:
        """The axes of the mel array that hold the bands and that count frames."""
        names, shape = self.mel.names, self.mel.shape
        if (names[self._item_axis] or "").lower() in MEL_AXIS_NAMES | FRAME_AXIS_NAMES:
            raise StoreError(
                f"{self.url}: the dimensions of {self.mel.path} are {list(names)}; the first one must count the items"
            )
        others = [axis for axis in range(len(shape)) if axis != self._item_axis]
        both = two_axes([shape[axis] for axis in others])
        assert both is not None
        sides = others[both[0]], others[both[1]]
        axis = self._find_axis([names[side] for side in sides], [shape[side] for side in sides], n_mels)
        return sides[axis], sides[1 - axis]

    def _find_axis(self, names: list[str | None], sizes: list[int], n_mels: int | None) -> int:
        """The axis that holds the bands, 0 or 1 of the two of a mel."""
        axis, shape = named_mel_axis(names), self.mel.shape
        if n_mels is None and axis is None:
            raise StoreError(
                f"{self.url}: nothing says which axis of {self.mel.path} {list(shape)} holds the mel bands; name the "
                "dimensions (dimension_names, _ARRAY_DIMENSIONS) or give the mel contract (input.mel)"
            )
        if n_mels is None or axis is not None:
            if axis is not None and n_mels is not None and sizes[axis] != n_mels:
                raise ContractError(f"{self.url}: its mels have {sizes[axis]} bands, but the contract says {n_mels}")
            return axis or 0
        fits = fitting_axes(sizes, n_mels)
        if not fits:
            raise ContractError(
                f"{self.url}: no axis of {self.mel.path} {list(shape)} has the contract's {n_mels} bands"
            )
        if len(fits) == 2:
            raise StoreError(
                f"{self.url}: both axes of {self.mel.path} {list(shape)} fit {n_mels} bands; name the dimensions "
                "(dimension_names in Zarr v3, _ARRAY_DIMENSIONS in v2)"
            )
        return fits[0]

    def describe(self) -> str:
        """The store in one line. See `MelStore`."""
        order = "[items, mels, frames]" if self._mel_axis < self._frame_axis else "[items, frames, mels]"
        keys = f"keys from {self._keys.path}" if self._keys else "keys are item numbers"
        return (
            f"padded, Zarr v{self.zarr_format}: {self.mel.path} {list(self.mel.shape)} {order} {self.mel.dtype}, "
            f"chunks {list(self.mel.chunks)}, lengths from {self._lengths.path}, {keys}"
            f"{self._about_metadata()}{self.tree.listed.remark()}"
        )

    def _about_metadata(self) -> str:
        """Which arrays are metadata, and which are not, as text."""
        names = [*self._texts, *self._numbers.names]
        keys = self._keys.path if self._keys else ""
        used = {self.mel.path, self._lengths.path, keys, self.mel.names[self._item_axis] or "", *names}
        others = {each.path: f"{each.path} {list(each.shape)} {each.dtype}" for each in self._arrays}
        others |= {name: f"{name} ({why})" for name, why in self._numbers.unread.items()}
        left_out = [words for name, words in others.items() if name not in used]
        if len(left_out) > _NAMED:
            left_out[_NAMED:] = [f"{len(left_out) - _NAMED} more"]
        told = (f", {what} {', '.join(found)}" for what, found in (("metadata from", names), ("without", left_out)))
        return "".join(words for words, found in zip(told, (names, left_out), strict=True) if found)

    @cached_property
    def _measured(self) -> tuple[NDArray[np.int64], dict[int, str]]:
        """The lengths of the items [frames], and what is wrong with those that are not valid."""
        return read_whole_numbers(self.tree, self._lengths)

    @property
    def _frames(self) -> NDArray[np.int64]:
        return self._measured[0]

    def catalogue(self) -> Catalogue:
        """All items; an item whose length is impossible is a fault. See `MelStore`."""
        count, most = self._count, self.mel.shape[self._frame_axis]
        faults: Faults = {}
        wrong = self._measured[1]
        good = (self._frames > 0) & (self._frames <= most)
        for index in map(int, np.flatnonzero(~good)):
            length = int(self._frames[index])
            reason = "it has no frames" if length == 0 else f"its length is {length}, but the array holds {most} frames"
            place = f"{reason} ({self._lengths.path}[{index}])"
            add_fault(faults, index, f"its length is not valid: {wrong[index]}" if index in wrong else place)
        if self._keys is None:
            width = max(6, len(str(count - 1)))
            keys = np.array([f"{index:0{width}d}" for index in range(count)], np.dtypes.StringDType())
        else:
            keys = read_column(self.tree, self._keys)
        key_faults(keys, faults)
        frames = np.where(good, self._frames, 0)
        items = np.arange(count)
        listed = Catalogue(keys=keys, frames=frames, digests=self._digests(), where=items, faults=faults)
        return with_content_digests(self, listed) if self.digest_is_of_content else listed

    def _digests(self) -> NDArray[np.uint8]:
        """Digests of the chunk objects that hold each item; they change too if a neighbour in a chunk is rewritten."""
        below: dict[int, list[str]] = {}
        prefix = len(self.mel.path) + 1
        for name, stamp in sorted(self.tree.objects(self.mel.path).items()):
            if (at := self.mel.object_coordinates(name[prefix:])) is not None:
                below.setdefault(at[self._item_axis], []).append(f"{name[prefix:]}\0{stamp}")
        decoded, size = metadata_digest(self.mel), self.mel.object_shape[self._item_axis]
        rows = {row: digest(decoded, *stamps) for row, stamps in below.items()}
        return digest_column(
            digest(rows.get(item // size, decoded), f"{item}:{length}") for item, length in enumerate(self._frames)
        )

    def read(self, utterance: Utterance, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Frames of one item's mel, `[n_mels, stop - start] float32`. See `MelStore`."""
        start, stop = utterance.window(start, stop)
        item = int(utterance.where)
        if not 0 <= item < self._count or utterance.frames > self.mel.shape[self._frame_axis]:
            raise BadMelError(
                f"utterance {utterance.key!r}: item {item} with {utterance.frames} frames is not within "
                f"{self.mel.path} {list(self.mel.shape)} of {self.url}; check whether the store was replaced, and run "
                "again"
            )
        name = f"utterance {utterance.key!r} (item {item})"
        return self._reader.read_frames(start, stop, name, (self._item_axis, item))

    def expect(self, utterances: Sequence[Utterance]) -> None:
        """Nothing is read ahead. See `MelStore`."""

    def without_limits(self) -> PaddedStore:
        """The same store, which also gives values that its contract rules out. See `MelStore`."""
        twin = copy.copy(self)
        twin._reader = MelArray(self.tree, self.mel, self._mel_axis, self._frame_axis, None)
        return twin

    def meta(self, utterance: Utterance) -> dict[str, Any]:
        """The item's values in the store's other arrays of strings and numbers (text, speaker, ...). See `MelStore`."""
        item = int(utterance.where)
        texts = {
            path: str(column.read((slice(item, item + 1),), f"{path} of utterance {utterance.key!r}")[0])
            for path, column in self._texts.items()
        }
        return texts | self._numbers.at(item)

    def meta_digest(self) -> bytes:
        """Digest of the store's other arrays of strings and numbers. See `MelStore`."""
        columns = [
            path.encode() + strings_digest(self.tree, self._texts[path].metadata) for path in sorted(self._texts)
        ]
        columns += self._numbers.digests()
        return digest(*columns) if columns else b""

    def meta_texts(self) -> Iterator[str]:
        """The items' values in the store's other arrays of strings and numbers. See `MelStore`."""
        if not self._texts and not self._numbers.names:
            return repeat("", self._count)
        columns = [texts_of(self.tree, column.metadata) for column in self._texts.values()]
        rows = zip(*columns, strict=True) if columns else repeat((), self._count)
        return (
            json.dumps(dict(zip(self._texts, values, strict=True)) | self._numbers.at(item))
            for item, values in enumerate(rows)
        )

    def chunk_bytes(self, first: Utterance, last: Utterance) -> int:
        """Size of the decoded chunks from `first` to `last` [bytes]. See `MelStore`."""
        size, many = self.mel.chunks, self.mel.chunks[self._item_axis]
        total = 0
        for row in range(int(first.where) // many, int(last.where) // many + 1):
            items = slice(max(row * many, int(first.where)), min((row + 1) * many, int(last.where) + 1))
            longest = int(self._frames[items].max())
            total += -(-longest // size[self._frame_axis]) * self.mel.grid[self._mel_axis]
        return total * self.mel.chunk_bytes

    def mel_arrays(self) -> list[ArrayMetadata]:
        """The one array that holds mels."""
        return [self.mel]

    def needed_chunks(self, array: ArrayMetadata) -> NDArray[np.bool_]:
        """The chunks of the array's grid that items need: all except those with nothing but padding."""
        needed = np.zeros(array.grid, np.bool_)
        frames = np.minimum(self._frames, self.mel.shape[self._frame_axis])
        items = self.mel.chunks[self._item_axis]
        by_row = np.moveaxis(needed, (self._item_axis, self._frame_axis), (0, 1))  # a view
        for row in range(len(by_row)):
            longest = int(frames[row * items : (row + 1) * items].max(initial=0))
            by_row[row, : -(-longest // self.mel.chunks[self._frame_axis])] = True
        return needed


def _is_lengths(column: ArrayMetadata) -> bool:
    return column.path.lower() in LENGTH_ARRAYS


def _is_keys(column: ArrayMetadata, name: str) -> bool:
    return column.kind == "string" and column.path.lower() == name.lower()
