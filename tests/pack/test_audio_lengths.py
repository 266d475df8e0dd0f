"""Audio that is shorter than its header says is named; audio whose header leaves the length open is read."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from support.packing import SPEC, write_tone
from support.packs import pack_audio

from pipeline.pack import pack_source
from pipeline.pack.audio import Clip, read_audio
from pipeline.pack.sources import SourceError
from pipeline.workshop.training.speech import read_speech

RATE = 24000
STATE_NO_LENGTH = {"IRCAM", "PAF", "PVF", "SD2", "XI"}
REFUSED_BY_LIBSNDFILE = {"FLAC", "HTK", "MP3", "SDS"}  # if they are cut off
KINDS = [
    (kind, subtype)
    for kind in soundfile.available_formats()
    for subtype in soundfile.available_subtypes(kind)
    if kind != "RAW" and not subtype.startswith(("DWVW", "MPEG_LAYER_I"))
] + [("MP3", "MPEG_LAYER_III")]
Bytes = Callable[[bytes], bytes]


def tone(seconds: float = 1.5) -> NDArray[np.float32]:
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).normal(0, 0.02, len(time))
    return (0.2 * np.sin(2 * np.pi * 220 * time) + noise).astype(np.float32)


def encoded(path: Path, kind: str, subtype: str | None = None, seconds: float = 1.5) -> bytes:
    soundfile.write(path, tone(seconds), 8000 if kind == "WVE" else RATE, subtype, format=kind)
    return path.read_bytes()


def read(path: Path) -> NDArray[np.float32]:
    return np.concatenate(list(read_audio(str(path), soundfile.info(path).samplerate)))


def samples_of(path: Path, content: bytes) -> NDArray[np.float32]:
    path.write_bytes(content)
    return np.concatenate(list(read_audio(str(path), RATE)))


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_every_format_is_read_whole_and_refused_cut(tmp_path: Path, kind: str, subtype: str) -> None:
    path = tmp_path / f"x.{kind.lower()}"
    content = encoded(path, kind, subtype)
    whole, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(read(path), whole, atol=1e-6)  # libmpg123 rounds differently where it seeks
    for size in (len(content) // 2, len(content) - 600):
        path.write_bytes(content[:size])
        if kind in STATE_NO_LENGTH:
            assert 0 < len(read(path)) < len(whole)
            continue
        with pytest.raises(SourceError, match="cut off|cannot be read" if kind in REFUSED_BY_LIBSNDFILE else "cut off"):
            list(read_audio(str(path), RATE))


def put(name: bytes, behind: int, form: str, value: int) -> Bytes:
    def change(content: bytes) -> bytes:
        changed = bytearray(content)
        struct.pack_into(form, changed, content.find(name) + behind, value)
        return bytes(changed)

    return change


OPEN_SIZES = [
    *[
        ("WAV", put(b"data", 4, "<I", size))
        for size in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x7FFFEFFF, 0x80000000, 0xFFFFFFD4)
    ],
    *[("WAVEX", put(b"data", 4, "<I", size)) for size in (0, 0xFFFFFFFF)],
    *[("RF64", put(b"ds64", 16, "<Q", size)) for size in (0, 2**64 - 1, 2**63 - 1)],
    *[("W64", put(b"data", 16, "<Q", size)) for size in (0, 24, 2**64 - 1, 2**63 - 1)],
    *[("AIFF", put(b"SSND", 4, ">I", size)) for size in (0, 8, 0xFFFFFFFF, 0x7F000008)],
    *[("AU", put(b".snd", 8, ">I", size)) for size in (0, 0xFFFFFFFF)],
    *[("CAF", put(b"data", 4, ">q", size)) for size in (0, -1)],
    ("NIST", lambda content: content.replace(b"sample_count -i 36000", b"sample_count -i 0    ")),
    ("NIST", lambda content: content.replace(b"sample_count -i 36000", b"comments_here -i 1000")),
]


@pytest.mark.parametrize(("kind", "leave_open"), OPEN_SIZES)
def test_a_size_that_is_left_open_is_taken_from_the_file(tmp_path: Path, kind: str, leave_open: Bytes) -> None:
    """As programs write into pipes, and as a recorder leaves a file that it never finished."""
    path = tmp_path / f"x.{kind.lower()}"
    content = encoded(path, kind, "PCM_16")
    whole = read(path)
    opened = leave_open(content)
    assert opened != content
    np.testing.assert_array_equal(samples_of(path, opened), whole)
    assert len(samples_of(path, opened[:-2000])) in range(len(whole) - 1100, len(whole) - 900)


def test_an_empty_wav_stays_empty_and_its_other_chunks_are_no_audio(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    content = encoded(path, "WAV")
    header = put(b"data", 4, "<I", 0)(content[: content.find(b"data") + 8])
    for tail in (b"", b"LIST" + struct.pack("<I", 10) + b"INFOabcdef", b"LIST" + struct.pack("<I", 9) + b"INFOabcde\0"):
        with pytest.raises(SourceError, match="it is empty"):
            samples_of(path, header + tail)


def test_a_size_that_counts_the_header_too_is_no_missing_audio(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    content = encoded(path, "WAV")
    whole = read(path)
    for size in (len(content), len(content) - 8):
        np.testing.assert_array_equal(samples_of(path, put(b"data", 4, "<I", size)(content)), whole)
    with pytest.raises(SourceError, match="cut off"):
        samples_of(path, put(b"data", 4, "<I", len(content) + 2)(content))


def test_sphere_counts_samples_of_a_channel_or_of_all(tmp_path: Path) -> None:
    path = tmp_path / "x.sph"
    soundfile.write(path, np.stack([tone()] * 2, axis=1), RATE, "PCM_16", format="NIST")
    whole = read(path)
    content = path.read_bytes()
    of_all = content.replace(b"sample_count -i 36000", b"sample_count -i 72000")
    assert of_all != content
    np.testing.assert_array_equal(samples_of(path, of_all), whole)


@pytest.mark.parametrize(
    ("seconds", "channels", "subtype"), [(0.01, 1, "PCM_16"), (1.5, 2, "PCM_24"), (40, 1, "PCM_S8")]
)
def test_flac_without_a_length_is_read_to_its_end(tmp_path: Path, seconds: float, channels: int, subtype: str) -> None:
    path = tmp_path / "x.flac"
    soundfile.write(path, np.stack([tone(seconds)] * channels, axis=1), RATE, subtype)
    whole = read(path)
    piped = without_length(path.read_bytes())
    np.testing.assert_array_equal(samples_of(path, piped), whole)
    tagged = b"ID3\4\0\0\0\0\0\x10" + bytes(16) + piped + b"TAG" + bytes(125)
    np.testing.assert_array_equal(samples_of(path, tagged), whole)
    part = np.concatenate(list(read_audio(Clip(str(path), seconds / 2), RATE)))
    np.testing.assert_array_equal(part, whole[round(seconds / 2 * RATE) :])
    for missing in (1, 2, len(piped) // 3):
        with pytest.raises(SourceError, match="states no length, and its last frame is incomplete"):
            samples_of(path, piped[:-missing])


def without_length(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[21] &= 0xF0  # STREAMINFO's 36 bits of samples
    changed[22:26] = bytes(4)
    return bytes(changed)


OTHERS = {
    "a.m4a": (b"\0\0\0\x20ftypM4A " + bytes(64), "MPEG-4 .*convert it"),
    "a.wma": (bytes.fromhex("3026b2758e66cf11") + bytes(64), "Windows Media .*convert it"),
    "a.webm": (bytes.fromhex("1a45dfa3") + bytes(64), "Matroska or WebM"),
    "a.amr": (b"#!AMR\n" + bytes(64), "AMR"),
    "fork.wav": (bytes.fromhex("00051607") + bytes(64), "resource fork of macOS"),
    "page.wav": (b"<html>404</html>", "HTML"),
    "lfs.flac": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_audio_is_named_with_the_way_out(tmp_path: Path, name: str) -> None:
    content, said = OTHERS[name]
    with pytest.raises(SourceError, match=said):
        samples_of(tmp_path / name, content)


def test_a_cut_file_is_named_by_pack_by_lists_and_by_training(tmp_path: Path) -> None:
    for name in ("cut", "good", "third"):
        write_tone(tmp_path / f"in/{name}.wav", 2.0)
    content = (tmp_path / "in/cut.wav").read_bytes()
    (tmp_path / "in/cut.wav").write_bytes(content[: len(content) // 2])
    packed = pack_audio(str(tmp_path / "in"), str(tmp_path / "folder.zarr"), SPEC, workers=1)
    assert [(each.path, each.reason.partition(":")[0]) for each in packed.failures] == [("cut.wav", "it is cut off")]
    rows = [
        {"audio_filepath": "in/cut.wav"},
        {"audio_filepath": "in/cut.wav", "offset": 0.25, "duration": 0.5},
        {"audio_filepath": "in/cut.wav", "offset": 0.5, "duration": 0.55},
        {"audio_filepath": "in/good.wav", "duration": 2.0},
    ]
    (tmp_path / "list.json").write_text("\n".join(map(json.dumps, rows)))
    listed = pack_source(str(tmp_path / "list.json"), str(tmp_path / "list.zarr"), SPEC, workers=1)
    assert listed.utterances == 2
    assert {each.path.partition(" ")[0] for each in listed.failures} == {"in/cut", "in/cut-500-1050"}
    assert all("it is cut off" in each.reason for each in listed.failures)
    speech = read_speech([tmp_path / "in"], SPEC.sample_rate, hold_out="good")
    assert ["cut.wav: it is cut off" in reason for reason in speech.left_out] == [True]
