"""The code of a generator, as a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from pipeline.kernels.function import Function
from pipeline.kernels.hifigan.convolution import Room, convolution
from pipeline.kernels.hifigan.geometry import BranchConvolution, LayerRows, StageRows, whole_vectors
from pipeline.kernels.hifigan.pointwise import activation, mean, waveform
from pipeline.kernels.hifigan.shape import HifiganShape
from pipeline.kernels.products import block_for, product
from pipeline.kernels.target import Target


def convolution_name(channels: int, each: BranchConvolution) -> str:
    """Name of the function of a convolution: those of one size share it, whatever their dilation."""
    return f"{each.place}_convolution_{each.filtering.taps}_{channels}"


@dataclass(frozen=True)
class HifiganCode:
    """The functions `pre`, `activate`, then for stage S `up_S`, `mean_S` and those of `convolution_name`, then `post`.

    Args:
        shape: the shape of the generator.
    """

    shape: HifiganShape

    def emit(self, module: ir.Module, target: Target) -> None:
        """Adds the functions to a module."""
        shape, stages = self.shape, LayerRows(self.shape).stages
        width = whole_vectors(shape.channels)
        product(module, "pre", block_for(target, width), shape.mels, width)
        activation(module, "activate", target.lanes, shape.slope)
        for stage in stages:
            columns = stage.rate * stage.channels
            product(module, f"up_{stage.number}", block_for(target, columns), stage.inputs, columns)
            slope = shape.last_slope if stage is stages[-1] else shape.slope
            mean(module, f"mean_{stage.number}", target.lanes, len(stage.branches), slope)
        self._convolutions(module, target, stages)
        waveform(module, "post", shape.edge, stages[-1].channels)

    def _convolutions(self, module: ir.Module, target: Target, stages: tuple[StageRows, ...]) -> None:
        made: dict[str, Function] = {}
        for stage in stages:
            channels, row = stage.channels, Room(stage.channels).row
            block, multiply = block_for(target, channels), f"multiply_{channels}"
            if multiply not in made:
                made[multiply] = product(module, multiply, block, row, row)
            for each in (each for branch in stage.branches for each in branch):
                if (name := convolution_name(channels, each)) not in made:
                    made[name] = convolution(
                        module, name, each.filtering, channels, each.place, self.shape.slope, block, made[multiply]
                    )
