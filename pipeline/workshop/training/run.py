"""`melmill vocoder train`: from speech to a `lift` vocoder for a mel contract, with its record and its figures."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import soxr
import torch
from numpy.typing import NDArray

from pipeline.checkpoints.card_in_onnx import write_card
from pipeline.checkpoints.model_card import Card
from pipeline.dsp.mel import log_mel
from pipeline.dsp.mel_distance import MelDistance
from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec
from pipeline.storage import translated
from pipeline.storage.atomic import atomic_write
from pipeline.vocoders import Vocoder, decode_windows, load_vocoder
from pipeline.vocoders.lift import WITHOUT_UPDATES, Lift
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.workshop.training.batches import Batches
from pipeline.workshop.training.export import export
from pipeline.workshop.training.loop import Training, TrainingPlan, TrainingProgress, level
from pipeline.workshop.training.net import KERNEL, LiftNet, LiftShape
from pipeline.workshop.training.speech import Recording, Speech, read_speech

# Number of held-out utterances that are judged, and the largest part of each [s].
_JUDGED, _JUDGED_SECONDS = 8, 8.0
_FIGURES = 5  # number of times that figures are taken in a training
_PESQ_RATE = 16000


@dataclass(frozen=True)
class Figures:
    """The quality of held-out speech after the net.

    Args:
        mel_distance: mel distance, mean over the utterances.
        pesq: wideband PESQ at 16 kHz, mean over the utterances; None if `pesq` is not installed.
    """

    mel_distance: float
    pesq: float | None


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Args:
        path: file of the model.
        record: record of the speech and settings, as kept in the model.
        left_out: audio files that were not used, each with the reason.
    """

    path: Path
    record: dict[str, Any]
    left_out: tuple[str, ...]


def train_vocoder(
    sources: Sequence[Path],
    spec: MelSpec,
    out: Path,
    plan: TrainingPlan,
    hold_out: str | None = None,
    teacher: str | None = None,
    teacher_minutes: float = 10.0,
    on_progress: Callable[[TrainingProgress, Figures | None], None] = lambda progress, figures: None,
) -> Trained:
    """Trains a `lift` vocoder on speech and writes it to `out`, and a page about it to the same name with `.md`.

    Until the training is done, its state is kept in the same name with `.state`; the same call resumes it.

    Args:
        sources: folders, files or manifests of speech; see `read_speech`.
        spec: contract of the mels that the vocoder takes.
        out: the .onnx file.
        plan: duration and seed.
        hold_out: pattern of the utterances to hold out; see `read_speech`.
        teacher: a vocoder for mels of the same contract, whose output is the target above the speech's own bandwidth.
        teacher_minutes: duration of the speech that the teacher vocodes [min].
        on_progress: function that is called after each step, five times with figures.

    Raises:
        ConfigError: if there is no speech to train on, or the teacher or an unfinished training does not fit.
        StorageError: if the model cannot be written.
    """
    if out.suffix != ".onnx":
        raise ConfigError(f"{out}: the model's name must end in .onnx")
    speech = read_speech(sources, spec.sample_rate, hold_out)
    taught = {} if teacher is None else _teach(speech, spec, teacher, teacher_minutes)
    batches = Batches(speech.train, taught, spec)
    if not len(batches):
        raise ConfigError(f"none of {len(speech.train)} utterances is long enough to train on")
    mean, deviation = batches.statistics(np.random.default_rng([plan.seed, 1 << 40]))
    shape = LiftShape()
    record: dict[str, Any] = {
        "speech": speech.digest,
        "utterances": len(speech.train),
        "hours": round(speech.samples / spec.sample_rate / 3600, 3),
        "hold_out": hold_out,
        "held_out": len(speech.held_out),
        "teacher": teacher,
        "teacher_minutes": teacher_minutes if teacher else None,
        "shape": asdict(shape),
        WITHOUT_UPDATES: True,
        "plan": asdict(plan),
        "versions": {name: importlib.metadata.version(name) for name in ("melmill", "numpy", "torch")},
    }
    identity = {"spec": spec.to_dict(), **record}
    with translated(f"writing {out}"):
        return _train(speech, batches, spec, shape, (mean, deviation), plan, record, identity, out, on_progress)


