"""iSTFTNet's end: from the outputs of its last convolution, through spectra, to overlapping frames of samples.

Kaneko, Tanaka, Kameoka, Seki: iSTFTNet (2022), https://arxiv.org/abs/2203.02395; code: rishikksh20/iSTFTNet-pytorch,
models.py and stft.py. At each position the first half of the outputs are logarithms of magnitudes, and the sine of the
second half is the phase. Frames are short (16 samples), so their transform is a product with a matrix, the model's own:
32 fused vectors a position, where a fast transform would have to turn its lanes about first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from pipeline.kernels.buffers import Span
from pipeline.kernels.elementary import exp, sin_cos
from pipeline.kernels.function import Function
from pipeline.kernels.products import COLUMNS


@dataclass(frozen=True)
class InverseTransform:
    """A transform of frames that overlap; each position of a signal of `length` rows and one more is a frame.

    Row r of the signal becomes the samples r hop .. (r + 1) hop. Frame t begins at sample t hop - n_fft / 2, so the
    frames r - overlap / 2 + 1 .. r + overlap / 2 meet in a row's samples.

    Args:
        n_fft: number of samples of a frame, an even multiple of the hop.
        hop: distance between frames [samples].
    """

    n_fft: int
    hop: int

    @property
    def bins(self) -> int:
        """Number of bins of a spectrum."""
        return self.n_fft // 2 + 1

    @property
    def half(self) -> int:
        """Number of columns in memory of magnitudes, and of phases: those that are added have no weights."""
        return -(-self.bins // COLUMNS) * COLUMNS

    @property
    def columns(self) -> int:
        """Number of columns of a frame in memory."""
        return -(-self.n_fft // COLUMNS) * COLUMNS

    @property
    def overlap(self) -> int:
        """Number of frames that meet in a sample."""
        return self.n_fft // self.hop

    @property
    def edge(self) -> int:
        """Number of samples at each end of the whole that fewer frames meet in."""
        return self.n_fft // 2 - self.hop

    def frames(self, rows: Span, length: int) -> Span:
        """The frames that the samples of rows are made of."""
        half = self.overlap // 2
        return max(rows[0] - half + 1, 0), min(rows[1] + half, length + 1)

    def added(self, frames: NDArray[np.float32], first: int, rows: Span) -> NDArray[np.float32]:
        """The samples of rows, `[rows, hop] float32`: sums of their frames, the earliest first.

        Args:
            frames: `[frames, columns] float32`, those that `self.frames` names.
            first: number of the first of them.
            rows: the rows.
        """
        samples = np.zeros((rows[1] - rows[0], self.hop), np.float32)
        for part in reversed(range(self.overlap)):
            shift = self.overlap // 2 - part - first  # from a row to the frame of which it gets this part
            begin, end = max(rows[0], -shift), min(rows[1], len(frames) - shift)
            given = frames[begin + shift : end + shift, part * self.hop : (part + 1) * self.hop]
            samples[begin - rows[0] : end - rows[0]] += given
        return samples


def spectra(module: ir.Module, name: str, lanes: int, half: int) -> Function:
    """Adds the function `name(x, rows)` to a module: rows of 2 half outputs become real and imaginary parts, in place.

    Magnitudes are e^x, phases the sines of the second half.
    """
    f = Function(module, name, "*x rows", lanes)
    x, rows = f.arguments
    with f.loop(rows * (2 * half), 2 * half) as row, f.loop(half, lanes) as c:
        at = row + c
        magnitude, (phase, _) = exp(x[at]), sin_cos(x[at + half])
        sine, cosine = sin_cos(phase)
        x[at], x[at + half] = magnitude * cosine, magnitude * sine
    return f.end()
