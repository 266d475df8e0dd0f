"""Mels that are matrices, one per utterance: which axis holds the bands, and the frames block by block."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec
from pipeline.pack.sources import Corpus, PackItem, SourceError, Sources
from pipeline.stores.mel_axis import fitting_axes, two_axes
from pipeline.stores.possible_values import PossibleValues

Axis = Literal["auto", "mels-first", "frames-first"]
MEL_NAMES = ("mel", "mels", "mel_spec", "mel_spectrogram", "melspec", "spectrogram", "feats", "features")
"""Names that the mel may have in a file of several arrays."""
MAX_WHOLE_BYTES = 256 << 20
"""Largest mel that is read whole [bytes]: 2.5 hours of 80 bands at 22050/256 frames per second."""
_BLOCK = 8192  # number of frames read at once


class Matrix(Protocol):
    """An array that can be read by slices, such as numpy's memory maps and h5py's datasets."""

    @property
    def shape(self) -> Sequence[int]:
        """Length of each axis."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the elements."""
        ...

    def __getitem__(self, part: Any) -> Any: ...


class _Squeezed:
    """A matrix without its axes of length 1, except where fewer than two others are left.

    Args:
        matrix: array of any number of axes. One that is not a matrix keeps its shape, and cannot be read.
    """

    def __init__(self, matrix: Matrix) -> None:
        self._axes = two_axes(matrix.shape)
        self.shape = tuple(matrix.shape) if self._axes is None else tuple(matrix.shape[axis] for axis in self._axes)
        self._matrix, self.dtype = matrix, matrix.dtype

    def __getitem__(self, parts: tuple[slice, slice]) -> Any:
        assert self._axes is not None
        whole: list[Any] = [0] * len(self._matrix.shape)
        for axis, part in zip(self._axes, parts, strict=True):
            whole[axis] = part
        return self._matrix[tuple(whole)]


OpenMatrix = Callable[[Any], AbstractContextManager[Matrix]]
"""A function that opens the matrix at the place of an item, or raises `SourceError`. Picklable."""


def matrix_corpus(
    sources: Sources,
    open_matrix: OpenMatrix,
    spec: MelSpec,
    kind: str,
    axis: Axis = "auto",
    usual: Literal["mels-first", "frames-first"] | None = None,
    may_be_square: Callable[[PackItem], bool] | None = None,
) -> Corpus:
    """A corpus of mels that are matrices. Other axes of length 1, wherever they are, are removed.

    Args:
        sources: items to be packed.
        open_matrix: function that opens the matrix of an item.
        spec: mel contract that the mels have.
        kind: kind of the sources, as the record of the packing names it.
        axis: axis that comes first. "auto" finds it by the spec's n_mels; a mel with as many frames as bands gets the
            order of the other mels.
        usual: usual order in sources of this kind, for mels with as many frames as bands if no other mel shows one.
        may_be_square: whether the mel of an item may have as many frames as bands, told without opening it. If none
            has, the order of the others need not be known, and they are not opened before the work.

    Raises:
        ConfigError: if the order of a mel cannot be found.
    """
    square = None
    if axis == "auto":
        fitting = functools.partial(_fitting, open_matrix=open_matrix, n_mels=spec.n_mels)
        if may_be_square is None or any(len(fitting(item)) == 2 for item in filter(may_be_square, sources.items)):
            square = _order_of_square(sources, fitting, spec.n_mels, usual)
    blocks = functools.partial(_blocks, open_matrix=open_matrix, spec=spec, axis=axis, square=square)
    return Corpus(sources, blocks, spec, {"from": kind, "axis": axis, "square": square})


def _fitting(item: PackItem, open_matrix: OpenMatrix, n_mels: int) -> Sequence[int]:
    """The axes of an item's matrix that may be its mel axis; none if it is no mel."""
    try:
        with open_matrix(item.place) as matrix:
            shape = _Squeezed(matrix).shape
    except SourceError:
        return ()
    return fitting_axes(shape, n_mels) if len(shape) == 2 else ()


