"""Whether mels are smoother than those of any recording, as acoustic models predict them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.mel import log_mel, mel_silence
from pipeline.evidence.reading import ABOVE_FLOOR, LEAST_ENTRIES, magnitude_logs, unbent_entries
from pipeline.evidence.sample import Sample
from pipeline.melspec import PRESETS, MelSpec

# The bounds were set on speech of four voices, clean, coded, noisy, quiet and synthetic, on the same smoothed, and
# on what a small acoustic model predicts; tests/tools/mel_kind_table.py prints what they separate, and how well.
LEAST_IN_TIME = 0.85
"""An utterance of recordings has 0.93 and more, a mel smoothed over 3 frames 0.33 to 0.86, with a median of 0.65."""
LEAST_IN_BANDS = 0.36
"""An utterance of recordings has 0.39 and more, a mel smoothed over 3 bands 0.23 at most."""
_NOISE_SECONDS = 10


@dataclass(frozen=True)
class Smoothness:
    """How much neighbouring values of mels differ. A mean of several possible mels is smoother than each of them.

    Each is a median over utterances, so a few of another kind do not decide.

    Args:
        in_time: median of an utterance's |second differences over neighbouring frames| of natural logarithms of
            magnitude, relative to that of white noise in frames that overlap as much.
        in_bands: median of its |second differences over neighbouring bands| of the same logarithms.
    """

    in_time: float
    in_bands: float

    @property
    def as_predicted(self) -> bool:
        """Whether no recording is so smooth, so that an acoustic model will have predicted the mels."""
        return self.in_time < LEAST_IN_TIME or self.in_bands < LEAST_IN_BANDS


def smoothness(sample: Sample, spec: MelSpec) -> Smoothness | None:
    """The smoothness of a sample by a contract with its number of bands; None if too few values are above the floor.

    Utterances that are too short by themselves are taken together.
    """
    alone = [_second_differences(mel.astype(np.float64), spec) for mel in sample.mels]
    measured = alone if any(alone) else [_second_differences(sample.joined(), spec)]
    found = [each for each in measured if each is not None]
    if not found:
        return None
    in_time, in_bands = np.median(found, axis=0)
    return Smoothness(float(in_time) / _of_noise(spec.win_length / spec.hop_length), float(in_bands))


def _second_differences(values: NDArray[np.float64], spec: MelSpec) -> tuple[float, float] | None:
    """The medians over frames and over bands of entries that no floor bends; None if they are too few."""
    logs = magnitude_logs(values, spec)
    floor = magnitude_logs(mel_silence(spec)[:, None].astype(np.float64), spec)
    usable = unbent_entries(logs > floor + ABOVE_FLOOR)
    found = []
    for entry, there in ((logs.T, usable.T), (logs, usable)):
        three = there[:-2] & there[1:-1] & there[2:]
        found.append(np.abs(entry[:-2] - 2 * entry[1:-1] + entry[2:])[three])
    if min(each.size for each in found) < LEAST_ENTRIES:
        return None
    in_time, in_bands = (float(np.median(each)) for each in found)
    return in_time, in_bands


@lru_cache(maxsize=16)
def _of_noise(overlap: float) -> float:
    """The median over frames of white noise, whose frames share all but `1 / overlap` of their samples.

    It is measured with the bands of HiFi-GAN's mels, whatever the contract's are: 0.32 for frames of four hops, 0.13
    for eight, 0.48 for two.
    """
    spec = PRESETS["hifigan-22k"]
    spec = dataclasses.replace(spec, hop_length=max(1, round(spec.win_length / overlap)))
    noise = np.random.default_rng(0).standard_normal(_NOISE_SECONDS * spec.sample_rate).astype(np.float32)
    found = _second_differences(log_mel(0.1 * noise, spec).astype(np.float64), spec)
    assert found is not None
    return found[0]
