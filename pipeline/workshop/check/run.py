"""Runs all trials of a vocoder, and reports their results."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.mel import log_mel
from pipeline.errors import ConfigError, ContractError, MelmillError
from pipeline.melspec import Difference, MelOrigin, MelSpec
from pipeline.vocoders import Vocoder, decode_windows, load_vocoder
from pipeline.vocoders.base import Runtime
from pipeline.vocoders.registry import GRIFFIN_LIM, model_path
from pipeline.workshop.check.speech import PromptTrial, SpeechVerdict, judge, try_prompt
from pipeline.workshop.halo_trial import HaloTrial, influence, shortest_mel, try_halo
from pipeline.workshop.import_onnx import import_onnx
from pipeline.workshop.model_geometry import Geometry, read_geometry
from pipeline.workshop.prompts import prompts

_LENGTHS = (13, 32, 50, 101)
# Frames of the mel that is decoded in windows, and of each window: where they begin lies in every way to the tiles.
_WINDOWED, _SHORT = 300, 37


@dataclass(frozen=True)
class VocoderReport:
    """The results of all trials.

    Args:
        name: name of the vocoder.
        digest: digest of the vocoder.
        runtime: what runs its net; None if it has no net.
        refine: number of projections of its waveforms.
        spec: contract that it was tried with.
        differences: differences from that contract to the one that it states, if `--mel` names another one.
        geometry: geometry of its model; None if it has no model.
        halo: comparison of windows with the whole.
        heard: number of frames (left, right) within which a change of one frame changes samples.
        hop: number of samples of a frame.
        extra: number of samples beyond `frames * hop`.
        shortest: smallest number of frames that it decodes.
        lengths: numbers of frames that were tried for the length rule.
        speed: seconds of audio for each second of work, on one thread.
        peak: peak of the prompts [full scale].
        prompts: trial of each prompt.
        verdict: verdict of all prompts.
        problems: messages about what is wrong with the vocoder itself.
    """

    name: str
    digest: str
    runtime: Runtime | None
    refine: float
    spec: MelSpec
    differences: tuple[Difference, ...]
    geometry: Geometry | None
    halo: HaloTrial
    heard: tuple[int, int]
    hop: int
    extra: int
    shortest: int
    lengths: tuple[int, ...]
    speed: float
    peak: float
    prompts: tuple[PromptTrial, ...]
    verdict: SpeechVerdict
    problems: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 if all is well, else the exit code of a wrong model or of a contract that does not fit."""
        if self.problems:
            return ConfigError.exit_code
        return 0 if self.verdict.fits else ContractError.exit_code

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; None for numbers that are not finite."""
        plain = dataclasses.asdict(dataclasses.replace(self, geometry=None, differences=()))
        plain["spec"] = self.spec.to_dict()
        plain["differences"] = [str(difference) for difference in self.differences]
        if self.geometry is not None:
            plain["geometry"] = self.geometry.to_dict()
        plain["exit_code"] = self.exit_code
        finite: dict[str, Any] = _finite(plain)
        return finite


def check_vocoder(
    name: str,
    mel: MelSpec | None = None,
    runtime: Runtime | Literal["auto"] = "auto",
    refine: float = 0,
    mels: MelOrigin = "recorded",
) -> VocoderReport:
    """Tries a vocoder on the prompts that come with melmill, on one thread.

    Args:
        name: name of the vocoder, as in `load_vocoder`; or an .onnx file that others made, which is imported for the
            trial.
        mel: contract by which the mels are made; the vocoder's own if None. griffin-lim has no contract of its own.
        runtime: what runs its net, as in `load_vocoder`.
        refine: number of projections of its waveforms, as in `load_vocoder`.
        mels: what the mels are taken as, as in `load_vocoder`. The trial's are of recordings.

    Raises:
        ConfigError: if there is no vocoder of that name, if it cannot be imported or refined, or if it decodes no mel
            at all.
        ContractError: if it takes mels with another number of bands.
    """
    if name.endswith(".onnx") and mel is not None and read_geometry(Path(name)).card is None:
        with tempfile.TemporaryDirectory(prefix="melmill-") as folder:
            imported = Path(folder) / "imported.onnx"
            imported.write_bytes(import_onnx(Path(name), mel).model.SerializeToString(deterministic=True))
            return dataclasses.replace(check_vocoder(str(imported), None, runtime, refine, mels), name=name)
    vocoder = load_vocoder(name, mel, runtime=runtime, refine=refine, mels=mels)
    spec = vocoder.spec if mel is None else mel
    if spec.n_mels != vocoder.spec.n_mels:
        raise ContractError(f"{name} takes mels of {vocoder.spec.n_mels} bands; those of --mel have {spec.n_mels}")
    path = None if name == GRIFFIN_LIM else model_path(name)
    speech = prompts(spec.sample_rate)
    long = log_mel(np.concatenate(list(speech.values())), spec)
    shortest = shortest_mel(vocoder.decode, long, vocoder.samples)
    if shortest is None:
        raise ConfigError(f"{name} decodes nothing: {_wrong_length(vocoder, long[:, :64])}")
    counts = [shortest, *(count for count in _LENGTHS if count > shortest)]
    wrong = [problem for count in counts if (problem := _wrong_length(vocoder, long[:, :count]))]
    halo, heard, beyond = _tried_halo(vocoder, long)
    trials = tuple(try_prompt(vocoder, spec, *prompt) for prompt in speech.items())
    took = sum(trial.took for trial in trials)
    return VocoderReport(
        name=name,
        digest=vocoder.digest,
        runtime=vocoder.backend.runtime,
        refine=refine,
        spec=spec,
        differences=spec.compare(vocoder.spec),
        geometry=None if path is None else read_geometry(path),
        halo=halo,
        heard=heard,
        hop=vocoder.spec.hop_length,
        extra=vocoder.samples(100) - 100 * vocoder.spec.hop_length,
        shortest=shortest,
        lengths=tuple(counts),
        speed=sum(trial.seconds for trial in trials) / took if took else float("inf"),
        peak=max(trial.peak for trial in trials),
        prompts=trials,
        verdict=judge(trials),
        problems=(*wrong, *_halo_problems(halo, heard, beyond)),
    )


def _tried_halo(vocoder: Vocoder, mel: NDArray[np.float32]) -> tuple[HaloTrial, tuple[int, int], float]:
    """The trial of the halo, the frames within which a change has an effect, and the largest effect beyond the halo."""
    hop, stated = vocoder.spec.hop_length, vocoder.halo
    native = vocoder.backend.runtime == "native"
    trial = try_halo(vocoder.decode, mel, hop, stated, 0.0 if native else None)
    if native:
        trial = dataclasses.replace(trial, error=max(trial.error, _windows_apart(vocoder, mel[:, :_WINDOWED])))
    frames = min(mel.shape[1], 2 * max(stated) + 33)
    loudest = int(np.argmax(mel.mean(axis=0)[frames // 2 : mel.shape[1] - frames // 2])) if frames < mel.shape[1] else 0
    found = influence(vocoder.decode, [mel[:, loudest : loudest + frames]], hop)
    faded = found.faded(float(np.abs(vocoder.decode(mel[:, loudest : loudest + frames])).max(initial=0)))
    beyond = found.beyond(stated)
    return trial, found.reach(faded), beyond if beyond > faded else 0.0


def _windows_apart(vocoder: Vocoder, mel: NDArray[np.float32]) -> float:
    """Largest difference between a mel decoded in short windows and the whole [full scale]."""
    pieces = decode_windows(vocoder, lambda start, stop: mel[:, start:stop], mel.shape[1], _SHORT)
    return float(np.abs(np.concatenate(list(pieces)) - vocoder.decode(mel)).max(initial=0))


def _halo_problems(halo: HaloTrial, heard: tuple[int, int], beyond: float) -> list[str]:
    problems = []
    left, right = halo.stated
    if not halo.enough:
        found = zip(halo.smallest, ("left", "right"), strict=True)
        enough = " and ".join(f"{'none' if side is None else side} {where}" for side, where in found)
        problems.append(
            f"the stated halo, {left} frames left and {right} right, is too small: windows with it differ from the "
            f"whole by {halo.error:.2g} of full scale; {halo.allowed:.2g} is allowed. The smallest "
            f"halo that was enough: {enough}, of up to {halo.searched} frames"
        )
    if beyond:
        problems.append(
            f"the stated halo, {left} frames left and {right} right, is too small: a change of one frame changes "
            f"the samples of up to {heard[0]} frames after it and {heard[1]} before it, beyond the halo by up to "
            f" {beyond:.2g} of full scale"
        )
    return problems


def _wrong_length(vocoder: Vocoder, mel: NDArray[np.float32]) -> str | None:
    frames = mel.shape[1]
    try:
        made = len(vocoder.decode(mel))
    except MelmillError as error:
        return f"{frames} frames cannot be decoded: {error}"
    if made != vocoder.samples(frames):
        return f"{frames} frames gave {made} samples; the vocoder promises {vocoder.samples(frames)}"
    return None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
