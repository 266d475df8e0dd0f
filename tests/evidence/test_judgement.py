"""A few utterances that do not fit their contract decide nothing, however they are wrong; most of them do."""

import numpy as np
import pytest
import soundfile
import soxr
from support.corpora import SPEC
from support.misfits import PARTLY, UNSEEN, WAYS, corpus
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel
from pipeline.evidence import Sample, judge, judge_presets, middle, misfit
from pipeline.melspec import PRESETS, convert_mel

FINITE = [way for way in WAYS if way not in ("NaN", "infinity")]  # a sample holds what a store could read


def sample_of(mels):
    return Sample(tuple(mels.values()), len(mels), tuple(mels))


@pytest.mark.parametrize("way", FINITE)
@pytest.mark.parametrize("bad", [1, 2, 8], ids=["2 %", "5 %", "20 %"])
def test_a_few_bad_utterances_are_named_and_do_not_refuse_the_contract(way: str, bad: int) -> None:
    mels, wrong = corpus(way, 40, bad)
    sample = sample_of(mels)
    judged = judge(sample, SPEC)
    assert not judged.refused
    named = {sample.keys[at] for at in judged.misfits}
    if way in PARTLY:
        assert len(named) >= len(wrong) / 2
        assert named <= wrong
    else:
        assert named == (set() if way in UNSEEN else wrong)
    assert judged.kept.keys == tuple(key for key in mels if key not in named)


@pytest.mark.parametrize("way", [way for way in FINITE if way not in UNSEEN])
@pytest.mark.parametrize("bad", [24, 40], ids=["60 %", "all"])
def test_the_contract_is_refused_if_most_utterances_are_of_another(way: str, bad: int) -> None:
    judged = judge(sample_of(corpus(way, 40, bad)[0]), SPEC)
    assert judged.refused
    assert judged.found[0].words
    assert not judged.misfits


def test_half_of_the_utterances_are_not_most() -> None:
    assert not judge(sample_of(corpus("x 32768", 4, 2)[0]), SPEC).refused
    assert judge(sample_of(corpus("x 32768", 1, 1)[0]), SPEC).refused


def test_the_other_contract_is_named_for_most_utterances_and_for_one() -> None:
    assert "pwg-22k" in judge(sample_of(corpus("log10 instead of ln", 10, 8)[0]), SPEC).others
    words = judge(sample_of(corpus("log10 instead of ln", 10, 1)[0]), SPEC).misfits
    assert "It looks like pwg-22k" in next(iter(words.values()))


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_values_that_are_unusual_in_a_few_utterances_do_not_refuse_the_contract(share: float) -> None:
    """Below the floor, in some tenths of the values: no misfit alone, and more than the whole sample may have."""
    mels, wrong = corpus("constant", 40, round(40 * share))
    good = corpus("constant", 40, 0)[0]
    for key in wrong:
        mels[key] = good[key].copy()
        mels[key][:14] = np.log(1e-7)
    sample = sample_of(mels)
    assert all(misfit(mels[key], SPEC) is None for key in wrong if (mels[key] < np.log(1e-6)).mean() < 0.2)
    assert not judge(sample, SPEC).refused


def test_presets_are_judged_without_a_few_bad_utterances() -> None:
    mels, _ = corpus("decibels instead of ln", 40, 4)
    found = judge_presets(sample_of(mels))
    assert not found["hifigan-22k"]
    assert found["pwg-22k"]


@pytest.mark.parametrize("frames", [1, 20, 200])
@pytest.mark.parametrize("name", ["hifigan-22k", "espnet", "coqui"])
def test_silence_and_quiet_speech_are_no_misfits_at_any_length(name: str, frames: int) -> None:
    mels, _ = corpus("constant", 6, 0)
    spec = PRESETS[name]
    quiet = [convert_mel(mel, SPEC, PRESETS["hifigan-22k"])[:, :frames] for mel in mels.values()]
    if name == "hifigan-22k":
        assert [misfit(mel, spec) for mel in quiet] == [None] * 6
    silence = np.full((80, frames), spec.stored_floor(), np.float32)
    assert misfit(silence, spec) is None


@pytest.mark.parametrize("name", ["hifigan-22k", "bigvgan-44k-256", "speecht5-16k"])
def test_no_piece_of_speech_is_a_misfit_however_short(name: str) -> None:
    spec, judged = PRESETS[name], 0
    for path in sorted(PROMPTS.glob("*/*.flac")):
        waveform, rate = soundfile.read(path, dtype="float32")
        mel = log_mel(soxr.resample(waveform, rate, spec.sample_rate), spec)
        for frames in (20, 26, 32, 51):
            for start in range(0, mel.shape[1] - frames, 5):
                assert misfit(mel[:, start : start + frames], spec) is None, (path.name, start, frames)
                judged += 1
    assert judged > 1000


def test_the_stretch_is_in_the_middle() -> None:
    assert middle(10, 512) == (0, 10)
    assert middle(1000, 512) == (244, 756)
