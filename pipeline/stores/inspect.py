"""What a mel store holds, for `melmill inspect`: counts, ranges, missing chunks, faults."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import MAX_UTTERANCE_SECONDS
from pipeline.dsp.mel import mel_ceiling, mel_silence
from pipeline.errors import StoreError, UtteranceError
from pipeline.melspec import MelSpec
from pipeline.stores.array_metadata import ArrayMetadata
from pipeline.stores.base import Catalogue, MelStore
from pipeline.stores.content import WINDOW
from pipeline.stores.grouped import GroupedStore
from pipeline.stores.padded import PaddedStore
from pipeline.stores.preset_fit import Looks, look_at
from pipeline.stores.ragged import RaggedStore
from pipeline.stores.tree import Tree

_ABSENT = 2**64 - 1  # Zarr's sharding index: offset and length of an inner chunk that is not there
_MOST_NAMED = 1000
_TOLERANCE = 1e-3  # log units: float16 mels and other mel code round their values


@dataclass(frozen=True)
class StoreReport:
    """What a store holds.

    Args:
        url: of the store.
        layout: ragged, grouped or padded.
        zarr_format: 2 or 3.
        description: the store's own line.
        spec: the mel contract that it states, as plain values, or None.
        utterances: how many it lists, the faulty ones too.
        frames: of all utterances that are not faulty.
        seconds: their duration [s], if a mel contract is known.
        frames_min, frames_median, frames_max: of one utterance [frames]; 0 if there is none.
        dtype: of the mels as stored.
        chunk_shape: of the mels as decoded, of the first array.
        examined: how many utterances' values were read, evenly spaced over the store.
        value_min, value_max: of the values read; None if none could be.
        possible_min, possible_max: what a mel of the contract can hold at all; None if no contract is known.
        out_of_range: how many of the values read no mel of the contract can hold; None if no contract is known.
        chunks: how many chunks (inner chunks of shards) utterances need.
        missing_chunks: how many of them are not there.
        missing: the first thousand of them by name.
        unreadable: for the utterances that were examined and could not be read, the reason by key.
        looks: what the values look like; None if none could be read.
        faults: for the utterances that the listing shows to be bad, the reason by key and index.
    """

    url: str
    layout: str
    zarr_format: int
    description: str
    spec: dict[str, Any] | None
    utterances: int
    frames: int
    seconds: float | None
    frames_min: int
    frames_median: float
    frames_max: int
    dtype: str
    chunk_shape: tuple[int, ...]
    examined: int
    value_min: float | None
    value_max: float | None
    possible_min: float | None
    possible_max: float | None
    out_of_range: int | None
    chunks: int
    missing_chunks: int
    missing: tuple[str, ...]
    unreadable: dict[str, str]
    faults: dict[str, str]
    looks: Looks | None

    @property
    def hours(self) -> float | None:
        """Duration of all utterances [h], if a mel contract is known."""
        return None if self.seconds is None else self.seconds / 3600

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return dataclasses.asdict(self) | {
            "chunk_shape": list(self.chunk_shape),
            "missing": list(self.missing),
            "looks": self.looks.to_dict() if self.looks else None,
        }


def inspect_store(store: MelStore, mel: MelSpec | None = None, sample: int = 200) -> StoreReport:
    """Reads what a store holds: its listing, the presence of every chunk, and the values of some utterances.

    Args:
        store: as `open_store` gave it.
        mel: the contract, where the store states none.
        sample: values of at most this many utterances are read, evenly spaced; of all, if there are no more.

    Raises:
        StoreError: if the listing itself cannot be read.
    """
    assert isinstance(store, RaggedStore | GroupedStore | PaddedStore)
    spec = store.spec or mel
    catalogue = _without_endless(store.catalogue(), spec)
    good = catalogue.frames[_good(catalogue)]
    total = int(good.sum())
    sample_array = store.mel_arrays()[0]
    chunks, missing_count, missing = _missing(store)
    return StoreReport(
        url=store.url,
        layout=store.layout,
        zarr_format=store.zarr_format,
        description=store.describe(),
        spec=store.spec.to_dict() if store.spec else None,
        utterances=len(catalogue),
        frames=total,
        seconds=spec.seconds(total) if spec else None,
        frames_min=int(good.min(initial=total)),
        frames_median=float(np.median(good)) if len(good) else 0.0,
        frames_max=int(good.max(initial=0)),
        dtype=sample_array.dtype,
        chunk_shape=sample_array.chunks,
        chunks=chunks,
        missing_chunks=missing_count,
        missing=tuple(missing),
        faults={f"{catalogue[i].key} [{i}]": reason for i, reason in sorted(catalogue.faults.items())},
        looks=look_at(store, catalogue, spec),
        **_values(store, catalogue, spec, sample),
    )


def _without_endless(catalogue: Catalogue, spec: MelSpec | None) -> Catalogue:
    """The catalogue with a fault for each utterance that a run refuses for its length, by the default limit."""
    if spec is None:
        return catalogue
    limit = MAX_UTTERANCE_SECONDS * spec.sample_rate / spec.hop_length
    faults = {
        int(i): f"it lasts {spec.seconds(int(catalogue.frames[i])):.1f} s, more than {MAX_UTTERANCE_SECONDS:g} s "
        "(input.max_utterance_seconds of a run)"
        for i in np.flatnonzero(catalogue.frames > limit)
    }
    return dataclasses.replace(catalogue, faults={**faults, **catalogue.faults})


def _good(catalogue: Catalogue) -> NDArray[np.int64]:
    good = np.ones(len(catalogue), np.bool_)
    good[list(catalogue.faults)] = False
    return np.flatnonzero(good)


def _values(store: MelStore, catalogue: Catalogue, spec: MelSpec | None, sample: int) -> dict[str, Any]:
    """The report's fields that need values, read from evenly spaced utterances."""
    good = _good(catalogue)
    chosen = good[np.unique(np.linspace(0, len(good) - 1, min(sample, len(good))).round().astype(np.int64))]
    low = mel_silence(spec)[:, None] if spec else None
    high = mel_ceiling(spec)[:, None] if spec else None
    smallest, largest, outside = np.inf, -np.inf, 0
    unreadable = {}
    for index in map(int, chosen):
        utterance = catalogue[index]
        try:
            for start in range(0, utterance.frames, WINDOW):
                values = store.read(utterance, start, min(start + WINDOW, utterance.frames))
                smallest, largest = min(smallest, float(values.min())), max(largest, float(values.max()))
                if low is not None and high is not None:
                    outside += int(np.count_nonzero((values < low - _TOLERANCE) | (values > high + _TOLERANCE)))
        except UtteranceError as exc:
            unreadable[utterance.key] = str(exc)
    any_read = smallest <= largest
    return {
        "examined": len(chosen),
        "value_min": smallest if any_read else None,
        "value_max": largest if any_read else None,
        "possible_min": None if low is None else float(low.min()),
        "possible_max": None if high is None else float(high.max()),
        "out_of_range": None if spec is None else outside,
        "unreadable": unreadable,
    }


