"""OpenVINO gives the samples of onnxruntime, to 1e-4, alone and in batches. Needs openvino."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.families import BANDS, CONFIGS, random_model

from pipeline.vocoders import Vocoder, decode_windows, load_vocoder


def decoded(vocoder: Vocoder, mel: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    pieces = decode_windows(vocoder, lambda start, stop: mel[:, start:stop], mel.shape[1], window)
    return np.concatenate(list(pieces))


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_has_its_samples_in_openvino_too(family: str, tmp_path: Path) -> None:
    path = str(random_model(family, tmp_path / "random.onnx"))
    mel = np.random.default_rng(3).normal(-1, 2, (BANDS, 400)).astype(np.float32)
    ours = load_vocoder(path).decode(mel)
    theirs = load_vocoder(path, runtime="openvino")
    assert theirs.digest != load_vocoder(path).digest
    assert np.abs(ours).max() > 0.05
    assert np.abs(theirs.decode(mel) - ours).max() < 1e-4
    assert np.abs(decoded(load_vocoder(path, runtime="openvino", batch=4), mel, 32) - ours).max() < 1e-4


@pytest.mark.parametrize("name", ["hifigan-universal", "hifigan-ljspeech"])
def test_the_shipped_checkpoints_have_their_samples_in_openvino_too(name: str, mel: NDArray[np.float32]) -> None:
    ours = load_vocoder(name, threads=2).decode(mel[:, :120])
    for batch in (None, 3):
        theirs = load_vocoder(name, threads=2, runtime="openvino", batch=batch)
        assert np.abs(decoded(theirs, mel[:, :120], 32) - ours).max() < 1e-4


def test_lift_runs_its_net_in_onnxruntime_whatever_is_asked(mel: NDArray[np.float32]) -> None:
    """Its phase stage goes round 16 times, and makes much of the last bits: another runtime is not to be heard."""
    ours, theirs = (load_vocoder("lift", runtime=runtime) for runtime in ("onnxruntime", "openvino"))
    assert theirs.digest == ours.digest
    np.testing.assert_array_equal(theirs.decode(mel), ours.decode(mel))
