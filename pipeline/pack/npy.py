"""Mels in .npy files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.melspec import MelSpec
from pipeline.pack.matrices import Axis, matrix_corpus
from pipeline.pack.result import OnProgress, PackResult
from pipeline.pack.run import pack
from pipeline.pack.sources import Corpus, SourceError, list_sources

NPY_EXTENSIONS = frozenset({"npy"})


def pack_npy(
    folder: str,
    out: str,
    spec: MelSpec,
    axis: Axis = "auto",
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> PackResult:
    """Packs all .npy mels below a folder into the ragged store `out`, as `pack_audio` packs audio.

    Args:
        folder: folder with one mel per file, `[n_mels, frames]` or `[frames, n_mels]`, floating.
        out: local path of the new store.
        spec: mel contract that the mels have.
        axis: axis of a mel that comes first, as in `matrix_corpus`.
        workers: number of worker processes; None for one per processor.
        on_progress: callback that is given the progress at the start and after each file.

    Raises:
        ConfigError: if the order of a mel cannot be found, and as `pack_audio`.
        OwnedError, StorageError, InterruptedRunError: as `pack_audio`.
    """
    return pack(npy_corpus(folder, spec, axis), out, None, workers, on_progress)


def npy_corpus(folder: str, spec: MelSpec, axis: Axis = "auto") -> Corpus:
    """The .npy mels below a folder. Arguments as for `pack_npy`.

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
