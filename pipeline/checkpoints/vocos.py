"""Vocos checkpoints that take mels (`pytorch_model.bin` and `config.yaml`) to ONNX models.

The model ends at the spectrum; `istft_vocoder` transforms it back.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.checkpoints.card_in_onnx import write_card
from pipeline.checkpoints.family import Family, Settings
from pipeline.checkpoints.model_card import Card
from pipeline.checkpoints.onnx_graph import Graph
from pipeline.checkpoints.state_dict import State, StateReader
from pipeline.checkpoints.vocos_config import VocosConfig
from pipeline.dsp.filterbank import mel_filterbank
from pipeline.errors import CheckpointError
from pipeline.melspec import Normalization

# models.py, modules.py: `embed` and `dwconv` have 7 taps; LayerNorm's eps. heads.py: the clip of the magnitudes.
_KERNEL, _REACH = 7, 3
_EPSILON = 1e-6
_LOUDEST = 100.0
# Memory of a frame in onnxruntime's arena, in tensors of the size of the largest activation: measured, rounded up.
_LIVE_TENSORS = 4
_BANK = "feature_extractor.mel_spec.mel_scale.fb"
_WINDOW = "head.istft.window"
# Largest difference of a checkpoint's filterbank and window from ours; both are float32 and at most 1.
_TOLERANCE = 1e-4


def build_vocos(
    state: State, settings: Settings, stats: Normalization | None = None, source: str = ""
) -> onnx.ModelProto:
    """A model: mel `[batch, n_mels, frames] float32` -> spectrum `[batch, 2, frames, bins] float32`, real, imaginary.

    Args:
        state: the model's state dict.
        settings: the settings from its config.yaml.
        stats: statistics, which are not used: Vocos has no normalization.
        source: sha256 of the checkpoint file, hexadecimal, for the model's card.

    Raises:
        CheckpointError: if keys are missing or left over, or a shape is not what the config asks for, or the state dict
            holds a filterbank or window that differs from the config's.
        ConfigError: if the config is wrong.
    """
    config = VocosConfig.of(settings)
    spec = settings.contract("Vocos", lambda: config.features, config.input_channels, config.istft.hop)
    _check_buffers(state, config)
    reader = StateReader(state, "Vocos")
    reader.ignore(key for key in state if key.startswith("feature_extractor.mel_spec.") or key == _WINDOW)
    builder = _Builder(reader, config)
    x = builder.convolution("backbone.embed", config.input_channels, builder.graph.signal())
    x = builder.to_signal(builder.layer_norm("backbone.norm", builder.to_rows(x)))
    for number in range(config.num_layers):
        x = builder.block(f"backbone.convnext.{number}", x)
    builder.spectrum(builder.layer_norm("backbone.final_layer_norm", builder.to_rows(x)))
    reader.close()
    bins = 1 + config.istft.n_fft // 2
    model = builder.graph.model("vocos", spec.n_mels, "spectrum", ("batch", 2, "frames", bins))
    reach = _REACH * (1 + config.num_layers)
    left, right = config.istft.halo
    card = Card(
        family="vocos",
        spec=spec,
        halo=(reach + left, reach + right),
        extra_samples=config.istft.samples(1) - spec.hop_length,
        frame_bytes=_LIVE_TENSORS * 4 * max(config.intermediate_dim, 2 * bins),
        source=source,
        istft=config.istft,
    )
    write_card(model, card)
    return model


FAMILY = Family(
    name="vocos",
    title="Vocos from mels",
    matches=lambda state: "head.out.weight" in state and any(key.startswith("backbone.convnext.") for key in state),
    build=build_vocos,
)


def _check_buffers(state: State, config: VocosConfig) -> None:
    """Refuses a checkpoint whose filterbank or window is not that of its config."""
    bank, window = mel_filterbank(config.features).T, _hann(config.istft.n_fft)
    for name, expected in ((_BANK, bank), (_WINDOW, window)):
        found = state.get(name)
        if found is not None and (found.shape != expected.shape or not np.allclose(found, expected, atol=_TOLERANCE)):
            raise CheckpointError(
                f"Vocos: {name} {found.shape} differs from that of its config, {expected.shape}: "
                "these weights were trained with other mels or another transform"
            )


def _hann(length: int) -> NDArray[np.float64]:
    """torch.hann_window: periodic."""
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return window


class _Builder:
    """Adds the layers of models.py to a graph, with the weights of a state dict.

    Values are signals, `[batch, channels, 1, frames]`, or rows, `[batch, 1, frames, channels]`.
    """

    def __init__(self, reader: StateReader, config: VocosConfig) -> None:
        self.graph = Graph()
        self._reader, self._config = reader, config

    def to_rows(self, x: str) -> str:
        return self.graph.node("Transpose", x, perm=[0, 2, 3, 1])

    def to_signal(self, x: str) -> str:
        return self.graph.node("Transpose", x, perm=[0, 3, 1, 2])

    def convolution(self, name: str, inputs: int, x: str, groups: int = 1) -> str:
        dim = self._config.dim
        weight = self._reader.take(f"{name}.weight", (dim, inputs // groups, _KERNEL))
        bias = self._reader.take(f"{name}.bias", (dim,))
        if self._reader.incomplete:  # `close` reports it, once all keys were asked for
            return x
        return self.graph.convolution(x, name, weight, bias, padding=(_REACH, _REACH), groups=groups)

    def layer_norm(self, name: str, x: str) -> str:
        graph, keys = self.graph, (f"{name}.weight", f"{name}.bias")
        values = [self._reader.take(key, (self._config.dim,)) for key in keys]
        if self._reader.incomplete:
            return x
        constants = [graph.constant(key, value) for key, value in zip(keys, values, strict=True)]
        return graph.node("LayerNormalization", x, *constants, axis=-1, epsilon=_EPSILON)

    def linear(self, name: str, inputs: int, outputs: int, x: str, scale: NDArray[np.float32] | None = None) -> str:
        """torch.nn.Linear on rows, its outputs scaled."""
        weight = self._reader.take(f"{name}.weight", (outputs, inputs))
        bias = self._reader.take(f"{name}.bias", (outputs,))
        if self._reader.incomplete:
            return x
        if scale is not None:
            weight, bias = weight * scale[:, None], bias * scale
        graph = self.graph
        product = graph.node("MatMul", x, graph.constant(f"{name}.weight", weight.T))
        return graph.node("Add", product, graph.constant(f"{name}.bias", bias))

    def block(self, name: str, x: str) -> str:
        """A ConvNeXt block; the exact GELU, x (1 + erf(x / sqrt 2)) / 2."""
        graph, dim, inner = self.graph, self._config.dim, self._config.intermediate_dim
        rows = self.to_rows(self.convolution(f"{name}.dwconv", dim, x, groups=dim))
        rows = self.linear(f"{name}.pwconv1", dim, inner, self.layer_norm(f"{name}.norm", rows))
        erf = graph.node("Erf", graph.node("Div", rows, graph.number(math.sqrt(2))))
        rows = graph.node("Mul", graph.node("Mul", rows, graph.node("Add", erf, graph.number(1.0))), graph.number(0.5))
        gamma = self._reader.take(f"{name}.gamma", (dim,)) if self._config.layer_scale else None
        return graph.node("Add", x, self.to_signal(self.linear(f"{name}.pwconv2", inner, dim, rows, gamma)))

    def spectrum(self, rows: str) -> str:
        """heads.py, ISTFTHead: the first half are logarithms of magnitudes, the second half phases."""
        graph, bins = self.graph, 1 + self._config.istft.n_fft // 2
        halves = self.linear("head.out", self._config.dim, 2 * bins, rows)
        first, second, end, last = (graph.integers(value) for value in (0, bins, 2 * bins, 3))
        magnitude = graph.node("Exp", graph.node("Slice", halves, first, second, last))
        magnitude = graph.node("Min", magnitude, graph.number(_LOUDEST))
        phase = graph.node("Slice", halves, second, end, last)
        parts = [graph.node("Mul", magnitude, graph.node(function, phase)) for function in ("Cos", "Sin")]
        return graph.node("Concat", *parts, axis=1, output="spectrum")
