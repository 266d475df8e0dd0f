from pathlib import Path

import numpy as np
import pytest
from support.corpora import SPEC

from pipeline.errors import BadMelError, ConfigError
from pipeline.vocoders import load_vocoder, vocode

MEL = np.random.default_rng(0).uniform(-10, 0, (80, 600)).astype(np.float32)


def test_a_mel_becomes_float32_samples_those_of_the_whole(vocoder_path: Path) -> None:
    waveform = vocode(MEL, str(vocoder_path))
    assert (waveform.dtype, waveform.shape) == (np.float32, (600 * 256,))
    np.testing.assert_allclose(waveform, load_vocoder(str(vocoder_path)).decode(MEL), atol=1e-5)


def test_the_default_is_the_universal_hifigan() -> None:
    np.testing.assert_array_equal(vocode(MEL[:, :20]), vocode(MEL[:, :20].tolist(), "hifigan-universal"))


def test_griffin_lim_needs_the_contract() -> None:
    assert vocode(MEL[:, :20], "griffin-lim", SPEC).shape == (20 * 256,)
    with pytest.raises(ConfigError, match="needs to know the mel contract"):
        vocode(MEL, "griffin-lim")


@pytest.mark.parametrize(
    ("mel", "words"),
    [
        (MEL.T, r"shape \[600, 80\]; tiny takes \[80, frames\]"),
        (MEL[0], r"shape \[600\]"),
        (MEL[:, :0], r"shape \[80, 0\]"),
        (np.where(np.arange(600) == 7, np.nan, MEL), "nan in band 0, frame 7"),
    ],
)
def test_a_mel_that_cannot_be_one_is_refused(vocoder_path: Path, mel: np.ndarray, words: str) -> None:
    with pytest.raises(BadMelError, match=words):
        vocode(mel, str(vocoder_path))
