"""HiFi-GAN, BigVGAN and iSTFTNet in melmill's own compiled kernels."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import VocoderError
from pipeline.kernels.hifigan.generator import HifiganGenerator, buffer_bytes
from pipeline.kernels.hifigan.geometry import LayerRows
from pipeline.kernels.hifigan.shape import HifiganShape, Precision, why_not
from pipeline.kernels.hifigan.weights import HifiganLayout, transformed
from pipeline.kernels.mapped import mapped
from pipeline.kernels.target import Target, available, required
from pipeline.vocoders.base import Backend, Window
from pipeline.vocoders.generator_in_onnx import read_generator
from pipeline.vocoders.onnx_model import OnnxModel


def why_not_native(shape: HifiganShape, slow_too: bool = False) -> str | None:
    """Why the native kernels do not run a generator in this process, as text; None if they do.

    Args:
        shape: the shape of the generator, with its precision.
        slow_too: whether they may run where they are slower than onnxruntime, because the processor has no fused
            multiply-add.
    """
    if (why := why_not(shape)) is not None:
        return f"the native kernels do not take its shape: {why}"
    target = available()
    if isinstance(target, str):
        return f"there are no native kernels here: {target}"
    if target.slow and not slow_too:
        return f"the native kernels are slow here: {target.name}"
    if shape.precision == "mixed" and not target.bfloat16:
        return f"mixed precision needs AVX512_BF16, which the target of the kernels, {target.name}, lacks"
    return None


class NativeVocoder:
    """A `Vocoder` from an .onnx file that melmill made from a checkpoint of HiFi-GAN, BigVGAN or
    iSTFTNet.

    A window's samples are those of the whole mel, bit for bit, and the same on every processor (in mixed precision: on
    every processor with AVX512_BF16). The first `decode` in a process loads the code and maps the weights; the first on
    a machine compiles the code and transforms the weights. Several threads may decode at once: each has its own
    buffers. A pickle holds the path of the model, not its weights.

    Args:
        model: a model with a generator that `why_not_native` has nothing against.
        name: the vocoder's name; the stem of the model's file if None.
        precision: precision of its products.
    """

    def __init__(self, model: OnnxModel, name: str | None = None, precision: Precision = "float32") -> None:
        assert model.generator is not None
        self.name = model.path.stem if name is None else name
        self.digest = model.native_digest(precision)
        self.spec = model.card.spec
        self._shape = dataclasses.replace(model.generator, precision=precision)
        self._geometry = LayerRows(self._shape)
        self.halo = self._geometry.halo
        self._model = model
        self._lock = threading.Lock()
        self._generator: HifiganGenerator | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return NativeVocoder, (self._model, self.name, self._shape.precision)

    @property
    def window(self) -> int:
        """See `Vocoder.window`. At HiFi-GAN V1's 22050 Hz 512 frames are 6 s, and the halos add 5 % of work."""
        return 512

    @property
    def backend(self) -> Backend:
        """See `Vocoder.backend`."""
        return Backend("native", None, self._model.elsewhere(self.digest), self._shape.precision)

    @property
    def shared_memory(self) -> int:
        """See `Vocoder.shared_memory`: the transformed weights."""
        target = available()
        return 0 if isinstance(target, str) else 4 * HifiganLayout(self._shape, target).numbers

    def samples(self, frames: int) -> int:
        """Length of the waveform of `frames` frames [samples]."""
        return self._shape.samples(frames)

    def memory(self, frames: int) -> int:
        """See `Vocoder.memory`: the buffers."""
        return buffer_bytes(self._shape, frames)

    def decode(self, mel: NDArray[np.float32], window: Window | None = None) -> NDArray[np.float32]:
        """See `Vocoder.decode`.

        Raises:
            BadMelError: if the mel does not have the shape that the model takes, or is not finite.
            ConfigError: if the model's file has changed since it was opened, or nothing can be compiled here.
            VocoderError: if the window has not all of the halo that its core needs.
        """
        window = window or Window.whole(mel.shape[-1])
        self._model.check(mel[None], self.name, window.frames)
        first, last = self._geometry.spans(window.core_start, window.core_stop, window.frames)[0]
        if first < window.start or last > window.stop:
            raise VocoderError(
                f"{self.name}: frames {window.core_start} to {window.core_stop} need frames {first} to {last}; "
                f"{window.start} to {window.stop} were given"
            )
        return self._own_generator().decode(mel, window.start, window.frames, window.core_start, window.core_stop)

    def prepare(self) -> None:
        """Compiles the code and transforms the weights if this machine does not have them yet."""
        self._own_generator()

    def _own_generator(self) -> HifiganGenerator:
        with self._lock:
            if self._generator is None:
                target = required(self.name)
                self._generator = HifiganGenerator(self._shape, self._weights(target), target)
            return self._generator

    def _weights(self, target: Target) -> NDArray[np.float32]:
        """The transformed weights, in a file that the processes of a machine share."""

        def transform() -> NDArray[np.float32]:
            return transformed(self._shape, read_generator(self._model.content()).weights, target)

        return mapped(("hifigan", self.digest, self._shape, target), transform)
