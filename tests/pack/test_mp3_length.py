"""MP3 files that do not state their length, as streams and old encoders leave them, are read to their end."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from pipeline.pack.audio import read_audio
from pipeline.pack.audio_files import open_audio
from pipeline.pack.mp3_length import completed_mp3
from pipeline.pack.sources import SourceError

DELAY = 1105 - 529  # samples that LAME's own header has a decoder leave out at the start, beside those of every decoder
ID3 = b"ID3\4\0\0\0\0\2\1" + bytes(257)  # its size is written in bytes of seven bits


def encoded(rate: int, channels: int) -> bytes:
    """Five seconds at 22050 Hz, quiet first and noisy then, so that the frames' bitrates differ widely."""
    time = np.arange(110250) / 22050
    noise = 0.1 * np.random.default_rng(0).standard_normal((len(time), channels)) * (time > 2)[:, None]
    tone = 0.2 * np.sin(2 * np.pi * 440 * time)[:, None]
    file = io.BytesIO()
    soundfile.write(file, tone + noise, rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE")
    return file.getvalue()


def without_length(content: bytes) -> bytes:
    """The file without its first frame, which states the number of the others."""
    second = content.index(content[:2], 4)
    assert b"Info" in content[:second] or b"Xing" in content[:second]
    return content[second:]


def samples_of(path: Path) -> NDArray[np.float32]:
    with open_audio(str(path)) as audio:
        assert audio.cut is None
        found: NDArray[np.float32] = audio.sound.read(dtype="float32", always_2d=True)
    return found


@pytest.mark.parametrize("before", [b"", ID3], ids=["", "ID3"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [11025, 16000, 22050, 44100, 48000])
def test_a_file_that_states_no_length_is_read_to_its_end(
    tmp_path: Path, rate: int, channels: int, before: bytes
) -> None:
    content = encoded(rate, channels)
    (tmp_path / "whole.mp3").write_bytes(content)
    (tmp_path / "open.mp3").write_bytes(before + without_length(content) + b"TAG" + bytes(125))
    estimated = soundfile.info(tmp_path / "open.mp3").frames
    whole, found = samples_of(tmp_path / "whole.mp3"), samples_of(tmp_path / "open.mp3")
    assert abs(estimated - len(whole)) > 5000  # what libsndfile takes for its length
    assert len(whole) == 110250
    same = found[DELAY : DELAY + len(whole)]
    np.testing.assert_allclose(same, whole[: len(same)], atol=1e-6)
    assert len(whole) - 1152 < len(same)


def test_one_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp3"
    path.write_bytes(without_length(encoded(22050, 1))[:-100])
    with pytest.raises(SourceError, match=r"it ends after \d+ of \d+ samples; it is cut off or damaged"):
        list(read_audio(str(path), 22050))


@pytest.mark.parametrize("content", [b"", b"\xff", b"ID3", ID3, bytes(5000), b"\xff\xfb" * 2500, b"RIFF" + bytes(60)])
def test_what_is_no_mp3_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with open(tmp_path / "x", "rb") as file:
        assert completed_mp3(file) == (None, None)
