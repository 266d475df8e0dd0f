"""The same generator in ParallelWaveGAN's, Hugging Face's and SpeechBrain's own classes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.signal
import torch
import yaml
from support.peers import assert_accurate, assert_agrees, assert_halo, enlivened, imported, parameters, random_mel

from pipeline.errors import BadMelError
from pipeline.melspec import PRESETS, Normalization

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")

# egs/libritts/voc1/conf/hifigan.v1.yaml of ParallelWaveGAN: 24 kHz, hop 300.
PWG_24K = {
    "in_channels": 80, "out_channels": 1, "channels": 512, "kernel_size": 7, "upsample_scales": [5, 5, 4, 3],
    "upsample_kernel_sizes": [10, 10, 8, 6], "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilations": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "use_additional_convs": True, "bias": True,
    "nonlinear_activation": "LeakyReLU", "nonlinear_activation_params": {"negative_slope": 0.1},
    "use_weight_norm": True,
}  # fmt: skip
PWG_AUDIO = {
    "sampling_rate": 24000, "fft_size": 2048, "hop_size": 300, "win_length": 1200, "window": "hann", "num_mels": 80,
    "fmin": 80, "fmax": 7600, "global_gain_scale": 1.0, "format": "hdf5",
}  # fmt: skip
PWG_SMALL = PWG_24K | {
    "channels": 32, "upsample_scales": [5, 3], "upsample_kernel_sizes": [10, 6], "kernel_size": 5,
    "resblock_kernel_sizes": [3, 5], "resblock_dilations": [[1, 2], [1, 3, 4]],
    "nonlinear_activation_params": {"negative_slope": 0.2},
}  # fmt: skip
PWG_BARE = PWG_SMALL | {"use_additional_convs": False, "bias": False, "use_weight_norm": False}
PWG_SMALL_AUDIO = PWG_AUDIO | {
    "sampling_rate": 8000,
    "fft_size": 1024,
    "hop_size": 15,
    "win_length": None,
    "fmax": 3800,
}


@pytest.mark.parametrize(
    ("params", "audio", "stats", "halo", "millions"),
    [
        (PWG_24K, PWG_AUDIO, "stats.h5", (19, 19), 12.98),
        (PWG_SMALL, PWG_SMALL_AUDIO, "stats.npy", None, None),
        (PWG_BARE, PWG_SMALL_AUDIO, "stats.h5", None, None),
    ],
    ids=["24k", "small", "bare"],
)
def test_parallel_wavegans_files_give_its_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Any, audio: Any, stats: str, halo: Any, millions: Any
) -> None:
    # The package asks for a name that scipy moved in 1.13; the generator does not use it.
    monkeypatch.setattr(scipy.signal, "kaiser", scipy.signal.windows.kaiser, raising=False)
    from parallel_wavegan.models import HiFiGANGenerator

    module = enlivened(HiFiGANGenerator(**params))
    # bin/train.py, save_checkpoint, with the optimizer and the scheduler of that config.
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-4, betas=(0.5, 0.9))
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, gamma=0.5, milestones=[200000, 400000])
    content = {
        "optimizer": {"generator": optimizer.state_dict()}, "scheduler": {"generator": scheduler.state_dict()},
        "steps": 7, "epochs": 1, "model": {"generator": module.state_dict(), "discriminator": {"w": torch.ones(2)}},
    }  # fmt: skip
    torch.save(content, tmp_path / "checkpoint-7steps.pkl")
    config = audio | {"generator_type": "HiFiGANGenerator", "generator_params": params}
    (tmp_path / "config.yml").write_text(yaml.dump(config, Dumper=yaml.Dumper))
    rng = np.random.default_rng(2)
    mean, scale = rng.normal(-2, 0.5, 80).astype(np.float32), rng.uniform(0.5, 1.0, 80).astype(np.float32)
    if stats == "stats.npy":
        np.save(tmp_path / stats, np.stack([mean, scale]), allow_pickle=False)
    else:
        with h5py.File(tmp_path / stats, "w") as file:
            file["mean"], file["scale"] = mean, scale
    vocoder = imported(tmp_path / "checkpoint-7steps.pkl")
    assert vocoder.spec.normalization == Normalization(tuple(map(float, mean)), tuple(map(float, scale)))
    assert_agrees(vocoder, module)
    assert_halo(vocoder, halo)
    assert_accurate(vocoder, module, longest=3000)
    if millions:
        bare = dataclasses.replace(vocoder.spec, normalization=None)
        assert bare == PRESETS["pwg-24k"]
        assert parameters(module) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize("form", ["safetensors", "bin"])
@pytest.mark.parametrize("size", ["full", "small"])
def test_speecht5s_files_give_its_samples(tmp_path: Path, size: str, form: str) -> None:
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    small = {
        "upsample_rates": [16, 16], "upsample_kernel_sizes": [32, 32], "upsample_initial_channel": 32,
        "resblock_kernel_sizes": [3, 5], "resblock_dilation_sizes": [[1, 2], [1, 3]], "leaky_relu_slope": 0.2,
    }  # fmt: skip
    config = SpeechT5HifiGanConfig(**(small if size == "small" else {}))
    module = enlivened(SpeechT5HifiGan(config))
    with torch.no_grad():
        module.mean.normal_(-2, 0.5)
        module.scale.uniform_(0.5, 1.0)
    module.save_pretrained(tmp_path)
    if form == "bin":  # as save_pretrained wrote before safetensors
        (tmp_path / "model.safetensors").unlink()
        torch.save(module.state_dict(), tmp_path / "pytorch_model.bin")
    vocoder = imported(tmp_path)
    assert vocoder.spec == PRESETS["speecht5-16k"]
    assert_agrees(vocoder, lambda mel: module(mel.transpose(1, 2)))
    if form == "safetensors":
        assert_halo(vocoder, (24, 24) if size == "full" else None)
        assert_accurate(vocoder, module, lambda mel: module(mel.transpose(1, 2)), longest=3000)
    if size == "full":
        assert parameters(module) / 1e6 == pytest.approx(12.66, abs=0.01)


# hyperparams.yaml of speechbrain/tts-hifigan-ljspeech: the parts that make the generator and say its mels.
HYPERPARAMS = """
sample_rate: {sample_rate}
hop_length: {hop_length}
win_length: {win_length}
n_mel_channels: 80
n_fft: 1024
mel_fmin: 0.0
mel_fmax: {fmax}
mel_normalized: False
power: 1
norm: "slaney"
mel_scale: "slaney"
dynamic_range_compression: True
in_channels: 80
out_channels: 1
{generator}
inference_padding: 5
cond_channels: 0
conv_post_bias: {bias}

