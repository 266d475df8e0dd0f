"""`make bench-quality`: every system on the shipped prompts, on clean mels and on mels as acoustic models predict them.

    python tests/tools/benchmark_quality.py [--folds FOLDER] [--out FOLDER] [--each N]

`--folds` holds a lift for each voice, trained without it, as `make lift-folds` leaves them, and voices without one are
left out; without `--folds` the shipped one is judged, which has heard these voices.
Synthetic speech is always judged with the shipped one. Writes quality.json and quality.md. Needs the extra `quality`.
"""

import argparse
import concurrent.futures
import functools
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import scipy.ndimage
import soundfile
import soxr
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.paths import PROMPTS
from support.quality_metrics import NAMES, measure, median_interval

from pipeline.dsp.mel import log_mel
from pipeline.melspec import PRESETS
from pipeline.vocoders import load_vocoder
from pipeline.vocoders.lift import Lift
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.registry import LIFTS

SPEC = PRESETS["hifigan-22k"]
# Allison speaks English and Spanish.
VOICES = {"Allison": ("en_US_f_Allison", "es_MX_f_Allison"), "June": ("fr_CA_f_June",), "Carlo": ("it_IT_m_Carlo",),
          "Ivrvoice": ("ru_RU_f_IvrvoiceRU",)}  # fmt: skip
SYNTHETIC = "espeak-ng"
SENTENCES = [
    "The birch canoe slid on the smooth planks.", "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.", "Four hours of steady work faced us.",
]  # fmt: skip  # Harvard sentences, IEEE 1969
SYSTEMS = ("recording", "librosa", "griffin-lim", "lift", "lift-hq", "hifigan-universal", "hifigan-ljspeech")
Mel = NDArray[np.float32]


def smoothed(mel: Mel, frames: int, bands: int) -> Mel:
    return scipy.ndimage.uniform_filter(mel, (bands, frames), mode="nearest").astype(np.float32)


def noisy(mel: Mel) -> Mel:
    return (mel + 0.2 * np.random.default_rng(0).standard_normal(mel.shape)).astype(np.float32)


def coarse(mel: Mel) -> Mel:
    """In steps of 0.3, and tilted by 0.3 over the bands."""
    tilt = np.linspace(-0.3, 0.3, len(mel), dtype=np.float32)[:, None]
    return (np.round((mel + tilt) / 0.3) * 0.3).astype(np.float32)


KINDS = {
    "clean": lambda mel: mel,
    "smoothed over 3 frames": lambda mel: smoothed(mel, 3, 1),
    "smoothed over 3 frames and 3 bands": lambda mel: smoothed(mel, 3, 3),
    "noise of 0.2": noisy,
    "quantized and tilted": coarse,
}


def speech(each: int) -> dict[str, list[tuple[str, NDArray[np.float32]]]]:
    """By voice some named waveforms at the spec's rate, `each` of them, peak 0.9."""
    found = {}
    for voice, folders in VOICES.items():
        paths = sorted(itertools.chain.from_iterable((PROMPTS / folder).rglob("*.flac") for folder in folders))
        found[voice] = [(path.stem, *soundfile.read(path, dtype="float32")) for path in paths[:each]]
    try:
        found[SYNTHETIC] = [(f"sentence {i}", *_spoken(text)) for i, text in enumerate(SENTENCES[:each])]
    except FileNotFoundError:
        print("espeak-ng is not installed: no synthetic speech", file=sys.stderr)
    return {
        voice: [(name, _leveled(soxr.resample(wave, rate, SPEC.sample_rate))) for name, wave, rate in named]
        for voice, named in found.items()
    }


def _spoken(text: str) -> tuple[NDArray[np.float32], int]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["espeak-ng", "-v", "en-gb", "-w", file.name, text], check=True)
        wave, rate = soundfile.read(file.name, dtype="float32")
    return wave, rate


