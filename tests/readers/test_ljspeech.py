"""LJSpeech's layout, as torchaudio's LJSPEECH and Python's own csv and wave read it."""

import wave
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from support.corpora import rows
from support.exporting import exported
from support.reader_outputs import digests, pcm_sha256
from torchaudio.datasets import LJSPEECH

KINDS = {
    "FLAC in tars": {},
    "WAV in tars": {"codec": "wav"},
    "WAV files": {"container": "files", "codec": "wav"},
}


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest, output_of: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path]:
    out = output_of(**KINDS[request.param])
    return out, exported(out, tmp_path / "LJSpeech-1.1", "ljspeech", allow_empty_text=True)


def test_torchaudio_reads_each_utterance(made: tuple[Path, Path]) -> None:
    out, folder = made
    dataset = LJSPEECH(folder.parent)
    found = [dataset[i] for i in range(len(dataset))]
    assert [pcm_sha256(samples.numpy()) for samples, *_ in found] == list(digests(out).values())
    assert [(rate, text, normal) for _, rate, text, normal in found] == [
        (22050, r["text"], r["text"]) for r in rows(out)
    ]


def test_the_files_are_wav_of_16_bits_under_the_keys(made: tuple[Path, Path]) -> None:
    out, folder = made
    found = {}
    for line in (folder / "metadata.csv").read_text().split("\n")[:-1]:
        name, _, _ = line.split("|")
        with wave.open(str(folder / "wavs" / f"{name}.wav")) as file:
            assert (file.getsampwidth(), file.getnchannels(), file.getframerate()) == (2, 1, 22050)
            found[unquote(name)] = pcm_sha256(np.frombuffer(file.readframes(file.getnframes()), "<i2"))
    assert found == digests(out)
