"""iSTFTNet has no package: HiFi-GAN's own layers (the package hifi-gan) with the end of rishikksh20/iSTFTNet-pytorch.

The end is written here after its models.py (`Generator.__init__` and `forward`) and stft.py (`TorchSTFT.inverse`).
"""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from hifi_gan.models import Generator as HifiganGenerator
from support.peer_weights import assert_same_windows, assert_windows, noise, randomize, same, settle
from support.peers import imported, native_too, real_mel
from torch.nn.functional import leaky_relu, pad
from torch.nn.utils import weight_norm

from pipeline.melspec import PRESETS
from pipeline.vocoders import Vocoder

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")

V1: dict[str, Any] = {
    "resblock": "1", "upsample_rates": [8, 8], "upsample_kernel_sizes": [16, 16], "upsample_initial_channel": 512,
    "resblock_kernel_sizes": [3, 7, 11], "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "gen_istft_n_fft": 16, "gen_istft_hop_size": 4, "num_mels": 80, "n_fft": 1024, "hop_size": 256, "win_size": 1024,
    "sampling_rate": 22050, "fmin": 0, "fmax": 8000,
}  # fmt: skip
SMALL = V1 | {"upsample_initial_channel": 64}
CASES = {
    "V1": V1,
    "small": SMALL,
    "small block 2": SMALL | {"resblock": "2", "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]]},
    "small, more overlap": SMALL | {"gen_istft_n_fft": 32},
    "small, less overlap": SMALL | {"upsample_rates": [4, 8], "gen_istft_hop_size": 8},
}


class Generator(HifiganGenerator):
    def __init__(self, h: Any) -> None:
        super().__init__(h)
        self.n_fft, self.hop = h.gen_istft_n_fft, h.gen_istft_hop_size
        channels = h.upsample_initial_channel // 2 ** len(h.upsample_rates)
        self.conv_post = weight_norm(torch.nn.Conv1d(channels, self.n_fft + 2, 7, 1, padding=3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_pre(x)
        for i in range(self.num_upsamples):
            x = self.ups[i](leaky_relu(x, 0.1))
            blocks = self.resblocks[i * self.num_kernels : (i + 1) * self.num_kernels]
            x = sum(block(x) for block in blocks) / self.num_kernels
        x = self.conv_post(pad(leaky_relu(x), (1, 0), mode="reflect"))
        magnitude = torch.exp(x[:, : self.n_fft // 2 + 1])
        phase = torch.sin(x[:, self.n_fft // 2 + 1 :])
        window = torch.hann_window(self.n_fft)
        return torch.istft(magnitude * torch.exp(phase * 1j), self.n_fft, self.hop, self.n_fft, window=window)


def made(folder: Path, config: dict[str, Any], lean: str | None = None) -> tuple[Generator, Vocoder]:
    module = Generator(types.SimpleNamespace(**config))
    randomize(module, lean=lean)
    settle(module, module.conv_post, noise(80, 40), 0.5)
    torch.save({"generator": module.state_dict()}, folder / "g_00000000")
    (folder / "config.json").write_text(json.dumps(config))
    return module, imported(folder / "g_00000000")


@pytest.mark.parametrize("name", CASES)
def test_an_imported_istftnet_gives_the_waveform_of_the_original_layers(tmp_path: Path, name: str) -> None:
    module, vocoder = made(tmp_path, CASES[name])
    both = [vocoder, *native_too(vocoder)]
    assert [each.backend.runtime for each in both] == ["onnxruntime", "native"]
    for mel in (real_mel(vocoder.spec), noise(80, 60), noise(80, 1), noise(80, 2)):
        with torch.no_grad():
            expected = module(torch.from_numpy(mel)[None])[0].numpy()
        assert all(same(each.decode(mel), expected) for each in both)
        assert len(expected) == vocoder.samples(mel.shape[1]) == 256 * mel.shape[1]


@pytest.mark.parametrize("lean", [None, "left", "right"])
@pytest.mark.parametrize("name", ["V1", "small block 2", "small, less overlap"])
def test_windows_give_the_whole_with_the_halo_and_not_with_a_frame_less(
    tmp_path: Path, name: str, lean: str | None
) -> None:
    _, vocoder = made(tmp_path, CASES[name], lean)
    assert_windows(vocoder, lean)
    assert_same_windows(vocoder)


def test_the_contract_is_the_preset(tmp_path: Path) -> None:
    assert made(tmp_path, SMALL)[1].spec == PRESETS["hifigan-22k"]
