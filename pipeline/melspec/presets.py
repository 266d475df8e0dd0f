"""Presets: the mel contracts of well-known projects, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.melspec.normalization import Normalization
from pipeline.melspec.spec import MelSpec
from pipeline.wording import meant

# HiFi-GAN: jik876/hifi-gan meldataset.py and config_v1.json. iSTFTNet and Matcha-TTS compute the same.
_HIFIGAN_22K = MelSpec(
    sample_rate=22050, n_fft=1024, hop_length=256, win_length=1024, n_mels=80, fmin=0.0, fmax=8000.0,
    mel_scale="slaney", mel_norm="slaney", power=1, log="ln", floor=1e-5, framing="same", magnitude_eps=1e-9,
)  # fmt: skip
# NVIDIA/tacotron2 layers.py and hparams.py: its STFT centres its frames and adds no epsilon.
_TACOTRON2_22K = dataclasses.replace(_HIFIGAN_22K, framing="center", magnitude_eps=0.0)
# NVIDIA/BigVGAN meldataset.py and configs/: HiFi-GAN's code, up to half of the sample rate.
_BIGVGAN_24K = dataclasses.replace(_HIFIGAN_22K, sample_rate=24000, n_mels=100, fmax=12000.0)
_BIGVGAN_44K = dataclasses.replace(_HIFIGAN_22K, sample_rate=44100, n_mels=128, fmax=22050.0)
# gemelo-ai/vocos feature_extractors.py (MelSpectrogramFeatures: torchaudio's, power 1) and modules.py (safe_log).
_VOCOS_24K = dataclasses.replace(
    _TACOTRON2_22K, sample_rate=24000, n_mels=100, fmax=12000.0, mel_scale="htk", mel_norm="none", floor=1e-7
)
# kan-bayashi/ParallelWaveGAN bin/preprocess.py (logmelfilterbank) and egs/ljspeech, egs/libritts.
_PWG_22K = dataclasses.replace(_TACOTRON2_22K, fmin=80.0, fmax=7600.0, log="log10", floor=1e-10)
# NVIDIA/NeMo parts/preprocessing/features.py (FilterbankFeatures): torch.hann_window(periodic=False), exact_pad.
_NEMO_22K = dataclasses.replace(_HIFIGAN_22K, magnitude_eps=0.0, window="symmetric")

PRESETS: Mapping[str, MelSpec] = {
    "hifigan-22k": _HIFIGAN_22K,
    "tacotron2-22k": _TACOTRON2_22K,
    "bigvgan-24k": _BIGVGAN_24K,
    "bigvgan-44k-256": _BIGVGAN_44K,
    "bigvgan-44k-512": dataclasses.replace(_BIGVGAN_44K, n_fft=2048, hop_length=512, win_length=2048),
    "vocos-24k": _VOCOS_24K,
    # SWivid/F5-TTS model/modules.py, get_vocos_mel_spectrogram: clamp(min=1e-5).
    "f5-vocos-24k": dataclasses.replace(_VOCOS_24K, floor=1e-5),
    "pwg-22k": _PWG_22K,
    "pwg-24k": dataclasses.replace(_PWG_22K, sample_rate=24000, n_fft=2048, hop_length=300, win_length=1200),
    # espnet/espnet espnet2/tts/feats_extract/log_mel_fbank.py with its own defaults; sizes come from a recipe's config.
    "espnet": dataclasses.replace(_PWG_22K, sample_rate=16000, power_floor=1e-10),
    "nemo-22k": _NEMO_22K,
    "nemo-44k": dataclasses.replace(
        _NEMO_22K, sample_rate=44100, n_fft=2048, hop_length=512, win_length=2048, fmax=22050.0
    ),
    # coqui-ai/TTS utils/audio/processor.py (normalize) with config/shared_configs.py (BaseAudioConfig): decibels less
    # ref_level_db 20, min_level_db -100 .. 0 onto -max_norm .. max_norm = -4 .. 4, so (dB + 30) / 12.5, clipped.
    "coqui": dataclasses.replace(
        _TACOTRON2_22K, fmax=11025.0, log="db", floor=1e-8,
        normalization=Normalization((-30.0,), (12.5,), clip=(-4.0, 4.0)),
    ),
    # speechbrain/speechbrain lobes/models/HifiGAN.py (mel_spectogram) and recipes/LJSpeech, LibriTTS.
    "speechbrain-22k": _TACOTRON2_22K,
    "speechbrain-16k": dataclasses.replace(_TACOTRON2_22K, sample_rate=16000),
    # huggingface/transformers models/speecht5/feature_extraction_speecht5.py.
    "speecht5-16k": dataclasses.replace(_PWG_22K, sample_rate=16000),
    # yl4579/StyleTTS2 meldataset.py: torchaudio's MelSpectrogram, whose default sample rate, 16 kHz, was left in place
    # for audio at 24 kHz; (log(1e-5 + mel) + 4) / 4.
    "styletts2-24k": dataclasses.replace(
        _TACOTRON2_22K, sample_rate=24000, n_fft=2048, hop_length=300, win_length=1200, mel_scale="htk",
        mel_norm="none", power=2, flooring="add", filter_rate=16000, normalization=Normalization((-4.0,), (4.0,)),
    ),
}  # fmt: skip


def preset(name: str) -> MelSpec:
    """The preset of that name.

    Raises:
        ConfigError: if there is no such preset.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(
            f"no mel preset is named {name!r:.80}{meant(str(name), PRESETS)}; the presets are "
            f"{', '.join(sorted(PRESETS))}"
        )
    return PRESETS[name]


def preset_names(spec: MelSpec | None) -> list[str]:
    """The names of the presets that equal a contract; no name for None."""
    return [name for name, known in PRESETS.items() if known == spec]


def mel_spec(stated: str | Mapping[str, Any]) -> MelSpec:
    """The contract that a user states: a preset's name, every field, or `preset` and the fields that differ from it.

    >>> mel_spec({"preset": "pwg-24k", "normalization": {"mean": -2.5, "scale": 0.75}}).n_fft
    2048

    Raises:
        ConfigError: if there is no such preset, a key is unknown or missing, or a value is impossible.
    """
    if isinstance(stated, str):
        return preset(stated)
    fields = dict(stated)
    if "preset" in fields:
        fields = preset(fields.pop("preset")).to_dict() | fields
    return MelSpec.from_dict(fields)
