"""Do values contradict a contract, and which contract would they fit?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.evidence.reading import Reading, magnitude_logs, read_values
from pipeline.evidence.sample import Sample, Values, describe_values
from pipeline.melspec import PRESETS, MelSpec

# The bounds below were set on the prompts in tests/data, clean, 60 dB quieter, clipped, with noise down to 5 dB, sped
# up, smoothed as by an acoustic model, in float16, and on white noise; tests/tools/contract_table.py prints what they
# catch. Roughness of sound is 0.28 to 0.65 there (the spread of a random magnitude's logarithm, whatever the
# sound is), of smoothed mels 0.13 to 0.21.
MOST_BELOW, _CERTAINLY_BELOW = 0.02, 0.2
# dBFS: the root mean square of a waveform is at most 0; what an acoustic model predicts may be louder.
MOST_LEVEL, _CERTAIN_LEVEL = 6.0, 20.0
ROUGH = (0.26, 0.95)
# The fewer entries, the farther the median strays: pieces of 50 frames of the prompts reach 0.82, those of 26 frames
# 1.05. A logarithm to base 10 in place of e has 0.7 to 1.6, and decibels have 2.6 to 6.
_FEW_ENTRIES, _ROUGH_OF_FEW = 4000, 1.5
_MOST_FLOORED = 0.25  # with a higher share, the entries above the floor are bent by it
LEAST_SPREAD = 1.25
_CERTAINLY_FLAT = 0.1  # a constant has 0, magnitudes without a logarithm 0.01, values scaled to 0 .. 1 have 0.05
_FLOOR_APART = 0.5  # natural-log units of magnitude
NOT_NORMALIZED = 1.5
NORMALIZED_AGAIN = 0.25  # root mean square of bands' means; by one mean for all bands, speech keeps its tilt
LEAST_FRAMES = 1000  # for the filterbank
_ENOUGH_FRAMES = 4000  # for the filterbank to be found, in any sound
_LEAST_BENDS = 50  # entries over which a band's bend is averaged
_BANK_APART = 0.6  # part of the way from the stated filterbank to the other
_BANK_CERTAIN = 3.0  # standard errors; from the true filterbank at most 1.9, in 3 samples of 32 other prompts
_LEAST_APART = 1e-4  # squared difference of two filterbanks' bends; below it they cannot be told apart

Kind = Literal["below", "loud", "rough", "flat", "floor", "normalized", "raw", "filterbank"]


@dataclass(frozen=True)
class Contradiction:
    """One way in which values contradict a contract.

    Args:
        kind: name of the property that contradicts the contract.
        words: message that describes the contradiction, with the values.
        hint: name of the preset that the values point to, if there is one.
        certain: whether the contradiction counts even if no other contract fits.
    """

    kind: Kind
    words: str
    hint: str | None = None
    certain: bool = False


def contradictions(sample: Sample, spec: MelSpec) -> tuple[Contradiction, ...]:
    """What in a sample cannot be, or hardly can be, if the contract is true.

    Args:
        sample: the sample, with the contract's number of bands.
        spec: the contract.
    """
    return _found(sample, spec, read_values(sample, spec), describe_values(sample))


def _found(sample: Sample, spec: MelSpec, reading: Reading, values: Values) -> tuple[Contradiction, ...]:
    found = [*_of_values(spec, reading, values), *_of_scale(reading)]
    return tuple(found or _of_filterbank(sample, spec, reading, values))


def unjudged(sample: Sample, spec: MelSpec) -> str | None:
    """Why a sample cannot tell the contract's filterbank, and so its sample rate, from others; None if it can.

    Args:
        sample: the sample, with the contract's number of bands.
        spec: the contract.
    """
    if sample.frames < _ENOUGH_FRAMES:
        return f"{spec.seconds(sample.frames):.0f} s of mels are too few"
    roughness = read_values(sample, spec).roughness
    if roughness is None:
        return "too few of the values are above the floor"
    return "the mels are too smooth" if roughness < ROUGH[0] else None


def explanations(sample: Sample, spec: MelSpec) -> tuple[str, ...]:
    """What else the values may be: presets, or the contract with another logarithm, power or normalization.

    Returns:
        Their names; empty if nothing fits the values.
    """
    values = describe_values(sample)
    if spec.normalization is None and values.normalized:
        return ("values that were normalized by a mean and scale for each band",)
    presets = {name: each for name, each in PRESETS.items() if each.n_mels == sample.n_mels}
    if fitting := tuple(name for name, each in presets.items() if each != spec and _fits(sample, each, values)):
        return fitting
    variants: dict[str, MelSpec] = {}
    if spec.normalization is not None:
        variants["the contract without its normalization"] = dataclasses.replace(spec, normalization=None)
    for log in ("ln", "log10", "db"):
        for power in (1, 2):
            words = f"the contract with log: {log} and power: {power}"
            variants[words] = dataclasses.replace(spec, log=log, power=power)
            if power != spec.power:
                floor = spec.floor ** (power / spec.power)  # the same, of powers in place of magnitudes
                words = f"the contract with log: {log}, power: {power} and floor: {floor:g}"
                variants[words] = dataclasses.replace(spec, log=log, power=power, floor=floor)
    return tuple(name for name, each in variants.items() if each != spec and _fits(sample, each, values))


def _fits(sample: Sample, spec: MelSpec, values: Values) -> bool:
    """Whether values look like sound by this contract, which is more than the lack of a contradiction."""
    reading = read_values(sample, spec)
    if reading.roughness is None or _found(sample, spec, reading, values):
        return False
    return (
        reading.roughness < 1.3 * reading.spread
    )  # white noise has 1.1: its neighbouring values do not resemble each other


def _of_values(spec: MelSpec, reading: Reading, values: Values) -> Iterator[Contradiction]:
    if reading.below > MOST_BELOW:
        yield Contradiction(
            "below",
            f"{reading.below:.0%} of the values lie below the contract's floor, {spec.stored_floor():.2f}; "
            f"the lowest is {values.lowest:.2f}",
            certain=reading.below > _CERTAINLY_BELOW,
        )
    if reading.level > MOST_LEVEL:
        yield Contradiction(
            "loud",
            f"the loudest frames would be at {reading.level:+.0f} dBFS or more, which no waveform reaches",
            certain=reading.level > _CERTAIN_LEVEL,
        )
    if values.floor is not None:
        logs = magnitude_logs(np.full((spec.n_mels, 1), values.floor), spec)
        above = float((logs - spec.natural_floor().max() / spec.power).min())
        if above > _FLOOR_APART and not reading.floored > 0:
            yield Contradiction(
                "floor",
                f"{values.floor_share:.1%} of the values are {values.floor:.3f}, so that is where they end; by the "
                f"contract they end at {spec.stored_floor():.3f}",
            )
    mean = float(np.sqrt(np.mean(np.square(values.bands))))
    if values.normalized and (spec.normalization is None or (one_for_all(spec) and mean < NORMALIZED_AGAIN)):
        yield Contradiction("normalized", "every band's mean is near 0 and its deviation near 1: they are normalized")
    if spec.normalization is not None and not one_for_all(spec) and mean > NOT_NORMALIZED:
        yield Contradiction("raw", f"bands' means are {mean:.1f} from 0 (root mean square): they are not normalized")


def one_for_all(spec: MelSpec) -> bool:
    """Whether a contract normalizes all bands by one mean and scale."""
    return spec.normalization is not None and len(spec.normalization.mean) == 1


def _of_scale(reading: Reading) -> Iterator[Contradiction]:
    """A logarithm with another base, or a power instead of a magnitude, stretches all differences."""
    if reading.roughness is None:
        return
    most = ROUGH[1] if reading.entries.sum() >= _FEW_ENTRIES else _ROUGH_OF_FEW
    if reading.roughness > most and reading.floored < _MOST_FLOORED:
        yield Contradiction(
            "rough",
            f"neighbouring bands differ by {reading.roughness:.2f} in natural logarithms of magnitude (median second "
            "difference), those of any sound by 0.3 to 0.7: the values are spread too wide",
        )
    elif reading.roughness < ROUGH[0] and reading.spread < LEAST_SPREAD and not reading.floored > 0.001:
        yield Contradiction(
            "flat",
            f"neighbouring bands differ by {reading.roughness:.2f} in natural logarithms of magnitude (median second "
            f"difference), those of sound by 0.3 to 0.7, and all values by {reading.spread:.2f} (standard deviation): "
            "the values are too close together",
            certain=reading.roughness < _CERTAINLY_FLAT,
        )


def _of_filterbank(sample: Sample, spec: MelSpec, reading: Reading, values: Values) -> list[Contradiction]:
    """Each filterbank is uneven in its own way, because its corners lie between bins; a mean spectrum shows it."""
    if reading.roughness is None or reading.roughness < ROUGH[0] or sample.frames < LEAST_FRAMES:
        return []
    found = []
    for name, other in PRESETS.items():
        if other.n_mels != spec.n_mels:
            continue
        way, certainty = _toward(reading, spec, other)
        if way > _BANK_APART and certainty > _BANK_CERTAIN:
            by_other = read_values(sample, other)
            if not any(_of_values(other, by_other, values)) and not any(_of_scale(by_other)):
                found.append((certainty, name))
    if not found:
        return []
    certainty, name = max(found)
    words = (
        f"the mean spectrum is uneven from band to band as by the filterbank of {name}, not as by the contract's "
        f"({certainty:.0f} standard errors)"
    )
    return [Contradiction("filterbank", words, name)]


def _toward(reading: Reading, spec: MelSpec, other: MelSpec) -> tuple[float, float]:
    """How far the bends lie from the stated filterbank's (0) towards the other's (1), and the same in standard errors.

    This is a weighted regression: bands that fit neither (an edge in the spectrum of the speech) weigh little (Cauchy
    weights).
    """
    enough = reading.entries >= _LEAST_BENDS
    stated = _bends(spec)[enough]
    wanted = _bends(other)[enough] * (_unit(spec) / _unit(other))
    apart, residual = wanted - stated, reading.bend[enough] - stated
    if float(apart @ apart) < _LEAST_APART:
        return 0.0, 0.0
    nearer = np.minimum(np.abs(residual), np.abs(residual - apart))
    scale = np.median(nearer) / 0.6745 + 1e-3  # 0.6745: the median of a standard normal variable's absolute value
    weights = 1 / (1 + (nearer / (2 * scale)) ** 2)
    norm = float(weights * apart @ apart)
    way = float(weights * residual @ apart) / norm
    left = residual - min(max(way, 0.0), 1.0) * apart
    error = float(np.sqrt(np.sum((weights * left * apart) ** 2))) / norm
    return way, way / error if error > 0 else 0.0


def _bends(spec: MelSpec) -> NDArray[np.float64]:
    """Second differences of the logarithms of the filters' sums, for magnitudes: those of a flat spectrum."""
    sums = mel_filterbank(spec).sum(axis=1, dtype=np.float64)
    return np.asarray(np.diff(np.log(np.maximum(sums, 1e-12)), 2) / spec.power)


def _unit(spec: MelSpec) -> float:
    """Difference in natural logarithms of magnitude when a stored value grows by 1."""
    scale = 1.0 if spec.normalization is None else float(np.mean(spec.normalization.scale))
    return scale / spec.log_scale / spec.power
