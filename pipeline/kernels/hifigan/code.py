"""The code of a generator, as a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from pipeline.kernels.function import Function
from pipeline.kernels.hifigan.convolution import Room, convolution, data_tiles, output_tiles
from pipeline.kernels.hifigan.geometry import BranchConvolution, LayerRows, StageRows, whole_vectors
from pipeline.kernels.hifigan.inverse_transform import spectra
from pipeline.kernels.hifigan.pointwise import activation, mean, waveform
from pipeline.kernels.hifigan.shape import HifiganShape
from pipeline.kernels.hifigan.snake import activated
from pipeline.kernels.hifigan.upsampling import upsampled_tiles, upsampling, upsampling_rooms
from pipeline.kernels.products import block_for, fused, paired, product
from pipeline.kernels.target import Target


def convolution_name(used: int, each: BranchConvolution) -> str:
    """Name of the function of a convolution: those of one size share it, whatever their dilation."""
    return f"{each.place}_convolution_{each.filtering.taps}_{used}{_kind(each)}"


def _kind(each: BranchConvolution) -> str:
    return "_pairs" if each.pairs else ""


@dataclass(frozen=True)
class HifiganCode:
    """The functions `pre`, `activate`, then for stage S `up_S`, `mean_S` and those of `convolution_name`, then `post`,
    which gives samples, or outputs that `spectra` and `frames` make frames of.

    `activate` is the leaky ReLU after the first convolution, or the snake.

    Args:
        shape: the shape of the generator.
    """

    shape: HifiganShape

    def emit(self, module: ir.Module, target: Target) -> None:
        """Adds the functions to a module."""
        shape, stages = self.shape, LayerRows(self.shape).stages
        width = whole_vectors(shape.channels)
        product(module, "pre", block_for(target, width), shape.mels, width)
        made: dict[str, Function] = {}
        if shape.snakes:
            made["activate"] = activated(module, "activate", target.lanes)
        else:
            activation(module, "activate", target.lanes, shape.slope)
        for stage in stages:
            self._upsampling(module, target, stage, made)
            slope = self._slope if stage is not stages[-1] or shape.snakes else shape.last_slope
            mean(module, f"mean_{stage.number}", target.lanes, len(stage.branches), slope)
            for each in (each for branch in stage.branches for each in branch):
                self._convolution(module, target, stage, each, made)
        self._end(module, target, stages[-1].channels)

    def _end(self, module: ir.Module, target: Target, channels: int) -> None:
        """Adds `post`, and for iSTFTNet `spectra` and `frames`, to a module."""
        transform = self.shape.transform
        if transform is None:
            waveform(module, "post", self.shape.edge, channels, self.shape.clipped)
            return
        outputs = 2 * transform.half
        product(module, "post", block_for(target, outputs), channels, outputs)
        spectra(module, "spectra", target.lanes, transform.half)
        product(module, "frames", block_for(target, transform.columns), outputs, transform.columns)

    @property
    def _slope(self) -> float | None:
        """Slope of the leaky ReLUs; None if there are none."""
        return None if self.shape.snakes else self.shape.slope

    def _upsampling(self, module: ir.Module, target: Target, stage: StageRows, made: dict[str, Function]) -> None:
        """Adds the function of a stage's transposed convolution, and its parts, to a module."""
        f, block, name = stage.filtering, block_for(target, stage.channels), f"up_{stage.number}"
        before, after = upsampling_rooms(self.shape, stage)
        data = _once(made, data_tiles, module, f"up_data_{f.taps}", f, None, before.slab, target.lanes)
        multiply = product(module, f"{name}_multiply", block, before.data_row, after.row)
        more = multiply  # only pairs of points need the other one
        if f.singles < f.points:
            more = product(module, f"{name}_more", block, before.data_row, after.row, begin_row=after.row)
        output = _once(made, upsampled_tiles, module, f"up_output_{f.taps}", f, before.slab, target.lanes)
        upsampling(module, name, f, (before, after), stage.rate, block, (data, multiply, more, output))

    @property
    def _most(self) -> int:
        """The largest number of channels of a stage in memory."""
        return whole_vectors(self.shape.width(0))

    def _convolution(
        self, module: ir.Module, target: Target, stage: StageRows, each: BranchConvolution, made: dict[str, Function]
    ) -> None:
        """Adds the function of a convolution, and its parts, to a module and to `made`, unless they are there."""
        channels, f, slope, kind = stage.channels, each.filtering, self._slope, _kind(each)
        block, room = block_for(target, channels), Room(channels, stage.used, self._most, each.pairs)
        before, first = ("plain", None) if each.place == "last" else ("activated", slope)
        data = _once(
            made, data_tiles, module, f"{before}_data_{f.taps}{kind}", f, first, room.slab, target.lanes, each.pairs
        )
        add = paired if each.pairs else fused
        multiply = _once(made, product, module, f"multiply_{channels}{kind}", block, room.data_row, room.row, add)
        more = _once(
            made, product, module, f"multiply_more_{channels}{kind}", block, room.data_row, room.row, add, room.row
        )
        output = _once(
            made, output_tiles, module, f"{each.place}_output_{f.taps}", f, each.place, slope, room.slab, target.lanes
        )
        name, parts = convolution_name(stage.used, each), (data, multiply, more, output)
        _once(made, convolution, module, name, f, room, block, parts, made.get("activate"))


def _once(
    made: dict[str, Function], emit: Callable[..., Function], module: ir.Module, name: str, *arguments: Any
) -> Function:
    """The function of a name: `emit` adds it to the module and to `made` unless it is there."""
    if name not in made:
        made[name] = emit(module, name, *arguments)
    return made[name]
