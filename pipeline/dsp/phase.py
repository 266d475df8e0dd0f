"""A waveform from magnitudes: start phases along the spectral peaks, then projections that keep the mel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.phase_tables import (
    PHASE_BLOCK,
    analysis_and_synthesis,
    bands_with_ends,
    corrections,
    overlap_of,
    random_phases,
)
from pipeline.dsp.stft import SMALLEST_ENVELOPE, window
from pipeline.kernels.buffers import aligned
from pipeline.kernels.frame_blocks import LANES, blocks_of
from pipeline.kernels.phase_stage import Method, PhaseStage
from pipeline.kernels.recipe import library
from pipeline.kernels.target import Target, required
from pipeline.melspec import MelSpec


def reconstruct_blocks(
    magnitudes: NDArray[np.float32],
    frames: int,
    spec: MelSpec,
    iterations: int,
    method: Method,
    first_frame: int,
    anchor: float,
    target: Target | None = None,
) -> NDArray[np.float32]:
    """A waveform that has the mel of the given magnitudes and, in the bins that no band covers, their level.

    Griffin-Lim projects alternately onto the spectra that some signal has, P = STFT(ISTFT(.)), and onto those with the
    wanted magnitudes. Here the latter are the spectra with the wanted mel: each bin is scaled by the mean of its bands'
    ratios of wanted to present energy, weighted by the filters. The level of bins that no band covers is kept, in bands
    of 16 bins. Apart from their mel, the given magnitudes are only a start. For flat-start magnitudes of eight
    utterances this gains 0.5 PESQ over keeping them (3.79 instead of 3.29 after 32 iterations) and halves the distance
    to the mel. An anchor keeps a part of magnitudes that are known better.

    Args:
        magnitudes: the magnitudes, `[blocks, 1 + n_fft // 2, LANES] float32`, aligned; see `kernels.frame_blocks`. The
            first frame is in lane `first_frame % PHASE_BLOCK`, counted through the blocks; lanes before it and after
            the last frame hold 0.
        frames: number of frames, at least one.
        spec: contract of the mel.
        iterations: number of projections P.
        method: name of the algorithm that combines the two projections.
        first_frame: position of the first frame in the whole mel. The start phases are drawn by position.
        anchor: weight of the given magnitudes, 0 to 1, relative to those at hand, before they are scaled to the mel.
        target: what the kernels are compiled for; None for this machine. The samples are the same for each.

    Returns:
        `[samples] float32` without the spec's padding: `frames * hop_length` samples for framing "same",
        `(frames - 1) * hop_length` for "center".

    Raises:
        ConfigError: if kernels cannot be compiled here.
    """
    before = first_frame % PHASE_BLOCK
    count, overlap, bands = before + frames, overlap_of(spec), bands_with_ends(spec)
    blocks, bins = magnitudes.shape[:2]
    stage = PhaseStage(overlap, spec.power, method, anchor)
    samples = np.empty((blocks + overlap.reach) * LANES * spec.hop_length, np.float32)
    factors, which = corrections(spec, count)
    mask = np.ones((2, LANES), np.float32)
    mask[1, count - (blocks - 1) * LANES :] = 0
    arrays = [
        magnitudes,
        samples,
        random_phases(first_frame - before, count, bins),
        bands.segments,
        bands.weights,
        *analysis_and_synthesis(spec),
        factors,
        which,
        mask,
        *(aligned(size) for size in stage.memory(iterations, bands.bands).values()),
    ]
    code = library(stage, target or required("the phase stage of griffin-lim and lift"))["phase_stage"]
    code(*(each.ctypes.data for each in arrays), blocks, iterations, bands.bands)
    begin = before * spec.hop_length + spec.padding - overlap.lead
    return samples[begin : begin + spec.samples(frames)]


def phase_halo(spec: MelSpec, iterations: int) -> tuple[int, int]:
    """Frames of context (left, right) that make the samples of a window equal to those of the whole magnitudes.

    Two frames overlap if they are less than a window apart. So after one projection a frame depends on
    `ceil(win_length / hop_length) - 1` frames on each side, and after n projections on n times as many. The last
    synthesis adds to that: the hop of samples that belongs to frame 0 begins `padding` after that frame, its window
    spans `lead - padding` to `lead - padding + win_length - 1`, where `lead` are the zeros before it, and frame s lies
    s hops later. The leftmost of those frames starts from phases that were continued since its block began.
    """
    hop, win = spec.hop_length, spec.win_length
    projections = iterations * (-(-win // hop) - 1)
    into_window = spec.padding - (spec.n_fft - win) // 2
    left = projections + (win - 1 - into_window) // hop + PHASE_BLOCK - 1
    return left, projections + (into_window + hop - 1) // hop


def why_not_invertible(spec: MelSpec) -> str | None:
    """Why a waveform cannot be made from mels of this spec; None if it can.

    Every sample must lie in a frame whose window covers it: the squared windows over it must not sum to less than
    `istft` divides by. And some band must cover a bin: a filterbank that lies between two bins covers none.
    """
    overlaps = -(-spec.win_length // spec.hop_length)
    squares = np.zeros(overlaps * spec.hop_length)
    before = (spec.n_fft - spec.win_length) // 2
    squares[: spec.win_length] = window(spec)[before : before + spec.win_length] ** 2
    if (least := squares.reshape(overlaps, -1).sum(axis=0).min()) < SMALLEST_ENVELOPE:
        return (
            f"frames of win_length {spec.win_length} every hop_length {spec.hop_length} samples leave samples between "
            f"them that no window covers (the squared windows over one sum to {least:.1g}, less than "
            f"{SMALLEST_ENVELOPE:g})"
        )
    if not mel_filterbank(spec).any():
        width = spec.bank_rate / spec.n_fft
        return (
            f"its bands, from fmin {spec.fmin:g} to fmax {spec.fmax:g} Hz, lie between two bins of the Fourier "
            f"transform, which are {width:g} Hz apart"
        )
    return None


def phase_memory(spec: MelSpec, frames: int, iterations: int, method: Method) -> int:
    """Memory that `reconstruct_blocks` takes for `frames` frames, and their magnitudes [bytes]; an estimate."""
    count = PHASE_BLOCK + frames
    stage = PhaseStage(overlap_of(spec), spec.power, method, 0.0)
    ring = sum(stage.memory(iterations, bands_with_ends(spec).bands).values())
    # A block's magnitudes, samples, their factors and the random phases of every second block, with some to spare.
    each = 4 * (stage.bins + spec.hop_length) * LANES + 4 * stage.bins
    return 4 * ring + (blocks_of(count) + stage.overlap.reach + 2) * each
