"""pack_npy: a ragged mel store from a folder of .npy mels."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec
from pipeline.stores.axes import fitting_axes
from pipeline.stores.pack.result import OnProgress, PackResult
from pipeline.stores.pack.run import pack
from pipeline.stores.pack.sources import Sources, list_sources
from pipeline.stores.pack.workers import SourceError

Axis = Literal["auto", "mels-first", "frames-first"]
_BLOCK = 8192  # frames read at once


def pack_npy(
    folder: str,
    out: str,
    spec: MelSpec,
    axis: Axis = "auto",
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> PackResult:
    """Packs all .npy mels below a folder into the ragged store `out`; else as `pack_audio`.

    Args:
        folder: with one mel a file, `[n_mels, frames]` or `[frames, n_mels]`, floating.
        out: local path of the store, not yet there.
        spec: the mel contract that the mels are known to have.
        axis: which axis comes first. "auto" finds it by the spec's n_mels; for a mel with as many frames as bands it
            takes the order of the others.
        workers: processes; None for one a processor.
        on_progress: is told how far it is.

    Raises:
        ConfigError: if the order of a mel cannot be told, and as `pack_audio`.
        OwnedError, StorageError, InterruptedRunError: as `pack_audio`.
    """
    sources = list_sources(folder, {"npy"}, ".npy")
    square = _order_of_square(sources, spec.n_mels) if axis == "auto" else None
    blocks = functools.partial(_mel_blocks, n_mels=spec.n_mels, axis=axis, square=square)
    return pack(sources, blocks, out, spec, {"from": "npy", "axis": axis, "square": square}, workers, on_progress)


def _order_of_square(sources: Sources, n_mels: int) -> int | None:
    """The mel axis of mels with as many frames as bands, by all others; None if there are no such mels."""
    squares: list[str] = []
    axes: set[int] = set()
    for file in sources.files:
        try:
            shape = _open(os.path.join(sources.folder, file.path)).shape
        except SourceError:
            continue
        fits = fitting_axes(shape, n_mels) if len(shape) == 2 else ()
        if len(fits) == 2:
            squares.append(file.path)
        axes.update(fits if len(fits) == 1 else ())
    if squares and len(axes) != 1:
        why = "the others are of both orders" if axes else "no other mel shows the order"
        raise ConfigError(
            f"{squares[0]} in {sources.folder} is {n_mels} by {n_mels}: both axes fit, and {why}; "
            "say axis mels-first or frames-first"
        )
    return axes.pop() if squares else None


def _open(path: str) -> NDArray[np.floating]:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError, SyntaxError) as exc:
        raise SourceError(f"it cannot be read: {exc}") from exc


def _mel_blocks(path: str, n_mels: int, axis: Axis, square: int | None) -> Iterator[NDArray[np.float32]]:
    mel = _open(path)
    if mel.ndim != 2 or mel.dtype.kind != "f":
        raise SourceError(f"it holds {mel.dtype} with {mel.ndim} dimensions; a mel is floating, with 2")
    if axis == "auto":
        fits = fitting_axes(mel.shape, n_mels)
        at = square if len(fits) == 2 and square is not None else fits[0] if fits else 0
    else:
        at = 0 if axis == "mels-first" else 1
    if mel.shape[at] != n_mels:
        raise SourceError(f"its shape is {list(mel.shape)}; the spec says {n_mels} bands")
    mel = mel if at == 0 else mel.T
    if mel.shape[1] == 0:
        raise SourceError("it has no frames")
    for start in range(0, mel.shape[1], _BLOCK):
        with np.errstate(over="ignore"):  # becomes infinite, which is found
            yield np.asarray(mel[:, start : start + _BLOCK]).astype(np.float32)
