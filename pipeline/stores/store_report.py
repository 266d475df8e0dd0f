"""The report on a mel store that `melmill inspect` prints: counts, ranges, missing chunks, faults."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import MAX_UTTERANCE_SECONDS
from pipeline.dsp.mel import mel_ceiling, mel_silence
from pipeline.errors import UtteranceError
from pipeline.evidence import STRETCH, middle, misfit
from pipeline.melspec import MelSpec
from pipeline.stores.base import Catalogue, MelStore, Utterance
from pipeline.stores.digests import WINDOW
from pipeline.stores.grouped import GroupedStore
from pipeline.stores.padded import PaddedStore
from pipeline.stores.preset_fit import PresetFit, fit_presets
from pipeline.stores.ragged import RaggedStore
from pipeline.stores.sampling import evenly_spaced
from pipeline.stores.zarr_arrays import array_of_object, present_chunks

_MOST_NAMED = 1000
_TOLERANCE = 1e-3  # log units, since float16 mels and other mel code round their values


@dataclass(frozen=True)
class StoreReport:
    """The contents of a mel store.

    Args:
        url: URL of the store.
        layout: layout of the store: ragged, grouped or padded.
        zarr_format: version of Zarr, 2 or 3.
        description: line in which the store describes itself.
        spec: mel contract that the store states, as plain values; None if it states no contract.
        utterances: number of utterances in the store, with the faulty ones.
        frames: number of frames in all utterances without a fault.
        seconds: duration of all utterances without a fault [s]; None if no mel contract is known.
        frames_min, frames_median, frames_max: length of one utterance [frames]; 0 if the store has no good utterance.
        dtype: data type in which the mels are stored.
        chunk_shape: shape of a decoded chunk in the first array of mels.
        examined: number of utterances whose values were read, evenly spaced over the store.
        measured: number of the examined utterances that could be read and fit the contract.
        value_min, value_max: smallest and largest value of those utterances; None if there is none.
        possible_min, possible_max: smallest and largest value that the contract allows; None if no contract is known.
        out_of_range: number of these values that the contract does not allow; None if no contract is known.
        chunks: number of chunks (inner chunks of shards) that the utterances need.
        missing_chunks: number of these chunks that are not there.
        missing: names of the first thousand missing chunks.
        unreadable: reasons by key, for the examined utterances that could not be read.
        misfits: reasons by key, for utterances that do not fit the contract; empty if most of them do not.
        faults: reasons by key and index, for the utterances that the listing already shows to be bad.
        looks: presets that the values fit; None if no value could be read.
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
    measured: int
    value_min: float | None
    value_max: float | None
    possible_min: float | None
    possible_max: float | None
    out_of_range: int | None
    chunks: int
    missing_chunks: int
    missing: tuple[str, ...]
    unreadable: dict[str, str]
    misfits: dict[str, str]
    faults: dict[str, str]
    looks: PresetFit | None

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return dataclasses.asdict(self) | {
            "chunk_shape": list(self.chunk_shape),
            "missing": list(self.missing),
            "looks": self.looks.to_dict() if self.looks else None,
        }


def inspect_store(store: MelStore, mel: MelSpec | None = None, sample: int = 200) -> StoreReport:
    """Examines a store: its listing, the presence of every chunk, and the values of some utterances.

    Args:
        store: store that `open_store` returned.
        mel: mel contract, used if the store states none.
        sample: largest number of utterances whose values are read, evenly spaced over the store.

    Raises:
        StoreError: if the listing itself cannot be read.
        StorageError: if storage fails.
    """
    assert isinstance(store, RaggedStore | GroupedStore | PaddedStore)
    spec = store.spec or mel
    catalogue = _refusing_endless(store.catalogue(), spec)
    good = catalogue.frames[catalogue.good()]
    total = int(good.sum())
    sample_array = store.mel_arrays()[0]
    chunks, missing_count, missing = _missing(store)
    looks = fit_presets(store, catalogue, spec)
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
        looks=looks,
        **_values(store, catalogue, spec, sample, looks),
    )


