"""A waveform brought nearer to the mel that it was made from, with its own phases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.mel import mel_ceiling, mel_silence
from pipeline.dsp.mel_analysis import mel_numbers
from pipeline.dsp.phase_tables import analysis_and_synthesis, bands_in_front, bands_with_ends, overlap_of
from pipeline.kernels.buffers import aligned
from pipeline.kernels.frame_blocks import LANES, blocks_of, to_blocks
from pipeline.kernels.recipe import library
from pipeline.kernels.refinement import Refinement
from pipeline.kernels.target import Target, required
from pipeline.melspec import MelSpec


@dataclass(frozen=True)
class _Layout:
    """Where the samples of a waveform and the frames of its mel lie in what the kernel sees.

    Args:
        before: number of frames before the first of the mel whose windows reach into the waveform.
        frames: number of all frames.
        first_sample: place of the waveform's first sample, counted from where the first frame's window begins.
        stop: place after the last sample of the last frame's window.
    """

    before: int
    frames: int
    first_sample: int
    stop: int

    @classmethod
    def of(cls, spec: MelSpec, frames: int, samples: int) -> _Layout:
        """The layout for a mel of `frames` frames and a waveform of `samples` samples.

        Frame t's window begins at sample t hop_length - into, and every sample lies in as many windows as any other.
        """
        into, hop, win = _into_window(spec), spec.hop_length, spec.win_length
        before = (win - 1 - into) // hop
        count = before + max(frames, (samples - 1 + into) // hop + 1)
        return cls(before, count, before * hop + into, (count - 1) * hop + win)


def refined(
    waveform: NDArray[np.float32], mel: NDArray[np.float32], spec: MelSpec, times: float, target: Target | None = None
) -> NDArray[np.float32]:
    """A waveform after some projections onto a mel.

    One projection takes the STFT, scales each bin by the mean of its bands' ratios of wanted to present filterbank
    output, weighted by the filters (of powers, by its root), and takes the inverse STFT. So the phases, and what lies
    within a band, stay those of the waveform. Bins that no band covers stay as they are, and so do frames beyond the
    mel's ends. The waveform is reflected at its ends, as for the mel. Values of the mel that a waveform cannot have are
    replaced by the nearest possible ones, and outputs below the floor count as the floor.

    Args:
        waveform: what a vocoder made of the mel, `[samples] float32`.
        mel: `[n_mels, frames] float32`, finite, in the values of `spec`.
        spec: contract of the mel, one that `why_not_refinable` has nothing against.
        times: number of projections. A fraction is a part of one more: the waveform goes that part of the way to where
            the projection takes it.
        target: what the kernels are compiled for; None for this machine. The samples are the same for each.

    Returns:
        `[samples] float32`.

    Raises:
        ConfigError: if kernels cannot be compiled here.
    """
    if not len(waveform) or not times:
        return waveform
    target = target or required("vocoder.refine")
    layout = _Layout.of(spec, mel.shape[1], len(waveform))
    recipe, bands = Refinement(overlap_of(spec), spec.power), bands_with_ends(spec)
    blocks = blocks_of(layout.frames)
    total = (blocks + recipe.overlap.reach) * LANES * spec.hop_length
    given, made = aligned(total), np.empty(total, np.float32)
    wanted = _linear(np.clip(mel, mel_silence(spec)[:, None], mel_ceiling(spec)[:, None]), spec, layout, target)
    tables = *_limits(spec, target), bands.segments, bands.weights, *analysis_and_synthesis(spec), mel_numbers(spec)[0]
    room = [aligned(size) for size in recipe.memory(bands.bands).values()]
    arrays: list[NDArray[Any]] = [given, made, wanted, *tables, *room]
    project = library(recipe, target)["project"]
    first, last = layout.first_sample, layout.first_sample + len(waveform)
    for done in range(math.ceil(times)):
        given[: layout.stop] = np.pad(waveform, (first, layout.stop - last), mode="reflect")
        project(*(each.ctypes.data for each in arrays), blocks, bands.bands)
        before, waveform = given[first:last], made[first:last]
        if (part := np.float32(min(1.0, times - done))) < 1:
            waveform = before + part * (waveform - before)
    return waveform.copy()


def _linear(mel: NDArray[np.float32], spec: MelSpec, layout: _Layout, target: Target) -> NDArray[np.float32]:
    """What the logarithms of a mel were taken of, in blocks with a row for each band of `bands_with_ends`."""
    frames, bands = mel.shape[1], bands_with_ends(spec).bands
    there = np.zeros((1, layout.frames), np.float32)
    there[:, layout.before : layout.before + frames] = 1
    after = layout.frames - layout.before - frames
    values = to_blocks(np.pad(mel, ((0, 0), (layout.before, after))))
    linear = aligned((len(values), bands + 2, LANES))
    arrays = values, to_blocks(there), *mel_numbers(spec), linear
    sizes = spec.n_mels, len(values), bands_in_front(spec), bands
    code = library(Refinement(overlap_of(spec), spec.power), target)["wanted_bands"]
    code(*(each.ctypes.data for each in arrays), *sizes)
    return linear


@lru_cache(maxsize=16)
def _limits(spec: MelSpec, target: Target) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The least and the largest filterbank outputs that a mel can tell from others, `[bands + 2] float32` each."""
    least = mel_silence(spec)
    clip = None if spec.normalization is None else spec.normalization.clip
    most = np.full(spec.n_mels, np.inf if clip is None else clip[1], np.float32)
    found = _linear(np.stack([least, most], axis=1), spec, _Layout(0, 2, 0, 0), target)
    return found[0, :, 0].copy(), found[0, :, 1].copy()


def refinement_halo(spec: MelSpec, times: float) -> int:
    """Frames of context on each side that make the samples of a window equal to those of the whole waveform.

    After one projection, a sample depends on those that share a frame with it, so on `win_length - 1` samples on each
    side; after n, on n times as many. The windows of the frames that hold them end there, too.
    """
    return -(-math.ceil(times) * (spec.win_length - 1) // spec.hop_length)


def refinement_memory(spec: MelSpec, frames: int) -> int:
    """Memory that `refined` takes for `frames` frames, with the waveform before and after [bytes]; an estimate."""
    recipe, bands = Refinement(overlap_of(spec), spec.power), bands_with_ends(spec).bands
    around = 2 * recipe.overlap.frames + (1 + recipe.overlap.reach) * LANES
    each = 5 * spec.hop_length + (bands + 2) + 3 * spec.n_mels
    return 4 * (sum(recipe.memory(bands).values()) + (frames + around) * each)


def _into_window(spec: MelSpec) -> int:
    """Place of the sample at which a frame's hop begins in the frame's window."""
    return spec.padding - (spec.n_fft - spec.win_length) // 2
