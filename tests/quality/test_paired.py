"""Differences of two systems: which rows are paired, and what their intervals hold."""

import math

import numpy as np
import pytest
from tools.quality.paired import difference, paired, paired_table

Row = dict[str, object]


def row(system: str, pesq: float, utterance: str = "one", voice: str = "June", kind: str = "clean") -> Row:
    figures = dict.fromkeys(("dnsmos", "plcmos", "mel_distance"), 0.0)
    return {"system": system, "voice": voice, "utterance": utterance, "kind": kind, "pesq": pesq, **figures}


def test_rows_are_paired_by_voice_utterance_and_kind_in_whatever_order_they_come() -> None:
    """Two voices say utterances of one name, and one utterance is judged on two kinds."""
    rows = [
        row("hifigan-universal", 1.0, voice="Carlo"), row("hifigan-universal", 2.0), row("lift", 2.5),
        row("hifigan-universal", 9.0, kind="noise of 0.2"), row("lift", 1.25, voice="Carlo"), row("lift", 4.0, "two"),
        row("lift", 1.0, kind="noise of 0.2"),
    ]  # fmt: skip
    for order in (rows, rows[::-1]):
        found = difference(paired(order, "lift", "hifigan-universal", "clean"), "pesq")
        assert (found.count, found.mean) == (2, pytest.approx(0.375))


def test_the_interval_is_of_the_differences_not_of_the_two_systems() -> None:
    """Utterances differ by whole points, the systems by 0.1."""
    random = np.random.default_rng(0)
    levels = random.uniform(1, 4, 40)
    gains = random.normal(0.1, 0.02, 40)
    gains += 0.1 - gains.mean()
    rows = [row("hifigan-universal", level, str(i)) for i, level in enumerate(levels)]
    rows += [row("lift", level + gain, str(i)) for i, (level, gain) in enumerate(zip(levels, gains, strict=True))]
    found = difference(paired(rows, "lift", "hifigan-universal", "clean"), "pesq")
    assert 0.09 < found.low < found.mean < found.high < 0.11
    # Of a mean of n, by the normal approximation: 1.96 standard errors on each side.
    assert found.high - found.low == pytest.approx(2 * 1.96 * gains.std() / math.sqrt(40), rel=0.15)
    assert difference(paired(rows, "lift", "hifigan-universal", "clean"), "pesq") == found


def test_pairs_without_a_value_are_left_out_and_a_single_pair_has_no_interval() -> None:
    base = [row("hifigan-universal", each, str(i)) for i, each in enumerate((2.0, math.nan, 3.0))]
    rows = [*base, row("lift", 2.5, "0"), row("lift", 2.0, "1"), row("lift", math.nan, "2")]
    found = difference(paired(rows, "lift", "hifigan-universal", "clean"), "pesq")
    assert (found.mean, found.count) == (0.5, 1)
    assert str(found) == "+0.500 (one)"
    assert str(difference([], "pesq")) == ""


def test_the_table_has_a_line_for_each_kind_and_system_with_pairs_and_none_for_the_base() -> None:
    rows = [row(system, pesq, str(i), kind=kind) for system, pesq in (("hifigan-universal", 3.0), ("lift", 3.5))
            for i in range(3) for kind in ("clean", "model B")]  # fmt: skip
    lines = paired_table(
        rows, ("clean", "model B", "noise of 0.2"), ("lift", "hifigan-universal", "librosa")
    ).splitlines()
    assert [line.split(" | ")[:3] for line in lines[2:]] == [["| clean", "lift", "3"], ["| model B", "lift", "3"]]
    assert "+0.500 (+0.500 to +0.500)" in lines[2]
    assert paired_table([], ("clean",), ("lift",)) == ""
