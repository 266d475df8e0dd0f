"""What passes by bounds has no contradiction, whatever it is; and nearly all speech passes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.corpora import SPEC
from support.misfits import WAYS, corpus, waveforms

from pipeline.dsp.mel import log_mel
from pipeline.evidence import Sample, contradictions, middle
from pipeline.evidence.fitting import Fitting
from pipeline.melspec import PRESETS, MelSpec, Normalization

QUIET = dataclasses.replace(SPEC, floor=1e-4)
CONTRACTS: dict[str, MelSpec] = {
    **{name: spec for name, spec in PRESETS.items() if spec.n_mels == SPEC.n_mels},
    "a high floor": QUIET,
    "normalized by band": dataclasses.replace(
        SPEC, normalization=Normalization(tuple(np.linspace(-6, -3, 80)), (2.0,) * 80)
    ),
    "an added floor": dataclasses.replace(SPEC, flooring="add", floor=1e-3),
}
BOUNDS = {name: Fitting(spec) for name, spec in CONTRACTS.items()}
GOOD = list(corpus("constant", 24, 0)[0].values())


@given(
    contract=st.sampled_from(sorted(CONTRACTS)),
    way=st.sampled_from(["good", *(way for way in WAYS if way not in ("NaN", "infinity"))]),
    utterance=st.integers(0, 23),
    frames=st.integers(1, 160),
    change=st.tuples(st.floats(-6, 6), st.floats(0.2, 3), st.floats(0, 1)),
)
def test_what_passes_has_no_contradiction(
    contract: str, way: str, utterance: int, frames: int, change: tuple[float, float, float]
) -> None:
    """Speech and misfits: louder and quieter, stretched, smoothed over the bands, of every length."""
    mel = GOOD[utterance] if way == "good" else np.asarray(WAYS[way](GOOD[utterance]), np.float32)
    start, stop = middle(mel.shape[1], frames)
    offset, stretched, smoothed = change
    smooth = (np.roll(mel, 1, axis=0) + np.roll(mel, -1, axis=0)) / 2
    mel = ((1 - smoothed) * mel + smoothed * smooth)[:, start:stop] * stretched + offset
    mel = np.ascontiguousarray(mel, np.float32)
    if BOUNDS[contract].certain(mel):
        assert contradictions(Sample((mel,), 1), CONTRACTS[contract]) == ()


@pytest.mark.parametrize("name", CONTRACTS)
@pytest.mark.parametrize("frames", [30, 160])
def test_speech_passes(name: str, frames: int) -> None:
    spec, speech = CONTRACTS[name], [np.float32(level) * each for level in (1, 0.1) for each in waveforms()[::2]]
    mels = [log_mel(each, spec) for each in speech]
    passed = [BOUNDS[name].certain(mel[:, slice(*middle(mel.shape[1], frames))]) for mel in mels]
    assert np.mean(passed) > (0.7 if name == "normalized by band" else 0.9)  # by means that are not the corpus's own


def test_a_stretch_that_is_long_enough_for_its_filterbank_is_judged_by_it() -> None:
    assert not BOUNDS["hifigan-22k"].certain(np.tile(GOOD[0], (1, 7)))
