"""The mels of real speech by every preset, stated as every other: what is seen. Run by hand, about a minute of CPU.

python tests/tools/contract_table.py > tests/tools/contract_table.md
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel
from pipeline.dsp.mel_distance import MelDistance
from pipeline.evidence import Sample, contradictions, explanations
from pipeline.melspec import PRESETS, MelSpec
from pipeline.vocoders.griffin_lim import GriffinLim

ABOUT = """\
Made by `tests/tools/contract_table.py`: mels of the 24 prompts in `pipeline/workshop/prompts` by the preset of the row,
read by `plan` and `run` as those of the preset of the column. `width`: another number of bands, refused before that;
`same`: no field differs but framing and what is negligible, so the values are the same; what else is in a cell is the
contradiction that was found (`pipeline/evidence/verdict.py`).
"""
FRAMES = 200  # of each of the 24 prompts, from its middle: what plan and run look at


def speech(sample_rate: int) -> list[NDArray[np.float32]]:
    read = [soundfile.read(path, dtype="float32")[0] for path in sorted(PROMPTS.glob("*/*.flac"))]
    return [soxr.resample(waveform, 16000, sample_rate) for waveform in read]


def sampled(spec: MelSpec) -> Sample:
    mels = [log_mel(waveform, spec) for waveform in speech(spec.sample_rate)]
    middles = [mel[:, max(0, (mel.shape[1] - FRAMES) // 2) :][:, :FRAMES] for mel in mels]
    return Sample(tuple(middles), len(middles))


def distance(sample: Sample, spec: MelSpec) -> float:
    """Relative mel_distance of the first mel, vocoded by griffin-lim as if the contract were its own."""
    measured = MelDistance(spec)
    measured.push_mel(sample.mels[0])
    measured.push_audio(GriffinLim(spec, iterations=16).decode(sample.mels[0]))
    return measured.finish()[1]


def unlike(true: MelSpec, stated: MelSpec) -> list[str]:
    """The fields that change values by more than a little."""
    return [each.field for each in true.compare(stated) if each.remedy != "negligible" and each.field != "framing"]


def main() -> None:
    missed: list[str] = []
    refused: list[str] = []
    misnamed: list[str] = []
    rows: list[str] = []
    pairs = caught = 0
    for name, spec in PRESETS.items():
        sample = sampled(spec)
        cells = []
        for other, stated in PRESETS.items():
            if stated.n_mels != spec.n_mels:
                cells.append("width")
                continue
            found = contradictions(sample, stated)
            different = bool(unlike(spec, stated))
            pairs, caught = pairs + different, caught + (different and bool(found))
            if found and not different:
                refused.append(f"{name} as {other}: {found[0].words}")
            if different and not found:
                missed.append(f"{name} as {other}: {distance(sample, spec):.3f} -> {distance(sample, stated):.3f}")
            first = next(iter(explanations(sample, stated)), None) if found else name
            if first not in PRESETS or unlike(spec, PRESETS[first]):
                misnamed.append(f"{name} as {other}: {first}")
            nothing = "**missed**" if different else "true" if other == name else "same"
            cells.append("+".join(each.kind for each in found) or nothing)
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    print("# Every preset stated as every other\n")
    print(ABOUT)
    print(
        f"Of {pairs} pairs whose values differ {caught} are caught; true pairs refused: {len(refused)}; where the first"
    )
    print(f"contract that the values are said to look like is not the true one: {len(misnamed)}.\n")
    lists = {"Missed, with griffin-lim's relative mel_distance": missed, "Refused": refused, "Named first": misnamed}
    for title, lines in lists.items():
        if lines:
            print(f"{title}:\n\n" + "\n".join(f"- {line}" for line in lines) + "\n")
    print("| made by \\ stated | " + " | ".join(PRESETS) + " |")
    print("|---" * (len(PRESETS) + 1) + "|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
