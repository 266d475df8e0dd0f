"""Every preset's mels of real speech stated as every other preset: what is seen. Prints Markdown; run by hand.

python tests/contract_table.py > tests/contract_table.md
"""

from pathlib import Path

import numpy as np
import soundfile
import soxr

from pipeline.dsp.mel import log_mel
from pipeline.evidence import Sample, contradictions
from pipeline.melspec import PRESETS, MelSpec

PROMPTS = Path(__file__).parent / "data" / "prompts"


def speech(sample_rate: int) -> list[np.ndarray]:
    waveforms = []
    for path in sorted(PROMPTS.glob("*/*.flac")):
        waveform, rate = soundfile.read(path, dtype="float32")
        waveforms.append(soxr.resample(waveform, rate, sample_rate))
    return waveforms


def true_sample(spec: MelSpec, count: int = 24) -> Sample:
    mels = [log_mel(waveform, spec) for waveform in speech(spec.sample_rate)[:count]]
    return Sample(tuple(mels), len(mels))


if __name__ == "__main__":
    for name, spec in PRESETS.items():
        sample = true_sample(spec)
        for stated, other in PRESETS.items():
            if other.n_mels == spec.n_mels:
                print(name, stated, [each.words for each in contradictions(sample, other)])
