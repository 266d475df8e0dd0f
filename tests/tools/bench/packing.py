"""Recordings to a store of mels, on one core, beside the loop that people write with librosa."""

from pathlib import Path

from tools.bench import speech
from tools.bench.decoding import AVX2, LIBROSA, NATIVE, NATIVE_AVX2
from tools.bench.measuring import Contender, Group, Row, alternated, speeds

COPIES = 12
"""Number of copies of all prompts in the longer corpus: 14 minutes."""


def rows(folder: Path, rounds: int) -> list[Row]:
    """What a longer corpus adds to a shorter one, without the start of processes; and the shorter one, with it.

    Args:
        folder: a folder for the recordings.
        rounds: number of rounds.
    """
    short, long = (_group(folder / str(copies), copies) for copies in (1, COPIES))
    measured = alternated([short, long], folder, rounds)
    count = len(short.contenders)
    found = [
        Row(
            "packing, without its start",
            more.by,
            [a - b for a, b in zip(more.cpu, less.cpu, strict=True)],
            [a - b for a, b in zip(more.wall, less.wall, strict=True)],
            more.audio_seconds - less.audio_seconds,
        )
        for less, more in zip(measured[:count], measured[count:], strict=True)
    ]
    for row in found[1:]:
        row.compared["x the speed of librosa"] = speeds(row, found[0])
    return [*found, measured[1]]


def _group(audio: Path, copies: int) -> Group:
    seconds = speech.corpus(audio, copies)
    native = ("packing", str(audio))
    return Group(
        f"packing of {seconds / 60:.1f} minutes",
        seconds,
        [
            Contender(LIBROSA, ("librosa_packing", str(audio)), same=False),
            Contender(NATIVE, native, same=False),
            Contender(NATIVE_AVX2, native, AVX2, same=False),
        ],
    )
