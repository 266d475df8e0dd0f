"""ParallelWaveGAN repository's HiFi-GAN (`checkpoint-NNNsteps.pkl`, config.yml, stats.h5) to ONNX models.

kan-bayashi/ParallelWaveGAN, models/hifigan.py, layers/residual_block.py, bin/preprocess.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from pipeline.checkpoints.family import Family, Settings
from pipeline.checkpoints.hifigan_config import GeneratorShape
from pipeline.checkpoints.hifigan_config_dialects import require
from pipeline.checkpoints.hifigan_graph import SLOPE, build_generator
from pipeline.checkpoints.hifigan_layers import Names, Span, generator
from pipeline.checkpoints.state_dict import State, layer_weight
from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec, Normalization

_TITLE = "ParallelWaveGAN's HiFi-GAN"
_NAMES = Names(
    pre="input_conv",
    up="upsamples.{stage}.1",
    first="blocks.{block}.convs1.{unit}.1",
    second="blocks.{block}.convs2.{unit}.1",
    only="blocks.{block}.convs1.{unit}.1",
    post="output_conv.1",
)
_SHAPE = {
    "upsample_rates": "upsample_scales", "upsample_kernel_sizes": "upsample_kernel_sizes",
    "upsample_initial_channel": "channels", "resblock_kernel_sizes": "resblock_kernel_sizes",
    "resblock_dilation_sizes": "resblock_dilations", "num_mels": "in_channels",
}  # fmt: skip
# The defaults of HiFiGANGenerator.
_DEFAULTS: Mapping[str, Any] = {
    "in_channels": 80, "out_channels": 1, "channels": 512, "kernel_size": 7, "upsample_scales": [8, 8, 2, 2],
    "upsample_kernel_sizes": [16, 16, 4, 4], "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilations": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "use_additional_convs": True, "bias": True,
    "nonlinear_activation": "LeakyReLU", "nonlinear_activation_params": {"negative_slope": SLOPE},
    "use_causal_conv": False,
}  # fmt: skip


def _cut(rate: int) -> Span:
    """`padding` is half of the rate, rounded up; for an odd rate `output_padding` cuts one less on the right."""
    return rate // 2 + rate % 2, rate // 2


def _matches(state: State) -> bool:
    return all(layer_weight(state, name) is not None for name in ("input_conv", "upsamples.0.1", "output_conv.1"))


def _build(state: State, settings: Settings, stats: Normalization | None, source: str) -> onnx.ModelProto:
    kind = settings.values.get("generator_type", "HiFiGANGenerator")
    if kind != "HiFiGANGenerator":
        raise ConfigError(f"{_TITLE}: {settings.where} is the config of a {kind!r:.60}, which is another model")
    params = {**_DEFAULTS, **settings.section(_TITLE, "generator_params")}
    for name, wanted in (("use_causal_conv", False), ("out_channels", 1), ("nonlinear_activation", "LeakyReLU")):
        if params[name] != wanted:
            raise ConfigError(f"{_TITLE}: {settings.where}: {name} is {params[name]!r:.40}; only {wanted} can be built")
    activation, edge = params["nonlinear_activation_params"], params["kernel_size"]
    slope = activation.get("negative_slope", 0.01) if isinstance(activation, Mapping) else activation
    if not isinstance(slope, float) or type(edge) is not int or not 0 < edge < 1024 or edge % 2 == 0:
        raise ConfigError(f"{_TITLE}: {settings.where}: negative_slope {slope!r:.40}, kernel_size {edge!r:.40}")
    shape = GeneratorShape.from_dict(
        {ours: params[theirs] for ours, theirs in _SHAPE.items()}
        | {"resblock": "1" if params["use_additional_convs"] else "2"}
    )
    layers = generator(shape, _NAMES, _cut, edge)
    if not params["bias"]:
        layers = layers.without_bias()
    state, stats = _statistics(state, stats)
    spec = settings.contract(_TITLE, lambda: _mel_spec(settings.values, stats), shape.num_mels, shape.hop)
    if stats is not None and spec.normalization is None:
        spec = dataclasses.replace(spec, normalization=stats)
    return build_generator(state, layers, spec, FAMILY.name, _TITLE, source, slope=slope)


def _statistics(state: State, stats: Normalization | None) -> tuple[State, Normalization | None]:
    """The state dict without the statistics that `register_stats` put there, and the normalization."""
    rest = {key: value for key, value in state.items() if key not in ("mean", "scale")}
    if stats is None and "mean" in state and "scale" in state:
        mean, scale = (tuple(float(value) for value in np.ravel(state[key])) for key in ("mean", "scale"))
        stats = Normalization(mean, scale)
    return rest, stats


def _mel_spec(values: Mapping[str, Any], stats: Normalization | None) -> MelSpec:
    """bin/preprocess.py, logmelfilterbank, and bin/normalize.py."""
    found = require(values, "it", "sampling_rate", "fft_size", "hop_size", "num_mels")
    rate = found["sampling_rate"]
    if stats is None:
        raise ConfigError(
            "its mels are normalized, and the statistics are missing: give them with --stats stats.h5 or stats.npy"
        )
    if values.get("window", "hann") != "hann" or values.get("sampling_rate_for_feats") is not None:
        raise ConfigError("its window is not hann, or its mels have another sampling rate than its audio")
    base = values.get("log_base", 10)
    if base not in (10, None):
        raise ConfigError(f"its log_base is {base!r:.40}; it must be 10 or null (natural)")
    low, high, window = (values.get(name) for name in ("fmin", "fmax", "win_length"))
    return MelSpec(
        sample_rate=rate, n_fft=found["fft_size"], hop_length=found["hop_size"],
        win_length=found["fft_size"] if window is None else window, n_mels=found["num_mels"],
        fmin=0.0 if low is None else low, fmax=rate / 2 if high is None else high, mel_scale="slaney",
        mel_norm="slaney", power=1, log="ln" if base is None else "log10", floor=1e-10, framing="center",
        normalization=stats,
    )  # fmt: skip


FAMILY = Family("pwg-hifigan", "HiFi-GAN of the ParallelWaveGAN repository", _matches, _build, takes_stats=True)
