import hashlib
import io
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.paths import DATA

from pipeline.audio import encode as encode_module
from pipeline.audio.encode import Encoder, decoded_pcm_sha256, pcm_bytes, quantize
from pipeline.config import Codec, Subtype
from pipeline.errors import StorageError

FORMATS: list[tuple[Codec, Subtype]] = [
    ("flac", "PCM_16"),
    ("flac", "PCM_24"),
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "FLOAT"),
]
STEP = {"PCM_16": 2.0**-15, "PCM_24": 2.0**-23, "FLOAT": 0.0}
TEMPORARY = Path(tempfile.gettempdir())
SEED = np.loadtxt(DATA / "seed.txt", dtype=np.float32)


def encode(
    samples: np.ndarray, codec: Codec, subtype: Subtype, pieces: int = 1, folder: Path = TEMPORARY
) -> tuple[bytes, Encoder]:
    encoder = Encoder(codec, subtype, 22050, folder)
    with encoder:
        for piece in np.array_split(samples, pieces):
            encoder.push(piece)
        encoder.finish()
        return encoder.encoded.read(), encoder


@pytest.mark.parametrize(("codec", "subtype"), FORMATS)
def test_the_seed_comes_back_within_half_a_step(codec: Codec, subtype: Subtype) -> None:
    encoded, encoder = encode(SEED, codec, subtype)
    back, rate = soundfile.read(io.BytesIO(encoded), dtype="float32")
    assert (len(SEED), rate, encoder.clipped) == (428, 22050, 0)
    assert np.abs(back.astype(np.float64) - SEED).max() <= STEP[subtype] / 2


def test_the_seed_is_about_twelve_steps_of_16_bit_audio() -> None:
    steps, _ = quantize(SEED, "PCM_16")
    assert np.abs(steps).max() == 12


@pytest.mark.parametrize(("codec", "subtype"), FORMATS)
def test_the_pieces_in_which_audio_comes_do_not_matter(codec: Codec, subtype: Subtype) -> None:
    noise = np.random.default_rng(0).normal(0, 0.4, 50_000).astype(np.float32)
    _, whole = encode(noise, codec, subtype)
    _, cut = encode(noise, codec, subtype, pieces=7)
    assert (whole.pcm_sha256, whole.clipped) == (cut.pcm_sha256, cut.clipped)


@pytest.mark.parametrize(("codec", "subtype"), FORMATS)
def test_the_digest_is_that_of_the_decoded_pcm(codec: Codec, subtype: Subtype) -> None:
    noise = np.random.default_rng(1).normal(0, 0.4, 300_001).astype(np.float32)
    encoded, encoder = encode(noise, codec, subtype, pieces=3)
    assert decoded_pcm_sha256(io.BytesIO(encoded), subtype) == (encoder.pcm_sha256, len(noise))
    steps, _ = quantize(noise, subtype)
    assert hashlib.sha256(pcm_bytes(steps, subtype)).hexdigest() == encoder.pcm_sha256


def test_flac_of_equal_audio_has_equal_bytes() -> None:
    noise = np.random.default_rng(2).normal(0, 0.1, 30_000).astype(np.float32)
    assert encode(noise, "flac", "PCM_16")[0] == encode(noise, "flac", "PCM_16", pieces=5)[0]


@pytest.mark.parametrize(
    ("subtype", "value", "step", "clipped"),
    [
        ("PCM_16", 1.0, 32767, 1),  # `* 32768` into int16 would wrap this to -32768
        ("PCM_16", 32767 / 32768, 32767, 0),
        ("PCM_16", -1.0, -32768, 0),
        ("PCM_16", 7.5, 32767, 1),
        ("PCM_16", -7.5, -32768, 1),
        ("PCM_16", 0.6 / 32768, 1, 0),
        ("PCM_16", -0.6 / 32768, -1, 0),
        ("PCM_24", 1.0, 8388607, 1),
        ("PCM_24", -1.0, -8388608, 0),
    ],
)
def test_quantizing_rounds_and_clips_and_counts(subtype: Subtype, value: float, step: int, clipped: int) -> None:
    steps, count = quantize(np.array([value], np.float32), subtype)
    assert (steps.tolist(), count) == ([step], clipped)


def test_float_keeps_what_is_beyond_full_scale() -> None:
    loud = np.array([1.5, -2.0, 0.1], np.float32)
    encoded, encoder = encode(loud, "wav", "FLOAT")
    assert soundfile.read(io.BytesIO(encoded), dtype="float32")[0].tolist() == loud.tolist()
    assert encoder.clipped == 0


@given(arrays(np.float32, st.integers(1, 300), elements=st.floats(-1.25, 1.25, width=32)))
def test_any_audio_decodes_to_its_quantized_self(samples: np.ndarray) -> None:
    for codec, subtype in FORMATS:
        encoded, encoder = encode(samples, codec, subtype)
        assert decoded_pcm_sha256(io.BytesIO(encoded), subtype) == (encoder.pcm_sha256, len(samples))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A limit of the operating system: writing beyond it is an OSError."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("codec", "subtype"), FORMATS)
def test_a_spool_that_cannot_be_written_is_a_storage_error_with_its_folder(
    codec: Codec, subtype: Subtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """libsndfile's callbacks would swallow the error, print it, and have the utterance quarantined."""
    monkeypatch.setattr(encode_module, "_SPOOL_BYTES", 4096)
    noise = np.random.default_rng(3).normal(0, 0.1, 200_000).astype(np.float32)
    with files_of_at_most(100_000), pytest.raises(StorageError, match=str(tmp_path)):
        encode(noise, codec, subtype, pieces=4, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


class Unreadable(io.BytesIO):
    """Fails while it is read."""

    def readinto(self, buffer: object) -> int:
        raise StorageError("reading the object failed")


def test_an_error_while_decoding_reads_is_not_taken_for_damage(capfd: pytest.CaptureFixture[str]) -> None:
    encoded, _ = encode(np.zeros(1000, np.float32), "flac", "PCM_16")
    with pytest.raises(StorageError, match="reading the object failed"):
        decoded_pcm_sha256(Unreadable(encoded), "PCM_16")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_known_peak_changes_nothing(subtype: Subtype) -> None:
    """It only saves a look at samples none of which can be clipped."""
    full = 2 ** (15 if subtype == "PCM_16" else 23)
    edges = np.array([full - 2, full - 1.5, full - 1, full - 0.5, full, full + 1], np.float64) / full
    for edge in np.float32(edges):
        for samples in (np.array([edge, 0.1], np.float32), np.array([-edge, 0.1], np.float32)):
            steps, clipped = quantize(samples, subtype)
            known, count = quantize(samples, subtype, float(np.abs(samples).max()))
            assert (known.tolist(), count) == (steps.tolist(), clipped)
