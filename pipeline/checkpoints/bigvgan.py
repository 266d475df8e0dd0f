"""BigVGAN checkpoints (`bigvgan_generator.pt`, `g_########`), v1 and v2, to ONNX models.

Lee, Ping, Ginsburg, Catanzaro, Yoon: BigVGAN (2023), https://arxiv.org/abs/2206.04658; code: NVIDIA/BigVGAN. Its layers
are those of HiFi-GAN, with other activations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.checkpoints.family import Family, Settings
from pipeline.checkpoints.hifigan_config import HifiganConfig
from pipeline.checkpoints.hifigan_graph import build_generator
from pipeline.checkpoints.hifigan_layers import Generator, Layer, Names, generator
from pipeline.checkpoints.onnx_graph import Graph
from pipeline.checkpoints.state_dict import State, StateReader
from pipeline.errors import ConfigError
from pipeline.melspec import Normalization

Activation = Literal["snake", "snakebeta"]

_TITLE = "BigVGAN"
# Taps of an activation's two filters: the defaults of Activation1d, which bigvgan.py leaves as they are.
_TAPS = 12
# Number of positions on each side on which a phase of either filter depends; see `_phases`.
_SPREAD = 3
# The same for both filters together: position t needs samples 2t - 5 .. 2t + 6, that is from the second one of t - 3 to
# the first one of t + 3. The former needs positions t - 3 - 2 .. t - 3 + 3, the latter none after t + 3 + 2.
_REACH = 5
# activations.py: Snake.no_div_by_zero.
_NO_DIVISION_BY_ZERO = 1e-9
# Memory of a frame in onnxruntime's arena, in tensors of the size of the largest activation: measured on BigVGAN-base.
_LIVE_TENSORS = 16


@dataclass(frozen=True)
class BigvganConfig:
    """The keys of BigVGAN's config.json that define the generator together with HiFi-GAN's, under their own names.

    Args:
        activation: kind of activation, "snake" (one parameter for each channel) or "snakebeta" (two).
        snake_logscale: whether the checkpoint holds the logarithms of these parameters.
        use_tanh_at_final: whether the waveform ends in a tanh (v1) or is clipped to -1 .. 1 (v2).
        use_bias_at_final: whether the last layer has a bias (v1) or none (v2).

    Raises:
        ConfigError: if a value is impossible.
    """

    activation: Activation
    snake_logscale: bool
    use_tanh_at_final: bool = True
    use_bias_at_final: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.activation, str) or self.activation not in get_args(Activation):
            raise ConfigError(f"{_TITLE} config: activation is {self.activation!r:.40}; it must be snake or snakebeta")
        for name in ("snake_logscale", "use_tanh_at_final", "use_bias_at_final"):
            if not isinstance(value := getattr(self, name), bool):
                raise ConfigError(f"{_TITLE} config: {name} is {value!r:.40}; it must be true or false")

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], where: str = "config.json") -> BigvganConfig:
        """The config in a decoded config.json; all other keys are ignored.

        Args:
            plain: the decoded file.
            where: the file's name, for messages.

        Raises:
            ConfigError: if a key is missing or a value is impossible.
        """
        if missing := [name for name in ("activation", "snake_logscale") if name not in plain]:
            raise ConfigError(
                f"{_TITLE}: {where}: missing key {', '.join(missing)}; give the config of this checkpoint with "
                "--config FILE"
            )
        return cls(**{field.name: plain[field.name] for field in dataclasses.fields(cls) if field.name in plain})


def bigvgan_layers(shape: HifiganConfig, config: BigvganConfig) -> Generator:
    """The layers of a generator: `BigVGAN`, `AMPBlock1` and `AMPBlock2` of bigvgan.py."""
    layers = generator(shape, Names(up="ups.{stage}.0"))
    post = dataclasses.replace(layers.post, bias=config.use_bias_at_final)
    return dataclasses.replace(layers, post=post, reach=_REACH)


def build_bigvgan(
    state: State, settings: Settings, stats: Normalization | None = None, source: str = ""
) -> onnx.ModelProto:
    """A generator as an ONNX model: mel `[batch, n_mels, frames] float32` -> waveform `[batch, samples] float32`.

    Args:
        state: the generator's state dict.
        settings: the settings from its config.json.
        stats: statistics, which are not used: BigVGAN has no normalization.
        source: sha256 of the checkpoint file, hexadecimal, for the model's card.

    Raises:
        CheckpointError: if keys are missing or left over, or a shape is not what the config asks for.
        ConfigError: if the config is wrong.
    """
    config = BigvganConfig.from_dict(settings.values, settings.where)
    shape = HifiganConfig.from_dict(settings.values)
    layers = bigvgan_layers(shape, config)
    names = _activation_names(layers)

    def activate(graph: Graph, reader: StateReader, layer: Layer, x: str) -> str:
        return _Activation(graph, reader, config, names[layer.name], layer.inputs).add(x) if layer.name in names else x

    def finish(graph: Graph, x: str) -> str:
        if config.use_tanh_at_final:
            return graph.node("Tanh", x)
        return graph.node("Clip", x, graph.number(-1.0), graph.number(1.0))

    spec = settings.contract(_TITLE, shape.mel_spec, shape.num_mels, shape.hop)
    return build_generator(
        state, layers, spec, "bigvgan", _TITLE, source,
        activate=activate, finish=finish, live_tensors=_LIVE_TENSORS,
    )  # fmt: skip


FAMILY = Family(
    name="bigvgan",
    title="BigVGAN, v1 and v2",
    matches=lambda state: "conv_pre.bias" in state and "activation_post.act.alpha" in state,
    build=build_bigvgan,
)


def _activation_names(layers: Generator) -> dict[str, str]:
    """The activation that stands before a layer, by the layer's name; each branch counts its own."""
    names = {layers.post.name: "activation_post"}
    for stage in layers.stages:
        for branch in stage.branches:
            for number, layer in enumerate(layer for unit in branch for layer in unit):
                block = ".".join(layer.name.split(".")[:2])
                names[layer.name] = f"{block}.activations.{number}"
    return names


