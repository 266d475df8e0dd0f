"""`make bench-quality`: every system on the shipped prompts, on clean mels and on mels as acoustic models predict them.

    python tests/tools/benchmark_quality.py [--folds FOLDER] [--speech FOLDER] [--out FOLDER] [--each N] [--rows FILE]
        [--kinds KIND...] [--systems SYSTEM...]

`--folds` holds a lift for each voice, trained without it, as `make lift-folds` leaves them, and voices without one are
left out; without `--folds` the shipped one is judged, which has heard these voices.
`--speech` holds recordings that no lift has heard, for a table of their own; they and synthetic speech are always
judged with the shipped one. `--rows` keeps what was measured, so that the same command goes on where it was ended.
Writes quality.json and quality.md. Needs the extra `quality`.
"""

import argparse
import concurrent.futures
import functools
import hashlib
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
import soundfile
import soxr
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.librosa_griffin_lim import librosa_waveform
from support.paths import PROMPTS
from support.quality_metrics import NAMES, measure, median_interval

from pipeline.dsp.mel import log_mel
from pipeline.kernels.target import available
from pipeline.melspec import PRESETS
from pipeline.vocoders import load_vocoder
from pipeline.vocoders.lift import Lift
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.registry import LIFTS

SPEC = PRESETS["hifigan-22k"]
# Allison speaks English and Spanish.
VOICES = {"Allison": ("en_US_f_Allison", "es_MX_f_Allison"), "June": ("fr_CA_f_June",), "Carlo": ("it_IT_m_Carlo",),
          "Ivrvoice": ("ru_RU_f_IvrvoiceRU",)}  # fmt: skip
SYNTHETIC, GIVEN = "espeak-ng", "given"
SENTENCES = [
    "The birch canoe slid on the smooth planks.", "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.", "Four hours of steady work faced us.",
]  # fmt: skip  # Harvard sentences, IEEE 1969
MIXED = "hifigan-universal, mixed precision"
REFINED = {f"hifigan-universal, refine {times}": times for times in (1, 2)}
SYSTEMS = (
    "recording", "librosa", "griffin-lim", "lift", "lift-hq", "hifigan-universal", *REFINED, MIXED, "hifigan-ljspeech",
)  # fmt: skip
ITERATIONS = (16, 32, 48, 64, 96)
"""Numbers of iterations of lift that are compared, on clean mels alone; the others with the first."""
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


def vocoded(system: str, voice: str, mel: Mel, folds: Path | None) -> NDArray[np.float32]:
    if system == "librosa":
        return librosa_waveform(mel, SPEC)
    if system == MIXED:
        return load_vocoder("hifigan-universal", precision="mixed").decode(mel)
    if system in REFINED:
        return load_vocoder("hifigan-universal", refine=REFINED[system]).decode(mel)
    iterations = LIFT_ITERATIONS.get(system)
    if iterations is not None:
        return _lift(_fold(folds, voice) or LIFTS["lift"][0], iterations).decode(mel)
    return load_vocoder(system, SPEC).decode(mel)


LIFT_ITERATIONS = {name: LIFTS[name][1] for name in ("lift", "lift-hq")}
LIFT_ITERATIONS |= {f"lift, {each} iterations": each for each in ITERATIONS if each not in LIFT_ITERATIONS.values()}
_AT = {iterations: name for name, iterations in LIFT_ITERATIONS.items()}


@functools.cache
def _lift(path: Path, iterations: int) -> Lift:
    return Lift(OnnxModel(path), iterations=iterations)


def measured_systems(kind: str) -> list[str]:
    """The systems that are judged on a kind of mel, here."""
    here = [each for each in SYSTEMS if each != MIXED or has_bfloat16()]
    return list(dict.fromkeys([*here, *LIFT_ITERATIONS])) if kind == "clean" else here[1:]


@functools.cache
def has_bfloat16() -> bool:
    """Whether native kernels multiply bfloat16 on this processor."""
    target = available()
    return not isinstance(target, str) and target.bfloat16


def _fold(folds: Path | None, voice: str) -> Path | None:
    path = folds / f"{voice}.onnx" if folds is not None else None
    return path if path is not None and path.exists() else None


def judge(
    voice: str, name: str, recording: NDArray[np.float32], folds: Path | None, todo: list[tuple[str, str]]
) -> list[dict[str, Any]]:
    """The figures of an utterance by kinds of mel and systems."""
    mel = log_mel(recording, SPEC)
    rows = []
    for kind, system in todo:
        given = KINDS[kind](mel)
        made = recording if system == "recording" else vocoded(system, voice, given, folds)
        row = {"voice": voice, "utterance": name, "kind": kind, "system": system}
        rows.append(row | {"fold": _weights(folds, voice)} | measure(recording, made, mel, SPEC))
    return rows


def _weights(folds: Path | None, voice: str) -> str | None:
    """Digest of the weights that were trained without a voice; None for the shipped ones."""
    fold = _fold(folds, voice)
    return None if fold is None else hashlib.sha256(fold.read_bytes()).hexdigest()[:16]


def pinned(core: "multiprocessing.Queue[int]") -> None:
    """One core for each process, so that the judges' own sessions make one thread."""
    os.sched_setaffinity(0, {core.get()})


