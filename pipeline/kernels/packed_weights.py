"""Weights as compiled code reads them: one array, which can lie in a file, with each weight at an aligned place."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.buffers import ALIGNMENT
from pipeline.kernels.products import block_for, panels
from pipeline.kernels.target import Target


class PackedWeights:
    """Where each weight lies in the array.

    Args:
        target: the target of the code.

    Attributes:
        numbers: size of the array [float32 numbers].
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._places: dict[str, tuple[int, tuple[int, ...]]] = {}
        self.numbers = 0

    def place(self, name: str, *shape: int) -> None:
        """Makes room for a weight of a shape."""
        self._places[name] = self.numbers, shape
        step = ALIGNMENT // 4
        self.numbers += -(-prod(shape) // step) * step

    def place_product(self, name: str, outer: tuple[int, ...], inner: int, columns: int) -> None:
        """Makes room for `name.weight`, the second factors of products, as panels; and for `name.bias`, `[columns]`."""
        panel = block_for(self._target, columns).panel
        self.place(f"{name}.weight", *outer, columns // panel, inner, panel)
        self.place(f"{name}.bias", columns)

    def put_product(
        self,
        array: NDArray[np.float32],
        name: str,
        matrix: NDArray[np.floating],
        bias: NDArray[np.floating],
    ) -> None:
        """Writes `[*outer, inner, columns]` and a bias of the first columns into the array."""
        self.view(array, f"{name}.weight")[...] = panels(matrix, block_for(self._target, matrix.shape[-1]))
        self.view(array, f"{name}.bias")[: len(bias)] = bias

    def offset(self, name: str) -> int:
        """Position of a weight in the array [numbers]."""
        return self._places[name][0]

    def addresses(self, array: int, name: str) -> tuple[int, int]:
        """Addresses of a layer's weight and of its bias, in an array at an address."""
        weight, bias = (array + 4 * self.offset(f"{name}.{part}") for part in ("weight", "bias"))
        return weight, bias

    def view(self, array: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        """A weight in the array."""
        offset, shape = self._places[name]
        return array[offset : offset + prod(shape)].reshape(shape)
