"""A generator at work: the samples of any stretch of a mel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadMelError
from pipeline.kernels.buffers import Rows, Span, aligned
from pipeline.kernels.hifigan.code import HifiganCode, convolution_name
from pipeline.kernels.hifigan.convolution import Room
from pipeline.kernels.hifigan.geometry import BranchConvolution, LayerRows, StageRows, branch_plan, whole_vectors
from pipeline.kernels.hifigan.pointwise import WAVE_LANES
from pipeline.kernels.hifigan.shape import HifiganShape, why_not
from pipeline.kernels.hifigan.weights import HifiganLayout
from pipeline.kernels.products import MOST_ROWS, block_for
from pipeline.kernels.recipe import library
from pipeline.kernels.target import Target

_BLOCK = 4096
"""Number of rows of a stage that go through all of its convolutions before the next rows, so that caches hold them."""


class _Buffers(threading.local):
    """The memory of one thread.

    Args:
        branches: number of branches of a stage.
        work: size of the memory of transformed tiles [numbers].
    """

    def __init__(self, branches: int, work: int) -> None:
        self.mel, self.layers = Rows(), (Rows(), Rows())  # a stage reads one of them and writes the other
        self.wide, self.hidden, self.branches = Rows(), Rows(), [Rows() for _ in range(branches)]
        self.work = aligned(work)

    @property
    def nbytes(self) -> int:
        """Memory taken [bytes]."""
        rows = [self.mel, *self.layers, self.wide, self.hidden, *self.branches]
        return sum(each.nbytes for each in rows) + self.work.nbytes


@dataclass(frozen=True)
class _Compiled:
    """A convolution of a branch: its rows, its function, and the addresses of its weight and bias."""

    rows: BranchConvolution
    function: Callable[..., None]
    weights: tuple[int, int]


class HifiganGenerator:
    """A generator whose code is compiled. Several threads may use it at once: each has its own buffers.

    Args:
        shape: its shape, which `why_not` takes.
        weights: its weights as `transformed` gives them for this shape and target; they may be mapped from a file.
        target: the target of its code, whose instructions this machine has; in mixed precision it has bfloat16.
    """

    def __init__(self, shape: HifiganShape, weights: NDArray[np.float32], target: Target) -> None:
        assert (why := why_not(shape)) is None, why
        assert target.bfloat16 or shape.precision == "float32", target
        self._layout, self._geometry = HifiganLayout(shape, target), LayerRows(shape)
        assert weights.shape == (self._layout.numbers,), (weights.shape, self._layout.numbers)
        self.shape, self._weights = shape, weights
        self._address, self._library = weights.ctypes.data, library(HifiganCode(shape), target)
        self._width = whole_vectors(shape.channels)
        columns = [self._width, *(stage.rate * stage.channels for stage in self._geometry.stages)]
        self._panels = [each // block_for(target, each).panel for each in columns]
        self._margin = _margin(self._geometry)
        self._buffers = _Buffers(len(shape.kernels), _work(self._geometry))
        self._branches = [
            [[self._compiled(stage.channels, each) for each in branch] for branch in stage.branches]
            for stage in self._geometry.stages
        ]

    @property
    def hop(self) -> int:
        """Number of samples of a frame."""
        return self.shape.hop

    @property
    def halo(self) -> Span:
        """Number of frames (left, right) beside a stretch that `decode` needs, if the mel has so many."""
        return self._geometry.halo

    def decode(self, mel: NDArray[np.float32], start: int, frames: int, first: int, last: int) -> NDArray[np.float32]:
        """The samples of the frames first .. last of a mel, which are those of the whole mel, bit for bit.

        Args:
            mel: `[mels, n] float32`, the frames from `start` of the mel; at least those that the halo asks for.
            start: position of its first frame in the whole mel.
            frames: number of frames of the whole mel.
            first: first frame whose samples are made.
            last: the frame after the last one. If it is `frames`, the samples go to the end of the waveform, which may
                be a few more than a hop for each frame.

        Returns:
            `[(last - first) * hop] float32`, or `[samples(frames) - first * hop]`.

        Raises:
            BadMelError: if the mel is shorter than what a generator mirrors of it.
        """
        least = self._geometry.least_frames
        if frames < least:
            raise BadMelError(f"the mel has {frames} frames; this generator mirrors its ends and needs {least} or more")
        seen, *spans = [(int(lo), int(hi)) for lo, hi in self._geometry.spans(first, last, frames)]
        assert start <= seen[0] <= seen[1] <= start + mel.shape[1], (seen, start, mel.shape)
        lengths = self.shape.lengths(frames)
        self._front(mel[:, seen[0] - start : seen[1] - start], seen, spans[0], frames)
        for stage in self._geometry.stages:
            self._stage(stage, spans[stage.number + 1], (lengths[stage.number], lengths[stage.number + 1]))
        end = lengths[-1] if last == frames else last * self.hop
        return self._end(first * self.hop, end, lengths[-1])

    def _compiled(self, channels: int, each: BranchConvolution) -> _Compiled:
        return _Compiled(each, self._library[convolution_name(channels, each)], self._weight(each.name))

    def _weight(self, name: str) -> tuple[int, int]:
        return self._layout.addresses(self._address, name)

    def _mirrored(self, pad: int) -> int:
        return pad if self.shape.mirrored else 0

    def _layer(self, number: int) -> Rows:
        """The rows before the first stage, for 0, and after the stage before stage `number`."""
        return self._buffers.layers[number % 2]

    def _front(self, mel: NDArray[np.float32], seen: Span, span: Span, frames: int) -> None:
        """The first convolution and its leaky ReLU: a product whose lines are the rows of all taps."""
        reach, rows, out = self.shape.edge // 2, self._buffers.mel, self._layer(0)
        first, last = span
        rows.hold((first - reach, max(last, first + MOST_ROWS) + reach), self.shape.mels)
        if self.shape.normalized:
            mean, scale = (self._layout.view(self._weights, name)[:, None] for name in ("mean", "scale"))
            mel = (mel - mean) / scale
        rows[seen][...] = mel.T
        rows.fill_ends((first - reach, last + reach), frames, self._mirrored(reach))
        out.hold((first - self._margin, last + self._margin), self._width)
        inner = self.shape.edge * self.shape.mels
        x, y = rows.at(first - reach), out.at(first)
        self._library["pre"](last - first, inner, self._panels[0], x, *self._weight("conv_pre"), y)
        self._library["activate"](y, (last - first) * self._width)

    def _stage(self, stage: StageRows, span: Span, lengths: Span) -> None:
        """A stage, block by block, for the rows `span` of its output; `lengths` are those of its input and output."""
        x, y, buffers, margin = self._layer(stage.number), self._layer(stage.number + 1), self._buffers, self._margin
        x.fill_ends(x.span, lengths[0])
        y.hold((span[0] - margin, span[1] + margin), stage.channels)
        multiply, mean = self._library[f"up_{stage.number}"], self._library[f"mean_{stage.number}"]
        for first in range(span[0], span[1], _BLOCK):
            last = min(first + _BLOCK, span[1])
            lo, hi = (int(row) for row in stage.needs((first, last)))
            begin, end = stage.blocks((max(lo, 0), min(hi, lengths[1])))
            made = begin * stage.rate - stage.cut, max(end, begin + MOST_ROWS) * stage.rate - stage.cut
            for rows in (buffers.wide, buffers.hidden, *buffers.branches):
                rows.hold((min(lo, made[0]), max(hi, made[1])), stage.channels)
            multiply(
                end - begin, stage.reads * stage.inputs, self._panels[stage.number + 1],
                x.at(begin - stage.reads + 1), *self._weight(f"ups.{stage.number}"), buffers.wide.at(made[0]),
            )  # fmt: skip
            for branch, out in zip(self._branches[stage.number], buffers.branches, strict=True):
                self._branch(branch, (first, last), lengths[1], out)
            mean(*(out.at(first) for out in buffers.branches), y.at(first), (last - first) * stage.channels)

    def _branch(self, branch: list[_Compiled], span: Span, length: int, out: Rows) -> None:
        """A residual block: the rows `span`, from the stage's wide rows to `out`, by way of its hidden ones."""
        source = residual = self._buffers.wide
        targets, work = (out, self._buffers.hidden), self._buffers.work.ctypes.data
        plan, _ = branch_plan(tuple(each.rows for each in branch), span)
        for left, compiled, (lo, hi) in zip(reversed(range(len(plan))), branch, plan, strict=True):
            each = compiled.rows
            first, last = each.tiles((max(lo, 0), min(hi, length)))
            source.fill_ends(each.inputs((first, last)), length, self._mirrored(each.pad))
            target = targets[left % 2]  # in turn, so that the last one is `out`
            residual = residual if each.place == "last" else source
            compiled.function(
                source.at(first - each.pad), target.at(first), residual.at(first), *compiled.weights, work,
                (last - first) // each.outputs, each.dilation,
            )  # fmt: skip
            source = target

    def _end(self, first: int, last: int, length: int) -> NDArray[np.float32]:
        """The last convolution and its tanh: the samples first .. last."""
        rows, reach = self._layer(len(self._geometry.stages)), self.shape.edge // 2
        rows.fill_ends((first - reach, last + reach), length, self._mirrored(reach))
        waveform = np.empty(last - first + WAVE_LANES, np.float32)
        x, y = rows.at(first - reach), waveform.ctypes.data
        self._library["post"](x, *self._weight("conv_post"), y, last - first)
        return waveform[: last - first]


