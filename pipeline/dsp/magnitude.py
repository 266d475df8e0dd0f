"""Linear magnitudes from a mel, by non-negative least squares from a flat start."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel import mel_ceiling, mel_silence, mel_to_linear
from pipeline.kernels.buffers import aligned
from pipeline.kernels.filter_bands import BandTables
from pipeline.kernels.frame_blocks import LANES, to_blocks
from pipeline.kernels.nonnegative_least_squares import NonnegativeLeastSquares
from pipeline.kernels.recipe import library
from pipeline.kernels.target import Target, required
from pipeline.melspec import MelSpec


def magnitude_blocks(
    mel: NDArray[np.float32], spec: MelSpec, updates: int, before: int, target: Target | None = None
) -> NDArray[np.float32]:
    """Non-negative magnitudes whose mel is nearest to the given mel, found from a flat start, in blocks of frames.

    Many spectra fit, because there are more bins than bands. The multiplicative update from a flat start ends in a
    smooth spectrum, which sounds better than the spiky spectra of a general solver (0.6 PESQ above librosa's). Where
    the spec's power is 2, mel and update are those of powers. Frames do not see each other.

    Args:
        mel: the mel, `[n_mels, frames] float32` in the values of `spec`. Values that a waveform cannot have are
            replaced by the nearest possible ones.
        spec: contract of the mel.
        updates: number of updates, at least 1.
        before: number of silent frames in front.
        target: what the kernels are compiled for; None for this machine. The magnitudes are the same for each.

    Returns:
        `[blocks, 1 + n_fft // 2, LANES] float32`; see `kernels.frame_blocks`. Bins that no filter covers are 0.

    Raises:
        ConfigError: if kernels cannot be compiled here.
    """
    assert updates > 0
    possible = np.clip(mel, mel_silence(spec)[:, None], mel_ceiling(spec)[:, None])
    wanted = to_blocks(np.pad(mel_to_linear(possible, spec), ((1, 1), (0, 0))), before)
    tables, bins = _tables(spec), 1 + spec.n_fft // 2
    found = np.empty((len(wanted), bins, LANES), np.float32)
    room = aligned((bins, LANES)), aligned((spec.n_mels + 2, LANES))
    arrays = wanted, found, tables.segments, tables.weights, *room
    code = library(NonnegativeLeastSquares(bins, spec.power), target or required("griffin-lim"))["magnitudes"]
    code(*(each.ctypes.data for each in arrays), len(wanted), updates, spec.n_mels)
    return found


@lru_cache(maxsize=16)
def _tables(spec: MelSpec) -> BandTables:
    return BandTables.of(mel_filterbank(spec))
