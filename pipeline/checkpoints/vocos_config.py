"""Vocos's config.yaml: the shapes of its backbone and head, and its mels.

Siuzdak: Vocos (2024), https://arxiv.org/abs/2306.00814; code: gemelo-ai/vocos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.checkpoints.family import Settings
from pipeline.checkpoints.istft import Istft
from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec
from pipeline.melspec.spec import Framing

_TITLE = "Vocos"
# The classes of a model from mels to a waveform, by section of the config.
_CLASSES = {
    "feature_extractor": "vocos.feature_extractors.MelSpectrogramFeatures",
    "backbone": "vocos.models.VocosBackbone",
    "head": "vocos.heads.ISTFTHead",
}
# feature_extractors.py, heads.py: the defaults of MelSpectrogramFeatures and ISTFTHead.
_FEATURES = {"sample_rate": 24000, "n_fft": 1024, "hop_length": 256, "n_mels": 100, "padding": "center"}
_HEAD_PADDING = "same"
# modules.py: safe_log.
_FLOOR = 1e-7
_MOST = 1 << 20
_MOST_LAYERS = 1024


@dataclass(frozen=True)
class VocosConfig:
    """The shape of the model; the fields have the names of config.yaml.

    Args:
        input_channels: number of mel bands.
        dim: number of channels of the backbone.
        intermediate_dim: number of channels inside a ConvNeXt block.
        num_layers: number of ConvNeXt blocks.
        layer_scale: whether the blocks' outputs are scaled (the key gamma).
        istft: the inverse transform after the head.
        features: the contract of the mels that it is trained on.

    Raises:
        ConfigError: if the parts do not fit together.
    """

    input_channels: int
    dim: int
    intermediate_dim: int
    num_layers: int
    layer_scale: bool
    istft: Istft
    features: MelSpec

    @classmethod
    def of(cls, settings: Settings) -> VocosConfig:
        """The config in a decoded config.yaml.

        Raises:
            ConfigError: if the model does not take mels, a key is missing, or a value is impossible.
        """
        parts = {section: _arguments(settings, section, path) for section, path in _CLASSES.items()}
        backbone, head = parts["backbone"], parts["head"]
        features = {**_FEATURES, **parts["feature_extractor"]}
        if backbone.get("adanorm_num_embeddings"):
            raise ConfigError(
                f"{_TITLE}: {settings.where} asks for adaptive layer norm, which needs more input than a mel"
            )
        dim, n_fft = _positive(settings, backbone, "dim"), _positive(settings, head, "n_fft")
        bands, hop = _positive(settings, features, "n_mels"), _positive(settings, head, "hop_length")
        for name, left, right in (
            ("backbone.input_channels", _positive(settings, backbone, "input_channels"), bands),
            ("head.dim", _positive(settings, head, "dim"), dim),
            ("feature_extractor.hop_length", _positive(settings, features, "hop_length"), hop),
        ):
            if left != right:
                raise ConfigError(
                    f"{_TITLE}: {settings.where}: {name} is {left}; another part of the config says {right}"
                )
        rate = _positive(settings, features, "sample_rate")
        window = _positive(settings, features, "n_fft")
        return cls(
            input_channels=bands,
            dim=dim,
            intermediate_dim=_positive(settings, backbone, "intermediate_dim"),
            num_layers=_positive(settings, backbone, "num_layers", _MOST_LAYERS),
            layer_scale=_scaled(settings, backbone.get("layer_scale_init_value")),
            istft=Istft(n_fft, hop, _padding(settings, {"padding": _HEAD_PADDING, **head})),
            features=MelSpec(
                sample_rate=rate, n_fft=window, hop_length=hop, win_length=window, n_mels=bands, fmin=0.0,
                fmax=rate // 2, mel_scale="htk", mel_norm="none", power=1, log="ln", floor=_FLOOR,
                framing=_padding(settings, features),
            ),
        )  # fmt: skip


def _arguments(settings: Settings, section: str, path: str) -> Mapping[str, Any]:
    found = settings.section(_TITLE, section)
    if found.get("class_path") != path:
        raise ConfigError(
            f"{_TITLE}: {settings.where}: {section} is {found.get('class_path')!r:.80}; "
            f"melmill reads only models from mels to a waveform, whose {section} is {path}"
        )
    return settings.section(_TITLE, section, "init_args")


def _positive(settings: Settings, arguments: Mapping[str, Any], name: str, most: int = _MOST) -> int:
    value = arguments.get(name)
    if type(value) is not int or not 0 < value <= most:
        raise ConfigError(
            f"{_TITLE}: {settings.where}: {name} is {value!r:.40}; it must be a whole number from 1 to {most}"
        )
    return value


def _padding(settings: Settings, arguments: Mapping[str, Any]) -> Framing:
    known: dict[Any, Framing] = {"same": "same", "center": "center"}
    found = arguments["padding"]
    if not isinstance(found, str) or found not in known:
        raise ConfigError(f"{_TITLE}: {settings.where}: padding is {found!r:.40}; it must be {' or '.join(known)}")
    return known[found]


def _scaled(settings: Settings, value: Any) -> bool:
    """As in `VocosBackbone`: None and 0 mean a scale that it chooses itself, a value below 0 means no scale."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ConfigError(f"{_TITLE}: {settings.where}: layer_scale_init_value is {value!r:.40}; it must be a number")
    return not value or value > 0
