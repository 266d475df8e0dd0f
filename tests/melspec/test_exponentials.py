"""e^x and ln x of float64: as near to the exact values as they say, and the same bits everywhere."""

import dataclasses
import hashlib
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.melspec import PRESETS, convert_mel
from pipeline.melspec.exponentials import exp, ln, ln_of


def errors(found: NDArray[np.float64], exact: list[Decimal]) -> NDArray[np.float64]:
    """Distances from the exact values, in units in the last place."""
    pairs = zip(found, exact, strict=True)
    return np.array([float(abs(Decimal(a) - b) / Decimal(math.ulp(float(b)))) for a, b in pairs])


def numbers(low: float, high: float) -> NDArray[np.float64]:
    return np.random.default_rng(0).uniform(low, high, 4000)


@pytest.mark.parametrize("size", [0.3, 20.0, 700.0])
def test_exp_is_within_one_and_a_half_units_in_the_last_place(size: float) -> None:
    x = numbers(-size, size)
    with localcontext(prec=40):
        assert errors(exp(x), [Decimal(each).exp() for each in x]).max() <= 1.5


@pytest.mark.parametrize("exponent", [1, 30, 300])
def test_ln_is_within_one_and_a_half_units_in_the_last_place(exponent: int) -> None:
    x = 10 ** numbers(-exponent, exponent)
    with localcontext(prec=40):
        exact = [Decimal(each).ln() for each in x]
        assert ((errors(ln(x), exact) <= 1.5) | (np.abs(ln(x) - np.array(exact, np.float64)) <= 2e-17)).all()


def test_what_is_too_large_is_taken_for_the_largest() -> None:
    assert exp(np.array([-1e9, 1e9])).tolist() == exp(np.array([-700.0, 700.0])).tolist()
    assert ln(np.array([1.0])).tolist() == [0.0]
    assert exp(np.array([0.0])).tolist() == [1.0]


def test_the_bits_are_the_same_on_every_processor() -> None:
    """Whatever vector code numpy chooses, also that for the shortest and for odd lengths."""
    x = numbers(-30, 30)
    values = np.concatenate([exp(x), ln(np.abs(x)), exp(x[:3]), ln(np.abs(x[5:12]))])
    assert hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()[:16] == "564887d03bcf1630"


def test_a_single_logarithm_is_rounded_to_the_nearest() -> None:
    for value in {each.floor for each in PRESETS.values()} | {10.0, 3.0, 1e-37}:
        assert ln_of(value) == pytest.approx(math.log(value), rel=3e-16)
    assert ln_of(10) == 2.302585092994046


def test_converted_mels_are_the_same_bits_on_every_processor() -> None:
    mel = np.random.default_rng(0).uniform(-11.5, 1, (80, 33)).astype(np.float32)
    added = dataclasses.replace(PRESETS["hifigan-22k"], floor=1e-3, flooring="add", log="db")
    there = convert_mel(mel, dataclasses.replace(PRESETS["hifigan-22k"], floor=1e-9), added)
    back = convert_mel(there, added, dataclasses.replace(PRESETS["hifigan-22k"], floor=1e-3))
    assert hashlib.sha256(there.tobytes() + back.tobytes()).hexdigest()[:16] == "0adb51e8fb45b872"
