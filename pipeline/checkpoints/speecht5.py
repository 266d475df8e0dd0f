"""Hugging Face's SpeechT5HifiGan (model.safetensors or pytorch_model.bin, config.json) to ONNX models.

huggingface/transformers, models/speecht5/modeling_speecht5.py; FastSpeech2ConformerHifiGan is the same net.
"""

from __future__ import annotations

import onnx

from pipeline.checkpoints.family import Family, Settings
from pipeline.checkpoints.hifigan_config import GeneratorShape
from pipeline.checkpoints.hifigan_graph import SLOPE, build_generator
from pipeline.checkpoints.hifigan_layers import Names, generator
from pipeline.checkpoints.onnx_graph import Graph
from pipeline.checkpoints.state_dict import State, StateReader, layer_weight
from pipeline.errors import ConfigError
from pipeline.melspec import PRESETS, MelSpec, Normalization

_TITLE = "SpeechT5HifiGan"
_NAMES = Names(up="upsampler.{stage}")
_PRESET = "speecht5-16k"


def _matches(state: State) -> bool:
    return all(layer_weight(state, name) is not None for name in ("conv_pre", "upsampler.0", "conv_post"))


def _build(state: State, settings: Settings, stats: Normalization | None, source: str) -> onnx.ModelProto:
    values = settings.values
    try:
        shape = GeneratorShape.from_dict({"resblock": "1", "num_mels": values.get("model_in_dim", 80)} | dict(values))
    except ConfigError as error:
        raise ConfigError(
            f"{_TITLE}: {settings.where}: {error}; give the config of this checkpoint with --config FILE"
        ) from error
    slope = values.get("leaky_relu_slope", SLOPE)
    if not isinstance(slope, float) or not 0 < slope < 1:
        raise ConfigError(f"{_TITLE}: {settings.where}: leaky_relu_slope is {slope!r:.40}; it must be from 0 to 1")

    def normalized(graph: Graph, reader: StateReader, mel: str) -> str:
        if not values.get("normalize_before", True):
            reader.ignore(("mean", "scale"))
            return mel
        mean, scale = (reader.take(key, (shape.num_mels,)) for key in ("mean", "scale"))
        apart = graph.node("Sub", mel, graph.channels("mean", mean))
        return graph.node("Div", apart, graph.channels("scale", scale))

    spec = settings.contract(_TITLE, lambda: _mel_spec(settings, shape), shape.num_mels, shape.hop)
    layers = generator(shape, _NAMES)
    return build_generator(state, layers, spec, FAMILY.name, _TITLE, source, slope=slope, before=normalized)


def _mel_spec(settings: Settings, shape: GeneratorShape) -> MelSpec:
    """The mels of SpeechT5FeatureExtractor: the model's own config states only the sampling rate."""
    spec = PRESETS[_PRESET]
    rate = settings.values.get("sampling_rate")
    if (rate, shape.hop, shape.num_mels) != (spec.sample_rate, spec.hop_length, spec.n_mels):
        raise ConfigError(
            f"it has sampling_rate {rate!r:.40}, {shape.num_mels} bands and a hop of {shape.hop}, which are not those "
            f"of {_PRESET} ({spec.sample_rate}, {spec.n_mels}, {spec.hop_length}), and it states nothing else"
        )
    return spec


FAMILY = Family("speecht5-hifigan", "SpeechT5HifiGan of Hugging Face's transformers", _matches, _build)
