"""The statistics file beside a checkpoint, stats.h5 or stats.npy: the mean and scale of each band."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ConfigError
from pipeline.melspec import Normalization

STATS_NAMES = ("stats.h5", "stats.npy")
"""Names that such a file may have beside its checkpoint; the first that is there is read."""
_MOST_BYTES = 1 << 20
_MOST_BANDS = 1024


def read_stats(path: Path) -> Normalization:
    """The mean and scale of each band, as ParallelWaveGAN's `bin/compute_statistics.py` writes them.

    Args:
        path: the file. If its name ends in .h5 or .hdf5, it is HDF5 with the data sets "mean" and "scale" (needs h5py);
            else it is .npy of `[2, n_mels]`, means and then scales.

    Raises:
        ConfigError: if the file cannot be read, or holds anything else.
    """
    try:
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise ConfigError(f"{path}: has {size} bytes; statistics may have up to {_MOST_BYTES}")
        rows = _read_h5(path) if path.suffix in (".h5", ".hdf5") else _read_npy(path)
    except (OSError, ValueError, KeyError, RuntimeError, EOFError) as error:
        raise ConfigError(f"{path}: cannot be read as statistics: {error}") from error
    if any(row.ndim != 1 or row.dtype.kind != "f" or not 0 < len(row) <= _MOST_BANDS for row in rows):
        shapes = " and ".join(f"{row.dtype} {row.shape}" for row in rows)
        raise ConfigError(
            f"{path}: should hold two rows of floats, a mean and a scale for each band; it holds {shapes}"
        )
    mean, scale = (tuple(float(value) for value in row) for row in rows)
    return Normalization(mean, scale)


def _read_npy(path: Path) -> list[Any]:
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"its .npy version is {version}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(file)
        if len(shape) != 2 or shape[0] != 2 or shape[1] > _MOST_BANDS or kind.kind != "f":
            raise ValueError(f"it is {kind} {shape}; it should be floats (2, n_mels): means, then scales")
    return list(np.load(path, allow_pickle=False))


def _read_h5(path: Path) -> list[Any]:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ConfigError(f"{path}: reading it needs h5py: pip install 'melmill[hdf5]'") from error
    rows = []
    with h5py.File(path, "r") as file:
        for name in ("mean", "scale"):
            # A link or a virtual data set could point to any other file.
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"it does not have a data set {name}")
            found = file[name]
            if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
                raise ValueError(f"{name} is not a plain data set in this file")
            if found.size is None or found.size > _MOST_BANDS:
                raise ValueError(f"{name} has {found.size} values")
            rows.append(np.asarray(found[()]).reshape(-1))
    return rows
