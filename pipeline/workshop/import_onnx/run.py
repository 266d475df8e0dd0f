"""Imports a model that others made: tries it until its length rule, halo and memory are known, and gives it a card."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from pipeline.checkpoints.card_in_onnx import read_card, write_card
from pipeline.checkpoints.model_card import KEY, Card
from pipeline.dsp.mel import log_mel
from pipeline.errors import ConfigError, MelmillError
from pipeline.melspec import MelSpec
from pipeline.vocoders.onnx_model import USER_FAMILY, OnnxModel
from pipeline.workshop.halo_trial import LengthRule, influence, length_rule, shortest_mel, try_halo
from pipeline.workshop.import_onnx.adapting import Axis, adapt
from pipeline.workshop.import_onnx.reading import read_onnx
from pipeline.workshop.prompts import prompts

Mel = NDArray[np.float32]

_LENGTHS = (64, 65, 79, 96, 128)
# Lengths of mels in which the effect of a change is measured [frames]; the last is 12 s at HiFi-GAN's 22050 Hz.
_TRIED_FRAMES = (129, 257, 513, 1025)
# Memory of a frame in onnxruntime's arena, in tensors of the size of the largest: measured on HiFi-GAN V1, rounded up.
_LIVE_TENSORS = 8
# Full scales of integers that exporters leave in a model, as bits; jik876's HiFi-GAN has MAX_WAV_VALUE = 32768. Speech
# has a peak of 0.03 to 1 of full scale, except for rounding.
_FULL_SCALES, _QUIETEST_PEAK, _ROUNDED = (7, 15, 23, 31), 32, 1.001
# Largest difference between the samples of a batch and those of single mels, relative to the peak.
_BATCHED = 1e-5


@dataclass(frozen=True)
class ImportedOnnx:
    """An imported model, and what was found about it.

    Args:
        model: the model, from `mel [batch, n_mels, frames] float32` to `waveform [batch, samples] float32`, with its
            card.
        card: card of the model.
        heard: number of frames (left, right) within which a change of one frame changed samples in the trial.
        batched: whether the model takes several mels at once.
        embedded: number of weights that were taken into the model from other files.
    """

    model: onnx.ModelProto
    card: Card
    heard: tuple[int, int]
    batched: bool
    embedded: int


def import_onnx(
    path: Path,
    spec: MelSpec | None = None,
    halo: tuple[int, int] | None = None,
    axis: Axis = "auto",
    scale: float = 1.0,
) -> ImportedOnnx:
    """Reads an ONNX model that maps a mel to a waveform, tries it, and gives it a card.

    The length rule is found by trial; it must be a whole number of samples for each frame, the hop of the contract. The
    halo is found by trial, too: single frames of speech and of noise are changed, and the samples compared bit by bit.
    Two frames or a tenth are added, for effects that no trial has shown. If a halo is given, it is tried instead.

    A trial runs the model in onnxruntime. The size of its file is bounded before that, but not the work and memory that
    its nodes ask for: a hostile graph cannot reach other files, but it can take time and memory.

    Args:
        path: the .onnx file.
        spec: contract of the mels that the model takes; that of its card, if it has one, if None.
        halo: frames of context (left, right); found by trial if None.
        axis: the axis of a mel that comes first, if the shapes do not tell.
        scale: factor that the model's samples are multiplied by, for a model whose full scale is not 1.

    Raises:
        ConfigError: if the file is refused (see `read_onnx`), is not a mel-to-waveform model (see `adapt`), or makes a
            number of samples of a frame that is not the hop of the contract; if the contract is not known; or if the
            samples are random, depend on frames that are too far away, or are far beyond full scale.
    """
    read = read_onnx(path)
    try:
        spec = _contract(read.model, spec)
        model = adapt(read.model, spec.n_mels, axis, scale)
        with tempfile.TemporaryDirectory(prefix="melmill-") as folder:
            model, trial = _opened(model, spec, Path(folder))
            rule, least = _found_rule(trial, spec)
            _check_level(trial, scale)
            heard = _found_halo(trial, spec, halo)
            card = Card(
                family=USER_FAMILY,
                spec=spec,
                halo=_with_margin(heard) if halo is None else halo,
                extra_samples=rule.extra,
                frame_bytes=_frame_bytes(trial),
                source=read.digest,
                least_frames=least,
            )
            _check_windows(trial, card)
    except ConfigError as error:
        raise ConfigError(f"{path}: this model is refused: {error}") from error
    _write_card(model, card)
    return ImportedOnnx(model, card, heard, not _is_single(model), read.embedded)


class _Trial:
    """A model whose halo and length rule are not known yet, ready to be tried."""

    def __init__(self, path: Path, spec: MelSpec) -> None:
        self.path = path
        self._model = OnnxModel(path)
        speech = np.concatenate(list(prompts(spec.sample_rate).values()))
        repeats = -(-spec.hop_length * (_TRIED_FRAMES[-1] + 1) // len(speech))
        self.speech: Mel = log_mel(np.tile(speech, repeats), spec)
        rng = np.random.default_rng(0)
        self.noise: Mel = rng.normal(self.speech.mean(), 1 + self.speech.std(), self.speech.shape).astype(np.float32)

    def decode(self, mel: Mel) -> Mel:
        waveform: Mel = self.batch(mel[None])[0]
        return waveform

    def batch(self, mels: Mel) -> Mel:
        return self._model.run(mels, "the model")


def _contract(model: onnx.ModelProto, given: MelSpec | None) -> MelSpec:
    """The contract of its mels: the one that was given, else that of the card that an earlier import wrote."""
    card = read_card(model) if any(entry.key == KEY for entry in model.metadata_props) else None
    if card is not None and card.family != USER_FAMILY:
        raise ConfigError(f"melmill made this model ({card.family}), so it does not need an import")
    if given is not None:
        return given
    if card is None:
        raise ConfigError("it does not say which mels it takes, and melmill does not guess them: name them with --mel")
    return card.spec


def _opened(model: onnx.ModelProto, spec: MelSpec, folder: Path) -> tuple[onnx.ModelProto, _Trial]:
    """The model, set to one mel at a time if batches do not work, and a trial of it."""
    blank = Card(USER_FAMILY, spec, halo=(0, 0), extra_samples=0, frame_bytes=0, source="")

    def opened(name: str) -> _Trial:
        _write_card(model, blank)
        path = folder / name
        path.write_bytes(model.SerializeToString())
        trial = _Trial(path, spec)
        try:
            first, again = (trial.decode(trial.speech[:, :64]) for _ in range(2))
        except MelmillError as error:
            raise ConfigError(f"it does not decode 64 frames of speech: {error}") from error
        if not np.array_equal(first, again, equal_nan=True):
            raise ConfigError("the same mel gives different samples each time: its noise must be a constant")
        return trial

    trial = opened("batched.onnx")
    if not _is_single(model) and not _batches(trial):
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        trial = opened("single.onnx")
    return model, trial


def _is_single(model: onnx.ModelProto) -> bool:
    return bool(model.graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value"))


def _batches(trial: _Trial) -> bool:
    """Whether mels that are decoded together give the same samples as each alone."""
    mels = np.stack([trial.speech[:, :64], trial.speech[:, 64:128]])
    try:
        together = trial.batch(mels)
    except MelmillError:
        return False
    alone = np.stack([trial.decode(mel) for mel in mels])
    return together.shape == alone.shape and bool(np.abs(together - alone).max() <= _BATCHED * np.abs(alone).max())


def _found_rule(trial: _Trial, spec: MelSpec) -> tuple[LengthRule, int]:
    """The length rule, and the smallest number of frames for which it holds."""
    try:
        lengths = [(frames, len(trial.decode(trial.speech[:, :frames]))) for frames in _LENGTHS]
    except MelmillError as error:
        raise ConfigError(f"it does not decode mels of every length: {error}") from error
    tried = ", ".join(f"{samples} samples from {frames} frames" for frames, samples in lengths)
    rule = length_rule(lengths)
    if rule is None:
        raise ConfigError(f"it does not make a whole number of samples for each frame: it made {tried}")
    if rule.hop != spec.hop_length:
        raise ConfigError(
            f"it makes {rule.hop} samples of a frame; the mel contract has a hop of {spec.hop_length}: name the mels "
            f"that it was trained on with --mel (in the trial it made {tried})"
        )
    least = shortest_mel(trial.decode, trial.speech, lambda frames: frames * rule.hop + rule.extra)
    return rule, _LENGTHS[0] if least is None else least


def _found_halo(trial: _Trial, spec: MelSpec, given: tuple[int, int] | None) -> tuple[int, int]:
    """The number of frames (left, right) within which a change has an effect; an error if a given halo is smaller."""
    for frames in _TRIED_FRAMES:
        mels = [mel[:, :frames] for mel in (trial.speech, trial.noise)]
        try:
            found = influence(trial.decode, mels, spec.hop_length)
        except MelmillError as error:
            raise ConfigError(f"it does not decode {frames} frames: {error}") from error
        peak = max(float(np.abs(trial.decode(mel)).max(initial=0)) for mel in mels)
        if not math.isfinite(peak):
            raise ConfigError("it gives samples that are NaN or infinite for mels of speech and of noise")
        if given is not None and found.beyond(given) > found.faded(peak):
            heard = found.reach(found.faded(peak))
            raise ConfigError(
                f"--halo {given[0]},{given[1]} is too small: a change of one frame changes the samples of up to "
                f"{heard[0]} frames after it and {heard[1]} before it"
            )
        heard = found.reach(found.faded(peak) if frames == _TRIED_FRAMES[-1] else 0.0)
        if max(heard) < frames // 2:
            return heard
    raise ConfigError(
        f"a change of one frame changes samples {frames // 2} frames away: they depend on the whole mel, so it cannot "
        "be decoded in windows with the same result"
    )


def _check_level(trial: _Trial, scale: float) -> None:
    """Speech must not have a root mean square over full scale, which no waveform within [-1, 1] has."""
    waveform = trial.decode(trial.speech[:, : _TRIED_FRAMES[0]]).astype(np.float64)
    peak, level = float(np.abs(waveform).max(initial=0)), float(np.sqrt(np.mean(waveform**2)))
    if not math.isfinite(level) or level <= 1:  # samples that are not finite are found with the halo
        return
    unscaled = peak / scale
    full = next((2**bits for bits in _FULL_SCALES if 2**bits / _QUIETEST_PEAK <= unscaled <= _ROUNDED * 2**bits), None)
    needed = f"1/{full}" if full else f"{1 / unscaled:.3g}"
    raise ConfigError(
        f"its samples for speech reach {peak:.6g}, {20 * math.log10(peak):.0f} dB over full scale, which is 1, and "
        f"would be clipped nearly everywhere. It seems to need --scale {needed}"
        + (f", for samples in the range of integers of {full.bit_length()} bits" if full else "")
        + ("" if scale == 1 else f" (this was with --scale {scale:g})")
    )


def _with_margin(heard: tuple[int, int]) -> tuple[int, int]:
    left, right = (frames + max(2, math.ceil(frames / 10)) for frames in heard)
    return left, right


def _check_windows(trial: _Trial, card: Card) -> None:
    hop = card.spec.hop_length
    tried = try_halo(
        lambda mel, window: window.core(trial.decode(mel), hop), trial.speech[:, : _TRIED_FRAMES[-1]], hop, card.halo
    )
    if not tried.enough:
        raise ConfigError(
            f"windows with a halo of {card.halo[0]} frames left and {card.halo[1]} right differ from the whole by "
            f"{tried.error:.2g} of full scale; rounding explains {tried.allowed:.2g}. Give a larger halo with --halo"
        )


def _frame_bytes(trial: _Trial) -> int:
    """Memory that a frame takes [bytes], from the largest tensor in onnxruntime's profile of one run."""
    frames = 64
    with tempfile.TemporaryDirectory(prefix="melmill-") as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        session = onnxruntime.InferenceSession(trial.path, options, providers=["CPUExecutionProvider"])
        session.run(None, {"mel": np.ascontiguousarray(trial.speech[None, :, :frames])})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    sizes = [int(event["args"]["output_size"]) for event in events if "output_size" in event.get("args", {})]
    return _LIVE_TENSORS * math.ceil(max(sizes, default=0) / frames)


def _write_card(model: onnx.ModelProto, card: Card) -> None:
    """Adds the card to the metadata, and keeps the entries that others wrote."""
    kept = {entry.key: entry.value for entry in model.metadata_props if entry.key != KEY}
    write_card(model, card)
    for key, value in kept.items():
        model.metadata_props.add(key=key, value=value)
