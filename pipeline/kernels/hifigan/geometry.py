"""Which rows of every layer a stretch of samples needs.

Every convolution of a branch computes whole tiles on a grid of absolute rows: the multiples of dilation * outputs,
counted from the mel's first frame. A tile's outputs depend on all of its inputs, if only by rounding. So from the rows
that are wanted, one goes back to the rows that whole tiles read, layer by layer. What is computed for a row then never
depends on where a stretch or a block begins. Beyond the ends of the mel, every layer's input is zero (or mirrored), as
the model pads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from pipeline.kernels.buffers import Span
from pipeline.kernels.hifigan.shape import HifiganShape, in_pairs, period, unit_names
from pipeline.kernels.minimal_filtering import Filtering, for_taps
from pipeline.kernels.products import COLUMNS

Place = Literal["first", "last", "only"]
"""The place of a convolution in its residual unit."""


def whole_vectors(channels: int) -> int:
    """Number of channels of a row in memory: the channels that are added have no weights, and stay zero."""
    return -(-channels // COLUMNS) * COLUMNS


@dataclass(frozen=True)
class BranchConvolution:
    """One convolution of a branch.

    Args:
        name: name of its weights.
        taps: its kernel size.
        dilation: distance between its taps [rows].
        place: its place in its residual unit.
        pairs: whether it multiplies bfloat16.
        context: number of rows on each side on which the activation of a row of its input depends.
    """

    name: str
    taps: int
    dilation: int
    place: Place
    pairs: bool = False
    context: int = 0

    @cached_property
    def filtering(self) -> Filtering:
        """How it is computed."""
        return for_taps(self.taps)

    @cached_property
    def outputs(self) -> int:
        """Number of outputs of a tile."""
        return self.filtering.outputs

    @cached_property
    def pad(self) -> int:
        """Number of rows of the input before the first row of the output."""
        return self.taps // 2 * self.dilation

    @cached_property
    def grid(self) -> int:
        """Distance between tiles [rows]: each holds `outputs` rows of every phase of the dilation."""
        return self.outputs * self.dilation

    @cached_property
    def reach(self) -> int:
        """Number of rows that tiles read more than they give; a few of the filtering's taps may be zero."""
        return (self.filtering.taps - 1) * self.dilation

    def tiles(self, rows: Any) -> Any:
        """The rows of the whole tiles that hold these rows."""
        return rows[0] // self.grid * self.grid, -(-rows[1] // self.grid) * self.grid

    def inputs(self, tiles: Any) -> Any:
        """The rows that tiles read, of the activated input."""
        return tiles[0] - self.pad, tiles[1] - self.pad + self.reach

    def needs(self, tiles: Any) -> Any:
        """The rows that tiles depend on, before the activation."""
        first, last = self.inputs(tiles)
        return first - self.context, last + self.context


Branch = tuple[BranchConvolution, ...]


def branch_plan(branch: Branch, rows: Any) -> tuple[list[Any], Any]:
    """The rows that each convolution computes so that the last one gives `rows`; the rows that the first one needs."""
    plan = []
    for convolution in reversed(branch):
        tiles = convolution.tiles(rows)
        plan.append(tiles)
        rows = convolution.needs(tiles)
    return plan[::-1], rows


@dataclass(frozen=True)
class StageRows:
    """An upsampling and its branches.

    The transposed convolution makes blocks of `rate` rows: block q is rows q rate - cut .. (q + 1) rate - cut, and
    depends on the input rows q - reads + 1 .. q. Row q rate - cut + phase sums the input rows q - i by the taps
    i rate + phase. Blocks come in tiles on a grid of absolute rows, too.

    Args:
        number: its number, from 0.
        rate: factor of upsampling.
        cut: number of rows that are cut off on the left.
        reads: number of input rows of one output row.
        inputs: number of channels of its input in memory.
        channels: number of channels of its output in memory.
        used: number of those that have weights.
        branches: the convolutions of each branch.
    """

    number: int
    rate: int
    cut: int
    reads: int
    inputs: int
    channels: int
    used: int
    branches: tuple[Branch, ...]

    def needs(self, rows: Any) -> Any:
        """Rows after the upsampling that the branches need for `rows`."""
        spans = [branch_plan(branch, rows)[1] for branch in self.branches]
        first, last = zip(*spans, strict=True)
        return np.minimum.reduce(first), np.maximum.reduce(last)

    def most_needed(self, rows: int) -> int:
        """The most rows that `needs` gives for a number of rows, wherever they lie."""
        more = (sum(2 * (each.grid + each.context) + each.reach for each in branch) for branch in self.branches)
        return rows + max(more)

    @cached_property
    def filtering(self) -> Filtering:
        """How the transposed convolution is computed."""
        return for_taps(self.reads)

    def blocks(self, rows: Any) -> Any:
        """The blocks of whole tiles that hold these rows: `filtering.outputs` blocks a tile."""
        tile = self.filtering.outputs * self.rate
        first, last = (rows[0] + self.cut) // tile, -(-(rows[1] + self.cut) // tile)
        return first * self.filtering.outputs, last * self.filtering.outputs

    def before(self, rows: Any, length: int) -> Any:
        """Rows before the upsampling that `rows` of the stage's output need; its output has `length` rows."""
        first, last = self.blocks(_within(self.needs(rows), length))
        return first - self.reads + 1, last


