"""How well `vocoder.mels: auto` tells mels of recordings from predicted ones. Run by hand, some minutes of CPU.

python tests/tools/mel_kind_table.py FOLDER > tests/tools/mel_kind_table.md

FOLDER holds recordings, in a folder for each voice; each is 2 s or longer. Needs torch, for model B, and espeak-ng.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.ndimage
import soundfile
import soxr
import torch
from numpy.typing import NDArray

from pipeline.dsp.mel import log_mel
from pipeline.evidence import LEAST_IN_BANDS, LEAST_IN_TIME, Sample, Smoothness, middle, smoothness
from pipeline.melspec import PRESETS

SPEC = PRESETS["hifigan-22k"]
EACH, FRAMES = 40, 150
"""Utterances of a voice, and frames from the middle of each, as many as a plan looks at."""
CORPUS = 8
"""Utterances of the smallest corpus that is judged as a whole."""
SENTENCES = (
    "The birch canoe slid on the smooth planks.", "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.", "Four hours of steady work faced us.",
)  # fmt: skip  # Harvard sentences, IEEE 1969
Mel = NDArray[np.float32]
ABOUT = f"""\
Made by `tests/tools/mel_kind_table.py` of {{count}} utterances of {{voices}} voices and of espeak-ng's voices in five
languages, by `hifigan-22k`. `in time` and `in bands` are the two figures of `pipeline/evidence/smoothness.py`: the
smallest, the median and the largest. Below {LEAST_IN_TIME} or {LEAST_IN_BANDS} mels are taken as predicted. The last
two columns say how many are: of single utterances, and of 200 corpora of {CORPUS} random utterances of one kind.
Model B is a small net that predicts a mel from means of it over 8 frames and its energy, trained on the other voices.
"""


def smoothed(mel: Mel, frames: int, bands: int) -> Mel:
    return np.asarray(scipy.ndimage.uniform_filter(mel, (bands, frames), mode="nearest"), np.float32)


def noisy(mel: Mel, deviation: float) -> Mel:
    return (mel + deviation * np.random.default_rng(0).standard_normal(mel.shape)).astype(np.float32)


def coded(wave: Mel, kind: str, subtype: str, rate: int) -> Mel:
    file = io.BytesIO()
    soundfile.write(file, np.clip(soxr.resample(wave, 22050, rate), -1, 1), rate, format=kind, subtype=subtype)
    file.seek(0)
    return np.asarray(soxr.resample(soundfile.read(file, dtype="float32")[0], rate, 22050), np.float32)


def beside_noise(wave: Mel) -> Mel:
    """With white noise 10 dB below it."""
    noise = np.random.default_rng(1).standard_normal(len(wave)).astype(np.float32)
    return np.asarray(wave + noise * wave.std() * np.float32(10**-0.5), np.float32)


RECORDED: dict[str, Callable[[Mel], Mel]] = {
    "clean": lambda wave: wave,
    "40 dB quieter": lambda wave: 0.01 * wave,
    "with noise at -10 dB": beside_noise,
    "Opus": lambda wave: coded(wave, "OGG", "OPUS", 16000),
    "mu-law of 8 bits at 8 kHz": lambda wave: coded(wave, "WAV", "ULAW", 8000),
}
CHANGED: dict[str, Callable[[Mel], Mel]] = {
    "smoothed over 2 frames": lambda mel: smoothed(mel, 2, 1),
    "smoothed over 3 frames": lambda mel: smoothed(mel, 3, 1),
    "smoothed over 5 frames": lambda mel: smoothed(mel, 5, 1),
    "smoothed over 3 bands": lambda mel: smoothed(mel, 1, 3),
    "smoothed over 3 frames and 3 bands": lambda mel: smoothed(mel, 3, 3),
    "noise of 0.1": lambda mel: noisy(mel, 0.1),
    "noise of 0.2": lambda mel: noisy(mel, 0.2),
    "quantized in steps of 0.3": lambda mel: np.asarray(np.round(mel / 0.3) * 0.3, np.float32),
    "float16": lambda mel: mel.astype(np.float16).astype(np.float32),
}


def speech(folder: Path) -> dict[str, list[Mel]]:
    """Voice -> waveforms, evenly spaced over its recordings of 2 s or more, at the contract's rate."""
    found = {}
    for voice in sorted(path for path in folder.iterdir() if path.is_dir()):
        paths = [path for path in sorted(voice.rglob("*")) if path.suffix in (".wav", ".flac")]
        long = [path for path in paths if soundfile.info(path).duration >= 2]
        chosen = [long[at] for at in np.linspace(0, len(long) - 1, min(EACH, len(long))).round().astype(int)]
        read = [soundfile.read(path, dtype="float32") for path in chosen]
        found[voice.name] = [np.asarray(soxr.resample(wave, rate, 22050), np.float32) for wave, rate in read]
    return found


