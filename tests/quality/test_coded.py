"""Coded speech: what is judged is the coded recording, and what libsndfile cannot code is left out and named."""

import numpy as np
import pytest
import soundfile
from tools.quality import coded, kinds
from tools.quality.speech import SPEC, prompts

from pipeline.dsp.mel import log_mel


@pytest.mark.parametrize(("kind", "least", "most"), [("coded by Opus", 5, 25), ("coded by 8-bit mu-law", 30, 42)])
def test_codecs_keep_the_length_and_add_the_noise_of_a_codec(kind: str, least: float, most: float) -> None:
    """Opus at 20 kbit/s is far from the waveform; 8-bit mu-law has some 37 dB (ITU-T G.711)."""
    if (why := coded.why_not(kind)) is not None:
        pytest.skip(why)
    recording = prompts(1)["Carlo"][0][1]
    found = kinds.prepared(kind, recording, None)
    assert found.reference.shape == recording.shape
    ratio = 10 * np.log10((recording**2).mean() / ((found.reference - recording) ** 2).mean())
    assert least < ratio < most
    np.testing.assert_array_equal(found.given, log_mel(found.reference, SPEC))
    np.testing.assert_array_equal(found.clean, found.given)


def test_a_codec_that_libsndfile_lacks_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    all_of = soundfile.available_subtypes
    monkeypatch.setattr(
        soundfile, "available_subtypes", lambda form: {k: v for k, v in all_of(form).items() if k != "OPUS"}
    )
    left, reasons = kinds.here(["clean", "coded by Opus", "model B", "coded by 8-bit mu-law"])
    assert left == ["clean", "model B", "coded by 8-bit mu-law"]
    assert len(reasons) == 1
    assert reasons[0].startswith("coded by Opus is left out: libsndfile")
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"OGG": ""})
    assert kinds.here(["coded by 8-bit mu-law"])[0] == []
