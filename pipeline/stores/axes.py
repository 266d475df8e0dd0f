"""Which axis holds the mel bands: from names, or from n_mels; never guessed."""

from __future__ import annotations

from collections.abc import Sequence

MEL_NAMES = frozenset((
    "mel", "mels", "mel_bin", "mel_bins", "mel_band", "mel_bands", "n_mel", "n_mels", "num_mels", "band", "bands",
    "bin", "bins", "freq", "freqs", "frequency", "frequencies", "channel", "channels", "feature", "features",
))  # fmt: skip
TIME_NAMES = frozenset((
    "time", "times", "t", "frame", "frames", "n_frames", "num_frames", "step", "steps", "mel_frames", "mel_time",
))  # fmt: skip


def named_mel_axis(names: Sequence[str | None]) -> int | None:
    """Which of two axes their names say is the mel axis; None if they do not say it.

    >>> named_mel_axis(("time", "mel")), named_mel_axis(("mel", None)), named_mel_axis(("x", "y"))
    (1, 0, None)
    """
    kinds = [
        "mel" if (name or "").lower() in MEL_NAMES else "time" if (name or "").lower() in TIME_NAMES else ""
        for name in names
    ]
    if kinds[0] == kinds[1]:
        return None
    if "mel" in kinds:
        return kinds.index("mel")
    return 1 - kinds.index("time")


def fitting_axes(shape: Sequence[int], n_mels: int) -> tuple[int, ...]:
    """The axes of that length.

    >>> fitting_axes((80, 312), 80), fitting_axes((80, 80), 80), fitting_axes((100, 312), 80)
    ((0,), (0, 1), ())
    """
    return tuple(axis for axis, size in enumerate(shape) if size == n_mels)
