"""iSTFTNet checkpoints (rishikksh20/iSTFTNet-pytorch) to ONNX models: HiFi-GAN's layers, but fewer stages.

Kaneko, Tanaka, Kameoka, Seki: iSTFTNet (2022), https://arxiv.org/abs/2203.02395. The inverse transform is in the model:
its windows are short (16 samples), and it is a transposed convolution.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.checkpoints.family import Family, Settings
from pipeline.checkpoints.hifigan_config import GeneratorShape, HifiganConfig
from pipeline.checkpoints.hifigan_graph import build_generator
from pipeline.checkpoints.hifigan_layers import Generator, Layer, generator
from pipeline.checkpoints.onnx_graph import Graph
from pipeline.checkpoints.state_dict import State, layer_weight
from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec, Normalization

_TITLE = "iSTFTNet"
_MOST_FFT = 4096


@dataclass(frozen=True)
class IstftnetConfig:
    """The keys of iSTFTNet's config.json.

    Args:
        shape: shape of the generator, in HiFi-GAN's keys; the product of `upsample_rates` times `hop` is the mel's hop.
        n_fft: value of `gen_istft_n_fft`, length of the inverse transform and of its periodic Hann window [samples].
        hop: value of `gen_istft_hop_size`, distance from one position of the last layer to the next [samples].
        values: the decoded config.json.

    Raises:
        ConfigError: if a value is impossible.
    """

    shape: GeneratorShape
    n_fft: int
    hop: int
    values: Mapping[str, Any]

    def __post_init__(self) -> None:
        sizes = self.n_fft, self.hop
        # With a hop above half of the window, samples would rest on the tail of a single window. A frame must have more
        # samples than the two ends together, which get their own factors.
        if not all(type(size) is int and 0 < size <= _MOST_FFT for size in sizes) or self.n_fft % (2 * self.hop):
            raise ConfigError(
                f"{_TITLE} config: gen_istft_n_fft is {self.n_fft!r:.40}, gen_istft_hop_size is {self.hop!r:.40}; they "
                f"must be numbers from 1 to {_MOST_FFT}, and the first an even multiple of the second"
            )
        if self.frame < self.n_fft:
            raise ConfigError(
                f"{_TITLE} config: upsample_rates times gen_istft_hop_size make {self.frame} samples of a frame, fewer "
                f"than gen_istft_n_fft, {self.n_fft}"
            )

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], where: str = "config.json") -> IstftnetConfig:
        """The config in a decoded config.json; keys that concern training are ignored.

        Args:
            plain: the decoded file.
            where: the file's name, for messages.

        Raises:
            ConfigError: if a key is missing or a value is impossible.
        """
        names = "gen_istft_n_fft", "gen_istft_hop_size"
        if missing := [name for name in names if name not in plain]:
            raise ConfigError(
                f"{_TITLE}: {where}: missing key {', '.join(missing)}; give the config of this checkpoint with "
                "--config FILE"
            )
        return cls(GeneratorShape.from_dict(plain), plain[names[0]], plain[names[1]], plain)

    @property
    def frame(self) -> int:
        """Number of samples that a mel frame becomes."""
        return self.shape.hop * self.hop

    def mel_spec(self) -> MelSpec:
        """The mels of meldataset.py, which is that of HiFi-GAN, with this config's numbers.

        Raises:
            ConfigError: if a number is missing, or no mel can have these numbers.
        """
        rates = [*self.shape.upsample_rates, self.hop]
        kernels = [*self.shape.upsample_kernel_sizes, self.hop]
        like_hifigan = {**self.values, "upsample_rates": rates, "upsample_kernel_sizes": kernels}
        return HifiganConfig.from_dict(like_hifigan).mel_spec()


def istftnet_layers(config: IstftnetConfig) -> Generator:
    """The layers of a generator: `Generator` of models.py, and the inverse transform of stft.py, centred."""
    layers = generator(config.shape)
    channels, n_fft = config.n_fft + 2, config.n_fft
    post = dataclasses.replace(layers.post, outputs=channels, mirrored=1)
    synthesis = Layer("istft", channels, 1, n_fft, rate=config.hop, cut=(n_fft // 2, n_fft // 2), bias=False)
    return dataclasses.replace(layers, post=post, synthesis=synthesis)


def build_istftnet(
    state: State, settings: Settings, stats: Normalization | None = None, source: str = ""
) -> onnx.ModelProto:
    """A generator as an ONNX model: mel `[batch, n_mels, frames] float32` -> waveform `[batch, samples] float32`.

    Args:
        state: the generator's state dict.
        settings: the settings from its config.json.
        stats: statistics, which are not used: iSTFTNet has no normalization.
        source: sha256 of the checkpoint file, hexadecimal, for the model's card.

    Raises:
        CheckpointError: if keys are missing or left over, or a shape is not what the config asks for.
        ConfigError: if the config is wrong.
    """
    config = IstftnetConfig.from_dict(settings.values, settings.where)
    spec = settings.contract(_TITLE, config.mel_spec, config.shape.num_mels, config.frame)
    return build_generator(
        state, istftnet_layers(config), spec, "istftnet", _TITLE, source,
        finish=lambda graph, x: _inverse_transform(graph, x, config.n_fft, config.hop),
    )  # fmt: skip


def _matches(state: State) -> bool:
    post = layer_weight(state, "conv_post")
    return "conv_pre.bias" in state and "ups.0.bias" in state and post is not None and len(post) > 1


FAMILY = Family("istftnet", "iSTFTNet, rishikksh20", _matches, build_istftnet)


def _inverse_transform(graph: Graph, x: str, n_fft: int, hop: int) -> str:
    """models.py, the end of `Generator.forward`, and stft.py, TorchSTFT.inverse (torch.istft, centred).

    The first half of the channels are logarithms of magnitudes; the sine of the second half is the phase.
    """
    bins, channels = 1 + n_fft // 2, graph.integers(1)
    magnitude = graph.node("Exp", graph.node("Slice", x, graph.integers(0), graph.integers(bins), channels))
    phase = graph.node("Sin", graph.node("Slice", x, graph.integers(bins), graph.integers(2 * bins), channels))
    parts = [graph.node("Mul", magnitude, graph.node(function, phase)) for function in ("Cos", "Sin")]
    basis, begin, finish = _synthesis(n_fft, hop)
    half = n_fft // 2
    signal = graph.transposed_convolution(
        graph.node("Concat", *parts, axis=1), "istft", basis, rate=hop, padding=(half, half)
    )
    if not len(begin):
        return signal
    time, edge, infinity = graph.integers(3), len(begin), graph.integers(1 << 62)
    first, middle, last = (
        graph.node("Slice", signal, start, stop, time)
        for start, stop in (
            (graph.integers(0), graph.integers(edge)),
            (graph.integers(edge), graph.integers(-edge)),
            (graph.integers(-edge), infinity),
        )
    )
    first = graph.node("Mul", first, graph.constant("istft.first", begin))
    last = graph.node("Mul", last, graph.constant("istft.last", finish))
    return graph.node("Concat", first, middle, last, axis=3)


def _synthesis(n_fft: int, hop: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """An inverse transform as a transposed convolution, and what the waveform's ends are multiplied with.

    A frame's sample n is the sum of Re c_k cos(2 pi k n / N) - Im c_k sin(2 pi k n / N) over the bins k of both halves
    of the spectrum, over N, times the window. The overlapping frames' sum is divided by that of their squared windows,
    which repeats with every hop and so is part of the kernel, except for N / 2 - hop samples at each end, which fewer
    frames cover.

    Returns:
        basis `[2 bins, 1, n_fft] float32`, and two times `[n_fft / 2 - hop] float32`: left end, right end.
    """
    samples, bins, half = np.arange(n_fft), np.arange(1 + n_fft // 2), n_fft // 2
    squared = np.square(0.5 - 0.5 * np.cos(2 * np.pi * samples / n_fft))
    envelope = np.tile(squared.reshape(-1, hop).sum(axis=0), n_fft // hop)
    angles = 2 * np.pi * (bins[:, None] * samples % n_fft) / n_fft
    both = np.where((bins == 0) | (bins == half), 1, 2)[:, None] / n_fft
    basis = np.concatenate([both * np.cos(angles), -both * np.sin(angles)]) * np.sqrt(squared) / envelope
    # The first sample is sample N / 2 of the first frame, the last one N / 2 - 1 of the last frame. On the left, frames
    # of earlier samples are missing (those before the first), on the right those of later ones.
    begin = [squared[place::-hop].sum() for place in range(half, n_fft - hop)]
    finish = [squared[place::hop].sum() for place in range(hop, half)]
    # The last bits of a cosine depend on the machine; the model's bytes must not.
    return (
        np.round(basis, 12)[:, None].astype(np.float32),
        np.round(envelope[half : n_fft - hop] / begin, 12).astype(np.float32),
        np.round(envelope[hop:half] / finish, 12).astype(np.float32),
    )
