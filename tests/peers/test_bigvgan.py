"""Against the original: the package bigvgan, which is NVIDIA's repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from bigvgan.bigvgan import BigVGAN
from bigvgan.env import AttrDict
from bigvgan.meldataset import get_mel_spectrogram
from support.peer_weights import assert_same_windows, assert_windows, noise, randomize, same, settle, speech
from support.peers import imported, native_too

from pipeline.melspec import PRESETS
from pipeline.vocoders import Vocoder

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")

# configs/bigvgan_base_24khz_100band.json, bigvgan_24khz_100band.json, and those of v2.
BASE: dict[str, Any] = {
    "resblock": "1", "upsample_rates": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4],
    "upsample_initial_channel": 512, "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "activation": "snakebeta", "snake_logscale": True,
    "num_mels": 100, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": 24000, "fmin": 0, "fmax": 12000,
}  # fmt: skip
FULL = BASE | {
    "upsample_rates": [4, 4, 2, 2, 2, 2], "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
    "upsample_initial_channel": 1536,
}  # fmt: skip
V2 = {"use_tanh_at_final": False, "use_bias_at_final": False, "fmax": None}
V2_44K = FULL | V2 | {"num_mels": 128, "sampling_rate": 44100}
V2_44K_512 = V2_44K | {
    "upsample_rates": [8, 4, 2, 2, 2, 2], "upsample_kernel_sizes": [16, 8, 4, 4, 4, 4], "n_fft": 2048, "hop_size": 512,
    "win_size": 2048,
}  # fmt: skip
V2_22K = FULL | V2 | {"num_mels": 80, "sampling_rate": 22050}
NARROW = {"upsample_initial_channel": 128}
SMALL = BASE | {
    "upsample_rates": [4, 2, 2], "upsample_kernel_sizes": [8, 4, 4], "upsample_initial_channel": 48, "num_mels": 20,
    "n_fft": 64, "hop_size": 16, "win_size": 64,
}  # fmt: skip
CASES = {
    "small": SMALL,
    "small snake": SMALL | {"activation": "snake"},
    "small linear alpha": SMALL | {"snake_logscale": False, "activation": "snake"} | V2,
    "small linear beta": SMALL | {"snake_logscale": False},
    "small block 2": SMALL | {"resblock": "2"} | V2,
    "small odd kernels": SMALL | {"upsample_kernel_sizes": [9, 5, 4]},
    "22k v2, narrow": V2_22K | NARROW,
    "44k v2, narrow": V2_44K | NARROW,
    "44k 512 v2, narrow": V2_44K_512 | NARROW,
    "base 24k": BASE,
    "full 24k": FULL,
    "full 44k v2": V2_44K,
}


def made(folder: Path, config: dict[str, Any], lean: str | None = None) -> tuple[BigVGAN, Vocoder]:
    module = BigVGAN(AttrDict(config))
    randomize(module, lean=lean)
    settle(module, module.conv_post, noise(config["num_mels"], 100 if lean else 40), 0.2)
    module._save_pretrained(folder)
    return module, imported(folder / "bigvgan_generator.pt")


@pytest.mark.parametrize("name", CASES)
def test_an_imported_bigvgan_gives_the_waveform_of_the_original(tmp_path: Path, name: str) -> None:
    config = CASES[name]
    module, vocoder = made(tmp_path, config)
    both = [vocoder, *native_too(vocoder)]
    assert [each.backend.runtime for each in both] == ["onnxruntime", "native"]
    real = get_mel_spectrogram(speech(0.5, config["sampling_rate"]), AttrDict(config))[0].numpy()
    for mel in (real, noise(config["num_mels"], 40), noise(config["num_mels"], 1), noise(config["num_mels"], 2)):
        with torch.no_grad():
            expected = module(torch.from_numpy(mel)[None])[0, 0].numpy()
        assert all(same(each.decode(mel), expected) for each in both)


@pytest.mark.parametrize("lean", [None, "left", "right"])
@pytest.mark.parametrize(
    ("name", "halo"), [("small", None), ("small odd kernels", None), ("base 24k", 18), ("full 24k", 38)]
)
def test_windows_give_the_whole_with_the_halo_and_not_with_a_frame_less(
    tmp_path: Path, name: str, halo: int | None, lean: str | None
) -> None:
    _, vocoder = made(tmp_path, CASES[name], lean)
    if halo is not None:
        assert vocoder.halo == (halo, halo)
    assert_windows(vocoder, lean)
    if name != "full 24k":  # its transformed weights take 1.4 GB
        assert_same_windows(vocoder)


def test_the_contract_is_the_preset(tmp_path: Path) -> None:
    for config, preset in (
        (BASE, "bigvgan-24k"), (V2_44K | NARROW, "bigvgan-44k-256"), (V2_44K_512 | NARROW, "bigvgan-44k-512"),
        (V2_22K | NARROW | {"fmax": 8000}, "hifigan-22k"),
    ):  # fmt: skip
        folder = tmp_path / preset
        folder.mkdir()
        assert made(folder, config)[1].spec == PRESETS[preset]
