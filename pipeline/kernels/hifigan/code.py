"""The code of a generator, as a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from pipeline.kernels.function import Function
from pipeline.kernels.hifigan.convolution import Room, convolution, data_tiles, output_tiles
from pipeline.kernels.hifigan.geometry import BranchConvolution, LayerRows, whole_vectors
from pipeline.kernels.hifigan.inverse_transform import spectra
from pipeline.kernels.hifigan.pointwise import activation, mean, waveform
from pipeline.kernels.hifigan.shape import HifiganShape
from pipeline.kernels.hifigan.snake import activated
from pipeline.kernels.products import block_for, fused, paired, product
from pipeline.kernels.target import Target


def convolution_name(channels: int, each: BranchConvolution) -> str:
    """Name of the function of a convolution: those of one size share it, whatever their dilation."""
    return f"{each.place}_convolution_{each.filtering.taps}_{channels}{_kind(each)}"


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
            columns = stage.rate * stage.channels
            product(module, f"up_{stage.number}", block_for(target, columns), stage.inputs, columns)
            slope = self._slope if stage is not stages[-1] or shape.snakes else shape.last_slope
            mean(module, f"mean_{stage.number}", target.lanes, len(stage.branches), slope)
            for each in (each for branch in stage.branches for each in branch):
                self._convolution(module, target, stage.channels, each, made)
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

    def _convolution(
        self, module: ir.Module, target: Target, channels: int, each: BranchConvolution, made: dict[str, Function]
    ) -> None:
        """Adds the function of a convolution, and its parts, to a module and to `made`, unless they are there."""

        def once(emit: Callable[..., Function], name: str, *arguments: Any) -> Function:
            if name not in made:
                made[name] = emit(module, name, *arguments)
            return made[name]

        f, slope, block, kind = each.filtering, self._slope, block_for(target, channels), _kind(each)
        room = Room(channels, whole_vectors(self.shape.width(0)), each.pairs)
        before, first = ("plain", None) if each.place == "last" else ("activated", slope)
        data = once(data_tiles, f"{before}_data_{f.taps}{kind}", f, first, room.slab, target.lanes, each.pairs)
        add = paired if each.pairs else fused
        multiply = once(product, f"multiply_{channels}{kind}", block, room.data_row, room.row, add)
        output = once(output_tiles, f"{each.place}_output_{f.taps}", f, each.place, slope, room.slab, target.lanes)
        parts = data, multiply, output
        once(convolution, convolution_name(channels, each), f, room, block, parts, made.get("activate"))
