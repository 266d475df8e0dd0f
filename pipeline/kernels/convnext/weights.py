"""A net's weights as its code reads them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.buffers import aligned, padded
from pipeline.kernels.convnext.shape import ConvNextShape
from pipeline.kernels.packed_weights import PackedWeights
from pipeline.kernels.target import Target

Weights = Mapping[str, NDArray[np.floating]]


class ConvNextLayout(PackedWeights):
    """Where each weight lies in the array of packed weights.

    Args:
        shape: the shape of the net.
        target: the target of its code.
    """

    def __init__(self, shape: ConvNextShape, target: Target) -> None:
        super().__init__(target)
        for name, (inner, outputs) in shape.matrices().items():
            self.place_product(name, (), inner, shape.columns if name == "head" else outputs)
        for name, size in shape.others().items():
            self.place(f"{name}.weight", *size)
            self.place(f"{name}.bias", *size[-1:])


def packed(shape: ConvNextShape, weights: Weights, target: Target) -> NDArray[np.float32]:
    """The weights as the code for a target reads them, `[ConvNextLayout(shape, target).numbers] float32`, aligned.

    Args:
        shape: the shape of the net.
        weights: its weights, by the names and of the shapes that `ConvNextShape.weight_shapes` gives.
        target: the target of its code.
    """
    for name, size in shape.weight_shapes().items():
        assert weights[name].shape == size, (name, weights[name].shape, size)
    layout = ConvNextLayout(shape, target)
    array = aligned(layout.numbers)
    for name, (_, outputs) in shape.matrices().items():
        matrix = padded(weights[f"{name}.weight"], 1, shape.columns if name == "head" else outputs)
        layout.put_product(array, name, matrix, weights[f"{name}.bias"])
    for name in (f"{layer}.{part}" for layer in shape.others() for part in ("weight", "bias")):
        layout.view(array, name)[...] = weights[name]
    return array
