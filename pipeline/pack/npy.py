"""Mels in .npy files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.melspec import MelSpec
from pipeline.pack.matrices import Axis, matrix_corpus
from pipeline.pack.sources import Corpus, PackItem, SourceError, list_sources, stamped_bytes

NPY_EXTENSIONS = frozenset({"npy"})
_WIDTHS = (2, 4, 8, np.dtype(np.longdouble).itemsize)
"""Sizes of floating-point values [bytes]."""
_LONGEST_HEADER = 1024
"""A file whose header is longer is not expected to hold a mel [bytes]: `numpy.save` writes 128."""


class NpyHeader(NamedTuple):
    """What a .npy file says of its array."""

    shape: tuple[int, ...]
    order: Literal["C", "F"]
    dtype: np.dtype[Any]


def npy_corpus(folder: str, spec: MelSpec, axis: Axis = "auto") -> Corpus:
    """The .npy mels below a folder.

    Args:
        folder: folder with one mel per file.
        spec: mel contract that the mels have.
        axis: axis of a mel that comes first, as in `matrix_corpus`.

    Raises:
        ConfigError, StorageError: as `list_sources` and `matrix_corpus`.
    """
    sizes = [spec.n_mels**2 * width for width in _WIDTHS]

    def may_be_square(item: PackItem) -> bool:
        return any(0 < stamped_bytes(item.stamp) - size <= _LONGEST_HEADER for size in sizes)

    sources = list_sources(folder, NPY_EXTENSIONS, ".npy")
    return matrix_corpus(sources, _open, spec, "npy", axis, may_be_square=may_be_square)


def read_header(file: IO[bytes]) -> NpyHeader:
    """Shape, order and data type of the array in a .npy file, which is then at the array's first value.

    Args:
        file: the file, at its first byte.

    Raises:
        SourceError: if the array holds Python objects: they are pickled, and a pickle is a program.
        ValueError: if it is not a .npy file.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, columns_first, dtype = read(file)
    if dtype.hasobject:
        raise SourceError(
            "it holds Python objects (a pickle, which may run code), not numbers; save one array of floats per mel: "
            "numpy.save(path, numpy.asarray(mel, 'float32'))"
        )
    return NpyHeader(shape, "F" if columns_first else "C", dtype)


@contextmanager
def _open(path: str) -> Iterator[NDArray[Any]]:
    try:
        with open(path, "rb") as file:
            header = read_header(file)
            mapped = np.memmap(file, header.dtype, "r", file.tell(), header.shape, header.order)
    except (OSError, ValueError, EOFError, SyntaxError) as exc:
        raise SourceError(f"it cannot be read: {exc}") from exc
    yield mapped