def buffer_bytes(shape: HifiganShape, frames: int) -> int:
    """The most memory that a thread takes to decode a mel of `frames` frames at once, without the weights [bytes].

    It keeps this memory for the next mel.
    """
    geometry = LayerRows(shape)
    lengths, stages, margin = shape.lengths(frames), geometry.stages, _margin(geometry)
    widths = [whole_vectors(shape.channels), *(stage.channels for stage in stages)]
    layers = [(rows + 2 * margin) * width for rows, width in zip(lengths, widths, strict=True)]
    scratch = max(
        (stage.most_needed(min(_BLOCK, rows)) + 2 * margin * stage.rate) * stage.channels
        for stage, rows in zip(stages, lengths[1:], strict=True)
    )
    mel = (frames + 2 * margin) * shape.mels
    wave = lengths[-1] + WAVE_LANES
    numbers = mel + max(layers[::2]) + max(layers[1::2]) + scratch * (2 + len(shape.kernels)) + wave
    return 4 * (numbers + _work(geometry))


def _margin(geometry: LayerRows) -> int:
    """Number of rows beside those that a layer needs, which it may read or write for nothing."""
    return max(stage.reads for stage in geometry.stages) + geometry.shape.edge + MOST_ROWS


def _work(geometry: LayerRows) -> int:
    """Size of the memory of transformed tiles [numbers]."""
    return max(
        Room(stage.channels, geometry.stages[0].channels).numbers(each.filtering)
        for stage in geometry.stages for branch in stage.branches for each in branch
    )  # fmt: skip
