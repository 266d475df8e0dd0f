"""The ragged layout, which is melmill's own: all mels in one array, one after another, with offsets and keys."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadMelError, StoreError, UtteranceError
from pipeline.melspec import MelSpec
from pipeline.stores.base import Catalogue, Faults, Layout, Utterance, add_fault
from pipeline.stores.digests import DIGEST_BYTES, strings_digest, texts_of
from pipeline.stores.keys import key_faults
from pipeline.stores.mel_array import MelArray, MelRows
from pipeline.stores.root_attributes import RAGGED_VERSION, stated, stated_spec
from pipeline.stores.whole_numbers import read_whole_numbers
from pipeline.stores.zarr_arrays import ArrayMetadata, ChunkedArray, ZarrTree, read_column
from pipeline.wording import counted


class RaggedStore:
    """A store as `melmill pack` writes it. See `MelStore`.

    Its arrays are `mel [total_frames, n_mels]` floating, `offsets [utterances + 1]` integer, `keys [utterances]`
    string, `digests [utterances, 16] uint8`, and if there is metadata `meta [utterances]` string, a JSON object each.

    Args:
        tree: objects of the store.

    Raises:
        StoreError: if an array is missing, or the arrays do not belong together.
    """

    layout: Layout = "ragged"

    def __init__(self, tree: ZarrTree) -> None:
        self.url = tree.url
        self.zarr_format: Literal[2, 3] = tree.zarr_format
        self.tree = tree
        self.spec: MelSpec | None = stated_spec(tree.attributes, tree.url)
        if self.spec is None:
            raise StoreError(f'{self.url} has no mel contract in its attributes ("melmill": {{"mel": ...}})')
        if (version := stated(tree.attributes, "version")) != RAGGED_VERSION:
            raise StoreError(
                f"{self.url} is a ragged store of version {version!r}; this melmill reads {RAGGED_VERSION}"
            )
        self.mel = self._array("mel", "float", 2)
        self._offsets = self._array("offsets", "int", 1, "float")
        self._keys = self._array("keys", "string", 1)
        self._digests = self._array("digests", "int", 2)
        self.n_mels = self.mel.shape[1]
        self.digest_is_of_content = self.mel.dtype == "float32"  # mels that were halved after packing have other values
        meta = self._texts = tree.array("meta")
        if meta is None:
            tree.listed.check_none_is_gone(["meta"], self.url)
        self._check_shapes(meta)
        self._reader = MelRows(MelArray(tree, self.mel, 1, 0, self.spec))
        self._meta = None if meta is None else ChunkedArray(tree, meta)

    def _array(self, name: str, kind: str, dimensions: int, *also: str) -> ArrayMetadata:
        found = self.tree.array(name)
        if found is None:
            raise StoreError(f"{self.url} is a ragged store without the array {name!r}; pack it again")
        if found.kind not in (kind, *also) or len(found.shape) != dimensions:
            raise StoreError(
                f"{self.url}: array {name!r} is {found.dtype} with {len(found.shape)} dimensions; in a ragged store it "
                f"must be {kind} with {dimensions}"
            )
        return found

    def _check_shapes(self, meta: ArrayMetadata | None) -> None:
        count = self._offsets.shape[0] - 1
        if self.spec is not None and self.n_mels != self.spec.n_mels:
            raise StoreError(f"{self.url}: its mels have {self.n_mels} bands, but its contract says {self.spec.n_mels}")
        if count < 0 or self._keys.shape != (count,) or self._digests.shape != (count, DIGEST_BYTES):
            raise StoreError(
                f"{self.url}: offsets {self._offsets.shape}, keys {self._keys.shape} and digests "
                f"{self._digests.shape} do not belong together; they must be [n + 1], [n] and [n, {DIGEST_BYTES}]"
            )
        if self._digests.dtype != "uint8":
            raise StoreError(f"{self.url}: digests are {self._digests.dtype}; they must be uint8")
        if meta is not None and (meta.kind != "string" or meta.shape != (count,)):
            raise StoreError(f"{self.url}: meta is {meta.dtype} {meta.shape}; it must be one string per utterance")

    def describe(self) -> str:
        """The store in one line. See `MelStore`."""
        sharding = f" in shards of {self.mel.shards[0]}" if self.mel.shards else ""
        return (
            f"ragged, Zarr v{self.zarr_format}: {counted(self._keys.shape[0], 'utterance')}, mel "
            f"{list(self.mel.shape)} [frames, mels] {self.mel.dtype}, chunks of {self.mel.chunks[0]} frames{sharding}"
            f"{self.tree.listed.remark()}"
        )

    def catalogue(self) -> Catalogue:
        """All utterances; an utterance whose offsets are wrong is a fault. See `MelStore`."""
        offsets, wrong = read_whole_numbers(self.tree, self._offsets)
        if wrong:  # an offset bounds two utterances
            raise StoreError(f"{self.url}: {next(iter(wrong.values()))}; pack the store again")
        keys = read_column(self.tree, self._keys)
        frames, faults = self._frames(offsets)
        key_faults(keys, faults)
        digests = read_column(self.tree, self._digests)
        return Catalogue(keys=keys, frames=frames, digests=digests, where=offsets[:-1], faults=faults)

    def _frames(self, offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], Faults]:
        total = self.mel.shape[0]
        first, last = offsets[:-1], offsets[1:]
        frames = np.where((first >= 0) & (last > first) & (last <= total), last - first, 0)
        faults: Faults = {}
        for index in map(int, np.flatnonzero(frames == 0)):
            begin, end = int(first[index]), int(last[index])
            if begin == end:
                reason = f"it has no frames (offsets[{index}] and [{index + 1}] are both {begin})"
            elif end < begin:
                reason = f"offsets go back from {begin} to {end} (offsets[{index}] and [{index + 1}])"
            else:
                reason = (
                    f"rows {begin} to {end} are not within the {total} rows of mel (offsets[{index}] and [{index + 1}])"
                )
            add_fault(faults, index, reason)
        return frames, faults

    def read(self, utterance: Utterance, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Frames of one utterance's mel, `[n_mels, stop - start] float32`. See `MelStore`."""
        start, stop = utterance.window(start, stop)
        origin = int(utterance.where)
        if not 0 <= origin <= origin + utterance.frames <= self.mel.shape[0]:
            raise BadMelError(
                f"utterance {utterance.key!r}: rows {origin} to {origin + utterance.frames} are not within the "
                f"{self.mel.shape[0]} rows of mel in {self.url}; check whether the store was replaced, and run again"
            )
        return self._reader.read(origin + start, origin + stop, f"utterance {utterance.key!r}", origin)

    def expect(self, utterances: Sequence[Utterance]) -> None:
        """Says which utterances will be read next. See `MelStore`."""
        self._reader.expect((int(each.where), int(each.where) + each.frames) for each in utterances)

    def without_limits(self) -> RaggedStore:
        """The same store, which also gives values that its contract rules out. See `MelStore`."""
        twin = copy.copy(self)
        twin._reader = MelRows(MelArray(self.tree, self.mel, 1, 0, None))
        return twin

    def meta(self, utterance: Utterance) -> dict[str, Any]:
        """The utterance's JSON object; empty if there is none.

        Raises:
            UtteranceError: if its text in `meta` is not a JSON object.
        """
        if self._meta is None:
            return {}
        index = utterance.index
        text = str(self._meta.read((slice(index, index + 1),), f"meta of utterance {utterance.key!r}")[0])
        try:
            value = json.loads(text) if text else {}
        except (ValueError, RecursionError) as exc:
            raise UtteranceError(f"utterance {utterance.key!r}: meta[{index}] is not valid JSON ({exc})") from exc
        if not isinstance(value, dict):
            raise UtteranceError(f"utterance {utterance.key!r}: meta[{index}] is {text[:80]!r}, not a JSON object")
        return value

    def meta_digest(self) -> bytes:
        """Digest of the array `meta`. See `MelStore`."""
        return b"" if self._texts is None else strings_digest(self.tree, self._texts)

    def meta_texts(self) -> Iterator[str]:
        """The texts of the array `meta`. See `MelStore`."""
        return repeat("", self._keys.shape[0]) if self._texts is None else texts_of(self.tree, self._texts)

    def chunk_bytes(self, first: Utterance, last: Utterance) -> int:
        """Size of the decoded chunks from `first` to `last` [bytes]. See `MelStore`."""
        size = self.mel.chunks[0]
        rows = range(int(first.where) // size, -(-(int(last.where) + last.frames) // size))
        return len(rows) * self.mel.grid[1] * self.mel.chunk_bytes

    def mel_arrays(self) -> list[ArrayMetadata]:
        """The one array that holds mels."""
        return [self.mel]

    def needed_chunks(self, array: ArrayMetadata) -> NDArray[np.bool_]:
        """The chunks of the array's grid that utterances need."""
        return np.ones(array.grid, np.bool_)
