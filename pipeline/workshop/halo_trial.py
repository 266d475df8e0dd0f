"""Trials of a vocoder: on how many frames to each side its samples depend, and how many samples it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MelmillError, VocoderError
from pipeline.vocoders.base import Window

# Largest difference of windows with the halo from the whole, over the peak: 3e-6 for HiFi-GAN's universal checkpoint, 0
# for random checkpoints, lift and griffin-lim.
_ROUNDING = 1e-5
# A net that amplifies rounding may differ by more: four times as much as with a halo that is more than enough, up to
# what hardly changes a 16-bit sample.
_AMPLIFIED, _MOST_ROUNDING = 4, 1e-4
_FADED = 1e-7  # relative to the peak: about the last bit of float32
# Number of frames whose samples are compared, and of frames beyond the halo, which show the effect of rounding alone.
_CORE, _BEYOND = 8, 32


Decode = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From a whole mel `[n_mels, frames] float32` to its waveform `[samples] float32`, as `Vocoder.decode`."""
DecodeWindow = Callable[[NDArray[np.float32], Window], NDArray[np.float32]]
"""From what a window reads of a mel, and the window, to the waveform of its core, as `Vocoder.decode`."""


@dataclass(frozen=True)
class HaloTrial:
    """The comparison of windows with the whole.

    Args:
        stated: frames of context (left, right) that should be enough.
        error: largest difference between the whole and windows with the stated halo [full scale].
        allowed: largest difference that counts as rounding [full scale]; 0 if every bit must be the same.
        smallest: smallest halo (left, right) that was enough; None for a side on which even `searched` frames were not.
        searched: largest number of frames that was tried on a side.
    """

    stated: tuple[int, int]
    error: float
    allowed: float
    smallest: tuple[int | None, int | None]
    searched: int

    @property
    def enough(self) -> bool:
        """Whether windows with the stated halo give the samples of the whole."""
        return self.error <= self.allowed


def try_halo(
    decode: DecodeWindow,
    mel: NDArray[np.float32],
    hop: int,
    stated: tuple[int, int],
    allowed: float | None = None,
    stretches: int = 3,
) -> HaloTrial:
    """Decodes stretches of a mel, each taken as a whole mel, whole and cut off after a halo, and compares the samples.

    Each side is tried alone: on that side the frames that are cut off lie beyond the halo of the compared frames, and
    the other end is the same true end in both.

    Args:
        decode: function that decodes, `Vocoder.decode`.
        mel: a mel of speech, `[n_mels, frames] float32`.
        hop: number of samples of a frame.
        stated: frames of context (left, right) that should be enough.
        allowed: largest difference that counts as rounding [full scale]; found out by trial if None.
        stretches: number of stretches of the mel to try.
    """
    frames = mel.shape[1]
    length = min(frames, max(stated) + _CORE + _BEYOND)
    starts = np.linspace(0, frames - length, stretches).astype(int).tolist()
    parts = [mel[:, start : start + length] for start in starts]
    wholes = [(part, decode(part, Window.whole(length))) for part in parts]
    peak = max(float(np.abs(whole).max(initial=0)) for _, whole in wholes)
    searched = length - _CORE

    def apart(window: Window) -> float:
        try:
            cores = [decode(part[:, window.start : window.stop], window) for part, _ in wholes]
        except VocoderError:  # it knows itself that the halo is too small
            return float("inf")
        wanted = slice(window.core_start * hop, None if window.core_stop == length else window.core_stop * hop)
        return max(_apart(core, whole[wanted]) for core, (_, whole) in zip(cores, wholes, strict=True))

    def left(halo: int) -> float:
        core = length - _CORE
        return apart(Window(core - min(halo, searched), length, core, length, length))

    def right(halo: int) -> float:
        return apart(Window(0, min(_CORE + halo, length), 0, _CORE, length))

    sides = (left, right)
    if allowed is None:
        rounding = max(side(searched - 1) for side in sides)
        allowed = min(max(_ROUNDING * peak, _AMPLIFIED * rounding), _MOST_ROUNDING * peak)
    errors = [side(halo) for side, halo in zip(sides, stated, strict=True)]
    smallest = [
        _smallest(side, allowed, halo if error <= allowed else None, searched)
        for side, halo, error in zip(sides, stated, errors, strict=True)
    ]
    return HaloTrial(stated, max(errors), allowed, (smallest[0], smallest[1]), searched - 1)


