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
from pipeline.kernels.hifigan.upsampling import work_numbers
from pipeline.kernels.hifigan.weights import HifiganLayout
from pipeline.kernels.products import MOST_ROWS
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
        self.activated = Rows()  # what snakes give
        self.work = aligned(work)

    @property
    def nbytes(self) -> int:
        """Memory taken [bytes]."""
        rows = [self.mel, *self.layers, self.wide, self.hidden, *self.branches, self.activated]
        return sum(each.nbytes for each in rows) + self.work.nbytes


@dataclass(frozen=True)
class _Compiled:
    """A convolution of a branch: its rows, its function, the addresses of its weight and bias, and of its snake."""

    rows: BranchConvolution
    function: Callable[..., None]
    weights: tuple[int, int]
    snake: int | None


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
        self._margin = _margin(self._geometry)
        self._buffers = _Buffers(len(shape.kernels), _work(self._geometry))
        self._branches = [
            [[self._compiled(stage.used, each) for each in branch] for branch in stage.branches]
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
        rows = first * self.shape.rows, lengths[-1] if last == frames else last * self.shape.rows
        end = self._end if self.shape.transform is None else self._transformed
        return end(*rows, lengths[-1])

    def _compiled(self, used: int, each: BranchConvolution) -> _Compiled:
        function = self._library[convolution_name(used, each)]
        return _Compiled(each, function, self._weight(each.name), self._snake(each.name))

    def _weight(self, name: str) -> tuple[int, int]:
        return self._layout.addresses(self._address, name)

    def _multiply(self, function: str, name: str, rows: int, x: int, y: int) -> None:
        """Rows of y: lines of x by the matrix of a layer, and its bias."""
        panels, inner, _ = self._layout.view(self._weights, f"{name}.weight").shape
        self._library[function](rows, inner, panels, x, *self._weight(name), y)

    def _snake(self, name: str) -> int | None:
        """Address of the parameters of the snake before a convolution, if there is one."""
        return self._address + 4 * self._layout.offset(f"{name}.snake") if self.shape.snakes else None

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
        y = out.at(first)
        self._multiply("pre", "conv_pre", last - first, rows.at(first - reach), y)
        if self.shape.snakes is None:
            self._library["activate"](y, (last - first) * self._width)

    def _stage(self, stage: StageRows, span: Span, lengths: Span) -> None:
        """A stage, block by block, for the rows `span` of its output; `lengths` are those of its input and output."""
        x, y, buffers, margin = self._layer(stage.number), self._layer(stage.number + 1), self._buffers, self._margin
        x.fill_ends(x.span, lengths[0])
        y.hold((span[0] - margin, span[1] + margin), stage.channels)
        upsample, mean = self._library[f"up_{stage.number}"], self._library[f"mean_{stage.number}"]
        for first in range(span[0], span[1], _BLOCK):
            last = min(first + _BLOCK, span[1])
            lo, hi = (int(row) for row in stage.needs((first, last)))
            begin, end = stage.blocks((max(lo, 0), min(hi, lengths[1])))
            made = begin * stage.rate - stage.cut, end * stage.rate - stage.cut
            snaked = [buffers.activated] if self.shape.snakes else []
            for rows in (buffers.wide, buffers.hidden, *buffers.branches, *snaked):
                rows.hold((min(lo, made[0]), max(hi, made[1])), stage.channels)
            upsample(
                x.at(begin - stage.reads + 1), buffers.wide.at(made[0]), *self._weight(f"ups.{stage.number}"),
                buffers.work.ctypes.data, (end - begin) // stage.filtering.outputs,
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
            begin, more = first - each.pad, list[int]()
            if compiled.snake is None:
                source.fill_ends(each.inputs((first, last)), length, self._mirrored(each.pad))
            else:
                more = [self._buffers.activated.at(begin), compiled.snake, begin, length]
            target = targets[left % 2]  # in turn, so that the last one is `out`
            residual = residual if each.place == "last" else source
            compiled.function(
                source.at(begin), target.at(first), residual.at(first), *compiled.weights, work,
                (last - first) // each.outputs, each.dilation, *more,
            )  # fmt: skip
            source = target

    def _end(self, first: int, last: int, length: int) -> NDArray[np.float32]:
        """The last convolution, and its tanh or clipping: the samples first .. last."""
        stages, reach, snake = self._geometry.stages, self.shape.edge // 2, self._snake("conv_post")
        rows, channels = self._layer(len(stages)), stages[-1].channels
        if snake is None:
            rows.fill_ends((first - reach, last + reach), length, self._mirrored(reach))
        waveform = np.empty(last - first + WAVE_LANES, np.float32)
        for begin in range(first, last, _BLOCK):
            end, source = min(begin + _BLOCK, last), rows
            seen = begin - reach, end + reach
            if snake is not None:
                source = self._buffers.activated
                source.hold(seen, channels)
                place, count = seen[0], seen[1] - seen[0]
                self._library["activate"](rows.at(place), source.at(place), snake, 0, count, place, length, channels)
            x, y = source.at(seen[0]), waveform.ctypes.data + 4 * (begin - first)
            self._library["post"](x, *self._weight("conv_post"), y, end - begin)
        return waveform[: last - first]

    def _transformed(self, first: int, last: int, length: int) -> NDArray[np.float32]:
        """The last convolution and the inverse transform of iSTFTNet: the samples of rows first .. last."""
        transform, buffers, reach = self.shape.transform, self._buffers, self.shape.edge // 2
        assert transform is not None
        rows, outputs = self._layer(len(self._geometry.stages)), 2 * transform.half
        rows.fill_ends(rows.span, length)
        if rows.span[0] < 0:
            rows[-1, 0][...] = rows[1, 2]
        waveform = np.empty((last - first, transform.hop), np.float32)
        for begin in range(first, last, _BLOCK):
            end = min(begin + _BLOCK, last)
            lo, hi = transform.frames((begin, end), length)
            buffers.wide.hold((lo, hi + MOST_ROWS), outputs)
            buffers.hidden.hold((lo, hi + MOST_ROWS), transform.columns)
            parts, frames = buffers.wide.at(lo), buffers.hidden.at(lo)
            self._multiply("post", "conv_post", hi - lo, rows.at(lo - 1 - reach), parts)
            self._library["spectra"](parts, hi - lo)
            self._multiply("frames", "istft", hi - lo, parts, frames)
            waveform[begin - first : end - first] = transform.added(buffers.hidden[lo, hi], lo, (begin, end))
        samples, start = waveform.reshape(-1), first * transform.hop
        for name, place in (("istft.first", 0), ("istft.last", length * transform.hop - transform.edge)):
            lo, hi = max(place, start), min(place + transform.edge, start + len(samples))
            if lo < hi:
                samples[lo - start : hi - start] *= self._layout.view(self._weights, name)[lo - place : hi - place]
        return samples


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
    wave = lengths[-1] * shape.row_samples + WAVE_LANES
    if (transform := shape.transform) is not None:
        block = min(_BLOCK, lengths[-1])
        scratch = max(scratch, (block + transform.overlap + MOST_ROWS) * max(2 * transform.half, transform.columns))
        wave += block * transform.hop
    scratches = 2 + len(shape.kernels) + (shape.snakes is not None)
    numbers = mel + max(layers[::2]) + max(layers[1::2]) + scratch * scratches + wave
    return 4 * (numbers + _work(geometry))


def _margin(geometry: LayerRows) -> int:
    """Number of rows beside those that a layer needs, which it may read or write for nothing."""
    tiles = (stage.reads + stage.filtering.outputs for stage in geometry.stages)
    return max(tiles) + geometry.shape.edge + MOST_ROWS


def _work(geometry: LayerRows) -> int:
    """Size of the memory of transformed tiles [numbers]."""
    stages = geometry.stages
    convolutions = (
        Room(stage.channels, stage.used, stages[0].channels).numbers(each.filtering)
        for stage in stages for branch in stage.branches for each in branch
    )  # fmt: skip
    return max(*convolutions, *(work_numbers(geometry.shape, stage) for stage in stages))
