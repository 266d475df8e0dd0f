"""One small random generator, spelled as six projects save it."""

from __future__ import annotations

import dataclasses
import gzip
import json
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from support.torch_writer import tensor, torch_names, zip_file

from pipeline.checkpoints.hifigan_config import HifiganConfig

State = dict[str, NDArray[Any]]

# Even kernels less rates, so that every project pads it alike; 12 bands, hop 8.
TINY = HifiganConfig(
    resblock="1", upsample_rates=(4, 2), upsample_kernel_sizes=(8, 4), upsample_initial_channel=16,
    resblock_kernel_sizes=(3, 5), resblock_dilation_sizes=((1, 2), (1, 3)), num_mels=12, sampling_rate=8000, n_fft=64,
    hop_size=8, win_size=32, fmin=0.0, fmax=4000.0,
)  # fmt: skip
SHAPE = {
    name: json.loads(json.dumps(getattr(TINY, name)))
    for name in (
        "resblock", "upsample_rates", "upsample_kernel_sizes", "upsample_initial_channel", "resblock_kernel_sizes",
        "resblock_dilation_sizes",
    )
}  # fmt: skip
COQUI_AUDIO = {
    "sample_rate": 8000, "fft_size": 64, "hop_length": 8, "win_length": 32, "num_mels": 12, "mel_fmin": 0.0,
    "mel_fmax": 4000.0, "log_func": "np.log10", "spec_gain": 20, "signal_norm": True, "stats_path": None,
}  # fmt: skip
COQUI = {
    "generator_model": "hifigan_generator",
    "generator_model_params": {
        "upsample_factors": SHAPE["upsample_rates"], "resblock_type": "1",
        **{name: value for name, value in SHAPE.items() if name not in ("resblock", "upsample_rates")},
    },
    "audio": COQUI_AUDIO,
}  # fmt: skip
NEMO = {
    "generator": SHAPE | {"resblock": 1, "initial_input_size": 12},
    "preprocessor": {
        "nfilt": 12, "lowfreq": 0, "highfreq": 4000, "n_fft": 64, "n_window_size": 32, "n_window_stride": 8,
        "sample_rate": 8000, "window": "hann", "normalize": None, "preemph": None, "log": True, "mag_power": 1.0,
        "log_zero_guard_type": "clamp", "log_zero_guard_value": 1e-5, "exact_pad": True,
    },
}  # fmt: skip
PWG = {
    "generator_type": "HiFiGANGenerator",
    "generator_params": {
        "in_channels": 12, "channels": 16, "upsample_scales": [4, 2], "upsample_kernel_sizes": [8, 4],
        "resblock_kernel_sizes": [3, 5], "resblock_dilations": [[1, 2], [1, 3]],
    },
    "sampling_rate": 8000, "fft_size": 64, "hop_size": 8, "win_length": None, "window": "hann", "num_mels": 12,
    "fmin": 80, "fmax": 3800,
}  # fmt: skip
SPEECHT5 = SHAPE | {"model_in_dim": 12, "sampling_rate": 8000, "leaky_relu_slope": 0.1, "normalize_before": True}
SPEECHBRAIN = """
sample_rate: 8000
hop_length: 8
win_length: 32
n_fft: 64
n_mel_channels: 12
mel_fmin: 0.0
mel_fmax: 4000.0
mel_normalized: False
power: 1
norm: "slaney"
mel_scale: "slaney"
dynamic_range_compression: True
seed: !apply:torch.manual_seed [1234]
n_stft: !ref <n_fft> // 2 + 1
upsample_factors: [4, 2]
generator: !new:speechbrain.lobes.models.HifiGAN.HifiganGenerator
  in_channels: !ref <n_mel_channels>
  resblock_type: "1"
  resblock_dilation_sizes: [[1, 2], [1, 3]]
  resblock_kernel_sizes: [3, 5]
  upsample_kernel_sizes: [8, 4]
  upsample_initial_channel: 16
  upsample_factors: !ref <upsample_factors>
"""


def renamed(state: Mapping[str, NDArray[Any]], *pairs: tuple[str, str]) -> State:
    """The state dict with texts in its keys replaced."""
    found = {}
    for key, value in state.items():
        for old, new in pairs:
            key = key.replace(old, new)
        found[key] = value
    return found