def _refusing_endless(catalogue: Catalogue, spec: MelSpec | None) -> Catalogue:
    """The catalogue with a fault for each utterance that is longer than the default limit of a run."""
    if spec is None:
        return catalogue
    limit = MAX_UTTERANCE_SECONDS * spec.sample_rate / spec.hop_length
    faults = {
        int(i): f"it lasts {spec.seconds(int(catalogue.frames[i])):.1f} s, more than {MAX_UTTERANCE_SECONDS:g} s "
        "(input.max_utterance_seconds of a run)"
        for i in np.flatnonzero(catalogue.frames > limit)
    }
    return dataclasses.replace(catalogue, faults={**faults, **catalogue.faults})


def _values(
    store: MelStore, catalogue: Catalogue, spec: MelSpec | None, sample: int, looks: PresetFit | None
) -> dict[str, Any]:
    """The fields of the report that need values, which are read from evenly spaced utterances."""
    chosen = evenly_spaced(catalogue.good(), sample)
    low = mel_silence(spec) if spec else None
    high = mel_ceiling(spec) if spec else None
    ranges: list[tuple[float, float, int]] = []
    unreadable = {}
    misfits = dict(looks.misfits) if looks else {}
    judged = None if looks is None or looks.contradicted else spec
    for index in map(int, chosen):
        utterance = catalogue[index]
        try:
            if judged is not None and utterance.key not in misfits:
                stretch = store.read(utterance, *middle(utterance.frames, STRETCH))
                if (why := misfit(stretch, judged)) is not None:
                    misfits[utterance.key] = why
            found = _range(store, utterance, low, high)
            if utterance.key not in misfits:
                ranges.append(found)
        except UtteranceError as exc:
            unreadable[utterance.key] = str(exc)
    smallest, largest, outside = zip(*ranges, strict=True) if ranges else ((), (), ())
    return {
        "examined": len(chosen),
        "measured": len(ranges),
        "value_min": min(smallest, default=None),
        "value_max": max(largest, default=None),
        "possible_min": None if low is None else float(low.min()),
        "possible_max": None if high is None else float(high.max()),
        "out_of_range": None if spec is None else sum(outside),
        "unreadable": unreadable,
        "misfits": {key: why for key, why in misfits.items() if key not in unreadable},
    }


def _range(
    store: MelStore, utterance: Utterance, low: NDArray[np.float32] | None, high: NDArray[np.float32] | None
) -> tuple[float, float, int]:
    """Smallest and largest value of an utterance, and the number of values outside of `[n_mels] float32` bounds."""
    smallest, largest, outside = np.inf, -np.inf, 0
    for start in range(0, utterance.frames, WINDOW):
        values = store.read(utterance, start, min(start + WINDOW, utterance.frames))
        smallest, largest = min(smallest, float(values.min())), max(largest, float(values.max()))
        if low is not None and high is not None:
            beyond = (values < low[:, None] - _TOLERANCE) | (values > high[:, None] + _TOLERANCE)
            outside += int(np.count_nonzero(beyond))
    return smallest, largest, outside


def _missing(store: RaggedStore | GroupedStore | PaddedStore) -> tuple[int, int, list[str]]:
    """Number of chunks that utterances need, number of these that are missing, and names of the first missing ones.

    Arrays with too many chunks are left out: each of their utterances is a fault.
    """
    arrays = [array for array in store.mel_arrays() if not array.too_many_chunks]
    common = arrays[0].path if len(arrays) == 1 else ""
    objects = store.tree.objects(common)
    below: dict[str, list[str]] = {array.path: [] for array in arrays}
    for name in objects:
        if path := array_of_object(name, below):
            below[path].append(name)
    needed_count, missing_count = 0, 0
    named: list[str] = []
    for array in arrays:
        needed = store.needed_chunks(array)
        absent = needed & ~present_chunks(store.tree, array, below[array.path])
        needed_count += int(needed.sum())
        missing_count += int(absent.sum())
        first = np.flatnonzero(absent)[: _MOST_NAMED - len(named)]
        named += (array.chunk_name(np.unravel_index(at, array.grid)) for at in first)
    return needed_count, missing_count, named
