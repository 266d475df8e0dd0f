"""Mels in .npz files, one file per utterance."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.melspec import MelSpec
from pipeline.pack.matrices import MAX_WHOLE_BYTES, Axis, matrix_corpus, mel_name
from pipeline.pack.npy import read_header
from pipeline.pack.sources import Corpus, SourceError, list_sources

NPZ_EXTENSIONS = frozenset({"npz"})


def npz_corpus(folder: str, spec: MelSpec, axis: Axis = "auto") -> Corpus:
    """The .npz mels below a folder: each file holds one array, or several of which one is named as a mel.

    Args:
        folder: folder with one mel per file.
        spec: mel contract that the mels have.
        axis: axis of a mel that comes first, as in `matrix_corpus`.

    Raises:
        ConfigError, StorageError: as `list_sources` and `matrix_corpus`.
    """
    return matrix_corpus(list_sources(folder, NPZ_EXTENSIONS, ".npz"), _open, spec, "npz", axis)


@contextmanager
def _open(path: str) -> Iterator[NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            mel = _read(archive, _member(archive))
    except (OSError, ValueError, EOFError, SyntaxError, zipfile.BadZipFile, NotImplementedError, zlib.error) as exc:
        raise SourceError(f"it cannot be read: {exc}") from exc
    yield mel


def _member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    arrays = {each.filename.removesuffix(".npy"): each for each in archive.infolist() if each.filename.endswith(".npy")}
    return arrays[mel_name(arrays, "array", list(arrays))]


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """The array of a member. Its shape is checked before memory is taken for it."""
    with archive.open(member) as file:
        header = read_header(file)
        if (size := math.prod(header.shape) * header.dtype.itemsize) > MAX_WHOLE_BYTES:
            raise SourceError(f"its array takes {size} bytes, more than {MAX_WHOLE_BYTES}; save it as .npy")
    with archive.open(member) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        file.read(1)  # to the end, where zipfile checks the checksum
    return array
