"""lift's net in compiled code: from a mel to logarithms of magnitudes and of the corrected mel."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.kernels.buffers import aligned
from pipeline.kernels.convnext.net import ConvNext, buffer_bytes
from pipeline.kernels.convnext.shape import why_not
from pipeline.kernels.convnext.weights import ConvNextLayout, packed
from pipeline.kernels.floored_log import LANES, FlooredLog
from pipeline.kernels.mapped import mapped
from pipeline.kernels.recipe import library
from pipeline.kernels.target import Target, available, required
from pipeline.vocoders.lift_in_onnx import LiftInOnnx, MelInput, read_lift
from pipeline.vocoders.node_chain import UnknownGraphError
from pipeline.vocoders.onnx_model import OnnxModel


class LevelNet:
    """lift's net. The first `levels` in a process loads its code and maps its weights; the first on a machine compiles
    and packs them. Several threads may use it at once.

    Args:
        model: the model of a lift.
        target: what it is compiled for; None for this machine. The levels are the same for each.

    Raises:
        ConfigError: if the model has another graph than those that melmill writes.
    """

    def __init__(self, model: OnnxModel, target: Target | None = None) -> None:
        self._model, self._target = model, target
        found = _read(model)
        self._shape, self._mel = found.shape, found.mel
        self._lock = threading.Lock()
        self._made: ConvNext | None = None

    @property
    def weight_bytes(self) -> int:
        """Memory of its weights, which the processes of a machine share [bytes]."""
        target = self._target or available()
        return 0 if isinstance(target, str) else 4 * ConvNextLayout(self._shape, target).numbers

    def memory(self, frames: int) -> int:
        """Memory that `levels` takes for `frames` frames, with its result and without the weights [bytes]."""
        return buffer_bytes(self._shape, frames)

    def levels(self, mel: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the net says of a mel; see `net_magnitude_blocks`.

        Args:
            mel: `[n_mels, frames] float32`, finite, in the values of the model's contract.

        Returns:
            `[frames, bins + n_mels] float32`. Those of a frame are the same bits in every window that has the card's
            halo around it, and on every processor.

        Raises:
            ConfigError: if the model's file has changed since it was opened, or nothing can be compiled here.
        """
        net = self._own_net()
        return net.run(normalized(mel, self._mel, self._target or required("lift")))

    def _own_net(self) -> ConvNext:
        with self._lock:
            if self._made is None:
                target = self._target or required("lift")
                self._made = ConvNext(self._shape, self._weights(target), target)
            return self._made

    def _weights(self, target: Target) -> NDArray[np.float32]:
        """The packed weights, in a file that the processes of a machine share."""

        def pack() -> NDArray[np.float32]:
            return packed(self._shape, _read(self._model).weights, target)

        return mapped(("lift", self._model.digest, self._shape, target), pack)


def normalized(mel: NDArray[np.float32], given: MelInput, target: Target) -> NDArray[np.float32]:
    """A mel as the net takes it, `[n_mels, frames] float32`.

    All is done number by number, and a sum, a product or a quotient of two float32 has one right rounding (IEEE 754).
    """
    x = np.clip(mel, given.least[:, None], given.most[:, None])
    if given.scale is not None and given.offset is not None:
        x = x * given.scale[:, None] + given.offset[:, None]
    x = x / given.log_scale
    if given.added_floor is not None:
        numbers = aligned(-(-x.size // LANES) * LANES)
        numbers[: x.size] = x.ravel()
        library(FlooredLog(given.added_floor), target)["floored"](numbers.ctypes.data, len(numbers))
        x = numbers[: x.size].reshape(x.shape)
    result: NDArray[np.float32] = (x - given.mean[:, None]) / given.deviation
    return result


def _read(model: OnnxModel) -> LiftInOnnx:
    try:
        found = read_lift(model.content())
    except UnknownGraphError as error:
        raise ConfigError(f"{model.path}: this is not the net of a lift that melmill trained: {error}") from error
    if (why := why_not(found.shape)) is not None:
        raise ConfigError(f"{model.path}: the net of this lift cannot be compiled: {why}")
    return found
