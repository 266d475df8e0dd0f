"""The systems that are judged: melmill's vocoders and settings of them, and what they are compared with."""

import functools
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support.librosa_griffin_lim import librosa_waveform
from tools.quality.coded import CODECS
from tools.quality.kinds import CLEAN
from tools.quality.speech import SPEC

from pipeline.dsp.refinement import refined
from pipeline.kernels.target import available
from pipeline.vocoders import load_vocoder
from pipeline.vocoders.lift import Lift
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.registry import LIFTS

RECORDING, HIFIGAN = "recording", "hifigan-universal"
MIXED = f"{HIFIGAN}, mixed precision"
REFINED = {f"{HIFIGAN}, refine {times}": times for times in (0.8, 1, 2)}
PREDICTED = {f"{name}, vocoder.mels predicted": name for name in ("griffin-lim", "lift")}
"""The systems that iterate less on mels that are taken as predicted; by their plain names they take all as recorded."""
SYSTEMS = (
    RECORDING, "librosa", "griffin-lim", "lift", "lift-hq", *PREDICTED, HIFIGAN, *REFINED, MIXED, "hifigan-ljspeech",
)  # fmt: skip
ITERATIONS = (16, 32, 48, 64, 96)
"""Numbers of iterations of lift that are compared, on clean mels alone; the others with the first."""
LIFT_ITERATIONS = {name: LIFTS[name][1] for name in ("lift", "lift-hq")}
LIFT_ITERATIONS |= {f"lift, {each} iterations": each for each in ITERATIONS if each not in LIFT_ITERATIONS.values()}
OF_LIFT = {*LIFT_ITERATIONS, *(system for system, name in PREDICTED.items() if name == "lift")}
"""The systems that are made of a lift's weights."""
AT = {iterations: name for name, iterations in LIFT_ITERATIONS.items()}


def vocoded(system: str, voice: str, mel: NDArray[np.float32], folds: Path | None) -> NDArray[np.float32]:
    if system == "librosa":
        return librosa_waveform(mel, SPEC)
    if system == MIXED:
        return load_vocoder(HIFIGAN, precision="mixed").decode(mel)
    if system == HIFIGAN or system in REFINED:
        return refined(_of_hifigan(mel.tobytes()), mel, SPEC, REFINED.get(system, 0))
    origin, name = ("predicted", PREDICTED[system]) if system in PREDICTED else ("recorded", system)
    iterations = LIFT_ITERATIONS.get(name)
    if iterations is not None:
        return _lift(fold(folds, voice) or LIFTS["lift"][0], iterations).for_mels(origin).decode(mel)
    return load_vocoder(name, SPEC, mels=origin).decode(mel)


@functools.lru_cache(maxsize=1)  # its refined forms begin with the same waveform
def _of_hifigan(mel: bytes) -> NDArray[np.float32]:
    return load_vocoder(HIFIGAN).decode(np.frombuffer(mel, np.float32).reshape(SPEC.n_mels, -1))


@functools.cache
def _lift(path: Path, iterations: int) -> Lift:
    return Lift(OnnxModel(path), iterations=iterations)


def measured_systems(kind: str) -> list[str]:
    """The systems that are judged on a kind of mel, here. The recording is, where the reference is another one."""
    here = [each for each in SYSTEMS if each != MIXED or has_bfloat16()]
    if kind == CLEAN:
        return list(dict.fromkeys([*here, *LIFT_ITERATIONS]))
    return here if kind in CODECS else here[1:]


@functools.cache
def has_bfloat16() -> bool:
    """Whether native kernels multiply bfloat16 on this processor."""
    target = available()
    return not isinstance(target, str) and target.bfloat16


def fold(folds: Path | None, voice: str) -> Path | None:
    """The lift that was trained without a voice."""
    path = folds / f"{voice}.onnx" if folds is not None else None
    return path if path is not None and path.exists() else None


def weights(folds: Path | None, voice: str) -> str | None:
    """Digest of the weights that were trained without a voice; None for the shipped ones."""
    path = fold(folds, voice)
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()[:16]
