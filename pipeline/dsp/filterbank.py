"""The mel filterbank, in the same bits on every processor."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.melspec import MelSpec

# Slaney's mel scale, from M. Slaney, "Auditory Toolbox", Interval Research technical report 1998-010: linear below
# 1 kHz, which is 15 mels (200/3 Hz for each mel); above it 27 mels are a factor of 6.4.
_KNEE_HZ, _KNEE_MEL, _MELS_TO_6_4, _RATIO = 1000, 15, 27, Decimal("6.4")

_DIGITS = 30
"""Decimal's functions round in one way at any precision, whereas those of numpy and libm differ in the last bit."""


@lru_cache(maxsize=64)  # evidence tries all presets, and variants of a contract, in turn
def mel_filterbank(spec: MelSpec) -> NDArray[np.float32]:
    """The triangular filters, their corners evenly spaced in mels: `[n_mels, 1 + n_fft // 2] float32`, read-only."""
    corners = _corners(spec)
    bins = np.arange(1 + spec.n_fft // 2) * (spec.bank_rate / spec.n_fft)
    ramps = corners[:, None] - bins
    rising, falling = -ramps[:-2] / np.diff(corners)[:-1, None], ramps[2:] / np.diff(corners)[1:, None]
    bank = np.maximum(0, np.minimum(rising, falling))
    if spec.mel_norm == "slaney":
        bank *= (2 / (corners[2:] - corners[:-2]))[:, None]
    single = bank.astype(np.float32)
    single.flags.writeable = False
    return single


def _corners(spec: MelSpec) -> NDArray[np.float64]:
    """Lower edges, centres and upper edges of the filters [Hz], `[n_mels + 2] float64`."""
    with localcontext(prec=_DIGITS):
        low, high = (_hz_to_mel(Decimal(hz), spec) for hz in (spec.fmin, spec.fmax))
        steps = spec.n_mels + 1
        return np.array([float(_mel_to_hz(low + (high - low) * i / steps, spec)) for i in range(steps + 1)])


def _hz_to_mel(hz: Decimal, spec: MelSpec) -> Decimal:
    if spec.mel_scale == "htk":
        return 2595 * (1 + hz / 700).log10()
    if hz < _KNEE_HZ:
        return hz * _KNEE_MEL / _KNEE_HZ
    return _KNEE_MEL + (hz / _KNEE_HZ).ln() / _RATIO.ln() * _MELS_TO_6_4


def _mel_to_hz(mel: Decimal, spec: MelSpec) -> Decimal:
    if spec.mel_scale == "htk":
        return 700 * ((mel / 2595 * Decimal(10).ln()).exp() - 1)
    if mel < _KNEE_MEL:
        return mel * _KNEE_HZ / _KNEE_MEL
    return _KNEE_HZ * ((mel - _KNEE_MEL) / _MELS_TO_6_4 * _RATIO.ln()).exp()
