"""Pictures of the worst utterances of some systems, from the rows of benchmark_quality.py.

    python tests/tools/quality_pictures.py FOLDER --rows FILE [--folds FOLDER] [--speech FOLDER] [--worst 5]
        [--systems SYSTEM...]

Each system has a picture with a line for each utterance: the mel that was given, the mel of the audio, their
difference, and both waveforms. Prints a table of what is wrong with them. tests/tools/quality/worst.py says how they
are chosen.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

sys.path.insert(0, str(Path(__file__).parents[1]))
from tools.quality.kinds import MODEL_B, Prepared, prepared
from tools.quality.paired import key
from tools.quality.speech import GIVEN, SPEC, Named, Wave, given_speech, speech
from tools.quality.systems import HIFIGAN, vocoded
from tools.quality.worst import DECIBELS, Wrong, chosen, wrong

mpl.use("agg")
from matplotlib import pyplot

Row = dict[str, Any]
SYSTEMS = ("lift", "griffin-lim", HIFIGAN, f"{HIFIGAN}, refine 0.8")


def drawn(path: Path, found: Sequence[tuple[Row, Prepared, Wave, Wrong]]) -> None:
    """A picture with a line for each utterance."""
    figure, axes = pyplot.subplots(len(found), 4, figsize=(16, 2.1 * len(found)), squeeze=False, layout="constrained")
    for line, (row, utterance, made, what) in zip(axes, found, strict=True):
        given = utterance.given[:, : what.again.shape[1]]
        seconds = given.shape[1] * SPEC.hop_length / SPEC.sample_rate
        how = {"origin": "lower", "aspect": "auto", "extent": (0, seconds, 0, SPEC.n_mels), "interpolation": "nearest"}
        line[0].imshow(given, vmin=-11.5, vmax=1, **how)
        line[1].imshow(what.again, vmin=-11.5, vmax=1, **how)
        line[2].imshow((what.again - given) * DECIBELS, vmin=-20, vmax=20, cmap="RdBu_r", **how)
        for wave, colour in ((utterance.reference, "0.6"), (made, "C3")):
            line[3].plot([i / SPEC.sample_rate for i in range(len(wave))], wave, linewidth=0.3, color=colour)
        line[3].set(ylim=(-1, 1), xlim=(0, seconds))
        line[0].set_title(f"{row['voice']}, {row['utterance']}, {row['kind']}: given", fontsize=8)
        line[1].set_title(f"audio: PESQ {row['pesq']:.2f}, PLCMOS {row['plcmos']:.2f}", fontsize=8)
        line[2].set_title("audio less given, -20 (blue) to 20 dB (red)", fontsize=8)
        line[3].set_title("recording (grey) and audio (red)", fontsize=8)
        for each in line:
            each.tick_params(labelsize=7)
    figure.savefig(path, dpi=75, pil_kwargs={"quality": 72})
    pyplot.close(figure)


def described(row: Row, what: Wrong) -> str:
    """A line of the table."""
    figures = [f"{row[each]:.2f}" for each in ("pesq", "dnsmos", "plcmos", "mel_distance")]
    figures += [f"{row['f0_cents']:.0f}", f"{row['voicing_f1']:.2f}"]
    figures += [f"{each:+.1f}" for each in (what.level, what.low, what.middle, what.high)]
    where = f"{what.patch:+.0f} dB at {what.seconds:.2f} s, {what.hertz:.0f} Hz"
    return f"| {row['voice']}, {row['utterance']} | {row['kind']} | {' | '.join(figures)} | {where} | {what.hole:.2f} |"


HEAD = (
    "| utterance | mel | PESQ | DNSMOS | PLCMOS | mel_distance | F0 error [cents] | voicing F1 | level [dB] "
    "| to 1 kHz [dB] | to 4 kHz [dB] | above [dB] | largest difference from the given mel | holes [s] |\n"
    + "|---" * 14
    + "|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=Path, required=True, help="what benchmark_quality.py --rows wrote")
    parser.add_argument("--folds", type=Path)
    parser.add_argument("--speech", type=Path, help="as it was given to the bench")
    parser.add_argument("--systems", nargs="+", default=SYSTEMS)
    parser.add_argument("--worst", type=int, default=5)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    read = [json.loads(line) for line in given.rows.read_text().splitlines()]
    rows = list({(*key(row), row["system"]): row for row in read}.values())  # the bench appends what it measures again
    spoken: dict[str, Named] = speech(99)
    if given.speech is not None:
        spoken[GIVEN] = given_speech(given.speech)
    nets = _nets(rows)
    for system in given.systems:
        found = []
        for row in chosen(rows, system, given.worst):
            recording = dict(spoken[row["voice"]])[row["utterance"]]
            utterance = prepared(row["kind"], recording, nets.get(row["voice"]))
            made = vocoded(system, row["voice"], utterance.given, given.folds)
            found.append((row, utterance, made, wrong(utterance, made)))
        name = system.replace(", ", "-").replace(" ", "-")
        drawn(given.folder / f"worst-{name}.webp", found)
        print(f"\n### {system}\n\n{HEAD}")
        print("\n".join(described(row, what) for row, _, _, what in found), flush=True)


def _nets(rows: Sequence[Row]) -> dict[str, Path]:
    """By voice the weights of model B that the rows were made with."""
    if not any(row["kind"] == MODEL_B for row in rows):
        return {}
    from tools.quality.model_b import KEPT  # loads torch

    return {row["voice"]: KEPT / f"{row['net']}.npz" for row in rows if row["kind"] == MODEL_B}


if __name__ == "__main__":
    main()
