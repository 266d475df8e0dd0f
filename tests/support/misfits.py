"""Corpora of real speech in which some utterances are of no use, in each of the ways that people meet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import soundfile
from numpy.typing import NDArray
from support.corpora import SPEC
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel
from pipeline.melspec import convert_mel

Mel = NDArray[np.float32]
FRAMES = 160
LOG10 = dataclasses.replace(SPEC, log="log10")
DECIBELS = dataclasses.replace(SPEC, log="db")


@cache
def waveforms() -> tuple[NDArray[np.float32], ...]:
    """The 24 prompts, read as if they were at the mels' rate."""
    return tuple(soundfile.read(path, dtype="float32")[0] for path in sorted(PROMPTS.glob("*/*.flac")))


@cache
def _bands() -> tuple[Mel, Mel]:
    """Mean and deviation of each band over the prompts, `[n_mels, 1] float32` both."""
    every = np.concatenate([log_mel(waveform, SPEC) for waveform in waveforms()], axis=1)
    return every.mean(axis=1, keepdims=True), every.std(axis=1, keepdims=True)


def _normalized(mel: Mel) -> Mel:
    mean, deviation = _bands()
    return (mel - mean) / deviation


def _with(mel: Mel, value: float) -> Mel:
    changed = mel.copy()
    changed[7, changed.shape[1] // 2] = value
    return changed


WAYS: dict[str, Callable[[Mel], Mel]] = {
    "x 32768": lambda mel: mel + np.float32(np.log(32768)),
    "log10 instead of ln": lambda mel: convert_mel(mel, SPEC, LOG10),
    "decibels instead of ln": lambda mel: convert_mel(mel, SPEC, DECIBELS),
    "normalized by band": _normalized,
    "scaled to 0 .. 1": lambda mel: (mel - mel.min()) / np.ptp(mel),
    "without logarithm": np.exp,
    "NaN": lambda mel: _with(mel, np.nan),
    "infinity": lambda mel: _with(mel, np.inf),
    "constant": lambda mel: np.full_like(mel, -5),
    "powers instead of magnitudes": lambda mel: 2 * mel,
    "bands and frames mixed up": lambda mel: np.ascontiguousarray(mel).reshape(mel.shape[::-1]).T,
}
"""Name of a way -> a mel of that way, of a good one, both `[n_mels, frames] float32`."""
PARTLY = {"normalized by band", "powers instead of magnitudes"}
"""Ways in which some utterances are merely unusual."""
UNSEEN = {"bands and frames mixed up"}
"""Ways whose values a mel of the contract may have, too."""


def corpus(way: str, count: int, bad: int) -> tuple[dict[str, Mel], set[str]]:
    """A corpus of speech, some of it quieter.

    Args:
        way: a key of `WAYS`.
        count: number of utterances.
        bad: number of those that are of that way, evenly spread.

    Returns:
        The mels, and the keys of the bad ones.
    """
    chosen = {(2 * at + 1) * count // (2 * bad) for at in range(bad)}
    mels = {}
    for index in range(count):
        waveform = waveforms()[index % 24]
        level = np.float32(0.8 ** (index // 24))
        start = max(0, (len(waveform) - FRAMES * SPEC.hop_length) // 2)
        mel = log_mel(level * waveform[start : start + FRAMES * SPEC.hop_length], SPEC)
        mels[f"u{index:03d}"] = np.asarray(WAYS[way](mel) if index in chosen else mel, np.float32)
    assert len(chosen) == bad
    return mels, {f"u{index:03d}" for index in chosen}


def quarantined(failures: Iterable[dict[str, object]]) -> set[str]:
    """The keys in rows of failures.jsonl."""
    return {str(row["key"]) for row in failures}
