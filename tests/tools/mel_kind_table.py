"""How well `vocoder.mels: auto` tells mels of recordings from predicted ones. Run by hand, some minutes of CPU.

python tests/tools/mel_kind_table.py FOLDER > tests/tools/mel_kind_table.md

FOLDER holds recordings of the four voices of the prompts, in folders of the same names, as asterisk-core-sounds
of Debian has them. Needs torch, for model B, and espeak-ng.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr

sys.path.insert(0, str(Path(__file__).parents[1]))
from tools.quality import model_b
from tools.quality.coded import CODECS
from tools.quality.kinds import CHANGES, CLEAN, MODEL_B, Mel, smoothed
from tools.quality.speech import SENTENCES, SPEC, VOICES, Named, Wave, folder_paths, read

from pipeline.dsp.mel import log_mel
from pipeline.evidence import LEAST_IN_BANDS, LEAST_IN_TIME, Sample, Smoothness, middle, smoothness

EACH, FRAMES = 25, 150
"""Utterances of a voice, and frames from the middle of each, as many as a plan looks at."""
CORPUS = 8
"""Utterances of the smallest corpus that is judged as a whole."""
ABOUT = f"""\
Made by `tests/tools/mel_kind_table.py` of {{count}} utterances of {{voices}} voices and of espeak-ng's voices in five
languages, by `hifigan-22k`. `in time` and `in bands` are the two figures of `pipeline/evidence/smoothness.py`: the
smallest, the median and the largest. Below {LEAST_IN_TIME} or {LEAST_IN_BANDS} mels are taken as predicted. The last
two columns say how many are: of single utterances, and of 200 corpora of {CORPUS} random utterances of one kind.
Model B is that of `make bench-quality` (`tests/tools/quality/model_b.py`), trained on the other voices.
"""


def beside_noise(wave: Wave) -> Wave:
    """With white noise 10 dB below it."""
    noise = np.random.default_rng(1).standard_normal(len(wave)).astype(np.float32)
    return np.asarray(wave + noise * wave.std() * np.float32(10**-0.5), np.float32)


RECORDED: dict[str, Callable[[Wave], Wave]] = {
    "clean": lambda wave: wave,
    "40 dB quieter": lambda wave: 0.01 * wave,
    "with noise at -10 dB": beside_noise,
    **{kind: code for kind, (code, _, _) in CODECS.items()},
    "telephone: 8 kHz": lambda wave: soxr.resample(soxr.resample(wave, SPEC.sample_rate, 8000), 8000, SPEC.sample_rate),
}
CHANGED: dict[str, Callable[[Mel], Mel]] = {
    "smoothed over 2 frames": lambda mel: smoothed(mel, 2, 1),
    "smoothed over 5 frames": lambda mel: smoothed(mel, 5, 1),
    "smoothed over 3 bands": lambda mel: smoothed(mel, 1, 3),
    **{kind: change for kind, change in CHANGES.items() if kind != CLEAN},
    "float16": lambda mel: mel.astype(np.float16).astype(np.float32),
}


def recordings(folder: Path) -> dict[str, Named]:
    """Voice -> recordings of 2 s or more, evenly spaced over those of its folders."""
    found: dict[str, Named] = {}
    for voice, folders in VOICES.items():
        paths = [path for each in folders for path in folder_paths(folder / each)]
        long = [path for path in paths if soundfile.info(path).duration >= 2]
        chosen = [long[at] for at in np.linspace(0, len(long) - 1, min(EACH, len(long))).round().astype(int)]
        found[voice] = [(path.stem, read(path)) for path in chosen]
    return found


def spoken() -> list[Wave]:
    """What espeak-ng says, in several voices and at several speeds."""
    waves = []
    for number in range(EACH):
        voice = ("en-gb", "en-us", "it", "fr", "ru")[number % 5]
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            line = ["espeak-ng", "-v", voice, "-s", str(130 + 7 * number % 60), "-w", file.name]
            subprocess.run([*line, SENTENCES[number % len(SENTENCES)]], check=True)
            waves.append(read(Path(file.name)))
    return waves


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
    folder = Path(sys.argv[1])
    voices = recordings(folder)
    every = [wave for named in voices.values() for _, wave in named]
    print("# Recorded or predicted\n")
    print(ABOUT.format(count=len(every), voices=len(voices)))
    print("| mels | in time | in bands | utterances as predicted | corpora as predicted |")
    print("|---|---|---|---|---|")
    for kind, change in RECORDED.items():
        print(line(kind, [log_mel(np.asarray(change(wave), np.float32), SPEC) for wave in every]), flush=True)
    synthetic = [log_mel(wave, SPEC) for wave in spoken()]
    print(line("espeak-ng", synthetic))
    mels = [log_mel(wave, SPEC) for wave in every]
    for kind, change in CHANGED.items():
        print(line(kind, [change(mel) for mel in mels]), flush=True)
    print(line("espeak-ng, smoothed over 3 frames", [smoothed(mel, 3, 1) for mel in synthetic]), flush=True)
    heard = model_b.corpus_speech(folder)
    nets = {voice: model_b.net_path(voice, voices, heard) for voice in voices}
    print(line(MODEL_B, [model_b.predicted(wave, nets[voice]) for voice, named in voices.items() for _, wave in named]))


if __name__ == "__main__":
    main()
