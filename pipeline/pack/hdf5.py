"""Mels in HDF5 files, one an utterance, as ParallelWaveGAN dumps them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec
from pipeline.pack.matrices import Axis, matrix_corpus
from pipeline.pack.sources import Corpus, SourceError, list_sources

HDF5_EXTENSIONS = frozenset({"h5", "hdf5"})
DATASET = "feats"
"""Where ParallelWaveGAN keeps the mel, [frames, n_mels] (parallel_wavegan/bin/preprocess.py: write_hdf5)."""
MAX_CHUNK_BYTES = 256 << 20
"""Of a dataset [bytes]: HDF5 decodes a chunk whole."""
# Filters that HDF5 has itself, and h5py's LZF: deflate, shuffle, fletcher32, szip, nbit, scaleoffset. The library would
# load any other one from a folder of plugins.
_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})


def hdf5_corpus(folder: str, spec: MelSpec, axis: Axis = "auto") -> Corpus:
    """The HDF5 files below a folder: of each the dataset `feats`, or if it has one dataset alone, that one.

    Raises:
        ConfigError: if h5py is not installed, and as `list_sources` and `matrix_corpus`.
        StorageError: as `list_sources`.
    """
    _h5py()
    sources = list_sources(folder, HDF5_EXTENSIONS, ".h5 and .hdf5")
    return matrix_corpus(sources, _open, spec, "hdf5", axis, usual="frames-first")


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as exc:
        raise ConfigError("reading HDF5 needs h5py; pip install 'melmill[hdf5]'") from exc
    return h5py


@contextmanager
def _open(path: str) -> Iterator[Any]:
    h5py = _h5py()
    try:
        with h5py.File(path, "r", locking=False) as file:
            dataset = _dataset(h5py, file)
            _check(h5py, dataset)
            yield dataset
    except (OSError, KeyError, ValueError, RuntimeError) as exc:  # what h5py raises on damage
        raise SourceError(f"it cannot be read: {exc}") from exc


def _dataset(h5py: Any, file: Any) -> Any:
    names = list(file)
    name = DATASET if DATASET in names else names[0] if len(names) == 1 else None
    if name is None:
        shown = ", ".join(names[:5])[:200] or "nothing"
        raise SourceError(f"it has no dataset {DATASET!r}; it holds {shown}")
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise SourceError(f"its {name!r} is a link to elsewhere, which is not followed")
    if not isinstance(file[name], h5py.Dataset):
        raise SourceError(f"its {name!r} is no dataset")
    return file[name]


def _check(h5py: Any, dataset: Any) -> None:
    """Refuses what would be read from other files or by other libraries, takes too much memory, or was not written."""
    if dataset.is_virtual or dataset.external:
        raise SourceError("its values lie in other files, which are not read")
    plist = dataset.id.get_create_plist()
    filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
    if unknown := filters - _FILTERS:
        raise SourceError(f"it is packed with the filter {min(unknown)}, which HDF5 itself does not have")
    if dataset.chunks and (size := math.prod(dataset.chunks) * dataset.dtype.itemsize) > MAX_CHUNK_BYTES:
        raise SourceError(f"a chunk takes {size} bytes, more than {MAX_CHUNK_BYTES}")
    if dataset.shape is None:
        raise SourceError("it is a dataset without values")
    if math.prod(dataset.shape) and dataset.id.get_space_status() != h5py.h5d.SPACE_STATUS_ALLOCATED:
        raise SourceError("a part of it was never written")
