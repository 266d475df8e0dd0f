"""lift's net in an .onnx file: its shape and weights, read from the model's own nodes.

`workshop.training.export` writes such a model. It is followed node by node; a model in which anything is different is
not understood, and no part of it is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.convnext.shape import ConvNextShape
from pipeline.vocoders.node_chain import NodeChain, UnknownGraphError
from pipeline.vocoders.onnx_file import FLOAT32
from pipeline.vocoders.onnx_nodes import OnnxNodes, read_onnx_nodes

_OPSET = 20
"""The version of the operators in which melmill writes models of lift."""
_TO_THE_END = np.iinfo(np.int64).max
_Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MelInput:
    """What becomes of a mel before the net: natural logarithms that audio can have, then normalized.

    Args:
        least: least value of each band in the mel's own values, `[n_mels] float32`.
        most: largest value of each band, `[n_mels] float32`.
        scale: factor of each band of a mel that is normalized, `[n_mels] or [1] float32`; None if it is not.
        offset: number that is then added, `[n_mels] or [1] float32`; None if the mel is not normalized.
        log_scale: number of the mel's logarithms in a natural one.
        added_floor: floor that was added to energies, and is to be their least value instead; None if none was added.
        mean: mean of each band of the training speech, `[n_mels] float32`.
        deviation: standard deviation of all bands of the training speech.
    """

    least: _Floats
    most: _Floats
    scale: _Floats | None
    offset: _Floats | None
    log_scale: np.float32
    added_floor: float | None
    mean: _Floats
    deviation: np.float32


@dataclass(frozen=True)
class LiftInOnnx:
    """A net as a file has it.

    Args:
        shape: shape of the net. Its outputs are natural logarithms of the magnitudes, then of the corrected mel.
        mel: what becomes of a mel before it.
        weights: its weights, by the names and of the shapes of `ConvNextShape.weight_shapes`.
    """

    shape: ConvNextShape
    mel: MelInput
    weights: dict[str, NDArray[Any]] = field(repr=False)


def read_lift(content: bytes) -> LiftInOnnx:
    """The net in the content of an .onnx file that takes `mel` and gives `levels`.

    Raises:
        UnknownGraphError: if the model is anything else.
    """
    try:
        return _Chain(read_onnx_nodes(content)).net()
    except UnknownGraphError:
        raise
    except ValueError as error:
        raise UnknownGraphError(str(error)) from error


class _Chain(NodeChain):
    """The nodes of a net, taken one after the other."""

    def __init__(self, graph: OnnxNodes) -> None:
        super().__init__(graph, _OPSET)
        self._weights: dict[str, NDArray[Any]] = {}
        self._epsilons: set[float] = set()

    def net(self) -> LiftInOnnx:
        """The net that all nodes together are."""
        natural, x, mel = self._mel()
        pieces = self._shifted(x)
        taps = len(pieces)
        lines = self.take("Concat", *pieces, axis=1)
        x = self._norm("norm_in", self._linear("embed", lines))
        blocks = 0
        while self.operator == "Pad":
            x = self._block(f"blocks.{blocks}", x, taps)
            blocks += 1
        end = self._levels(self._norm("norm_out", x), natural, mel)
        self.demand(end == "levels" and self.at_end, f"its chain of nodes ends with {end}, then {self.operator}")
        self.demand(len(self._epsilons) == 1, "its layer norms add several numbers to the variance")
        shape = ConvNextShape(
            bands=len(mel.mean),
            width=self._weights["embed.weight"].shape[1],
            hidden=self._weights["blocks.0.up.weight"].shape[1] if blocks else 0,
            blocks=blocks,
            outputs=self._weights["head.weight"].shape[1],
            taps=taps,
            epsilon=self._epsilons.pop(),
        )
        found = {name: weight.shape for name, weight in self._weights.items()}
        self.demand(found == shape.weight_shapes(), "its layers do not fit together")
        return LiftInOnnx(shape, mel, self._weights)

    def _mel(self) -> tuple[str, str, MelInput]:
        """The mel as natural logarithms `[frames, n_mels]`, the same normalized, and how it became that."""
        x = self.take("Squeeze", "mel", self.integers((0,)))
        x = self.take("Transpose", x, perm=(1, 0))
        x, least = self._by("Max", x, -1)
        x, most = self._by("Min", x, len(least))
        scale = offset = None
        if self.operator == "Mul":
            x, scale = self._by("Mul", x, -1)
            x, offset = self._by("Add", x, len(scale))
            self.demand(len(scale) in (1, len(least)), "its mel is normalized by numbers that are not of its bands")
        x, log_scale = self._by("Div", x)
        floor = None
        if self.operator == "Exp":
            x, subtracted = self._by("Sub", self.take("Exp", x))
            x, smallest = self._by("Max", x)
            x = self.take("Log", x)
            self.demand(bool(subtracted == smallest > 0), "the floor that it takes off is not the one that it puts on")
            floor = float(smallest)
        centred, mean = self._by("Sub", x, len(least))
        normalized, deviation = self._by("Div", centred, 1)
        mel = MelInput(least, most, scale, offset, np.float32(log_scale), floor, mean, np.float32(deviation[0]))
        return x, normalized, mel

    def _shifted(self, x: str) -> list[str]:
        """The frames that each tap of a convolution sees, with zeros beyond the ends."""
        pads = self.tensor(self.input(1), 4).integers()
        reach = pads[0]
        self.demand(pads == (reach, 0, reach, 0) and reach > 0, f"its frames are padded by {pads}")
        padded, taps = self.take("Pad", x, self.input(1)), 2 * reach + 1
        pieces = []
        for tap in range(taps):
            bounds = [self.input(number) for number in (1, 2, 3)]
            found = [self.tensor(each, 1).integers()[0] for each in bounds]
            wanted = [tap, tap - taps + 1 or _TO_THE_END, 0]
            self.demand(found == wanted, f"it takes frames {found} (first, last, axis), not {wanted}")
            pieces.append(self.take("Slice", padded, *bounds))
        return pieces

    def _block(self, name: str, x: str, taps: int) -> str:
        pieces = self._shifted(x)
        self.demand(len(pieces) == taps, f"its convolutions have kernel sizes {taps} and {len(pieces)}")
        kernel: list[_Floats] = []
        total = ""
        for piece in pieces:
            product, factors = self._by("Mul", piece, -1)
            if not kernel:
                total = self.input(0)
                self._weights[f"{name}.depthwise.bias"] = self.tensor(total, len(factors)).floats()
            total = self.take("Add", total, product)
            self.demand(not kernel or len(factors) == len(kernel[0]), "taps of a convolution have several sizes")
            kernel.append(factors)
        self._weights[f"{name}.depthwise.weight"] = np.stack(kernel)
        y = self.take("Gelu", self._linear(f"{name}.up", self._norm(f"{name}.norm", total)))
        return self.take("Add", x, self._linear(f"{name}.down", y))

    def _levels(self, x: str, natural: str, mel: MelInput) -> str:
        """The last matrix: from channels and the normalized mel to logarithms of bins and of corrected bands.

        The model adds to what it makes of the channels x a start from the natural mel m, (m - level) / power * spread,
        and, for the bands, m itself. With m = deviation * n + mean these are a matrix of the normalized mel n and a
        bias. They are computed in float64, by sums that no library of a processor's own takes, and rounded once.
        """
        bands = len(mel.mean)
        apart, level = self._by("Sub", natural, bands)
        halved, power = self._by("Div", apart)
        spread, start = self._matrix(halved)
        self.demand(spread.shape[0] == bands, "its start from the mel is not from its bands")
        logs = self.take("Add", self._linear("bins", x), start)
        wanted = self.take("Add", natural, self._linear("bands", x))
        (bins, bins_bias), (corrections, corrections_bias) = (
            (self._weights.pop(f"{name}.weight"), self._weights.pop(f"{name}.bias")) for name in ("bins", "bands")
        )
        self.demand(len(bins_bias) == spread.shape[1] and len(corrections_bias) == bands, "its outputs do not fit")
        of_mel = spread.astype(np.float64) * (float(mel.deviation) / float(power))
        constant = sum((mel.mean.astype(np.float64) - level)[:, None] / float(power) * spread.astype(np.float64))
        self._weights["head.weight"] = np.concatenate(
            [
                np.concatenate([bins, corrections], axis=1),
                np.concatenate([of_mel, np.eye(bands) * float(mel.deviation)], axis=1),
            ]
        )
        self._weights["head.bias"] = np.concatenate([bins_bias + constant, corrections_bias + mel.mean])
        return self.take("Concat", logs, wanted, axis=1)

    # ---- nodes with constants

    def _by(self, operator: str, x: str, *shape: int) -> tuple[str, _Floats]:
        """A node with a constant as its second input: its output, and the constant."""
        values = self.tensor(self.input(1), *shape).floats()
        return self.take(operator, x, self.input(1)), values

    def _matrix(self, x: str) -> tuple[NDArray[np.float16], str]:
        """A matrix in half precision `[inputs, outputs]`, and the product with it."""
        half = self.tensor(self.input(0), -1, -1).halves()
        return half, self.take("MatMul", x, self.take("Cast", self.input(0), to=FLOAT32))

    def _linear(self, name: str, x: str) -> str:
        """A matrix and a bias, which are kept under a name."""
        weight, product = self._matrix(x)
        self._weights[f"{name}.weight"] = weight
        output, self._weights[f"{name}.bias"] = self._by("Add", product, weight.shape[1])
        return output

    def _norm(self, name: str, x: str) -> str:
        """A layer norm, which is kept under a name."""
        epsilon = self.node.attributes.get("epsilon")
        if not isinstance(epsilon, float):
            raise UnknownGraphError(f"a layer norm has the epsilon {epsilon!r:.40}")
        self._epsilons.add(float(str(np.float32(epsilon))))  # 1e-06, not what float32 holds of it
        for number, part in ((1, "weight"), (2, "bias")):
            self._weights[f"{name}.{part}"] = self.tensor(self.input(number), -1).floats()
        return self.take("LayerNormalization", x, self.input(1), self.input(2), axis=-1, epsilon=epsilon)
