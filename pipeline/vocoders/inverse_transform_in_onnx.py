"""The inverse transform that iSTFTNet ends with in an .onnx file, as `checkpoints.istftnet` writes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.hifigan.inverse_transform import InverseTransform
from pipeline.vocoders.node_chain import NodeChain

_TO_THE_END = 1 << 62


@dataclass(frozen=True)
class TransformInOnnx:
    """An inverse transform as a file has it.

    Args:
        output: name of the signal that it gives.
        transform: its sizes.
        weights: its arrays by the names and of the shapes that `HifiganShape.transform_shapes` gives.
    """

    output: str
    transform: InverseTransform
    weights: dict[str, NDArray[np.float32]]


def read_inverse_transform(chain: NodeChain, x: str, outputs: int) -> TransformInOnnx:
    """The transform of x that the next nodes of a chain are.

    Args:
        chain: the nodes.
        x: name of its input, which the last convolution gives.
        outputs: number of channels of that.

    Raises:
        UnknownGraphError: if they are anything else.
    """
    n_fft, bins = outputs - 2, outputs // 2
    magnitude = chain.take("Exp", _slice(chain, x, 0, bins, 1))
    phase = chain.take("Sin", _slice(chain, x, bins, outputs, 1))
    parts = [chain.take("Mul", magnitude, chain.take(function, phase)) for function in ("Cos", "Sin")]
    spectrum, half = chain.take("Concat", *parts, axis=1), n_fft // 2
    strides = chain.node.attributes.get("strides")
    hop = strides[-1] if isinstance(strides, tuple) and strides else 0
    basis = chain.tensor(chain.input(1), outputs, 1, 1, n_fft).floats().reshape(outputs, n_fft)
    signal = chain.take(
        "ConvTranspose", spectrum, chain.input(1),
        pads=(0, half, 0, half), strides=(1, hop), output_padding=(0, 0), group=1,
    )  # fmt: skip
    chain.demand(n_fft > 0 and hop > 0 and n_fft % (2 * hop) == 0, f"frames of {n_fft} samples overlap every {hop}")
    transform = InverseTransform(n_fft, hop)
    ends = [np.zeros(0, np.float32)] * 2
    if transform.edge:
        signal, ends = _corrected(chain, signal, transform.edge)
    return TransformInOnnx(signal, transform, {"istft.basis": basis, "istft.first": ends[0], "istft.last": ends[1]})


def _corrected(chain: NodeChain, x: str, edge: int) -> tuple[str, list[NDArray[np.float32]]]:
    """The signal with factors at its ends, and these factors, `[edge]` each."""
    first, middle, last = (
        _slice(chain, x, *bounds, 3) for bounds in ((0, edge), (edge, -edge), (-edge, _TO_THE_END))
    )  # fmt: skip
    factors = []
    corrected = []
    for part in (first, last):
        factors.append(chain.tensor(chain.input(1), edge).floats())
        corrected.append(chain.take("Mul", part, chain.input(1)))
    return chain.take("Concat", corrected[0], middle, corrected[1], axis=3), factors


def _slice(chain: NodeChain, x: str, start: int, stop: int, axis: int) -> str:
    bounds = (chain.integers((value,), place) for place, value in enumerate((start, stop, axis), 1))
    return chain.take("Slice", x, *bounds)