class LayerRows:
    """The rows of every layer of a generator.

    Args:
        shape: the shape of the generator.

    Attributes:
        stages: its stages, in order.
    """

    def __init__(self, shape: HifiganShape) -> None:
        self.shape = shape
        self.stages = tuple(_stage(shape, number) for number in range(len(shape.rates)))

    def spans(self, first: Any, last: Any, frames: int) -> list[Any]:
        """For the samples of frames first .. last of a mel: the frames to read, the rows before the first stage, and
        after each one. The last frame has the samples that are more than its hop, too."""
        rows, reach = self.shape.rows, self.shape.edge // 2
        lengths = self.shape.lengths(frames)
        end, (left, right) = np.where(last == frames, lengths[-1], last * rows), self.tail
        spans = [_within((first * rows - left, end + right), lengths[-1])]
        for stage, length, shorter in zip(reversed(self.stages), lengths[:0:-1], lengths[-2::-1], strict=True):
            spans.insert(0, _within(stage.before(spans[0], length), shorter))
        lo, hi = spans[0]
        return [_within((lo - reach, hi + reach), frames), *spans]

    @property
    def tail(self) -> Span:
        """Number of rows (left, right) beside a row of the last stage that its samples depend on."""
        reach, transform = self.shape.edge // 2 + self.shape.context, self.shape.transform
        # Frame t is made of the rows around t - 1.
        return (
            (reach, reach)
            if transform is None
            else (reach + transform.overlap // 2, reach + transform.overlap // 2 - 1)
        )

    @cached_property
    def halo(self) -> Span:
        """Number of frames (left, right) beside a stretch that are enough for any stretch: the largest of a period."""
        far = 1 << 30
        first = np.arange(far, far + period(self.shape))
        (lo, hi), *_ = self.spans(first, first + 1, 4 * far)
        return int(np.max(first - lo)), int(np.max(hi - first - 1))

    @cached_property
    def least_frames(self) -> int:
        """Fewest frames of a mel: where inputs are mirrored, each is longer than what is mirrored of it."""
        frames = 1
        while self.shape.mirrored and not self._can_mirror(frames):
            frames += 1
        return frames

    def _can_mirror(self, frames: int) -> bool:
        lengths, reach = self.shape.lengths(frames), self.shape.edge // 2
        pads = [max(each.pad for branch in stage.branches for each in branch) for stage in self.stages]
        return reach < min(frames, lengths[-1]) and all(pad < n for pad, n in zip(pads, lengths[1:], strict=True))


def _within(rows: Any, length: int) -> Any:
    return np.maximum(rows[0], 0), np.minimum(rows[1], length)


def _stage(shape: HifiganShape, number: int) -> StageRows:
    rate, kernel = shape.rates[number], shape.rate_kernels[number]
    return StageRows(
        number, rate, shape.sides(number)[0], -(-kernel // rate), whole_vectors(shape.width(number - 1)),
        whole_vectors(shape.width(number)), shape.width(number),
        tuple(_branch(shape, number, j) for j in range(len(shape.kernels))),
    )  # fmt: skip


def _branch(shape: HifiganShape, stage: int, branch: int) -> Branch:
    places: tuple[Place, ...] = ("first", "last") if shape.pairs else ("only",)
    taps = shape.kernels[branch]
    return tuple(
        BranchConvolution(
            name, taps, 1 if place == "last" else dilation, place, in_pairs(shape, stage, taps), shape.context
        )
        for unit, dilation in enumerate(shape.dilations[branch])
        for name, place in zip(unit_names(shape, stage, branch, unit), places, strict=True)
    )
