"""Magnitudes from what `lift`'s net says of a mel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.phase_tables import bands_in_front, bands_with_ends
from pipeline.kernels.buffers import aligned
from pipeline.kernels.frame_blocks import LANES, blocks_of
from pipeline.kernels.net_magnitudes import NetMagnitudes
from pipeline.kernels.recipe import library
from pipeline.kernels.target import Target, required
from pipeline.melspec import MelSpec

UPDATES = 3
"""Number of updates of the magnitudes towards the corrected mel in training. Newer nets learn to do without, too."""


def net_magnitude_blocks(
    levels: NDArray[np.float32], spec: MelSpec, before: int, target: Target | None = None, updates: int = UPDATES
) -> NDArray[np.float32]:
    """Magnitudes of what a net gives, in blocks.

    Args:
        levels: natural logarithms of the magnitudes, then of the filterbank's outputs for the corrected mel, `[frames,
            bins + n_mels] float32`.
        spec: contract of the mel.
        before: number of silent frames in front.
        target: what the kernels are compiled for; None for this machine. The magnitudes are the same for each.
        updates: number of updates of the magnitudes towards the corrected mel.

    Returns:
        `[blocks, bins, LANES] float32`.
    """
    levels, bins, tables = np.ascontiguousarray(levels), 1 + spec.n_fft // 2, bands_with_ends(spec)
    assert levels.shape[1] == bins + spec.n_mels >= LANES
    found = aligned((blocks_of(before + len(levels)), bins, LANES))
    room = aligned((bins + spec.n_mels, LANES)), *(aligned((tables.bands + 2, LANES)) for _ in range(2))
    arrays: list[NDArray[Any]] = [levels, found, tables.segments, tables.weights, *room]
    code = library(NetMagnitudes(bins, spec.n_mels, spec.power), target or required("lift"))["net_magnitudes"]
    numbers = len(found), len(levels), before, updates, bands_in_front(spec), tables.bands
    code(*(each.ctypes.data for each in arrays), *numbers)
    return found