def _train(
    speech: Speech,
    batches: Batches,
    spec: MelSpec,
    shape: LiftShape,
    statistics_: tuple[NDArray[np.float32], float],
    plan: TrainingPlan,
    record: dict[str, Any],
    identity: dict[str, Any],
    out: Path,
    on_progress: Callable[[TrainingProgress, Figures | None], None],
) -> Trained:
    out.parent.mkdir(parents=True, exist_ok=True)
    state, trial = out.with_suffix(".state"), out.with_suffix(".trial.onnx")

    def figures(net: LiftNet) -> Figures:
        _write(export(net, batches.taught), _card(net, record), trial)
        try:
            return judge(Lift(OnnxModel(trial, threads=torch.get_num_threads())), judged(speech.held_out, spec))
        finally:
            trial.unlink()

    def told(progress: TrainingProgress, net: LiftNet) -> None:
        due = progress.steps and progress.step % max(1, progress.steps // _FIGURES) == 0
        on_progress(progress, figures(net) if due and progress.step < progress.steps else None)

    training = Training(lambda: LiftNet(spec, shape, *statistics_), batches, plan, state, identity)
    training.run(told)
    net, progress = training.net, training.progress
    level(net, batches, np.random.default_rng([plan.seed, 1 << 41]))
    last = figures(net)
    on_progress(progress, last)
    record |= {"steps": progress.steps, "minutes": round(progress.seconds / 60, 2), "loss": round(progress.loss, 4)}
    record |= {"held_out_mel_distance": last.mel_distance, "held_out_pesq": last.pesq}
    record |= {"silent_above": _silent_above(batches, spec)}
    _write(export(net, batches.taught), _card(net, record), out)
    out.with_suffix(".md").write_text(_page(out, spec, record), encoding="utf-8")
    state.unlink(missing_ok=True)
    return Trained(out, record, speech.left_out)


def judged(utterances: Sequence[Recording], spec: MelSpec) -> list[NDArray[np.float32]]:
    """A few utterances, evenly spread, each cut to a length that is quick to judge, `[samples] float32`."""
    spread = utterances[:: max(1, len(utterances) // _JUDGED)][:_JUDGED]
    return [utterance.waveform[: int(_JUDGED_SECONDS * spec.sample_rate)] for utterance in spread]


def judge(vocoder: Lift, waveforms: Sequence[NDArray[np.float32]]) -> Figures:
    """The figures of copy-synthesis: waveforms are analysed and vocoded again."""
    distances, scores = [], []
    for waveform in waveforms:
        mel = log_mel(waveform, vocoder.spec)
        made = _vocoded(vocoder, mel)
        distance = MelDistance(vocoder.spec)
        distance.push_mel(mel)
        distance.push_audio(made)
        distances.append(distance.finish()[0])
        if importlib.util.find_spec("pesq") is not None:
            scores.append(_pesq(waveform, made, vocoder.spec.sample_rate))
    found = [score for score in scores if score is not None]
    return Figures(round(statistics.fmean(distances), 4), round(statistics.fmean(found), 3) if found else None)


def _vocoded(vocoder: Vocoder, mel: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate(list(decode_windows(vocoder, lambda start, stop: mel[:, start:stop], mel.shape[1])))


def _pesq(wanted: NDArray[np.float32], made: NDArray[np.float32], sample_rate: int) -> float | None:
    import pesq

    count = min(len(wanted), len(made))
    pair = (soxr.resample(waveform[:count], sample_rate, _PESQ_RATE) for waveform in (wanted, made))
    try:
        return float(pesq.pesq(_PESQ_RATE, *pair, "wb"))
    except pesq.PesqError:  # no speech was found
        return None


def _teach(speech: Speech, spec: MelSpec, teacher: str, minutes: float) -> dict[str, NDArray[np.float32]]:
    """The teacher's waveforms of `minutes` of the speech, evenly spread over it, by key."""
    vocoder = load_vocoder(teacher, spec, threads=len(os.sched_getaffinity(0)))
    if vocoder.spec != spec:
        differences = "; ".join(map(str, spec.compare(vocoder.spec)))
        raise ConfigError(f"the teacher {teacher} takes mels of another contract: {differences}")
    stride = max(1, round(speech.samples / (minutes * 60 * spec.sample_rate)))
    taught = {}
    for utterance in speech.train[::stride]:
        made = _vocoded(vocoder, log_mel(utterance.waveform, spec))
        taught[utterance.key] = np.pad(made, (0, max(0, len(utterance.waveform) - len(made))))
    return taught


def _silent_above(batches: Batches, spec: MelSpec) -> float | None:
    """Frequency above which nothing was learnt [Hz]; None if all frequencies were learnt."""
    known = batches.taught
    return None if known.all() else round(float(np.flatnonzero(known)[-1] * spec.sample_rate / spec.n_fft))


def _card(net: LiftNet, record: dict[str, Any]) -> Card:
    shape, bins = net.shape, net.bank.shape[1]
    # Activations that exist at once: a block's hidden ones before and after Gelu, a convolution's taps, the head's.
    floats = 2 * shape.hidden + (KERNEL + 3) * shape.width + 6 * bins
    return Card(
        family="lift",
        spec=net.spec,
        halo=(shape.context, shape.context),
        extra_samples=0,
        frame_bytes=4 * floats,
        source=record["speech"],
        training=record,
    )


def _write(model: onnx.ModelProto, card: Card, path: Path) -> None:
    write_card(model, card)
    with atomic_write(path, beside=path.with_name(f".{path.name}.new")) as file:
        file.write(model.SerializeToString(deterministic=True))


def _page(path: Path, spec: MelSpec, record: dict[str, Any]) -> str:
    pesq = "not measured" if record["held_out_pesq"] is None else record["held_out_pesq"]
    above = record["silent_above"]
    limit = f"Nothing was learnt above {above:.0f} Hz: it is silent there.\n" if above else ""
    return f"""# {path.stem}

A `lift` vocoder, made by `melmill vocoder train` from {record["hours"]} h of speech ({record["utterances"]} utterances)
in {record["minutes"]} minutes, {record["steps"]} steps. {limit}
On {min(record["held_out"], _JUDGED)} held-out utterances: PESQ {pesq}, mel_distance {record["held_out_mel_distance"]}.

It takes these mels:

```json
{json.dumps(spec.to_dict(), indent=2)}
```

Its record, also in the model's metadata. The same command with `--steps {record["steps"]}` and the same seed gives the
same weights on the same machine:

```json
{json.dumps(record, indent=2)}
```
"""
