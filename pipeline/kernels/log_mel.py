"""The log-mel spectrogram of a stretch of signal in one pass, one frame in each lane.

Frames, window, Fourier transform and squared magnitudes are float64: in float32, the rounding of a loud bin, 1e-7 of
it, would lie far above the quiet bands of the same frame. Magnitudes, bands and logarithms are float32.

A lane does the same in the same order for any target and any number of lanes, and no frame sees another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from pipeline.kernels.complex_values import Complex, ComplexRows
from pipeline.kernels.elementary import exp, ln
from pipeline.kernels.emitter import F64
from pipeline.kernels.fft import RealFourier
from pipeline.kernels.function import Function
from pipeline.kernels.pointer import Pointer
from pipeline.kernels.target import Target
from pipeline.kernels.values import Floats, Index

MAGNITUDE_EPS, POWER_FLOOR, ADDED_FLOOR, FLOOR, LOG_SCALE, CLIP_LOW, CLIP_HIGH = range(7)
"""Where the numbers of a mel contract lie in `constants`. Of the floors, the one that is not used is 0."""

_MOST_STRAIGHT = 32


def frames_together(target: Target) -> int:
    """Number of frames that are analysed together: that of float64 in a vector register, at least 4."""
    return max(4, target.lanes // 2)


@dataclass(frozen=True)
class LogMel:
    """`log_mel` and `mel_to_linear`, for all mel contracts of one framing and one power.

    `log_mel(signal, columns, window, z, linear, bands, weights, constants, mean, scale, n_mels, groups, mel, stride)`
    analyses groups of `frames_together` frames. A group that begins at frame f reads all samples of the hops f to
    f + `hops(target)`.

    - signal: float32
    - columns: float32 `[hop_length][hops]`, scratch: the samples of a group, the hops side by side
    - window: float64 `[n_fft]`, half of it: the transform has a factor of 2
    - z: float64 `[RealFourier.rows][2][frames_together]`, scratch
    - linear: float32 `[1 + n_fft / 2][frames_together]`, scratch: magnitudes or powers
    - bands: int64 `[n_mels][3]`: first bin of a filter, the bin after its last, at least one more, and the place in
      `weights` that bin 0 would have
    - weights: float32, those of all filters
    - constants: float32 `[7]`, in the order above
    - mean, scale: float32 `[n_mels]`, of the normalization
    - mel: float32 `[n_mels][stride]`, the result

    `mel_to_linear(mel, constants, mean, scale, n_mels, blocks, linear, stride)` is the inverse of the logarithm and
    the normalization where nothing was floored or clipped, for `blocks` vectors of frames.

    Args:
        n_fft: length of the transform [samples].
        hop_length: distance from one frame to the next [samples].
        power: power of the magnitudes, 1 or 2.
    """

    n_fft: int
    hop_length: int
    power: int

    def hops(self, target: Target) -> int:
        """Number of hops that the frames of a group take, the last one perhaps in part."""
        return frames_together(target) - 1 + -(-self.n_fft // self.hop_length)

    def emit(self, module: ir.Module, target: Target) -> None:
        """Adds the functions to a module."""
        self._emit_log_mel(module, frames_together(target), self.hops(target))
        _emit_mel_to_linear(module, target.lanes)

    def _emit_log_mel(self, module: ir.Module, lanes: int, hops: int) -> None:
        f = Function(
            module,
            "log_mel",
            "*signal *columns *window:float64 *z:float64 *linear *bands:int64 *weights *constants *mean *scale "
            "n_mels groups *mel stride",
            lanes,
        )
        signal, columns, window, z, linear, bands, weights, constants, mean, scale = f.arguments[:10]
        n_mels, groups, mel, stride = f.arguments[10:]
        fourier, n = RealFourier(self.n_fft, F64), np.arange(self.n_fft)
        # Places of the first frame's samples in `columns`.
        places = f.table(n % self.hop_length * hops + n // self.hop_length)
        with f.loop(groups) as group:
            first = signal + group * (self.hop_length * lanes)
            with f.loop(self.hop_length) as s:
                for hop in _each(f, hops):  # so a vector holds one sample of each frame of the group
                    columns[s * hops + hop] = first.one(s + hop * self.hop_length)
            fourier.forward(f, ComplexRows(z), _windowed(columns, places, window))
            fourier.bins(f, ComplexRows(z), self._magnitudes(constants, linear))
            with f.loop(n_mels) as band:
                total = _band(f, bands + band * 3, weights, linear)
                value = _logarithm(total, constants, mean.spread(band), scale.spread(band))
                mel[band * stride + group * lanes] = value
        f.end()

    def _magnitudes(self, constants: Pointer, linear: Pointer) -> Callable[[Index, Complex], None]:
        lanes = linear.f.lanes
        eps, least = constants.spread(MAGNITUDE_EPS).double(), constants.spread(POWER_FLOOR).double()

        def store(k: Index, bin_k: Complex) -> None:
            square = bin_k.re.fma(bin_k.re, bin_k.im * bin_k.im) + eps
            power = square.at_least_or_nan(least).single()
            linear[k * lanes] = power.sqrt() if self.power == 1 else power

        return store


def _each(f: Function, count: int) -> Iterator[Index]:
    """0 to count - 1, one after the other in the code; by a loop if they are many."""
    if count <= _MOST_STRAIGHT:
        yield from range(count)
        return
    with f.loop(count) as index:
        yield index


def _windowed(columns: Pointer, places: Pointer, window: Pointer) -> Callable[[Index], Complex]:
    def sample(n: Index) -> Floats:
        value: Floats = columns[places.one(n)]
        product: Floats = value.double() * window.spread(n)
        return product

    return lambda point: Complex(sample(point * 2), sample(point * 2 + 1))


def _band(f: Function, band: Pointer, weights: Pointer, linear: Pointer) -> Floats:
    """The sum of the bins of a filter with its weights, from the lowest on."""
    first, stop, begin = (band.one(i) for i in range(3))
    with f.carrying([f.floats(0.0)], stop, start=first) as turn:
        k = turn.index
        turn.values = [linear[k * f.lanes].fma(weights.spread(begin + k), turn.values[0])]
    total: Floats = turn.values[0]
    return total


def _logarithm(linear: Floats, constants: Pointer, mean: Floats, scale: Floats) -> Floats:
    floored = (linear + constants.spread(ADDED_FLOOR)).at_least_or_nan(constants.spread(FLOOR))
    value = (ln(floored) * constants.spread(LOG_SCALE) - mean) / scale
    clipped: Floats = value.within(constants.spread(CLIP_LOW), constants.spread(CLIP_HIGH))
    return clipped


def _emit_mel_to_linear(module: ir.Module, lanes: int) -> None:
    f = Function(module, "mel_to_linear", "*mel *constants *mean *scale n_mels blocks *linear stride", lanes)
    mel, constants, mean, scale, n_mels, blocks, linear, stride = f.arguments
    with f.loop(n_mels) as band, f.loop(blocks) as block:
        at = band * stride + block * lanes
        value = mel[at] * scale.spread(band) + mean.spread(band)
        power = exp(value / constants.spread(LOG_SCALE))
        linear[at] = (power - constants.spread(ADDED_FLOOR)).at_least_or_nan(0.0)
    f.end()
