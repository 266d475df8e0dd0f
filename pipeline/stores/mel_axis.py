"""Which of a mel's two axes holds the bands: known from names, or from the number of bands; never guessed."""

from __future__ import annotations

from collections.abc import Sequence

MEL_AXIS_NAMES = frozenset((
    "mel", "mels", "mel_bin", "mel_bins", "mel_band", "mel_bands", "n_mel", "n_mels", "num_mels", "band", "bands",
    "bin", "bins", "freq", "freqs", "frequency", "frequencies", "channel", "channels", "feature", "features",
))  # fmt: skip
FRAME_AXIS_NAMES = frozenset((
    "time", "times", "t", "frame", "frames", "n_frames", "num_frames", "step", "steps", "mel_frames", "mel_time",
))  # fmt: skip


def two_axes(shape: Sequence[int]) -> tuple[int, int] | None:
    """The two axes of a mel among axes of length 1, which models and tools add before, between and behind them.

    If fewer than two axes are longer than 1, as in a mel of one frame, the last axes of length 1 count with them: the
    values are the same whichever is taken.

    Args:
        shape: length of each axis.

    Returns:
        The positions of both axes, ascending; None if there are fewer than two axes, or more than two longer than 1.

    >>> two_axes((80, 312)), two_axes((1, 80, 312)), two_axes((80, 1, 312)), two_axes((80, 312, 1))
    ((0, 1), (1, 2), (0, 2), (0, 1))
    >>> two_axes((1, 80, 1)), two_axes((80, 1, 1))
    ((1, 2), (0, 2))
    >>> two_axes((80,)), two_axes((2, 80, 312))
    (None, None)
    """
    kept = list(range(len(shape)))
    for axis, size in enumerate(shape):
        if len(kept) > 2 and size == 1:
            kept.remove(axis)
    return (kept[0], kept[1]) if len(kept) == 2 else None


def item_axis(shape: Sequence[int]) -> int | None:
    """The axis that counts the mels of one length in an array: the first one, or the first that is longer than 1.

    Args:
        shape: length of each axis.

    Returns:
        The axis; None if the other axes are not those of one mel, as in `two_axes`.

    >>> item_axis((9, 80, 312)), item_axis((9, 80, 312, 1)), item_axis((1, 9, 80, 312)), item_axis((1, 80, 312))
    (0, 0, 1, 0)
    >>> item_axis((80, 312)), item_axis((2, 9, 80, 312))
    (None, None)
    """
    longer = [axis for axis, size in enumerate(shape) if size != 1]
    axis = longer[0] if len(longer) == 3 else 0
    return axis if two_axes([*shape[:axis], *shape[axis + 1 :]]) is not None else None


def named_mel_axis(names: Sequence[str | None]) -> int | None:
    """The mel axis by the names of the two axes; None if the names do not tell.

    >>> named_mel_axis(("time", "mel")), named_mel_axis(("mel", None)), named_mel_axis(("x", "y"))
    (1, 0, None)
    """
    kinds = [
        "mel" if (name or "").lower() in MEL_AXIS_NAMES else "time" if (name or "").lower() in FRAME_AXIS_NAMES else ""
        for name in names
    ]
    if kinds[0] == kinds[1]:
        return None
    if "mel" in kinds:
        return kinds.index("mel")
    return 1 - kinds.index("time")


def fitting_axes(shape: Sequence[int], n_mels: int) -> tuple[int, ...]:
    """The axes of length `n_mels`.

    >>> fitting_axes((80, 312), 80), fitting_axes((80, 80), 80), fitting_axes((100, 312), 80)
    ((0,), (0, 1), ())
    """
    return tuple(axis for axis, size in enumerate(shape) if size == n_mels)


def shown_mel_axis(names: Sequence[str | None], shape: Sequence[int], n_mels: int) -> int | None:
    """The mel axis by the names of the two axes, or else by their lengths; None if neither tells.

    >>> shown_mel_axis(("mel", "time"), (80, 80), 80), shown_mel_axis((None, None), (80, 80), 80)
    (0, None)
    """
    if (named := named_mel_axis(names)) is not None:
        return named
    fits = fitting_axes(shape, n_mels)
    return fits[0] if len(fits) == 1 else None
