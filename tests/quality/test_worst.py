"""How the worst utterances are chosen, and that what is wrong with them is found where it was put."""

import math

import numpy as np
import pytest
from tools.quality.kinds import prepared
from tools.quality.speech import SPEC
from tools.quality.worst import chosen, wrong


def row(utterance: str, kind: str, pesq: float, plcmos: float, system: str = "lift") -> dict[str, object]:
    return {"voice": "June", "utterance": utterance, "kind": kind, "system": system, "pesq": pesq, "plcmos": plcmos}


def test_the_worst_by_both_ranks_are_chosen_an_utterance_once_and_two_of_a_kind() -> None:
    rows = [
        row("a", "clean", 4.0, 4.5), row("b", "clean", 3.0, 1.0), row("c", "clean", 3.9, 4.4),
        row("a", "model B", 1.1, 2.0), row("b", "model B", 1.2, 2.5), row("c", "model B", 1.3, 2.6),
        row("d", "model B", math.nan, 2.1), row("e", "clean", 1.0, 1.0, "griffin-lim"),
    ]  # fmt: skip
    found = [(each["utterance"], each["kind"]) for each in chosen(rows, "lift")]
    assert found == [("a", "model B"), ("d", "model B"), ("b", "clean"), ("c", "clean")]
    assert len(chosen(rows, "lift", count=1)) == 1


def test_what_is_wrong_is_found_where_it_is() -> None:
    """Noise, of which 0.2 s is silent, and a tone of 3 kHz is added for a quarter of a second."""
    random = np.random.default_rng(0)
    wave = random.normal(0, 0.05, 2 * SPEC.sample_rate).astype(np.float32)
    time = np.arange(len(wave)) / SPEC.sample_rate
    utterance = prepared("clean", wave, None)
    silent = wrong(utterance, np.where((time > 0.5) & (time < 0.7), 0, wave).astype(np.float32))
    assert silent.hole == pytest.approx(0.2, abs=0.05)
    assert silent.patch < -20
    assert silent.seconds == pytest.approx(0.6, abs=0.1)
    tone = np.where((time > 1.2) & (time < 1.45), np.sin(2 * np.pi * 3000 * time), 0)
    loud = wrong(utterance, (wave + 0.5 * tone).astype(np.float32))
    assert loud.hole == 0
    assert loud.seconds == pytest.approx(1.32, abs=0.15)
    assert loud.hertz == pytest.approx(3000, rel=0.15)
    assert loud.patch > 5
    quiet = wrong(utterance, wave / 2)
    for level in (quiet.level, quiet.low, quiet.middle, quiet.high):
        assert level == pytest.approx(20 * math.log10(0.5), abs=0.1)
