"""Mel to waveform, and audio to mel: each runtime and library on one thread."""

from collections.abc import Sequence
from pathlib import Path

from support.hifigans import CONFIGS, random_state
from support.native import published_model
from tools.bench import speech
from tools.bench.measuring import Contender, Group, Row, alternated

from pipeline.checkpoints.hifigan import build_hifigan
from pipeline.vocoders import load_vocoder
from pipeline.vocoders.registry import model_path

AVX2 = {"MELMILL_KERNELS": "haswell"}
"""melmill compiles code for Intel's first processor with AVX2 and FMA."""
THEIR_AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
"""PyTorch and OpenVINO choose code for AVX2. onnxruntime has no such setting."""
NATIVE, NATIVE_AVX2 = "native", "native, AVX2 code"
ONNXRUNTIME, TORCH, TORCH_AVX2 = "onnxruntime", "PyTorch", "PyTorch with AVX2 code"
OPENVINO, OPENVINO_AVX2 = "OpenVINO", "OpenVINO with AVX2 code"
LIBROSA = "librosa"
HIFIGAN = "hifigan-universal"


def rows(folder: Path, rounds: int) -> list[Row]:
    """A row for each contender.

    Args:
        folder: a folder for models and results.
        rounds: number of rounds.
    """
    groups = [_net(HIFIGAN, HIFIGAN, ("torch_generator", HIFIGAN), str(model_path(HIFIGAN)))]
    for name in ("V2", "V3"):
        model = folder / f"{name}.onnx"
        made = build_hifigan(random_state(CONFIGS[name]), CONFIGS[name], "0" * 64)
        model.write_bytes(made.SerializeToString(deterministic=True))
        groups.append(_net(f"HiFi-GAN {name}, random weights", str(model), ("torch_generator", name), str(model)))
    for name, original in (("BigVGAN base", ("torch_bigvgan", "BigVGAN base")), ("iSTFTNet V1", ())):
        model = folder / f"{name}.onnx"
        model.write_bytes(published_model(name)[0].SerializeToString(deterministic=True))
        groups.append(_net(f"{name}, random weights", str(model), original, str(model)))
    groups += [_spectral(name) for name in ("lift", "lift-hq", "griffin-lim")]
    length = speech.seconds()
    for what, ours, theirs in (
        ("log-mel", "log_mels", "librosa_log_mels"),
        ("mel distance", "mel_distances", "librosa_mel_distances"),
    ):
        groups.append(Group(what, length, _against_librosa(ours, theirs)))
    return alternated(groups, folder, rounds)


def _net(what: str, name: str, original: tuple[str, ...], model: str) -> Group:
    """A net that the native kernels and others run.

    Args:
        what: name of the row.
        name: name of the vocoder.
        original: the piece that runs the authors' own class in PyTorch; empty if there is no package of it.
        model: path of the vocoder's model.
    """
    native, torch = ("melmill", name, "native"), [TORCH] if original else []
    torch_avx2 = [TORCH_AVX2] if original else []
    return Group(
        what,
        speech.seconds(load_vocoder(name, runtime="onnxruntime").spec),
        [
            Contender(ONNXRUNTIME, ("melmill", name, "onnxruntime")),
            Contender(NATIVE, native, rivals=(ONNXRUNTIME, *torch, OPENVINO)),
            Contender(NATIVE_AVX2, native, AVX2, (ONNXRUNTIME, *torch_avx2, OPENVINO_AVX2)),
            *(Contender(each, original, rivals=(ONNXRUNTIME,)) for each in torch),
            *(Contender(each, original, THEIR_AVX2) for each in torch_avx2),
            Contender(OPENVINO, ("openvino", model), rivals=(ONNXRUNTIME,)),
            Contender(OPENVINO_AVX2, ("openvino", model), THEIR_AVX2),
        ],
    )


def _spectral(name: str) -> Group:
    """lift or griffin-lim, which end with the phase stage."""
    piece = ("melmill", name, "auto")
    rivals: tuple[str, ...] = (f"{HIFIGAN}: {NATIVE}",)
    if name == "griffin-lim":
        rivals += (LIBROSA,)
    contenders = [
        Contender(NATIVE, piece, rivals=rivals),
        Contender(NATIVE_AVX2, piece, AVX2, (f"{HIFIGAN}: {NATIVE_AVX2}", *rivals[1:])),
    ]
    if name == "griffin-lim":
        contenders.append(Contender(LIBROSA, ("librosa_waveforms",), same=False))
    return Group(name, speech.seconds(), contenders)


def _against_librosa(ours: str, theirs: str) -> Sequence[Contender]:
    return [
        Contender(LIBROSA, (theirs,)),
        Contender(NATIVE, (ours,), rivals=(LIBROSA,)),
        Contender(NATIVE_AVX2, (ours,), AVX2, (LIBROSA,)),
    ]