def _smallest(error: Callable[[int], float], allowed: float, enough: int | None, searched: int) -> int | None:
    """The smallest halo whose error is allowed, by bisection; None if even the largest one has too large an error."""
    if enough is None and error(searched - 1) > allowed:
        return None
    low, high = -1, searched - 1 if enough is None else min(enough, searched - 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if error(middle) <= allowed else (middle, high)
    return high


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Largest difference; infinite if the lengths differ or a value is not finite."""
    if one.shape != other.shape:
        return float("inf")
    apart = float(np.abs(one.astype(np.float64) - other).max(initial=0))
    return apart if np.isfinite(apart) else float("inf")


@dataclass(frozen=True)
class Influence:
    """The effect of a change of one frame on the samples of the frames around it.

    Args:
        left: largest change in the samples of each frame after the changed frame, by its distance from it,
            `[distances] float64` [full scale]; distance 0 is the changed frame itself. These frames have the changed
            frame on their left.
        right: largest changes in the samples of the frames before the changed frame, in the same form. These frames
            have the changed frame on their right.
    """

    left: NDArray[np.float64]
    right: NDArray[np.float64]

    def faded(self, peak: float) -> float:
        """Largest change that does not count [full scale]: 0, or a part of the peak if changes fade away but never end.

        A change affects all later samples of a recurrent net, but in the end less than the rounding of float32.

        Args:
            peak: peak of the waveform [full scale].
        """
        ended = not (self.left[-1] or self.right[-1])
        return 0.0 if ended else _FADED * peak

    def beyond(self, halo: tuple[int, int]) -> float:
        """Largest change of a sample that lies beyond the halo [full scale]."""
        return max(float(self.left[halo[0] + 1 :].max(initial=0)), float(self.right[halo[1] + 1 :].max(initial=0)))

    def reach(self, allowed: float = 0.0) -> tuple[int, int]:
        """Number of frames (left, right) beyond which no change is larger than `allowed` [full scale]."""
        left, right = (np.flatnonzero(side > allowed) for side in (self.left, self.right))
        return int(left.max(initial=0)), int(right.max(initial=0))


def influence(decode: Decode, mels: Sequence[NDArray[np.float32]], hop: int) -> Influence:
    """Changes one frame in the middle of each mel, and measures which samples change.

    Mels of one shape go through the same sums, so samples that do not depend on the change keep their bits.

    Args:
        decode: function that decodes, `Vocoder.decode`.
        mels: the mels, `[n_mels, frames] float32` each, of one shape.
        hop: number of samples of a frame.
    """
    frames = mels[0].shape[1]
    middle = frames // 2
    change = np.zeros(frames)
    for number, mel in enumerate(mels):
        whole = decode(mel)
        for changed in _changed(mel, middle, number):
            apart = np.abs(decode(changed).astype(np.float64) - whole)
            # Samples after the last frame's hop belong to that frame.
            of_frame = np.minimum(np.arange(len(apart)) // hop, frames - 1)
            np.maximum.at(change, of_frame, np.nan_to_num(apart, nan=np.inf))
    return Influence(left=change[middle:], right=change[middle::-1])


def _changed(mel: NDArray[np.float32], frame: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """The mel with one frame louder, quieter, and random: large changes, whose last traces can be measured."""
    spread = max(1.0, float(mel.std()))
    rng = np.random.default_rng(seed)
    for offset in (4 * spread, -4 * spread, rng.normal(0, 4 * spread, len(mel))):
        changed = mel.copy()
        changed[:, frame] += np.asarray(offset, np.float32)
        yield changed


@dataclass(frozen=True)
class LengthRule:
    """The length of the waveform [samples] is `frames * hop + extra`."""

    hop: int
    extra: int


def length_rule(lengths: Sequence[tuple[int, int]]) -> LengthRule | None:
    """The rule that pairs of frames and samples follow; None if they do not follow such a rule.

    >>> length_rule([(10, 2560), (11, 2816), (30, 7680)])
    LengthRule(hop=256, extra=0)
    >>> length_rule([(10, 2560), (11, 2560), (30, 7680)])
    """
    (first, samples), *rest = sorted(lengths)
    hop = (rest[-1][1] - samples) // (rest[-1][0] - first)
    rule = LengthRule(hop, samples - hop * first)
    return rule if all(frames * hop + rule.extra == found for frames, found in rest) else None


def shortest_mel(decode: Decode, mel: NDArray[np.float32], samples: Callable[[int], int]) -> int | None:
    """The smallest number of frames that the vocoder decodes, of 1, 2, 3, 4, 6, ... 64.

    Args:
        decode: function that decodes, `Vocoder.decode`.
        mel: a mel, `[n_mels, frames] float32`, whose beginnings are decoded.
        samples: the length rule, a function from frames to samples.

    Returns:
        None if it decodes none of these lengths.
    """
    for frames in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64):
        try:
            made = len(decode(mel[:, :frames]))
        except MelmillError:
            continue
        if made == samples(frames):
            return frames
    return None