def _missing(store: RaggedStore | GroupedStore | PaddedStore) -> tuple[int, int, list[str]]:
    """Chunks that utterances need, how many of them are not there, and the names of the first.

    Not those of arrays whose chunks are too many: their utterances are faults.
    """
    arrays = [array for array in store.mel_arrays() if not array.too_many_chunks]
    common = arrays[0].path if len(arrays) == 1 else ""
    objects = store.tree.objects(common)
    below: dict[str, list[str]] = {array.path: [] for array in arrays}
    for name in objects:
        path = name
        while path and path not in below:
            path = path.rpartition("/")[0]
        if path:
            below[path].append(name)
    needed_count, missing_count = 0, 0
    named: list[str] = []
    for array in arrays:
        needed = store.needed_chunks(array)
        absent = needed & ~_present(store.tree, array, below[array.path])
        needed_count += int(needed.sum())
        missing_count += int(absent.sum())
        first = np.flatnonzero(absent)[: _MOST_NAMED - len(named)]
        named += (array.chunk_name(np.unravel_index(at, array.grid)) for at in first)
    return needed_count, missing_count, named


def _present(tree: Tree, array: ArrayMetadata, objects: list[str]) -> NDArray[np.bool_]:
    """Which chunks of the array's grid are there: by the listing, and by the index of each shard."""
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


def _shard_index(tree: Tree, array: ArrayMetadata, name: str, inner: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which inner chunks a shard holds. The index: offset and length of each as little-endian uint64, maybe a CRC."""
    codec = next(_sharding(array))
    index_codecs = [item if isinstance(item, str) else item["name"] for item in codec["index_codecs"]]
    if index_codecs not in (["bytes"], ["bytes", "crc32c"]):
        raise StoreError(f"array {array.path}: a shard index with codecs {index_codecs} cannot be examined")
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
