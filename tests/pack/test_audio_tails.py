"""What follows the audio in a file: chunks, tags and padding are no audio; more audio than is stated is told."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from pipeline.pack.audio import Clip, read_audio
from pipeline.pack.sources import SourceError

RATE = 24000
Bytes = Callable[[bytes], bytes]


def tone(seconds: float = 1.5) -> NDArray[np.float32]:
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).normal(0, 0.02, len(time))
    return (0.2 * np.sin(2 * np.pi * 220 * time) + noise).astype(np.float32)


def encoded(path: Path, kind: str, subtype: str | None = None, seconds: float = 1.5, endian: str = "FILE") -> bytes:
    rate = 8000 if kind == "WVE" else RATE
    soundfile.write(path, tone(seconds), rate, subtype, endian=endian, format=kind)
    return path.read_bytes()


def samples_of(path: Path, content: bytes, **stretch: float) -> NDArray[np.float32]:
    path.write_bytes(content)
    return np.concatenate(list(read_audio(Clip(str(path), **stretch), 8000 if path.suffix == ".wve" else RATE)))


def halved(name: bytes, behind: int, form: str) -> Bytes:
    def change(content: bytes) -> bytes:
        changed, at = bytearray(content), content.find(name) + behind
        struct.pack_into(form, changed, at, struct.unpack_from(form, changed, at)[0] // 16 * 8)
        return bytes(changed)

    return change


def riff_chunk(order: str = "<") -> bytes:
    return b"LIST" + struct.pack(f"{order}I", 18) + b"INFOINAM" + struct.pack(f"{order}I", 6) + b"hello\0"


CHUNKS = {
    "WAV": riff_chunk(),
    "WAVEX": riff_chunk() + b"id3 " + struct.pack("<I", 5) + b"ID3ab\0",
    "RF64": riff_chunk(),
    "RIFX": riff_chunk(">"),
    "AIFF": b"NAME" + struct.pack(">I", 5) + b"hello\0" + b"ANNO" + struct.pack(">I", 2) + b"ab",
    "SVX": b"ANNO" + struct.pack(">I", 2) + b"ab",
    "W64": b"list" + bytes.fromhex("2f91cf11a5d628db04c10000") + struct.pack("<Q", 32) + b"abcdefgh",
    "CAF": b"info" + struct.pack(">q", 7) + b"\0\0\0\1a\0b",
}
HALVES: dict[str, Bytes] = {
    "WAV": halved(b"data", 4, "<I"),
    "WAVEX": halved(b"data", 4, "<I"),
    "RIFX": halved(b"data", 4, ">I"),
    "RF64": halved(b"ds64", 16, "<Q"),
    "W64": halved(b"data", 16, "<Q"),
    "AIFF": halved(b"SSND", 4, ">I"),
    "SVX": halved(b"BODY", 4, ">I"),
    "AU": halved(b".snd", 8, ">I"),
    "CAF": halved(b"data", 4, ">q"),
    "AVR": halved(b"2BIT", 26, ">I"),
    "WVE": halved(b"ALaw", 18, ">I"),
    "MPC2K": halved(b"\1\4", 30, "<I"),
    "NIST": lambda content: content.replace(b"sample_count -i 36000", b"sample_count -i 18000"),
    "VOC": lambda content: content[:27] + struct.pack("<I", 36012)[:3] + content[30:],
    "MAT4": halved(b"wavedata", -12, "<I"),
    "MAT5": lambda content: content.replace(struct.pack("<II", 9, 288000), struct.pack("<II", 9, 144000)),
}
TAILS = {
    "zeros": bytes(5000),
    "filler": b"\xff" * 5000,
    "ID3v1": b"TAG" + bytes(range(125)),
    "ID3v2": b"ID3\4\0\0\0\0\0\x14" + bytes(range(20)),
    "APE": b"APETAGEX" + bytes(range(256)) * 8,
    "zeros, ID3v1": bytes(3000) + b"TAG" + bytes(range(125)),
    "a few bytes": bytes(range(100, 220)),
}


def file_of(tmp_path: Path, kind: str) -> tuple[Path, bytes]:
    path = tmp_path / f"x.{kind.lower()}"
    if kind == "RIFX":
        return path, encoded(path, "WAV", "PCM_16", endian="BIG")
    return path, encoded(path, kind, {"MAT5": "DOUBLE"}.get(kind))


@pytest.mark.parametrize("kind", HALVES)
def test_more_audio_than_the_header_states_is_refused_with_both_numbers(tmp_path: Path, kind: str) -> None:
    path, content = file_of(tmp_path, kind)
    changed = HALVES[kind](content)
    assert changed != content
    with pytest.raises(SourceError, match=r"header states \d+ bytes of audio, and \d+ bytes follow.*(sox|convert)"):
        samples_of(path, changed)


@pytest.mark.parametrize("kind", ["WAV", "RIFX", "RF64", "AIFF", "AU", "CAF"])
def test_a_stretch_within_what_the_header_states_is_read(tmp_path: Path, kind: str) -> None:
    path, content = file_of(tmp_path, kind)
    whole = samples_of(path, content)
    part = samples_of(path, HALVES[kind](content), start=0.25, duration=0.4)
    np.testing.assert_array_equal(part, whole[6000:15600])
    with pytest.raises(SourceError, match="bytes follow"):
        samples_of(path, HALVES[kind](content), start=0.25, duration=0.8)


@pytest.mark.parametrize("kind", [kind for kind in HALVES if kind != "MAT5"])
@pytest.mark.parametrize("tail", TAILS)
def test_tags_and_padding_after_the_audio_are_neither_read_nor_refused(tmp_path: Path, kind: str, tail: str) -> None:
    path, content = file_of(tmp_path, kind)
    np.testing.assert_array_equal(samples_of(path, content + TAILS[tail]), samples_of(path, content))


@pytest.mark.parametrize("kind", CHUNKS)
def test_chunks_after_the_audio_are_neither_read_nor_refused(tmp_path: Path, kind: str) -> None:
    path, content = file_of(tmp_path, kind)
    whole = samples_of(path, content)
    np.testing.assert_array_equal(samples_of(path, content + CHUNKS[kind]), whole)
    np.testing.assert_array_equal(samples_of(path, content + CHUNKS[kind] * 200 + bytes(100)), whole)
    np.testing.assert_array_equal(samples_of(path, content + CHUNKS[kind][:-1]), whole)  # one that is cut off


@pytest.mark.parametrize("padded", [True, False], ids=["padded", "unpadded"])
def test_chunks_after_an_odd_number_of_bytes_are_found_with_and_without_the_pad_byte(
    tmp_path: Path, padded: bool
) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, tone()[:35999], RATE, "PCM_U8")
    content = path.read_bytes()
    whole = samples_of(path, content)
    audio_end = content.find(b"data") + 8 + 35999
    for chunks in (CHUNKS["WAV"], CHUNKS["WAV"] * 200):
        found = samples_of(path, content[:audio_end] + bytes(padded) + chunks)
        np.testing.assert_array_equal(found, whole)


OPEN = {
    "WAV": (b"data", 4, "<I", (0, 0xFFFFFFFF, 0x7FFFF000)),
    "WAVEX": (b"data", 4, "<I", (0, 0xFFFFFFFF)),
    "RIFX": (b"data", 4, ">I", (0, 0xFFFFFFFF)),
    "RF64": (b"ds64", 16, "<Q", (0, 2**64 - 1)),
    "AIFF": (b"SSND", 4, ">I", (0, 0xFFFFFFFF)),
    "W64": (b"data", 16, "<Q", (0, 2**64 - 1)),
}


@pytest.mark.parametrize("kind", OPEN)
def test_chunks_and_tags_after_audio_of_an_open_size_are_no_audio(tmp_path: Path, kind: str) -> None:
    path, content = file_of(tmp_path, kind)
    name, behind, form, sizes = OPEN[kind]
    whole = samples_of(path, content)
    for size in sizes:
        changed = bytearray(content)
        struct.pack_into(form, changed, content.find(name) + behind, size)
        for tail in (CHUNKS[kind], CHUNKS[kind] * 200, TAILS["ID3v1"], CHUNKS[kind] + TAILS["ID3v1"]):
            np.testing.assert_array_equal(samples_of(path, bytes(changed) + tail), whole)
        within = bytes(changed[:-7000]) + CHUNKS[kind] + bytes(changed[-6000:])  # audio that looks like a chunk
        assert len(samples_of(path, within)) > len(whole) - 600


def test_a_hostile_file_of_names_of_chunks_is_read_in_time(tmp_path: Path) -> None:
    path, content = file_of(tmp_path, "WAV")
    head = bytearray(content[:44])
    struct.pack_into("<I", head, 40, 0xFFFFFFFF)
    crowd = (b"LIST" + struct.pack("<I", 0)) * 100_000 + b"12345678"
    assert len(samples_of(path, bytes(head) + crowd)) == len(crowd) // 2


def flac_states(content: bytes, samples: int) -> bytes:
    low = int.from_bytes(content[21:26]) & ~0xFFFFFFFFF
    return content[:21] + (low | samples).to_bytes(5) + content[26:]


@pytest.mark.parametrize(("seconds", "subtype"), [(0.05, "PCM_16"), (1.5, "PCM_16"), (1.5, "PCM_24"), (1.5, "PCM_S8")])
def test_flac_that_states_another_number_of_samples_than_it_has_is_refused(
    tmp_path: Path, seconds: float, subtype: str
) -> None:
    path = tmp_path / "x.flac"
    content = encoded(path, "FLAC", subtype, seconds)
    count = round(seconds * RATE)
    whole = samples_of(path, content)
    for tail in TAILS.values():
        np.testing.assert_array_equal(samples_of(path, content + tail), whole)
    with pytest.raises(SourceError, match=f"states {count // 2} samples, and its last frame ends after {count}"):
        samples_of(path, flac_states(content, count // 2))
    with pytest.raises(SourceError, match=f"cut off: it states {2 * count} samples, .* ends after {count}"):
        samples_of(path, flac_states(content, 2 * count))
    with pytest.raises(SourceError, match=f"several FLAC streams.*the second one at byte {len(content)}"):
        samples_of(path, content + content)


def test_flac_that_is_cut_between_frames_says_after_how_many_samples(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    content = encoded(path, "FLAC", "PCM_16")
    last = content.rfind(b"\xff\xf8")
    with pytest.raises(SourceError, match="cut off: it states 36000 samples, and its last frame ends after 32768"):
        samples_of(path, content[:last])


def pages(content: bytes) -> list[int]:
    found, at = [], 0
    while at < len(content):
        found.append(at)
        table = content[at + 27 : at + 27 + content[at + 26]]
        at += 27 + len(table) + sum(table)
    return found


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_is_refused_if_its_last_page_does_not_end_it_or_another_stream_follows(
    tmp_path: Path, subtype: str
) -> None:
    path = tmp_path / "x.ogg"
    content = encoded(path, "OGG", subtype, 5.0)
    other = encoded(path, "OGG", subtype, 1.0)
    whole = samples_of(path, content)
    for tail in TAILS.values():
        np.testing.assert_array_equal(samples_of(path, content + tail), whole)
    begins = pages(content)
    assert len(begins) > 5
    for at in begins[4:]:
        with pytest.raises(SourceError, match=r"cut off: the last Ogg page, at byte \d+, does not end its stream"):
            samples_of(path, content[:at])
    for more in (content, other):
        with pytest.raises(SourceError, match=f"several Ogg streams.*the second one at byte {len(content)}"):
            samples_of(path, content + more)
    cut = content[: begins[-1]]
    part = samples_of(path, cut, start=0.5, duration=1.0)
    np.testing.assert_array_equal(part, whole[RATE // 2 : RATE // 2 + RATE])


@pytest.mark.parametrize("between", [b"", TAILS["ID3v1"], TAILS["ID3v2"], b"ID3\4\0\0\0\7\0\0" + bytes(7 << 14)])
def test_mp3_files_that_were_joined_are_refused(tmp_path: Path, between: bytes) -> None:
    path = tmp_path / "x.mp3"
    content = encoded(path, "MP3", "MPEG_LAYER_III")
    for tail in TAILS.values():
        assert len(samples_of(path, content + tail)) == 36000
    with pytest.raises(SourceError, match=r"MP3 header states 65 frames of audio, and the file holds 131"):
        samples_of(path, content + between + content)


def test_voc_with_several_blocks_of_sound_is_refused(tmp_path: Path) -> None:
    """libsndfile reads the headers of the blocks as samples."""
    path, content = file_of(tmp_path, "VOC")
    first = content[26:30] + content[30 : 30 + 12]
    block = first[:1] + struct.pack("<I", 12 + 8000)[:3] + first[4:] + content[42:8042]
    with pytest.raises(SourceError, match="VOC header states 8012 bytes of audio, and 8005"):
        samples_of(path, content[:26] + block + b"\2" + struct.pack("<I", 8000)[:3] + content[8042:16042] + b"\0")
