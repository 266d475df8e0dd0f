"""What a vocoder does, found by trying it: how far its samples look to both sides, and how many it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MelmillError

# Whole against windowed at the halo, over the peak: 3e-6 for HiFi-GAN's universal checkpoint, 0 for random ones, for
# lift and for griffin-lim.
_ROUNDING = 1e-5
# A net that amplifies rounding is given more, four times what it shows where its halo is more than enough, up to what
# 16 bit can hardly tell.
_AMPLIFIED, _MOST_ROUNDING = 4, 1e-4
_FADED = 1e-7  # of the peak: about the last bit of float32
# Frames whose samples are compared, and frames beyond the halo that show what rounding alone does.
_CORE, _BEYOND = 8, 32


class Decode(Protocol):
    """As `Vocoder.decode`."""

    def __call__(self, mel: NDArray[np.float32], first_frame: int = 0) -> NDArray[np.float32]:
        """`[n_mels, frames] float32` to `[samples] float32`."""
        ...


@dataclass(frozen=True)
class HaloTrial:
    """Windows held against the whole.

    Args:
        stated: frames of context (left, right) that were to be enough.
        error: largest difference from the whole with them [full scale].
        allowed: difference that counts as rounding of float32 [full scale].
        smallest: halo that was enough in this trial; None for a side where none was, up to `searched` frames.
        searched: most frames that were tried on a side.
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
    decode: Decode, mel: NDArray[np.float32], hop: int, stated: tuple[int, int], stretches: int = 3
) -> HaloTrial:
    """Decodes stretches of a mel whole and cut off after a halo, and compares the samples.

    On each side, the frames that the cut leaves out lie behind the halo of the compared ones, and the other end is a
    true end in both, so that each side is tried alone.

    Args:
        decode: of the vocoder.
        mel: `[n_mels, frames] float32`, speech.
        hop: samples of a frame.
        stated: frames of context (left, right) that are to be enough.
        stretches: how many stretches of the mel are tried.
    """
    frames = mel.shape[1]
    length = min(frames, max(stated) + _CORE + _BEYOND)
    starts = np.linspace(0, frames - length, stretches).astype(int).tolist()
    wholes = [(start, decode(mel[:, start : start + length], start)) for start in starts]
    peak = max(float(np.abs(whole).max(initial=0)) for _, whole in wholes)
    searched = length - _CORE

    def left(halo: int) -> float:
        core = (length - _CORE) * hop
        cut = length - _CORE - min(halo, searched)
        return max(
            _apart(decode(mel[:, start + cut : start + length], start + cut)[core - cut * hop :], whole[core:])
            for start, whole in wholes
        )

    def right(halo: int) -> float:
        core, cut = _CORE * hop, min(_CORE + halo, length)
        return max(_apart(decode(mel[:, start : start + cut], start)[:core], whole[:core]) for start, whole in wholes)

    sides = (left, right)
    rounding = max(side(searched - 1) for side in sides)
    allowed = min(max(_ROUNDING * peak, _AMPLIFIED * rounding), _MOST_ROUNDING * peak)
    errors = [side(halo) for side, halo in zip(sides, stated, strict=True)]
    smallest = [
        _smallest(side, allowed, halo if error <= allowed else None, searched)
        for side, halo, error in zip(sides, stated, errors, strict=True)
    ]
    return HaloTrial(stated, max(errors), allowed, (smallest[0], smallest[1]), searched - 1)


def _smallest(error: Callable[[int], float], allowed: float, enough: int | None, searched: int) -> int | None:
    """The smallest halo whose error is allowed, by bisection; None if the largest one's is not."""
    if enough is None and error(searched - 1) > allowed:
        return None
    low, high = -1, searched - 1 if enough is None else min(enough, searched - 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if error(middle) <= allowed else (middle, high)
    return high


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Largest difference; infinite where the lengths differ or a value is no number."""
    if one.shape != other.shape:
        return float("inf")
    apart = float(np.abs(one.astype(np.float64) - other).max(initial=0))
    return apart if np.isfinite(apart) else float("inf")


@dataclass(frozen=True)
class Influence:
    """How much a change of one frame changes the samples of the frames around it.

    Args:
        left: `[distances] float64`, largest change of a sample of a frame that looks so many frames to its left
            [full scale]; distance 0 is the changed frame itself.
        right: the same for frames that look to their right.
    """

    left: NDArray[np.float64]
    right: NDArray[np.float64]

    def faded(self, peak: float) -> float:
        """Changes up to this are none [full scale]: 0, or a part of the peak where they fade away but never end.

        A recurrent net hears a change for ever; what is left of it then is lost in the rounding of float32.
        """
        ended = not (self.left[-1] or self.right[-1])
        return 0.0 if ended else _FADED * peak

    def beyond(self, halo: tuple[int, int]) -> float:
        """Largest change of a sample that lies further away than the halo [full scale]."""
        return max(float(self.left[halo[0] + 1 :].max(initial=0)), float(self.right[halo[1] + 1 :].max(initial=0)))

    def reach(self, allowed: float = 0.0) -> tuple[int, int]:
        """Frames (left, right) beyond which no change is larger than that [full scale]."""
        left, right = (np.flatnonzero(side > allowed) for side in (self.left, self.right))
        return int(left.max(initial=0)), int(right.max(initial=0))


def influence(decode: Decode, mels: Sequence[NDArray[np.float32]], hop: int) -> Influence:
    """Changes one frame in the middle of each mel, and looks whom that reaches.

    The same shape runs through the same sums: samples that the change does not reach stay the same bits.

    Args:
        decode: of the vocoder.
        mels: `[n_mels, frames] float32` each, of one shape.
        hop: samples of a frame.
    """
    frames = mels[0].shape[1]
    middle = frames // 2
    change = np.zeros(frames)
    for number, mel in enumerate(mels):
        whole = decode(mel)
        for changed in _changed(mel, middle, number):
            apart = np.abs(decode(changed).astype(np.float64) - whole)
            # What comes after the last frame's hop belongs to that frame.
            of_frame = np.minimum(np.arange(len(apart)) // hop, frames - 1)
            np.maximum.at(change, of_frame, np.nan_to_num(apart, nan=np.inf))
    return Influence(left=change[middle:], right=change[middle::-1])


def _changed(mel: NDArray[np.float32], frame: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """The mel with one frame louder, quieter, and mixed up: large changes, whose last traces are still heard."""
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
    """The rule that pairs of frames and samples follow, None if they follow none.

    >>> length_rule([(10, 2560), (11, 2816), (30, 7680)])
    LengthRule(hop=256, extra=0)
    >>> length_rule([(10, 2560), (11, 2560), (30, 7680)])
    """
    (first, samples), *rest = sorted(lengths)
    hop = (rest[-1][1] - samples) // (rest[-1][0] - first)
    rule = LengthRule(hop, samples - hop * first)
    return rule if all(frames * hop + rule.extra == found for frames, found in rest) else None


def shortest_mel(decode: Decode, mel: NDArray[np.float32], samples: Callable[[int], int]) -> int | None:
    """The fewest frames that the vocoder takes, of those tried: 1, 2, 3, 4, 6, ... 64.

    Args:
        decode: of the vocoder.
        mel: `[n_mels, frames] float32`, of which beginnings are taken.
        samples: its length rule, from frames to samples.

    Returns:
        None if it takes none of them.
    """
    for frames in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64):
        try:
            made = len(decode(mel[:, :frames]))
        except MelmillError:
            continue
        if made == samples(frames):
            return frames
    return None
