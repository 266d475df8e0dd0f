"""Magnitudes and waveforms of plain arrays `[rows, frames]`, where the vocoders have blocks of frames."""

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.magnitude import magnitude_blocks
from pipeline.dsp.phase import reconstruct_blocks
from pipeline.dsp.phase_tables import PHASE_BLOCK
from pipeline.kernels.frame_blocks import from_blocks, to_blocks
from pipeline.kernels.phase_stage import Method
from pipeline.kernels.target import Target
from pipeline.melspec import MelSpec


def mel_to_magnitude(
    mel: NDArray[np.float32], spec: MelSpec, updates: int = 200, target: Target | None = None
) -> NDArray[np.float32]:
    """`magnitude_blocks` as `[1 + n_fft // 2, frames] float32`."""
    return from_blocks(magnitude_blocks(mel, spec, updates, 0, target), mel.shape[1])


def reconstruct(
    magnitude: NDArray[np.float32],
    spec: MelSpec,
    iterations: int = 32,
    method: Method = "fast-griffin-lim",
    first_frame: int = 0,
    anchor: float = 0.0,
    target: Target | None = None,
) -> NDArray[np.float32]:
    """`reconstruct_blocks` of magnitudes `[1 + n_fft // 2, frames] float32`."""
    blocks = to_blocks(magnitude, first_frame % PHASE_BLOCK)
    return reconstruct_blocks(blocks, magnitude.shape[1], spec, iterations, method, first_frame, anchor, target)