def table(rows: list[dict[str, Any]], kinds: Iterable[str] = KINDS, title: str = "") -> str:
    """A Markdown table for each kind of mel: medians with 95 % intervals."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["kind"], row["system"]].append(row)
    lines = []
    for kind in kinds:
        if not any(kind == each for each, _ in groups):
            continue
        lines += [
            f"### {title or kind}",
            "",
            f"| system | {' | '.join(NAMES.values())} |",
            "|---" * (len(NAMES) + 1) + "|",
        ]
        for system in SYSTEMS:
            if not (found := groups.get((kind, system))):
                continue
            cells = [_cell([row[name] for row in found]) for name in NAMES]
            lines.append(f"| {system} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    median, low, high = median_interval(values)
    digits = 0 if median >= 20 else 2 if median >= 1 else 3
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def iterations_table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table of numbers of iterations of lift: what each is worth, utterance by utterance, over the first."""
    found: dict[int, dict[tuple[str, str], dict[str, Any]]] = {
        each: {
            (row["voice"], row["utterance"]): row
            for row in rows
            if (row["system"], row["kind"]) == (_AT[each], "clean")
        }
        for each in sorted(_AT)
    }
    first = found[least := min(_AT)]
    lines = [
        f"| iterations | PESQ | PESQ over {least}, mean | mel_distance |", "|---" * 4 + "|",
    ]  # fmt: skip
    for iterations, ours in found.items():
        if not ours:
            continue
        scores = [row["pesq"] for row in ours.values()]
        gains = [row["pesq"] - first[key]["pesq"] for key, row in ours.items() if key in first]
        gain = ""
        if gains and ours is not first:
            mean, low, high = median_interval(gains, statistic=np.mean)
            gain = f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
        distance = np.median([row["mel_distance"] for row in ours.values()])
        lines.append(f"| {iterations} | {np.median(scores):.2f} | {gain} | {distance:.3f} |")
    return "\n".join([*lines, ""])


def refinement_table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table of what refining hifigan-universal changes, utterance by utterance, for each kind of mel."""
    plain = {_key(row): row for row in rows if row["system"] == "hifigan-universal"}
    names = {name: NAMES[name] for name in ("pesq", "dnsmos", "plcmos", "mel_distance")}
    lines = [f"| mel | projections | {' | '.join(names.values())} |", "|---" * (len(names) + 2) + "|"]
    for kind in KINDS:
        for system, times in REFINED.items():
            pairs = [
                (row, plain[_key(row)])
                for row in rows
                if (row["system"], row["kind"]) == (system, kind) and _key(row) in plain
            ]
            if pairs:
                gains = [_gain([row[name] - other[name] for row, other in pairs]) for name in names]
                lines.append(f"| {kind} | {times} | {' | '.join(gains)} |")
    return "\n".join([*lines, ""]) if len(lines) > 2 else ""


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["voice"], row["utterance"], row["kind"]


def _gain(differences: list[float]) -> str:
    """The mean with its 95 % interval."""
    mean, low, high = median_interval(differences, statistic=np.mean)
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


def given_speech(folder: Path) -> list[tuple[str, NDArray[np.float32]]]:
    """Every recording of a folder, at the spec's rate, peak 0.9."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".wav", ".flac"))
    read = [(path.stem, *soundfile.read(path, dtype="float32")) for path in paths]
    return [(name, _leveled(soxr.resample(wave, rate, SPEC.sample_rate))) for name, wave, rate in read]


def report(rows: list[dict[str, Any]]) -> str:
    """All tables."""
    own = [row for row in rows if row["voice"] != GIVEN]
    others = [row for row in rows if row["voice"] == GIVEN]
    parts = [table(own), "### iterations of lift, on clean mels\n", iterations_table(own)]
    if refinement := refinement_table(own):
        parts += ["### what refining hifigan-universal changes: means of differences\n", refinement]
    if others:
        names = ", ".join(sorted({row["utterance"] for row in others}))
        parts.append(table(others, ("clean",), f"clean, {names}"))
        parts.append(iterations_table(others))
    return "\n".join(parts)


def kept_rows(path: Path | None, folds: Path | None) -> list[dict[str, Any]]:
    """The rows of an earlier run that are of the same weights."""
    if path is None or not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if row["system"] not in LIFT_ITERATIONS or row["fold"] == _weights(folds, row["voice"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=Path)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--systems", nargs="+", help="all if not given")
    parser.add_argument("--rows", type=Path, help="JSON lines")
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
    if given.speech is not None:
        spoken[GIVEN] = given_speech(given.speech)
    rows = kept_rows(given.rows, given.folds)
    measured = {(row["voice"], row["utterance"], row["kind"], row["system"]) for row in rows}
    wanted = [
        (kind, system)
        for kind in given.kinds
        for system in measured_systems(kind)
        if given.systems is None or system in given.systems
    ]
    work = [
        (voice, name, wave, given.folds, [each for each in wanted if (voice, name, *each) not in measured])
        for voice, named in spoken.items() for name, wave in named
    ]  # fmt: skip
    # Librosa keeps compiled code; two processes that were the first to write it were seen to leave code that crashes.
    _, wave = next(iter(spoken.values()))[0]
    measure(wave, wave, log_mel(wave, SPEC), SPEC)
    with concurrent.futures.ProcessPoolExecutor(len(cores), context, pinned, (queue,)) as pool:
        for done, found in enumerate(pool.map(judge, *zip(*work, strict=True)), 1):
            rows += found
            if given.rows is not None:
                with given.rows.open("a") as file:
                    file.writelines(f"{json.dumps(row)}\n" for row in found)
            print(f"{done} of {len(work)} utterances", file=sys.stderr, flush=True)
    about = {"utterances": len(work), "folds": given.folds is not None, "rows": rows}
    (given.out / "quality.json").write_text(json.dumps(about, indent=1) + "\n")
    (given.out / "quality.md").write_text(report(rows))
    print(report(rows))


if __name__ == "__main__":
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    main()
