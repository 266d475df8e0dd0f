"""Pictures of the worst utterances of each system, mels and waveforms, from the figures of benchmark_quality.py.

python tests/tools/quality_pictures.py FOLDER [--folds FOLDER] [--kind clean] [--worst 5]
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib as mpl

sys.path.insert(0, str(Path(__file__).parents[1]))
from tools import benchmark_quality as bench

from pipeline.dsp.mel import log_mel

mpl.use("agg")
from matplotlib import pyplot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=Path)
    parser.add_argument("--kind", default="clean", choices=bench.KINDS)
    parser.add_argument("--worst", type=int, default=5)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    rows = json.loads((Path(__file__).parent / "quality.json").read_text())["rows"]
    waves = {(voice, name): wave for voice, named in bench.speech(99).items() for name, wave in named}
    for system in bench.SYSTEMS[1:]:
        found = [row for row in rows if row["system"] == system and row["kind"] == given.kind]
        worst = sorted(found, key=lambda row: row["pesq"])[: given.worst]
        figure, axes = pyplot.subplots(len(worst), 3, figsize=(18, 2.6 * len(worst)), squeeze=False)
        for line, row in zip(axes, worst, strict=True):
            recording = waves[row["voice"], row["utterance"]]
            mel = log_mel(recording, bench.SPEC)
            made = bench.vocoded(system, row["voice"], bench.KINDS[given.kind](mel), given.folds)
            again = log_mel(made, bench.SPEC)
            line[0].imshow(mel, origin="lower", aspect="auto", vmin=-11.5, vmax=1)
            line[0].set_title(f"{row['voice']}/{row['utterance']}: recording", fontsize=9)
            line[1].imshow(again, origin="lower", aspect="auto", vmin=-11.5, vmax=1)
            line[1].set_title(f"{system}: PESQ {row['pesq']:.2f}, mel_distance {row['mel_distance']:.3f}", fontsize=9)
            line[2].plot(recording, linewidth=0.3)
            line[2].plot(made, linewidth=0.3, alpha=0.7)
            line[2].set_ylim(-1, 1)
        figure.tight_layout()
        figure.savefig(given.folder / f"{system}.png", dpi=60)
        pyplot.close(figure)


if __name__ == "__main__":
    main()