def torch_bytes(content: Any) -> bytes:
    """What torch.save writes, arrays as tensors."""

    def spelled(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            number[0] += 1
            return tensor(value, "Float", str(number[0]))
        if isinstance(value, dict):
            return {key: spelled(each) for key, each in value.items()}
        return value

    number = [0]
    with torch_names():
        return zip_file(spelled(content))


def safetensors_bytes(tensors: Mapping[str, NDArray[Any]], **changes: Any) -> bytes:
    """A safetensors file of float32; `changes` go over the header's entries."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts, position = [], 0
    for name, values in tensors.items():
        raw = np.ascontiguousarray(values, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [position, position + len(raw)]}
        parts.append(raw)
        position += len(raw)
    for name, entry in changes.items():
        header[name] = header.get(name, {}) | entry
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def nemo_bytes(members: Mapping[str, bytes | tarfile.TarInfo], mode: str = "w") -> bytes:
    """A tar archive; a TarInfo stands for a member without content, whatever size it states."""
    blocks = []
    for name, content in members.items():
        member, data = (tarfile.TarInfo(name), content) if isinstance(content, bytes) else (content, b"")
        member.size = len(data) or member.size
        blocks += [member.tobuf(), data, bytes(-len(data) % tarfile.BLOCKSIZE)]
    archive = b"".join(blocks) + bytes(tarfile.RECORDSIZE)
    return gzip.compress(archive) if mode == "w:gz" else archive


def write_files(folder: Path, project: str, state: State) -> Path:
    """The state dict of a generator of shape TINY, as a project would have saved it; returns the checkpoint."""

    def put(name: str, content: bytes | str) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    blocks = len(TINY.resblock_kernel_sizes)
    nested = [(f"resblocks.{i}.", f"resblocks.{i // blocks}.{i % blocks}.") for i in range(4)]
    match project:
        case "jik876":
            put("config.json", json.dumps(dataclasses.asdict(TINY)))
            return put("g_02500000", torch_bytes({"generator": state}))
        case "coqui":
            put("config.json", "// written by hand\n" + json.dumps(COQUI))
            return put("best_model.pth", torch_bytes({"model": state, "step": 1}))
        case "coqui-gan":
            put("config.json", json.dumps(COQUI))
            both = {f"model_g.{key}": value for key, value in state.items()} | {"model_d.w": np.ones(1, np.float32)}
            return put("model.pth", torch_bytes({"model": both}))
        case "nemo" | "nemo-flat":
            found = state if project == "nemo-flat" else renamed(state, *nested)
            weights = {f"generator.{key}": value for key, value in found.items()} | {"mpd.w": np.ones(1, np.float32)}
            members = {
                "./model_config.yaml": yaml.safe_dump(NEMO).encode(),
                "./model_weights.ckpt": torch_bytes(weights),
            }
            return put("voice.nemo", nemo_bytes(members, "w:gz" if project == "nemo-flat" else "w"))
        case "pwg":
            put("config.yml", yaml.safe_dump(PWG))
            np.save(folder / "stats.npy", np.array([np.linspace(-3, -1, 12), np.linspace(0.5, 1, 12)], np.float32))
            layers = [(f".convs{c}.{i}.", f".convs{c}.{i}.1.") for c in (1, 2) for i in (0, 1)]
            layers += [("ups.0.", "upsamples.0.1."), ("ups.1.", "upsamples.1.1."), ("resblocks.", "blocks.")]
            found = renamed(state, *layers, ("conv_pre.", "input_conv."), ("conv_post.", "output_conv.1."))
            return put("checkpoint-7steps.pkl", torch_bytes({"model": {"generator": found, "discriminator": {}}}))
        case "speecht5":
            put("config.json", json.dumps(SPEECHT5))
            found = renamed(state, ("ups.", "upsampler."))
            found |= {
                "mean": np.linspace(-1, 1, 12).astype(np.float32),
                "scale": np.linspace(0.5, 2, 12).astype(np.float32),
            }
            return put("model.safetensors", safetensors_bytes(found))
        case "speechbrain":
            put("hyperparams.yaml", SPEECHBRAIN)
            put("config.json", '{"speechbrain_interface": "HIFIGAN"}')
            found = renamed(state, (".weight", ".conv.weight"), (".bias", ".conv.bias"))
            return put("generator.ckpt", torch_bytes(found))
    raise AssertionError(project)


SPELLINGS = ("jik876", "coqui", "coqui-gan", "nemo", "nemo-flat", "pwg", "speecht5", "speechbrain")
