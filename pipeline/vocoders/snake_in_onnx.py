"""BigVGAN's activation in an .onnx file, as `checkpoints.bigvgan` writes it: two filters and a snake between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.hifigan.shape import TAPS, Scale
from pipeline.vocoders.node_chain import NodeChain

_AWAY = 3  # positions on each side that a phase of a filter sees
_NO_DIVISION_BY_ZERO = float(np.float32(1e-9))
_TO_THE_END = 1 << 62


@dataclass(frozen=True)
class SnakeInOnnx:
    """An activation as a file has it.

    Args:
        output: name of its output.
        scale: scale of its parameters.
        weights: "alpha" and "beta" `[channels] float32`, which are one array where there is one parameter; "up", with
            its factor 2, and "down" `[TAPS] float32`.
    """

    output: str
    scale: Scale
    weights: dict[str, NDArray[np.float32]]


def read_snake(chain: NodeChain, x: str) -> SnakeInOnnx:
    """The activation of x that the next nodes of a chain are.

    Raises:
        UnknownGraphError: if they are anything else.
    """
    wide = chain.take("Pad", x, chain.integers((0, 0, 0, _AWAY, 0, 0, 0, _AWAY)), mode="edge")
    doubled, channels, rows = _filtered(chain, wide, pads=(1, 0, 1, 0))
    snaked, scale, alpha, beta = _snake(chain, doubled, channels)
    output, outputs, down = _filtered(chain, _repeated_ends(chain, snaked), pads=None)
    chain.demand(outputs == channels, f"the filters of an activation have {channels} and {outputs} channels")
    # The even samples lie above the odd ones, which the first row of the first kernel gives; the second gives the even.
    weights = {"alpha": alpha, "beta": beta, "up": _taps(chain, rows[::-1], -2), "down": _taps(chain, down, 2)}
    return SnakeInOnnx(output, scale, weights)


def _filtered(chain: NodeChain, x: str, pads: tuple[int, ...] | None) -> tuple[str, int, NDArray[np.float32]]:
    """A filter of every channel: its output, the number of channels, and its two phases `[2, positions]`."""
    kernel = chain.tensor(chain.input(1), -1, 1, 2, 2 * _AWAY + 1).floats()
    chain.demand(bool((kernel == kernel[:1]).all()), "the channels of an activation have several filters")
    padding = {} if pads is None else {"pads": pads}
    return chain.take("Conv", x, chain.input(1), group=len(kernel), **padding), len(kernel), kernel[0, 0]


def _taps(chain: NodeChain, phases: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """The taps of a filter: tap phase + 5 + step * away is in the row of the phase, at the position of away."""
    taps = np.zeros(TAPS, np.float32)
    for (phase, column), value in np.ndenumerate(phases):
        tap = int(phase) + TAPS // 2 - 1 + step * (int(column) - _AWAY)
        if 0 <= tap < TAPS:
            taps[tap] = value
        else:
            chain.demand(value == 0, f"a filter of an activation has more than {TAPS} taps")
    return taps


def _snake(chain: NodeChain, x: str, channels: int) -> tuple[str, Scale, NDArray[np.float32], NDArray[np.float32]]:
    """x + sin(alpha x)^2 / (beta + 1e-9): its output, the scale of its parameters, alpha and beta."""
    found: list[tuple[str, str]] = []  # constants whose exponential is taken, and the name of that
    while chain.operator == "Exp":
        constant = chain.input(0)
        found.append((chain.take("Exp", constant), constant))
    logarithms = dict(found)

    def parameter(name: str) -> NDArray[np.float32]:
        values = chain.tensor(logarithms.pop(name, name), 1, channels, 1, 1).floats()
        return values.reshape(-1)

    scale: Scale = "log" if logarithms else "linear"
    first = chain.input(1)
    sine = chain.take("Sin", chain.take("Mul", x, first))
    second = chain.input(0)
    divisor = chain.take("Reciprocal", chain.take("Add", second, chain.number(_NO_DIVISION_BY_ZERO)))
    alpha = parameter(first)
    beta = alpha if second == first else parameter(second)
    chain.demand(not logarithms, "an exponential is not that of a snake's parameter")
    chain.demand((second == first) or (len(found) in (0, 2)), "a snake has parameters of two scales")
    square = chain.take("Mul", chain.take("Mul", sine, sine), divisor)
    return chain.take("Add", x, square), scale, alpha, beta


def _repeated_ends(chain: NodeChain, x: str) -> str:
    """The doubled signal with its first sample repeated before both rows, and its last one after them."""
    first, last = (_slice(chain, x, *bounds) for bounds in (((0, 0), (1, 1)), ((1, -1), (2, _TO_THE_END))))
    before = chain.take("Tile", first, chain.integers((1, 1, 2, _AWAY)))
    after = chain.take("Tile", last, chain.integers((1, 1, 2, _AWAY)))
    return chain.take("Concat", before, x, after, axis=3)


def _slice(chain: NodeChain, x: str, start: tuple[int, int], stop: tuple[int, int]) -> str:
    bounds = (chain.integers(values, place) for place, values in enumerate((start, stop, (2, 3)), 1))
    return chain.take("Slice", x, *bounds)
