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


def has_mel_axes(shape: Sequence[int]) -> bool:
    """Whether an array has two axes, and before them none but axes of length 1, as the batch axis of models is.

    >>> has_mel_axes((80, 312)), has_mel_axes((1, 80, 312)), has_mel_axes((2, 80, 312)), has_mel_axes((80,))
    (True, True, False, False)
    """
    return len(shape) >= 2 and all(size == 1 for size in shape[:-2])


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