def spoken() -> list[Mel]:
    """What espeak-ng says, in several voices and at several speeds."""
    waves = []
    for number in range(EACH):
        voice = ("en-gb", "en-us", "it", "fr", "ru")[number % 5]
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            speed = str(130 + 7 * number % 60)
            line = ["espeak-ng", "-v", voice, "-s", speed, "-w", file.name, SENTENCES[number % len(SENTENCES)]]
            subprocess.run(line, check=True)
            wave, rate = soundfile.read(file.name, dtype="float32")
        waves.append(np.asarray(soxr.resample(wave, rate, 22050), np.float32))
    return waves


def model_b(mels: list[Mel]) -> Callable[[Mel], Mel]:
    """A net that predicts mels as smooth as an acoustic model's, from little of what is in them."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)

    def inputs(mel: Mel) -> Mel:
        blocks = -(-mel.shape[1] // 8)
        means = np.pad(mel, ((0, 0), (0, 8 * blocks - mel.shape[1])), mode="edge").reshape(len(mel), blocks, 8).mean(2)
        at = (np.arange(mel.shape[1]) + 0.5) / 8 - 0.5
        rows = [np.interp(at, np.arange(blocks), row) for row in means]
        return (np.asarray([*rows, mel.mean(axis=0)], np.float32) + 5) / 2

    net = torch.nn.Sequential(
        torch.nn.Conv1d(SPEC.n_mels + 1, 128, 5, padding=2), torch.nn.ReLU(),
        torch.nn.Conv1d(128, 128, 5, padding=2), torch.nn.ReLU(), torch.nn.Conv1d(128, SPEC.n_mels, 1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    pairs = [(inputs(mel), (mel + 5) / 2) for mel in mels if mel.shape[1] >= 128]
    for _ in range(1200):
        chosen = [
            (pairs[each], rng.integers(pairs[each][0].shape[1] - 127)) for each in rng.integers(len(pairs), size=8)
        ]
        given, wanted = (
            torch.tensor(np.stack([pair[part][:, at : at + 128] for pair, at in chosen])) for part in range(2)
        )
        loss = (net(given) - wanted).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def predicted(mel: Mel) -> Mel:
        with torch.no_grad():
            return np.asarray(2 * net(torch.tensor(inputs(mel))[None])[0].numpy() - 5, np.float32)

    return predicted


def stretch(mel: Mel) -> Mel:
    start, stop = middle(mel.shape[1], FRAMES)
    return mel[:, start:stop]


def line(kind: str, mels: list[Mel]) -> str:
    """The row of a kind."""
    parts = [stretch(mel) for mel in mels]
    alone = [found for part in parts if (found := smoothness(Sample((part,), 1), SPEC)) is not None]
    rng = np.random.default_rng(0)
    corpora = [corpus([alone[at] for at in rng.integers(len(alone), size=CORPUS)]) for _ in range(200)]
    cells = [
        " / ".join(f"{each:.2f}" for each in np.quantile([getattr(found, name) for found in alone], [0, 0.5, 1]))
        for name in ("in_time", "in_bands")
    ]
    return (
        f"| {kind} | {' | '.join(cells)} | {sum(each.as_predicted for each in alone)} of {len(alone)} "
        f"| {sum(each.as_predicted for each in corpora)} of {len(corpora)} |"
    )


def corpus(found: list[Smoothness]) -> Smoothness:
    """What `smoothness` says of the utterances together."""
    return Smoothness(float(np.median([a.in_time for a in found])), float(np.median([a.in_bands for a in found])))


def main() -> None:
    waves = speech(Path(sys.argv[1]))
    voices = {voice: [log_mel(wave, SPEC) for wave in each] for voice, each in waves.items()}
    every = [wave for each in waves.values() for wave in each]
    print("# Recorded or predicted\n")
    print(ABOUT.format(count=len(every), voices=len(voices)))
    print("| mels | in time | in bands | utterances as predicted | corpora as predicted |")
    print("|---|---|---|---|---|")
    for kind, change in RECORDED.items():
        print(line(kind, [log_mel(change(wave), SPEC) for wave in every]), flush=True)
    synthetic = [log_mel(wave, SPEC) for wave in spoken()]
    print(line("espeak-ng", synthetic))
    mels = [mel for each in voices.values() for mel in each]
    for kind, change in CHANGED.items():
        print(line(kind, [change(mel) for mel in mels]), flush=True)
    print(line("espeak-ng, smoothed over 3 frames", [smoothed(mel, 3, 1) for mel in synthetic]))
    predicted = []
    for voice, own in voices.items():
        others = [mel for name, each in voices.items() if name != voice for mel in each]
        predicted += list(map(model_b(others), own))
    print(line("model B", predicted))


if __name__ == "__main__":
    main()
