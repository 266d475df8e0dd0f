"""The worst utterances of a system, and what is wrong with them in figures."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from tools.quality.kinds import Prepared
from tools.quality.speech import SPEC, Wave

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel import log_mel

Row = dict[str, Any]
Mel = NDArray[np.float32]
DECIBELS = 20 / math.log(10)  # a natural logarithm of a magnitude
_PATCH = (8, 12)  # bands, frames: where the difference is looked for
_SPEECH, _HOLE = 40.0, 12.0  # dB below the loudest frame that still is speech; dB that a frame lacks


def chosen(rows: Sequence[Row], system: str, count: int = 5, most_of_a_kind: int = 2) -> list[Row]:
    """The worst rows of a system: those with the lowest sum of two ranks, by PESQ and by PLCMOS, among all its rows.

    PESQ alone would choose those that are far from the recording, PLCMOS alone those with dropouts. An utterance is
    chosen once, and at most `most_of_a_kind` of a kind of mel, or all would be of the hardest kind. Where PESQ has no
    value, since it found no speech, the row ranks last.
    """
    ours = [row for row in rows if row["system"] == system]
    ranks: Counter[int] = Counter()
    for figure in ("pesq", "plcmos"):
        values = [-math.inf if math.isnan(row[figure]) else row[figure] for row in ours]
        for number, value in enumerate(values):
            ranks[number] += sum(other < value for other in values)
    found: list[Row] = []
    kinds: Counter[str] = Counter()
    for number in sorted(range(len(ours)), key=lambda each: (ranks[each], each)):
        row = ours[number]
        seen = {(each["voice"], each["utterance"]) for each in found}
        if (row["voice"], row["utterance"]) not in seen and kinds[row["kind"]] < most_of_a_kind and len(found) < count:
            found.append(row)
            kinds[row["kind"]] += 1
    return found


@dataclass(frozen=True)
class Wrong:
    """What is wrong with an utterance; differences are of mels, in dB, the audio's less another.

    Args:
        again: mel of the audio, `[n_mels, frames] float32`.
        level: the audio's level over that of the reference [dB].
        low, middle, high: mean difference from the reference's mel where there is speech, of bands up to 1 kHz, up to
            4 kHz, and above [dB].
        patch: largest mean difference from the given mel, of 8 bands and 12 frames [dB].
        seconds, hertz: middle of that patch.
        hole: time in which there is speech and the audio is 12 dB weaker than the given mel says [s].
    """

    again: Mel
    level: float
    low: float
    middle: float
    high: float
    patch: float
    seconds: float
    hertz: float
    hole: float


def wrong(utterance: Prepared, made: Wave) -> Wrong:
    """What is wrong with the audio that was made of an utterance."""
    again = log_mel(made, SPEC)
    frames = min(again.shape[1], utterance.given.shape[1])
    again, given, clean = again[:, :frames], utterance.given[:, :frames], utterance.clean[:, :frames]
    patches = scipy.ndimage.uniform_filter(again - given, _PATCH, mode="nearest")
    band, frame = np.unravel_index(np.abs(patches).argmax(), patches.shape)
    loudness = _level(given)
    speech = loudness > loudness.max() - _SPEECH
    hole = speech & (_level(again) < loudness - _HOLE)
    bands = np.digitize(_centres(), (1000, 4000))
    parts = [float((again - clean)[bands == part][:, speech].mean()) * DECIBELS for part in range(3)]
    power = [float((wave.astype(np.float64) ** 2).mean()) for wave in (made, utterance.reference)]
    return Wrong(
        again=again,
        level=10 * math.log10(power[0] / power[1]),
        low=parts[0],
        middle=parts[1],
        high=parts[2],
        patch=float(patches[band, frame]) * DECIBELS,
        seconds=float(frame + 0.5) * SPEC.hop_length / SPEC.sample_rate,
        hertz=float(_centres()[band]),
        hole=float(hole.sum()) * SPEC.hop_length / SPEC.sample_rate,
    )


def _level(mel: Mel) -> NDArray[np.float64]:
    """Level of each frame [dB], of the sum over its bands."""
    return 20 * np.log10(np.exp(mel.astype(np.float64)).sum(axis=0))


def _centres() -> NDArray[np.float64]:
    """Middle of each band [Hz]."""
    bank = mel_filterbank(SPEC)
    hertz = np.arange(bank.shape[1]) * SPEC.sample_rate / SPEC.n_fft
    return (bank @ hertz) / bank.sum(axis=1)
