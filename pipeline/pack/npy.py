"""Mels in .npy files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.melspec import MelSpec
from pipeline.pack.matrices import Axis, matrix_corpus
from pipeline.pack.sources import Corpus, SourceError, list_sources

NPY_EXTENSIONS = frozenset({"npy"})


def npy_corpus(folder: str, spec: MelSpec, axis: Axis = "auto") -> Corpus:
    """The .npy mels below a folder.

    Args:
        folder: folder with one mel per file.
        spec: mel contract that the mels have.
        axis: axis of a mel that comes first, as in `matrix_corpus`.

    Raises:
        ConfigError, StorageError: as `list_sources` and `matrix_corpus`.
    """
    return matrix_corpus(list_sources(folder, NPY_EXTENSIONS, ".npy"), _open, spec, "npy", axis)


@contextmanager
def _open(path: str) -> Iterator[NDArray[Any]]:
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError, SyntaxError) as exc:
        raise SourceError(f"it cannot be read: {exc}") from exc
    yield mapped
