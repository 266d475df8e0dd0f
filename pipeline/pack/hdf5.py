"""Mels in HDF5 files, one file per utterance, as ParallelWaveGAN writes them."""

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
"""Name under which ParallelWaveGAN keeps the mel, [frames, n_mels] (parallel_wavegan/bin/preprocess.py: write_hdf5)."""
MAX_CHUNK_BYTES = 256 << 20
"""Largest chunk of a dataset [bytes], since HDF5 decodes a chunk whole."""
# Filters that HDF5 itself has (deflate, shuffle, fletcher32, szip, nbit, scaleoffset), and h5py's LZF. HDF5 would load
# any other filter from a folder of plugins.
_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})


def hdf5_corpus(folder: str, spec: MelSpec, axis: Axis = "auto") -> Corpus:
    """The HDF5 files below a folder. The mel of each is the dataset `feats`, or the only dataset in the file.

    Args:
        folder: folder with one mel per file.
        spec: mel contract that the mels have.
        axis: axis of a mel that comes first, as in `matrix_corpus`.

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
    except (OSError, KeyError, ValueError, RuntimeError) as exc:  # what h5py raises on damaged files
        raise SourceError(f"it cannot be read: {exc}") from exc


def _dataset(h5py: Any, file: Any) -> Any:
    names = list(file)
    name = DATASET if DATASET in names else names[0] if len(names) == 1 else None
    if name is None:
        shown = ", ".join(names[:5])[:200] or "nothing"
        raise SourceError(f"it has no dataset {DATASET!r}; it holds {shown}")
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise SourceError(f"its {name!r} is a link to another place, which is not followed")
    if not isinstance(file[name], h5py.Dataset):
        raise SourceError(f"its {name!r} is not a dataset")
    return file[name]


def _check(h5py: Any, dataset: Any) -> None:
    """Refuses a dataset that needs other files or libraries or too much memory, or that was not written completely."""
    if dataset.is_virtual or dataset.external:
        raise SourceError("its values are in other files, which are not read; copy them into the file")
    plist = dataset.id.get_create_plist()
    filters = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
    if unknown := filters - _FILTERS:
        raise SourceError(f"it needs the filter {min(unknown)}, which HDF5 itself does not have; rewrite it with gzip")
    if dataset.chunks and (size := math.prod(dataset.chunks) * dataset.dtype.itemsize) > MAX_CHUNK_BYTES:
        raise SourceError(f"a chunk takes {size} bytes, more than {MAX_CHUNK_BYTES}; rewrite it with smaller chunks")
    if dataset.shape is None:
        raise SourceError("its dataset has no values")
    if math.prod(dataset.shape) and dataset.id.get_space_status() != h5py.h5d.SPACE_STATUS_ALLOCATED:
        raise SourceError("a part of its dataset was never written")
