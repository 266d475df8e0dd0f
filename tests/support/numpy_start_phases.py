"""Start phases in plain numpy, which the kernels are compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.melspec import MelSpec

PHASE_BLOCK = 32
"""Number of frames over which start phases are continued, and that are processed at once (0.4 MB of spectra at n_fft
1024, which fit into a core's cache). Blocks begin at multiples of it in the whole mel, so that a frame gets the same
start and the same matrix products in every window."""

STARTED_TOGETHER = 4 * PHASE_BLOCK
"""Number of frames of the blocks whose phases are started at once."""

# Added to denominators; smaller than all values in them (1e-16 for squared magnitudes at a floor of 1e-10).
TINY = np.float32(1e-30)

# Smallest magnitude that a direction is divided by, so that 0 stays 0; far below what a window leaks into any bin.
SMALLEST_MAGNITUDE = np.float32(1e-12)

# Key of the random phases; another key gives other samples of the same quality.
_PHASE_KEY = 0x6D656C6D696C6C  # "melmill"
_DRAWS_PER_COUNT = 4  # numpy's Philox is Philox4x64: every count of its counter gives four 64-bit numbers


def started_spectra(magnitude: NDArray[np.float32], spec: MelSpec, first_frame: int) -> NDArray[np.complex64]:
    """Spectra `[frames, bins] complex64` of the given magnitudes, with phases that continue from frame to frame.

    Source: G. Beauregard, M. Harish and L. Wyse, "Single pass spectrogram inversion", IEEE DSP 2015. Every peak of a
    frame is treated as a sinusoid, whose frequency is that of a parabola through three logarithms. The bins of the
    peak, down to the valleys beside it, get the phase that the peak's bin had one frame before, advanced by a hop at
    that frequency, with alternating signs, as a window centred in the frame gives them. New phases are drawn at the
    beginning of each block, so that they do not depend on any frame before it.
    """
    bins = magnitude.shape[1]
    spectrum = np.empty(magnitude.shape, np.complex64)
    for begin in range(0, len(magnitude), STARTED_TOGETHER):
        part = magnitude[begin : begin + STARTED_TOGETHER]
        owners, steps = _peaks(np.pad(part, ((0, -len(part) % PHASE_BLOCK), (0, 0))), spec)
        owner, step = owners.reshape(-1, PHASE_BLOCK, bins), steps.reshape(-1, PHASE_BLOCK, bins)
        blocks = range(first_frame + begin, first_frame + begin + len(part), PHASE_BLOCK)
        current = np.stack([_random_phases(frame, bins) for frame in blocks])
        for j in range(PHASE_BLOCK):
            step[:, j] *= np.take_along_axis(current, owner[:, j], axis=1)
            current = step[:, j]
        np.multiply(part, steps[: len(part)], out=spectrum[begin : begin + len(part)])
    return spectrum


def _peaks(magnitude: NDArray[np.float32], spec: MelSpec) -> tuple[NDArray[np.int32], NDArray[np.complex64]]:
    """The peak that each bin of `[frames, bins] float32` belongs to, and the rotation from it.

    Returns:
        The peak's bin, `[frames, bins] int32`, and the rotation from the peak's bin a frame before to this bin now,
        unit phasors of the same shape.
    """
    frames, bins = magnitude.shape
    left, middle, right = magnitude[:, :-2], magnitude[:, 1:-1], magnitude[:, 2:]
    at_frame, at_bin = np.nonzero((middle > left) & (middle >= right))
    at_bin += 1
    # A bin belongs to the region between two valleys. Regions are numbered through all frames.
    regions = np.zeros((frames, bins), np.int32)
    np.cumsum((middle < left) & (middle <= right), axis=1, out=regions[:, 1:-1])
    regions[:, -1] = regions[:, -2]
    regions += np.arange(frames, dtype=np.int32)[:, None] * np.int32(bins)
    owner_of_region = np.full(frames * bins, -1, np.int32)
    owner_of_region[regions[at_frame, at_bin]] = at_bin
    owner = owner_of_region[regions]
    below, top, above = (np.log(np.maximum(magnitude[at_frame, at_bin + i], SMALLEST_MAGNITUDE)) for i in (-1, 0, 1))
    shift = np.clip(0.5 * (below - above) / np.minimum(below - 2 * top + above, -TINY), -0.5, 0.5)
    radians_per_bin = np.float32(2 * np.pi * spec.hop_length / spec.n_fft)
    turn = np.empty((frames, bins), np.complex64)
    # Without a peak, at the ends or where all magnitudes are equal, a bin is its own peak, at its centre.
    alone = np.arange(bins, dtype=np.int32)
    turn[:] = np.exp(1j * radians_per_bin * alone)
    turn[at_frame, at_bin] = np.exp(1j * radians_per_bin * (at_bin + shift))
    owner = np.where(owner < 0, alone, owner)
    turn = np.take_along_axis(turn, owner, axis=1)
    np.negative(turn, out=turn, where=((alone - owner) & 1).astype(np.bool_))
    return owner, turn


def _random_phases(frame: int, bins: int) -> NDArray[np.complex64]:
    """Unit phasors `[bins] complex64`, uniform on the circle, each drawn by its bin and absolute frame."""
    counts = -(-bins // _DRAWS_PER_COUNT)
    draws = np.random.Philox(counter=frame * counts, key=_PHASE_KEY).random_raw(counts * _DRAWS_PER_COUNT)
    angles = (draws[:bins] >> np.uint64(40)).astype(np.float32) * np.float32(2 * np.pi * 2**-24)
    phases = np.empty(bins, np.complex64)
    phases.real, phases.imag = np.cos(angles), np.sin(angles)
    return phases
