"""What the kernels of the phase stage read: filterbank, windows, envelope and random phases."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.stft import SMALLEST_ENVELOPE, window
from pipeline.kernels.filter_bands import BandTables
from pipeline.kernels.frame_blocks import LANES, blocks_of
from pipeline.kernels.overlap_add import Overlap
from pipeline.melspec import MelSpec

PHASE_BLOCK = 2 * LANES
"""Number of frames over which start phases are continued. Blocks begin at multiples of it in the whole mel, so that a
frame gets the same start in every window."""

# The level of bins without a band is kept by extra bands of this number of bins, about as wide as the highest bands of
# a mel. Keeping each bin's magnitude would lose more of the level: the more alike magnitudes are, the less overlapping
# frames agree.
_UNCOVERED_BINS = 16

# Key of the random phases; another key gives other samples of the same quality.
_PHASE_KEY = 0x6D656C6D696C6C  # "melmill"
_DRAWS_PER_COUNT = 4  # numpy's Philox is Philox4x64: every count of its counter gives four 64-bit numbers


def overlap_of(spec: MelSpec) -> Overlap:
    """The geometry of a spec's frames."""
    return Overlap(spec.n_fft, spec.hop_length, spec.win_length)


@lru_cache(maxsize=16)
def bands_with_ends(spec: MelSpec) -> BandTables:
    """The filterbank, with flat bands over the bins at its ends that no filter covers."""
    bank = mel_filterbank(spec)
    bins = bank.shape[1]
    covered = np.flatnonzero(bank.any(axis=0))

    def level(first: int, last: int) -> NDArray[np.float32]:
        starts = np.arange(first, last, _UNCOVERED_BINS)[:, None]
        inside = (np.arange(bins) >= starts) & (np.arange(bins) < np.minimum(starts + _UNCOVERED_BINS, last))
        return inside.astype(np.float32)

    return BandTables.of(np.concatenate([level(0, covered[0]), bank, level(covered[-1] + 1, bins)]))


def bands_in_front(spec: MelSpec) -> int:
    """Number of bands of `bands_with_ends` before those of the filterbank."""
    first = int(np.flatnonzero(mel_filterbank(spec).any(axis=0))[0])
    return -(-first // _UNCOVERED_BINS)


@lru_cache(maxsize=16)
def analysis_and_synthesis(spec: MelSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Windows `[n_fft] float32` with the factors of `RealFourier` and, for synthesis, over the envelope.

    Source of the division: D. Griffin and J. Lim, "Signal estimation from modified short-time Fourier transform", IEEE
    Transactions on Acoustics, Speech, and Signal Processing 32 (1984), equation 6.
    """
    hann, overlap = window(spec), overlap_of(spec)
    envelope = _squares(spec).sum(axis=0)
    rows = (np.arange(spec.n_fft) - overlap.lead) % spec.hop_length
    return (hann / 2).astype(np.float32), (hann / envelope[rows] / spec.n_fft).astype(np.float32)


def corrections(spec: MelSpec, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The envelope of all frames over that of `count` frames, where that is smaller: at the ends of the signal.

    Returns:
        Factors of some blocks of hops, `[any, hop_length, LANES] float32`; and for each block, also those after the
        last frame that it reaches into, its number, or -1 where there is nothing to correct: `[blocks] int64`.
    """
    overlap, squares = overlap_of(spec), _squares(spec)
    blocks = blocks_of(count) + overlap.reach
    which = np.full(blocks, -1, np.int64)
    hops = np.arange(blocks * LANES)
    short = (hops < overlap.frames - 1) | (hops >= count)
    affected = np.flatnonzero(short.reshape(blocks, LANES).any(axis=1))
    which[affected] = np.arange(len(affected))
    frames = hops.reshape(blocks, LANES)[affected, :, None] - np.arange(overlap.frames)  # that overlap in a hop
    present = ((frames >= 0) & (frames < count)).astype(np.float64)
    envelope = np.zeros((len(affected), spec.hop_length, LANES))
    for s, square in enumerate(squares):
        envelope += square[:, None] * present[:, None, :, s]
    factors = squares.sum(axis=0)[:, None] / np.maximum(envelope, float(SMALLEST_ENVELOPE))
    return np.ascontiguousarray(factors, np.float32), which


def random_phases(first_frame: int, count: int, bins: int) -> NDArray[np.int32]:
    """Phases before every `PHASE_BLOCK`-th frame [2^-32 turns], each drawn by its bin and absolute frame.

    Args:
        first_frame: position of the first frame, a multiple of `PHASE_BLOCK`.
        count: number of frames.
        bins: number of bins.

    Returns:
        `[ceil(count / PHASE_BLOCK), bins] int32`, multiples of 2^-24 turns.
    """
    counts = -(-bins // _DRAWS_PER_COUNT)
    phases = np.empty((-(-count // PHASE_BLOCK), bins), np.uint32)
    source = np.random.Philox(counter=first_frame * counts, key=_PHASE_KEY)
    for each in phases:
        each[:] = source.random_raw(counts * _DRAWS_PER_COUNT)[:bins] >> np.uint64(40)
        source.advance((PHASE_BLOCK - 1) * counts)
    return (phases << np.uint32(8)).view(np.int32)


def _squares(spec: MelSpec) -> NDArray[np.float64]:
    """The squared window, in the hops of a frame: `[overlapping frames, hop_length] float64`."""
    overlap = overlap_of(spec)
    squares = np.zeros(overlap.frames * spec.hop_length)
    squares[: spec.win_length] = window(spec)[overlap.lead : overlap.lead + spec.win_length] ** 2
    return squares.reshape(overlap.frames, spec.hop_length)
