"""SpeechBrain's HiFi-GAN (generator.ckpt, hyperparams.yaml) to ONNX models.

speechbrain/speechbrain, lobes/models/HifiGAN.py and nnet/CNN.py: convolutions mirror the signal at its ends. The
models equal the generator's `forward`; its `inference` repeats the first and the last frame five times and so makes ten
frames of audio more than the mel has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import onnx

from pipeline.checkpoints.config_file import Tagged
from pipeline.checkpoints.family import Family, Settings
from pipeline.checkpoints.hifigan_config import GeneratorShape
from pipeline.checkpoints.hifigan_config_dialects import require, whole_power
from pipeline.checkpoints.hifigan_graph import build_generator
from pipeline.checkpoints.hifigan_layers import Names, generator
from pipeline.checkpoints.state_dict import State, layer_weight
from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec, Normalization

_TITLE = "SpeechBrain's HiFi-GAN"
_NAMES = Names(
    pre="conv_pre.conv",
    up="ups.{stage}.conv",
    first="resblocks.{block}.convs1.{unit}.conv",
    second="resblocks.{block}.convs2.{unit}.conv",
    only="resblocks.{block}.convs.{unit}.conv",
    post="conv_post.conv",
)
_SHAPE = {
    "resblock": "resblock_type", "upsample_rates": "upsample_factors", "upsample_kernel_sizes": "upsample_kernel_sizes",
    "upsample_initial_channel": "upsample_initial_channel", "resblock_kernel_sizes": "resblock_kernel_sizes",
    "resblock_dilation_sizes": "resblock_dilation_sizes", "num_mels": "in_channels",
}  # fmt: skip
# Argument of mel_spectogram (this spelling is theirs) -> name of the same value at the top of the file.
_MEL_SECTIONS = ("mel_spectogram", "mel_spectrogram")
_MEL = {
    "n_mels": "n_mel_channels", "f_min": "mel_fmin", "f_max": "mel_fmax", "normalized": "mel_normalized",
    "compression": "dynamic_range_compression",
}  # fmt: skip


def _matches(state: State) -> bool:
    return all(layer_weight(state, name) is not None for name in ("conv_pre.conv", "ups.0.conv", "conv_post.conv"))


def _build(state: State, settings: Settings, stats: Normalization | None, source: str) -> onnx.ModelProto:
    values = settings.values
    given = values.get("generator")
    params = {key: _resolved(value, values) for key, value in (given if isinstance(given, dict) else values).items()}
    try:
        shape = GeneratorShape.from_dict({ours: params[theirs] for ours, theirs in _SHAPE.items() if theirs in params})
    except ConfigError as error:
        raise ConfigError(
            f"{_TITLE}: {settings.where}: {error} (there {', '.join(_SHAPE.values())}); give the hyperparams.yaml of "
            "this checkpoint with --config FILE"
        ) from error
    spec = settings.contract(_TITLE, lambda: _mel_spec(values), shape.num_mels, shape.hop)
    layers = generator(shape, _NAMES)
    if params.get("conv_post_bias", True) is False:
        layers = dataclasses.replace(layers, post=dataclasses.replace(layers.post, bias=False))
    return build_generator(state, layers, spec, FAMILY.name, _TITLE, source, mode="reflect")


def _resolved(value: Any, values: Mapping[str, Any]) -> Any:
    """The value that `!ref <name>` refers to; any other computed value stays a `Tagged`."""
    for _ in range(len(values)):
        if not isinstance(value, Tagged) or value.tag != "!ref":
            break
        name = value.text.strip().removeprefix("<").removesuffix(">")
        if name not in values:
            break
        value = values[name]
    return value


def _mel_spec(values: Mapping[str, Any]) -> MelSpec:
    """lobes/models/HifiGAN.py, mel_spectogram: torchaudio's MelSpectrogram, and log(clamp(x, min=1e-5))."""
    section: Mapping[str, Any] = next(
        (values[name] for name in _MEL_SECTIONS if isinstance(values.get(name), dict)), {}
    )
    names = ("sample_rate", "n_fft", "hop_length", "win_length", "n_mels", "f_min", "f_max", "power", "normalized",
             "norm", "mel_scale", "compression")  # fmt: skip
    found = {name: _resolved(section.get(name, values.get(_MEL.get(name, name))), values) for name in names}
    if found["normalized"] or not found["compression"]:
        raise ConfigError(
            "its mels are normalized by magnitude, or not compressed, which a mel contract of melmill cannot express"
        )
    if computed := sorted(name for name in names if isinstance(found[name], Tagged)):
        raise ConfigError(f"it computes {', '.join(computed)} by an expression, which melmill does not evaluate")
    if missing := [name for name in ("norm", "mel_scale") if found[name] is None]:
        raise ConfigError(f"it lacks {', '.join(missing)}")
    stated = require(found, "it", *names[:6], "power")
    return MelSpec(
        sample_rate=stated["sample_rate"], n_fft=stated["n_fft"], hop_length=stated["hop_length"],
        win_length=stated["win_length"], n_mels=stated["n_mels"], fmin=stated["f_min"],
        fmax=stated["sample_rate"] / 2 if found["f_max"] is None else found["f_max"], mel_scale=found["mel_scale"],
        mel_norm=found["norm"], power=whole_power(stated["power"]), log="ln", floor=1e-5, framing="center",
    )  # fmt: skip


FAMILY = Family("speechbrain-hifigan", "HiFi-GAN of SpeechBrain", _matches, _build)
