"""The grouped layout: a tree of groups with one array per utterance, [n_mels, frames] or [frames, n_mels].

Other axes of length 1, such as the batch axis that models take, may be anywhere.
"""

from __future__ import annotations

import copy
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadMelError, ContractError, StoreError
from pipeline.melspec import MelSpec
from pipeline.stores.base import Catalogue, Faults, Fingerprint, Layout, Utterance
from pipeline.stores.digests import digest, digest_column, metadata_digest, with_content_digests
from pipeline.stores.keys import key_faults
from pipeline.stores.mel_array import MelArray
from pipeline.stores.mel_axis import fitting_axes, named_mel_axis, shown_mel_axis, two_axes
from pipeline.stores.object_arrays import about_object_arrays, about_other_shapes
from pipeline.stores.root_attributes import stated_spec
from pipeline.stores.zarr_arrays import (
    DOCUMENT_NAMES,
    ArrayMetadata,
    UnreadableArray,
    ZarrTree,
    array_of_object,
    arrays_of_chunks,
)
from pipeline.wording import counted

_FIRST_LOOK = 16  # number of arrays whose metadata is read when a store without consolidated metadata is opened


@dataclass(frozen=True)
class _Listing:
    """All arrays of the store: those that may be mels, with the unreadable ones, and the names of the others."""

    entries: list[ArrayMetadata | UnreadableArray]
    others: list[str]
    objects: dict[str, str]

    @property
    def mels(self) -> list[ArrayMetadata]:
        return [entry for entry in self.entries if isinstance(entry, ArrayMetadata)]


