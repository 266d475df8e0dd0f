"""Against the original: the package vocos, whole, with its mels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from support.peer_weights import assert_windows, noise, randomize, same, speech
from support.peers import imported
from vocos import Vocos

from pipeline.melspec import PRESETS
from pipeline.vocoders import Refined, Vocoder


def config(padding: str, dim: int, inner: int, layers: int, n_fft: int, hop: int, n_mels: int) -> dict[str, Any]:
    """As the config.yaml of charactr/vocos-mel-24khz."""
    backbone = {"input_channels": n_mels, "dim": dim, "intermediate_dim": inner, "num_layers": layers}
    features = {"sample_rate": 24000, "n_fft": n_fft, "hop_length": hop, "n_mels": n_mels, "padding": padding}
    head = {"dim": dim, "n_fft": n_fft, "hop_length": hop, "padding": padding}
    return {
        "feature_extractor": {
            "class_path": "vocos.feature_extractors.MelSpectrogramFeatures", "init_args": features
        },
        "backbone": {"class_path": "vocos.models.VocosBackbone", "init_args": backbone},
        "head": {"class_path": "vocos.heads.ISTFTHead", "init_args": head},
    }  # fmt: skip


MEL_24K = config("center", 512, 1536, 8, 1024, 256, 100)
CASES = {
    "small": config("center", 48, 80, 3, 256, 64, 12),
    "small same": config("same", 48, 80, 3, 256, 64, 12),
    "small, windows that overlap by half": config("center", 32, 64, 2, 256, 128, 12),
    "mel-24khz": MEL_24K,
    "mel-24khz same": config("same", 512, 1536, 8, 1024, 256, 100),
    "44k-like": config("center", 256, 512, 4, 2048, 512, 128),
}


def made(folder: Path, values: dict[str, Any], lean: str | None = None) -> tuple[Vocos, Vocoder]:
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    module = Vocos.from_hparams(str(folder / "config.yaml"))
    randomize(module, lean=lean)
    torch.save(module.state_dict(), folder / "pytorch_model.bin")
    return module, imported(folder / "pytorch_model.bin")


@pytest.mark.parametrize("name", CASES)
def test_an_imported_vocos_gives_the_waveform_of_the_original(tmp_path: Path, name: str) -> None:
    module, vocoder = made(tmp_path, CASES[name])
    real = module.feature_extractor(speech(1.0, 24000))[0].numpy()
    n_mels = len(real)
    for mel in (real, noise(n_mels, 600), noise(n_mels, 3), noise(n_mels, 2)):
        expected = module.decode(torch.from_numpy(mel)[None])[0].numpy()
        assert same(vocoder.decode(mel), expected)


def test_loud_magnitudes_are_clipped_as_in_the_original(tmp_path: Path) -> None:
    module, _ = made(tmp_path, CASES["small"])
    with torch.no_grad():
        module.head.out.bias[:129] += 4.0
    torch.save(module.state_dict(), tmp_path / "loud.bin")
    vocoder, mel = imported(tmp_path / "loud.bin"), noise(12, 50)
    magnitudes = []
    module.head.istft.register_forward_pre_hook(lambda layer, inputs: magnitudes.append(inputs[0].abs()))
    expected = module.decode(torch.from_numpy(mel)[None])[0].numpy()
    at_the_bound = np.isclose(magnitudes[0].numpy(), 100.0, rtol=1e-5).mean()
    assert 0.1 < at_the_bound < 0.9
    assert np.abs(vocoder.decode(mel) - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("lean", [None, "left", "right"])
@pytest.mark.parametrize(
    ("name", "halo"), [("small", None), ("small same", None), ("mel-24khz", (28, 29)), ("mel-24khz same", (29, 29))]
)
def test_windows_give_the_whole_with_the_halo_and_not_with_a_frame_less(
    tmp_path: Path, name: str, halo: tuple[int, int] | None, lean: str | None
) -> None:
    _, vocoder = made(tmp_path, CASES[name], lean)
    assert halo is None or vocoder.halo == halo
    assert_windows(vocoder, lean)


def test_a_refined_vocos_comes_nearer_to_its_mel_as_the_original_measures_it(tmp_path: Path) -> None:
    module, net = made(tmp_path, MEL_24K)
    mel = module.feature_extractor(speech(1.0, 24000))[0].numpy()
    distances = []
    for vocoder in (net, Refined(net, 1), Refined(net, 3)):
        waveform = vocoder.decode(mel)
        again = module.feature_extractor(torch.from_numpy(waveform)[None])[0].numpy()
        distances.append(float(np.abs(again - mel[:, : again.shape[1]]).mean()))
    assert distances[1] < 0.5 * distances[0]
    assert distances[2] < 0.7 * distances[1]


def test_the_contract_is_the_preset(tmp_path: Path) -> None:
    _, vocoder = made(tmp_path, MEL_24K)
    assert vocoder.spec == PRESETS["vocos-24k"]
    assert [vocoder.samples(frames) for frames in (1, 2, 100)] == [0, 256, 25344]