@dataclass(frozen=True)
class _Activation:
    """Upsampling to twice the rate, snake, and back down: `Activation1d` of alias_free_activation/torch.

    The doubled signal is an image of two rows, its even samples above its odd ones. So no operator has a stride, and
    both filters are depthwise convolutions of images, for which onnxruntime has kernels with blocked channels. With one
    thread on AVX2, BigVGAN-base takes 1.24 s of processor time for a second of audio this way, and 1.54 s with torch's
    operators, a depthwise ConvTranspose and a Conv of stride 2. The sines take a third of what remains.
    """

    graph: Graph
    reader: StateReader
    config: BigvganConfig
    name: str
    channels: int

    def add(self, x: str) -> str:
        """The activation of x, both `[batch, channels, 1, length]`."""
        graph = self.graph
        # Rows above and below x are zero, so that each output row sees x through one row of the kernel.
        up = 2 * self._phases("upsample", upward=True)[::-1]
        x = graph.pad(x, _SPREAD, _SPREAD, "edge")
        x = graph.node("Conv", x, self._kernel("up", up), group=self.channels, pads=[1, 0, 1, 0])
        down = self._kernel("down", self._phases("downsample.lowpass", upward=False))
        return graph.node("Conv", self._ends(self._snake(x)), down, group=self.channels)

    def _snake(self, x: str) -> str:
        """x + sin(alpha x)^2 / beta; for "snake", beta is alpha. The runtime takes the exponentials of logarithms,
        once, so that the model's bytes do not depend on this machine."""
        graph = self.graph
        alpha = self._parameter("alpha")
        beta = alpha if self.config.activation == "snake" else self._parameter("beta")
        sine = graph.node("Sin", graph.node("Mul", x, alpha))
        scale = graph.node("Reciprocal", graph.node("Add", beta, graph.number(_NO_DIVISION_BY_ZERO)))
        return graph.node("Add", x, graph.node("Mul", graph.node("Mul", sine, sine), scale))

    def _ends(self, x: str) -> str:
        """The doubled signal `[batch, channels, 2, length]`, extended: its first sample, in the upper row, is repeated
        before both rows, and its last one, in the lower row, after them."""
        graph = self.graph
        axes, times = graph.integers(2, 3), graph.integers(1, 1, 2, _SPREAD)
        first = graph.node("Slice", x, graph.integers(0, 0), graph.integers(1, 1), axes)
        last = graph.node("Slice", x, graph.integers(1, -1), graph.integers(2, 1 << 62), axes)
        return graph.node("Concat", graph.node("Tile", first, times), x, graph.node("Tile", last, times), axis=3)

    def _parameter(self, key: str) -> str:
        name = f"{self.name}.act.{key}"
        constant = self.graph.channels(name, self.reader.take(name, (self.channels,)))
        return self.graph.node("Exp", constant) if self.config.snake_logscale else constant

    def _kernel(self, key: str, rows: NDArray[np.float32]) -> str:
        return self.graph.constant(f"{self.name}.{key}", np.broadcast_to(rows, (self.channels, 1, *rows.shape)))

    def _phases(self, key: str, upward: bool) -> NDArray[np.float32]:
        """A filter of the doubled rate against t - 3 .. t + 3 of the single rate, `[2, 7] float32`: a row for samples
        2t, and one for 2t + 1.

        With what the code pads and cuts off, sampling up (resample.py, UpSample1d) sums taps[n + 5 - 2m] x[m] to sample
        n, and sampling down (filter.py, LowPassFilter1d) sums taps[n + 5 - 2t] u[n] to position t.
        """
        taps = self.reader.take(f"{self.name}.{key}.filter", (1, 1, _TAPS))[0, 0]
        phases = np.zeros((2, 2 * _SPREAD + 1), np.float32)
        for phase in (0, 1):
            for column, away in enumerate(range(-_SPREAD, _SPREAD + 1)):
                tap = phase + 5 - 2 * away if upward else phase + 5 + 2 * away
                if 0 <= tap < _TAPS:
                    phases[phase, column] = taps[tap]
        return phases