class GroupedStore:
    """A store with one array per utterance, whose path is the key. See `MelStore`.

    An array of two dimensions, besides those of length 1, is an utterance; it is a faulty one if its values are not
    floating or it has another width. An array is also a faulty utterance if it has more dimensions, if
    its metadata cannot be understood, or if it has chunks but no metadata. An array of one dimension or none (pitch,
    ids) is not an utterance; `describe` counts and names such arrays.

    Args:
        tree: objects of the store.
        mel: mel contract, used for n_mels if the store states no contract.
        fingerprint: basis of the digests: the chunks or the content.

    Raises:
        StoreError: if there is no mel, or the mel axis cannot be found.
        ContractError: if no mel has the contract's number of bands.
    """

    layout: Layout = "grouped"

    def __init__(self, tree: ZarrTree, mel: MelSpec | None, fingerprint: Fingerprint = "chunks") -> None:
        self.url = tree.url
        self.digest_is_of_content = fingerprint == "content"
        self.zarr_format: Literal[2, 3] = tree.zarr_format
        self.tree = tree
        self.spec: MelSpec | None = stated_spec(tree.attributes, tree.url)
        spec = self.spec or mel
        self._contract = spec
        self._expected = spec.n_mels if spec else None
        self._last: tuple[str, MelArray] | None = None
        look = [array for array in tree.first_arrays(_FIRST_LOOK) if _is_mel(array)]
        try:
            self._sample = look[0] if look else self._listing.mels[0]
            self.n_mels, self._order = self._decide(look)
        except (StoreError, ContractError, IndexError):  # the first arrays do not show the axis; all of them may
            self.n_mels, self._order = self._decide([array for array in self._listing.mels if _is_mel(array)])
            self._sample = self._listing.mels[0]

    @cached_property
    def _listing(self) -> _Listing:
        objects = self.tree.objects()
        found = {array.path: array for array in self.tree.arrays(objects)}
        others = [path for path, array in found.items() if isinstance(array, ArrayMetadata) and len(array.shape) < 2]
        bare = arrays_of_chunks((name for name in objects if array_of_object(name, found) is None), self.zarr_format)
        found |= {
            path: UnreadableArray(path, f"array {path} has chunks but no metadata; restore its metadata")
            for path in bare
        }
        entries = [found[path] for path in sorted(found.keys() - set(others))]
        return _Listing(entries, others, objects)

    def _decide(self, arrays: list[ArrayMetadata]) -> tuple[int, int]:
        """The number of bands, and the mel axis (of the two of `two_axes`) that most of the arrays show."""
        if not arrays:
            others = (self.tree.array(path) for path in self._listing.others[:_FIRST_LOOK])
            objects = about_object_arrays(array for array in others if array is not None)
            raise StoreError(
                f"{self.url} has no array of two dimensions with floating-point values, so it has no mels"
                f"{about_other_shapes(self._listing.mels)}{objects}"
            )
        named = [(array, axis) for array in arrays if (axis := named_mel_axis(_names(array))) is not None]
        n_mels = self._expected
        if n_mels is None:
            if not named:
                raise StoreError(
                    f"{self.url}: nothing says which axis of its mels ({_shown(arrays[0])}, ...) holds the mel bands; "
                    "name the dimensions (dimension_names, _ARRAY_DIMENSIONS) or give the mel contract (input.mel)"
                )
            n_mels = Counter(_sizes(array)[axis] for array, axis in named).most_common(1)[0][0]
        votes = Counter(
            axis for array in arrays if (axis := shown_mel_axis(_names(array), _sizes(array), n_mels)) is not None
        )
        ranked = votes.most_common(2)
        if not ranked and any(fitting_axes(_sizes(array), n_mels) for array in arrays):
            raise StoreError(
                f"{self.url}: both axes of its mels ({_shown(arrays[0])}, ...) fit {n_mels} bands; name the "
                "dimensions (dimension_names in Zarr v3, _ARRAY_DIMENSIONS in v2)"
            )
        if not any(_sizes(array)[axis] == n_mels for array in arrays for axis in votes):
            widths = " or ".join(str(width) for width in sorted({_sizes(array)[axis] for array, axis in named}))
            found = f"have {widths} bands" if widths else f"({_shown(arrays[0])}, ...) have no axis of the right length"
            raise ContractError(f"{self.url}: its mels {found}; the contract says {n_mels} bands")
        if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
            raise StoreError(
                f"{self.url}: {ranked[0][1]} mels have the bands first, and as many have the frames first; "
                "name the dimensions"
            )
        return n_mels, ranked[0][0]

    @cached_property
    def _settled_order(self) -> int:
        """The mel axis that most arrays of the store show, for the arrays that do not show theirs."""
        return self._decide([array for array in self._listing.mels if _is_mel(array)])[1]

    def _mel_axis(self, array: ArrayMetadata) -> int:
        """The array's mel axis: 0 or 1 of the two of `two_axes`.

        Raises:
            BadMelError: if the array is not a mel of this store.
        """
        if not _is_mel(array):
            raise BadMelError(
                f"array {array.path} is {array.dtype} {list(array.shape)}; a mel has floating-point values and 2 axes, "
                "besides those of length 1"
            )
        named = named_mel_axis(_names(array))
        fits = fitting_axes(_sizes(array), self.n_mels)
        axis = named if named is not None else fits[0] if len(fits) == 1 else self._settled_order
        if axis not in fits:
            what = f"has {_sizes(array)[axis]} bands" if named is not None else "has no axis of the right length"
            raise BadMelError(f"array {_shown(array)} {what}; the store's mels have {self.n_mels} bands")
        try:
            array.check_codecs()
        except StoreError as exc:
            raise BadMelError(str(exc)) from exc
        if _sizes(array)[1 - axis] == 0:
            raise BadMelError(f"array {_shown(array)} has no frames")
        return axis

    def describe(self) -> str:
        """The store in one line. See `MelStore`."""
        order = "[mels, frames]" if self._order == 0 else "[frames, mels]"
        others = self._listing.others
        beside = f"; {len(others)} other arrays, not mels: {', '.join(others[:3])}" if others else ""
        return (
            f"grouped, Zarr v{self.zarr_format}: {counted(len(self._listing.mels), 'array')} {order} of "
            f"{self.n_mels} mels, {self._sample.dtype}, chunks {list(self._sample.chunks)} in {self._sample.path}"
            f"{beside}{self.tree.listed.remark()}"
        )

    def catalogue(self) -> Catalogue:
        """All arrays that are mels or should be, by path; one that is not a valid mel is a fault. See `MelStore`."""
        entries = self._listing.entries
        frames = np.zeros(len(entries), np.int64)
        faults: Faults = {}
        names = [entry.path.encode("utf-8", "backslashreplace").decode() for entry in entries]
        for index, array in enumerate(entries):
            if names[index] != array.path:
                faults[index] = f"the name of array {names[index]} is not UTF-8"
                continue
            if isinstance(array, UnreadableArray):
                faults[index] = array.reason
                continue
            try:
                axis = self._mel_axis(array)
                if named_mel_axis(_names(array)) is None and axis != self._settled_order:
                    raise BadMelError(
                        f"array {_shown(array)} has its axes the other way round than most mels of the store; "
                        "name its dimensions if this is intended"
                    )
                frames[index] = _sizes(array)[1 - axis]
            except BadMelError as exc:
                faults[index] = str(exc)
        keys = np.array(names, np.dtypes.StringDType())
        key_faults(keys, faults)
        listed = Catalogue(keys=keys, frames=frames, digests=self._digests(), where=keys, faults=faults)
        return with_content_digests(self, listed) if self.digest_is_of_content else listed

    def _digests(self) -> NDArray[np.uint8]:
        arrays = {entry.path: entry for entry in self._listing.entries}
        stamps: dict[str, list[str]] = {path: [] for path in arrays}
        for name in sorted(name for name in self._listing.objects if not name.endswith(DOCUMENT_NAMES)):
            path = array_of_object(name, stamps) or ""
            array = arrays.get(path)
            if isinstance(array, ArrayMetadata) and array.object_coordinates(name[len(path) + 1 :]) is not None:
                stamps[path].append(f"{name[len(path) + 1 :]}\0{self._listing.objects[name]}")
        known: dict[int, bytes] = {}  # arrays with the same metadata share one document

        def head(array: ArrayMetadata | UnreadableArray) -> str | bytes:
            if isinstance(array, UnreadableArray):
                return array.reason
            if id(array.document) not in known:
                known[id(array.document)] = metadata_digest(array)
            return known[id(array.document)]

        heads = map(head, arrays.values())
        return digest_column(digest(head, *found) for head, found in zip(heads, stamps.values(), strict=True))

    def _reader(self, path: str, key: str) -> MelArray:
        if self._last is None or self._last[0] != path:
            try:
                array = self.tree.array(path)
                if array is None:
                    raise BadMelError(f"utterance {key!r}: array {path} is no longer in {self.url}")
                axis = self._mel_axis(array)
                sides = two_axes(array.shape)
                assert sides is not None
                self._last = path, MelArray(self.tree, array, sides[axis], sides[1 - axis], self._contract)
            except StoreError as exc:  # an error of this one array, while others may be read
                raise BadMelError(f"utterance {key!r}: {exc}") from exc
        return self._last[1]

    def read(self, utterance: Utterance, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Frames of one utterance's mel, `[n_mels, stop - start] float32`. See `MelStore`."""
        start, stop = utterance.window(start, stop)
        reader = self._reader(str(utterance.where), utterance.key)
        axis = self._mel_axis(reader.metadata)
        if _sizes(reader.metadata)[1 - axis] != utterance.frames:
            raise BadMelError(
                f"utterance {utterance.key!r}: its array had {utterance.frames} frames when it was listed, and is now "
                f"{_shown(reader.metadata)}; check whether the store was replaced, and run again"
            )
        return reader.read_frames(start, stop, f"utterance {utterance.key!r}")

    def expect(self, utterances: Sequence[Utterance]) -> None:
        """Nothing is read ahead. See `MelStore`."""

    def without_limits(self) -> GroupedStore:
        """The same store, which also gives values that its contract rules out. See `MelStore`."""
        twin = copy.copy(self)
        twin._contract, twin._last = None, None
        return twin

    def meta(self, utterance: Utterance) -> dict[str, Any]:
        """The attributes of the utterance's array. See `MelStore`."""
        if "_listing" in self.__dict__ and utterance.index < len(self._listing.entries):
            listed = self._listing.entries[utterance.index]
            if isinstance(listed, ArrayMetadata) and listed.path == utterance.where:
                return dict(listed.attributes)
        return dict(self._reader(str(utterance.where), utterance.key).metadata.attributes)

    def meta_digest(self) -> bytes:
        """Digest of the attributes of all arrays. See `MelStore`."""
        described = [(array.path, dict(array.attributes)) for array in self._listing.mels if array.attributes]
        return digest(json.dumps(described, sort_keys=True)) if described else b""

    def meta_texts(self) -> Iterator[str]:
        """The attributes of each array. See `MelStore`."""
        for array in self._listing.entries:
            attributes = dict(array.attributes) if isinstance(array, ArrayMetadata) else {}
            yield json.dumps(attributes, sort_keys=True) if attributes else ""

    def chunk_bytes(self, first: Utterance, last: Utterance) -> int:
        """Size of the decoded chunks from `first` to `last` [bytes]. See `MelStore`."""
        entries = self._listing.entries[first.index : last.index + 1]
        return sum(math.prod(a.grid) * a.chunk_bytes for a in entries if isinstance(a, ArrayMetadata))

    def mel_arrays(self) -> list[ArrayMetadata]:
        """The arrays that hold mels."""
        return [array for array in self._listing.mels if _is_mel(array)]

    def needed_chunks(self, array: ArrayMetadata) -> NDArray[np.bool_]:
        """The chunks of the array's grid that utterances need."""
        return np.ones(array.grid, np.bool_)


def _is_mel(array: ArrayMetadata) -> bool:
    return two_axes(array.shape) is not None and array.kind == "float"


def _sizes(array: ArrayMetadata) -> list[int]:
    """The lengths of the two axes of a mel."""
    return [array.shape[axis] for axis in two_axes(array.shape) or ()]


def _names(array: ArrayMetadata) -> list[str | None]:
    """The names of the two axes of a mel."""
    return [array.names[axis] for axis in two_axes(array.shape) or ()]


def _shown(array: ArrayMetadata) -> str:
    return f"{array.path} {list(array.shape)}"