def _order_of_square(
    sources: Sources, fitting: Callable[[PackItem], Sequence[int]], n_mels: int, usual: Axis | None
) -> int | None:
    """The mel axis of the mels with as many frames as bands, by all other mels; None if there are no such mels."""
    squares: list[str] = []
    axes: set[int] = set()
    for item in sources.items:
        fits = fitting(item)
        if len(fits) == 2:
            squares.append(item.path)
        axes.update(fits if len(fits) == 1 else ())
    if squares and not axes and usual is not None:
        return _mel_axis(usual)
    if squares and len(axes) != 1:
        why = "the other mels have both orders" if axes else "no other mel shows the order"
        raise ConfigError(
            f"{squares[0]} in {sources.origin} is {n_mels} by {n_mels}: both axes fit, and {why}; "
            "choose --axis mels-first or frames-first"
        )
    return axes.pop() if squares else None


def mel_name(names: Collection[str], kind: str, shown: Sequence[str]) -> str:
    """The name of the mel in a file of several arrays.

    Args:
        names: names of all arrays.
        kind: what the file's format calls an array.
        shown: the arrays, as text for an error.

    Raises:
        SourceError: if it is not clear which array is the mel.
    """
    named = [name for name in MEL_NAMES if name in names] or list(names)
    if len(named) != 1:
        held = ", ".join(shown[:5])[:200] or f"no {kind}"
        raise SourceError(f"it does not say which {kind} is the mel: it holds {held}; name it {MEL_NAMES[0]!r}")
    return named[0]


def _mel_axis(axis: Axis) -> int:
    return 0 if axis == "mels-first" else 1


def _blocks(
    place: Any, open_matrix: OpenMatrix, spec: MelSpec, axis: Axis, square: int | None
) -> Iterator[NDArray[np.float32]]:
    n_mels = spec.n_mels
    possible = PossibleValues.of(spec, n_mels, mel_axis=0, dimensions=2)
    assert possible is not None
    with open_matrix(place) as opened:
        matrix = _Squeezed(opened)
        shape = matrix.shape
        if len(shape) != 2 or matrix.dtype.kind != "f":
            raise SourceError(
                f"it holds {matrix.dtype} of shape {list(opened.shape)}; a mel has floating-point values and 2 "
                "dimensions, besides those of length 1; save each mel in a file of its own"
            )
        if axis == "auto" or (len(opened.shape) > 2 and 1 in shape):  # one frame: either axis of length 1 counts it
            fits = fitting_axes(shape, n_mels)
            if axis == "auto" and len(fits) == 2 and square is None:
                raise SourceError(
                    f"it is {n_mels} by {n_mels}: both axes fit; choose --axis mels-first or frames-first"
                )
            at = square if len(fits) == 2 and square is not None else fits[0] if fits else 0
        else:
            at = _mel_axis(axis)
        if shape[at] != n_mels:
            raise SourceError(f"its shape is {list(shape)}; the mel contract says {n_mels} bands")
        if shape[1 - at] == 0:
            raise SourceError("it has no frames")
        for start in range(0, shape[1 - at], _BLOCK):
            part = slice(start, start + _BLOCK)
            block = np.asarray(matrix[:, part] if at == 0 else matrix[part, :])
            with np.errstate(over="ignore"):  # a value beyond float32 becomes infinite, which is found later
                mel = (block if at == 0 else block.T).astype(np.float32)
            _check_possible(mel, possible, start)
            yield mel


def _check_possible(mel: NDArray[np.float32], possible: PossibleValues, first_frame: int) -> None:
    beyond = possible.beyond(mel) & np.isfinite(mel)
    if beyond.any():
        band, frame = np.argwhere(beyond)[0].tolist()
        raise SourceError(
            f"the value {mel[band, frame]:g} in band {band} of frame {first_frame + frame} {possible.allowed(band)}"
        )