def _leveled(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    return (wave * (0.9 / np.abs(wave).max())).astype(np.float32)


def librosas(mel: Mel) -> NDArray[np.float32]:
    """librosa's own way: least squares, 32 iterations of its fast Griffin-Lim."""
    linear = librosa.feature.inverse.mel_to_stft(np.exp(mel), sr=22050, n_fft=1024, power=1.0, fmin=0.0, fmax=8000.0)
    wave = librosa.griffinlim(linear, n_iter=32, momentum=0.99, hop_length=256, center=False, random_state=0)
    return wave[SPEC.padding : -SPEC.padding].astype(np.float32)


def vocoded(system: str, voice: str, mel: Mel, folds: Path | None) -> NDArray[np.float32]:
    if system == "librosa":
        return librosas(mel)
    fold = _fold(folds, voice)
    if fold is not None and system in LIFTS:
        return _lift(fold, LIFTS[system][1]).decode(mel)
    return load_vocoder(system, SPEC).decode(mel)


@functools.cache
def _lift(path: Path, iterations: int) -> Lift:
    return Lift(OnnxModel(path), iterations=iterations)


def _fold(folds: Path | None, voice: str) -> Path | None:
    path = folds / f"{voice}.onnx" if folds is not None else None
    return path if path is not None and path.exists() else None


def judge(voice: str, name: str, recording: NDArray[np.float32], folds: Path | None) -> list[dict[str, Any]]:
    mel = log_mel(recording, SPEC)
    seconds = len(recording) / SPEC.sample_rate
    rows = []
    for kind, system in itertools.product(KINDS, SYSTEMS):
        if system == "recording" and kind != "clean":
            continue
        given = KINDS[kind](mel)
        begun = time.process_time()
        made = recording if system == "recording" else vocoded(system, voice, given, folds)
        took = time.process_time() - begun
        row = {"voice": voice, "utterance": name, "kind": kind, "system": system, "speed": seconds / max(took, 1e-9)}
        rows.append(row | measure(recording, made, mel, SPEC))
    return rows


def pinned(core: "multiprocessing.Queue[int]") -> None:
    """One core for each process, so that the judges' own sessions make one thread and speeds are those of a core."""
    os.sched_setaffinity(0, {core.get()})
    warm = np.full((SPEC.n_mels, 40), -6, np.float32)
    for system in SYSTEMS[1:]:
        vocoded(system, "", warm, None)


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table for each kind of mel: medians with 95 % intervals."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["kind"], row["system"]].append(row)
    lines = []
    for kind in KINDS:
        lines += [
            f"### {kind}",
            "",
            f"| system | {' | '.join(NAMES.values())} | x real time |",
            "|---" * (len(NAMES) + 2) + "|",
        ]
        for system in SYSTEMS:
            if not (found := groups.get((kind, system))):
                continue
            cells = [_cell([row[name] for row in found]) for name in NAMES]
            speed = "" if system == "recording" else f"{np.median([row['speed'] for row in found]):.0f}"
            lines.append(f"| {system} | {' | '.join(cells)} | {speed} |")
        lines.append("")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    median, low, high = median_interval(values)
    digits = 0 if median >= 20 else 2 if median >= 1 else 3
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--each", type=int, default=5, help="utterances a voice")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for core in cores:
        queue.put(core)
    spoken = speech(given.each)
    if given.folds is not None:
        spoken = {voice: named for voice, named in spoken.items() if _fold(given.folds, voice) or voice == SYNTHETIC}
    work = [(voice, name, wave, given.folds) for voice, named in spoken.items() for name, wave in named]
    rows: list[dict[str, Any]] = []
    with concurrent.futures.ProcessPoolExecutor(len(cores), context, pinned, (queue,)) as pool:
        for done, found in enumerate(pool.map(judge, *zip(*work, strict=True)), 1):
            rows += found
            print(f"{done} of {len(work)} utterances", file=sys.stderr, flush=True)
    about = {"utterances": len(work), "folds": given.folds is not None, "rows": rows}
    (given.out / "quality.json").write_text(json.dumps(about, indent=1) + "\n")
    (given.out / "quality.md").write_text(table(rows))
    print(table(rows))


if __name__ == "__main__":
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    main()
