"""HiFi-GAN checkpoints (`g_########`, `generator*.pth.tar`) to ONNX models."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import onnx

from pipeline.checkpoints.checkpoint_file import generator_state
from pipeline.checkpoints.family import Family, Settings
from pipeline.checkpoints.hifigan_config import HifiganConfig
from pipeline.checkpoints.hifigan_config_dialects import describe
from pipeline.checkpoints.hifigan_graph import build_generator
from pipeline.checkpoints.hifigan_layers import Names, generator
from pipeline.checkpoints.key_prefixes import unwrapped
from pipeline.checkpoints.state_dict import State, layer_weight
from pipeline.errors import ConfigError
from pipeline.melspec import Normalization
from pipeline.tensor_files import read_torch_file

_TITLE = "HiFi-GAN"
# NeMo keeps the branches of a stage in a list of their own: tts/modules/hifigan_modules.py.
_GROUP = re.compile(r"resblocks\.\d+\.\d+\.")
_GROUPED = Names(
    first="resblocks.{stage}.{branch}.convs1.{unit}",
    second="resblocks.{stage}.{branch}.convs2.{unit}",
    only="resblocks.{stage}.{branch}.convs.{unit}",
)


def convert_hifigan(checkpoint: Path, config: HifiganConfig, source: str) -> bytes:
    """The content of the .onnx file of a checkpoint, the same bytes on any machine.

    Args:
        checkpoint: a torch file that holds {"generator": state dict}.
        config: the checkpoint's config.
        source: sha256 of the checkpoint file, hexadecimal, for the model's card.

    Raises:
        CheckpointError: if the checkpoint cannot be read, or does not fit its config.
    """
    state = unwrapped(generator_state(read_torch_file(checkpoint), str(checkpoint)), _matches, str(checkpoint))
    content: bytes = build_hifigan(state, config, source).SerializeToString(deterministic=True)
    return content


def build_hifigan(state: State, config: HifiganConfig, source: str) -> onnx.ModelProto:
    """A generator as an ONNX model: mel `[batch, n_mels, frames] float32` -> waveform `[batch, samples] float32`.

    The same arguments give the same bytes (`SerializeToString(deterministic=True)`) on any machine.

    Args:
        state: the generator's state dict, weight norm in any of its three spellings.
        config: the generator's config.
        source: sha256 of the checkpoint file, hexadecimal, for the model's card.

    Raises:
        CheckpointError: if keys are missing or left over, or a shape is not what the config asks for.
    """
    return build_generator(state, generator(config), config.mel_spec(), "hifigan", _TITLE, source)


def _matches(state: State) -> bool:
    # The last layer makes one channel; iSTFTNet's has the same name and makes many.
    first, post = layer_weight(state, "conv_pre"), layer_weight(state, "conv_post")
    return first is not None and layer_weight(state, "ups.0") is not None and post is not None and len(post) == 1


def _build(state: State, settings: Settings, stats: Normalization | None, source: str) -> onnx.ModelProto:
    described = describe(settings, stats)
    if stats is not None and not described.takes_stats:
        raise ConfigError(f"--stats: {settings.where} does not normalize its mels by statistics")
    shape = described.shape
    layers = generator(shape, _GROUPED if any(_GROUP.match(key) for key in state) else Names())
    layers = dataclasses.replace(layers, post=dataclasses.replace(layers.post, bias=described.post_bias))
    spec = settings.contract(_TITLE, described.spec, shape.num_mels, shape.hop)
    return build_generator(state, layers, spec, FAMILY.name, _TITLE, source)


FAMILY = Family("hifigan", "HiFi-GAN, also in Coqui's and NeMo's files", _matches, _build, takes_stats=True)