generator: !new:speechbrain.lobes.models.HifiGAN.HifiganGenerator
  in_channels: !ref <in_channels>
  out_channels: !ref <out_channels>
  resblock_type: !ref <resblock_type>
  resblock_dilation_sizes: !ref <resblock_dilation_sizes>
  resblock_kernel_sizes: !ref <resblock_kernel_sizes>
  upsample_kernel_sizes: !ref <upsample_kernel_sizes>
  upsample_initial_channel: !ref <upsample_initial_channel>
  upsample_factors: !ref <upsample_factors>
  inference_padding: !ref <inference_padding>
  cond_channels: !ref <cond_channels>
  conv_post_bias: !ref <conv_post_bias>

modules:
  generator: !ref <generator>

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
  loadables:
    generator: !ref <generator>
"""
BRAIN_V1 = {
    "resblock_type": "1", "resblock_dilation_sizes": [[1, 3, 5]] * 3, "resblock_kernel_sizes": [3, 7, 11],
    "upsample_kernel_sizes": [16, 16, 4, 4], "upsample_initial_channel": 512, "upsample_factors": [8, 8, 2, 2],
}  # fmt: skip
BRAIN_SMALL = {
    "resblock_type": "1", "resblock_dilation_sizes": [[1, 3, 5], [1, 2, 3]], "resblock_kernel_sizes": [3, 5],
    "upsample_kernel_sizes": [8, 8], "upsample_initial_channel": 32, "upsample_factors": [4, 4],
}  # fmt: skip
BRAIN_SMALL2 = BRAIN_SMALL | {"resblock_type": "2", "resblock_dilation_sizes": [[1, 3], [2, 4]]}


@pytest.mark.parametrize(
    ("params", "halo", "least"),
    [(BRAIN_V1, (13, 13), 4), (BRAIN_SMALL, None, 4), (BRAIN_SMALL2, None, 4)],
    ids=["V1", "small", "small2"],
)
def test_speechbrains_files_give_its_samples(tmp_path: Path, params: dict[str, Any], halo: Any, least: int) -> None:
    from speechbrain.lobes.models.HifiGAN import HifiganGenerator

    bias = params is not BRAIN_SMALL2
    module = enlivened(HifiganGenerator(in_channels=80, out_channels=1, **params, conv_post_bias=bias))
    torch.save(module.state_dict(), tmp_path / "generator.ckpt")
    sizes = {"sample_rate": 22050, "hop_length": 256, "win_length": 1024, "fmax": 8000.0}
    if params is not BRAIN_V1:
        sizes = {"sample_rate": 8000, "hop_length": 16, "win_length": 256, "fmax": 4000.0}
    lines = yaml.safe_dump(params, default_flow_style=None)
    (tmp_path / "hyperparams.yaml").write_text(HYPERPARAMS.format(generator=lines, bias=bias, **sizes))
    (tmp_path / "config.json").write_text('{"speechbrain_interface": "HIFIGAN"}')
    vocoder = imported(tmp_path)
    assert_agrees(vocoder, module)
    assert_halo(vocoder, halo)
    if params is BRAIN_V1:
        assert vocoder.spec == PRESETS["speechbrain-22k"]
    # Mirroring a signal needs more of it than is mirrored: theirs and ours refuse fewer frames, and take as many.
    few = random_mel(vocoder.spec, least)
    with torch.no_grad():
        expected = module(torch.from_numpy(few)[None]).reshape(-1).numpy()
    assert np.abs(vocoder.decode(few) - expected).max() < 1e-4
    with pytest.raises(BadMelError, match=f"frames >= {least}"):
        vocoder.decode(few[:, 1:])
    with pytest.raises(RuntimeError, match=r"[Pp]adding size"), torch.no_grad():
        module(torch.from_numpy(few[:, 1:])[None])
    assert_accurate(vocoder, module, longest=3000)
