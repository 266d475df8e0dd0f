"""Vocoders that PyTorch's exporters wrote as ONNX: the old one, and that of torch.export, which writes two files."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import ConfigError
from pipeline.melspec import PRESETS
from pipeline.vocoders import load_vocoder
from pipeline.workshop.import_onnx import import_onnx

SPEC = PRESETS["hifigan-22k"]


class Generator(nn.Module):
    """As small a HiFi-GAN as there can be: three transposed convolutions of 8 * 8 * 4 = 256 and a residual one."""

    def __init__(self, frames_first: bool = False, channel: bool = False) -> None:
        super().__init__()
        self.frames_first, self.channel = frames_first, channel
        self.pre = nn.Conv1d(80, 32, 7, padding=3)
        self.ups = nn.ModuleList(
            [
                nn.ConvTranspose1d(32, 16, 16, 8, 4),
                nn.ConvTranspose1d(16, 8, 16, 8, 4),
                nn.ConvTranspose1d(8, 8, 8, 4, 2),
            ]
        )
        self.residual = nn.Conv1d(8, 8, 3, padding=1)
        self.post = nn.Conv1d(8, 1, 7, padding=3)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        x = self.pre(mel.transpose(1, 2) if self.frames_first else mel)
        for up in self.ups:
            x = up(nn.functional.leaky_relu(x, 0.1))
        x = torch.tanh(self.post(x + self.residual(nn.functional.leaky_relu(x, 0.1))))
        return x if self.channel else x.squeeze(1)


class Recurrent(nn.Module):
    """Remembers the whole mel."""

    def __init__(self) -> None:
        super().__init__()
        self.memory, self.out = nn.GRU(80, 32, batch_first=True), nn.Linear(32, 256)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.out(self.memory(mel.transpose(1, 2))[0])).flatten(1)


def exported(module: nn.Module, path: Path, frames_axis: int, dynamo: bool) -> Path:
    torch.manual_seed(0)
    example = torch.randn((1, 80, 40) if frames_axis == 2 else (1, 40, 80))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's about itself
        if dynamo:
            frames = ({frames_axis: torch.export.Dim.DYNAMIC},)
            torch.onnx.export(
                module, (example,), path, dynamo=True, dynamic_shapes=frames, external_data=True, verbose=False
            )
            assert path.with_name(f"{path.name}.data").exists()
        else:
            axes = {"mel": {0: "batch", frames_axis: "frames"}, "audio": {0: "batch"}}
            torch.onnx.export(
                module, (example,), path, dynamo=False, dynamic_axes=axes, input_names=["mel"], output_names=["audio"]
            )
    return path


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.parametrize("frames_first", [False, True])
def test_what_pytorch_exported_gives_the_samples_of_the_module(
    tmp_path: Path, frames_first: bool, channel: bool, dynamo: bool
) -> None:
    torch.manual_seed(1)
    module = Generator(frames_first, channel).eval()
    path = exported(module, tmp_path / "theirs.onnx", 1 if frames_first else 2, dynamo)
    made = import_onnx(path, SPEC)
    assert made.heard == (4, 4)
    assert made.card.halo == (6, 6)
    assert made.batched is not dynamo  # its batch was not exported as dynamic
    assert made.embedded == (5 if dynamo else 0)
    (tmp_path / "ours.onnx").write_bytes(made.model.SerializeToString())
    mel = np.random.default_rng(2).normal(-4, 2, (80, 70)).astype(np.float32)
    with torch.no_grad():
        wanted = module(torch.from_numpy(mel.T[None].copy() if frames_first else mel[None])).numpy().reshape(-1)
    assert np.abs(load_vocoder(str(tmp_path / "ours.onnx")).decode(mel) - wanted).max() < 1e-5


def test_a_recurrent_vocoder_is_refused_since_its_windows_would_be_others(tmp_path: Path) -> None:
    torch.manual_seed(1)
    path = exported(Recurrent().eval(), tmp_path / "theirs.onnx", 2, dynamo=False)
    with pytest.raises(ConfigError, match="they depend on the whole mel"):
        import_onnx(path, SPEC)
