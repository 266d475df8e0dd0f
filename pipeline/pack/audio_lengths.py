"""The length that a container of audio states in its header, by which a file that was cut off is known.

libsndfile reads what is there and says nothing of what is missing. Formats after its sources (src/wav.c, rf64.c,
aiff.c, au.c, w64.c, nist.c, voc.c, caf.c, svx.c, avr.c, wve.c, mat4.c, mat5.c, mpc2k.c) and RFC 3533 (Ogg). IRCAM, PAF,
PVF, XI and SD2 state no length of their audio. FLAC, MP3, HTK and SDS do, and libsndfile itself refuses less.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

# Sizes that programs write where they cannot seek back to the header, such as into a pipe: 0, the largest number less
# what the header takes (ffmpeg, LAME), 2 GiB less a page or the header and less a part of a frame (SoX, espeak,
# arecord), 0x7F000000 (SoX: AIFF).
_UNKNOWN_32 = (range(0x7EFFFF00, 0x7F000011), range(0x7FFFE000, 0x80000001), range(0xFFFFFF00, 1 << 32))
_UNKNOWN_64 = (range(0x7FFFFFFFFFFFF000, 1 << 64),)
_VOC_SOUND = (1, 2, 9)  # types of blocks that hold samples
_MAT4_BYTES = (8, 4, 4, 2, 2, 1)  # bytes of a value by the digit for its precision
_OGG_TAIL = (255 * 255 + 27 + 255) * 2  # two of the largest pages [bytes]


@dataclass(frozen=True, slots=True)
class StatedAudio:
    """The audio of a file as its header describes it.

    Args:
        container: name of the container.
        begin: offset of the first byte of audio.
        size: size of the audio [bytes]; None if the header leaves it open.
        field: place of an open size in the header: its offset, its format as in `struct`, and the number of bytes that
            it counts beside the audio; None if libsndfile needs no size there.
    """

    container: str
    begin: int
    size: int | None
    field: tuple[int, str, int] | None = None


def stated_audio(file: BinaryIO) -> StatedAudio | None:
    """The audio of a file as its header describes it; None if the header states no length, or cannot be followed.

    Args:
        file: file of audio; its position moves.

    Raises:
        OSError: if the file cannot be read.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(64)
    for magic, read in _CONTAINERS:
        if re.match(magic, head, re.DOTALL):
            try:
                return read(file, head, size)
            except (struct.error, ValueError, IndexError, OverflowError):  # the header itself is cut off or damaged
                return None
    return None


def missing_audio(stated: StatedAudio, size: int) -> str | None:
    """Text that says how much audio is missing; None if the file holds what its header states.

    A WAV whose size of the audio is that of the whole file, as some recorders write it, misses nothing.

    Args:
        stated: audio as the header describes it.
        size: size of the file [bytes].
    """
    there = max(0, size - stated.begin)
    if stated.size is None or stated.size <= there:
        return None
    if stated.container == "WAV" and stated.size in (size, size - 8):
        return None
    return (
        f"it is cut off: its {stated.container} header states {stated.size} bytes of audio, and the file holds "
        f"{there}; copy or record it again"
    )


def _unpack(file: BinaryIO, offset: int, form: str) -> tuple[int, ...]:
    file.seek(offset)
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _known(size: int, unknown: tuple[range, ...], besides: int = 0) -> int | None:
    """A size as it is stated, less what it counts beside the audio; None if it leaves the size open."""
    open_size = size <= besides or any(size - besides in each for each in unknown)
    return None if open_size else size - besides


def _chunks(file: BinaryIO, begin: int, size: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and size of each chunk of a RIFF or IFF file."""
    while begin + 8 <= size:
        name, length = struct.unpack(f"{order}4sI", _bytes(file, begin, 8))
        if not name.isascii() or not name.decode().isprintable():
            raise ValueError(f"no chunk begins at byte {begin}")
        yield name, begin + 8, length
        begin += 8 + length + length % 2


def _bytes(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)


def _riff(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    order = ">" if head.startswith(b"RIFX") else "<"
    container = "RF64" if head[:4] in (b"RF64", b"BW64") else "WAV"
    place = 0
    for name, begin, length in _chunks(file, 12, size, order):
        if name == b"ds64":
            place = begin + 8
        elif name == b"data" and place and length == 0xFFFFFFFF:
            (large,) = _unpack(file, place, "<Q")
            return StatedAudio(container, begin, _known(large, _UNKNOWN_64), (place, "<Q", 0))
        elif name == b"data" and length == 0 and _only_chunks(file, begin, size, order):
            return StatedAudio(container, begin, 0)
        elif name == b"data":
            return StatedAudio(container, begin, _known(length, _UNKNOWN_32), (begin - 4, f"{order}I", 0))
    return None


def _only_chunks(file: BinaryIO, begin: int, size: int, order: str) -> bool:
    """Whether nothing but whole chunks follows, so that a size of 0 is meant."""
    try:
        ends = [start + length + length % 2 for _, start, length in _chunks(file, begin, size, order)]
    except ValueError:
        return False
    return (ends[-1] if ends else begin) in (size, size + 1)


def _iff(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    container, besides = ("AIFF", 8) if head[8:11] == b"AIF" else ("8SVX", 0)
    for name, begin, length in _chunks(file, 12, size, ">"):
        if name in (b"SSND", b"BODY"):
            known = _known(length, _UNKNOWN_32, besides)
            return StatedAudio(container, begin + besides, known, (begin - 4, ">I", besides))
    return None


def _au(file: BinaryIO, head: bytes, size: int) -> StatedAudio:
    order = ">" if head.startswith(b".snd") else "<"
    begin, length = struct.unpack(f"{order}II", head[4:12])
    return StatedAudio("AU", begin, _known(length, _UNKNOWN_32), (8, f"{order}I", 0))


def _w64(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    begin = 40
    while begin + 24 <= size:
        (length,) = _unpack(file, begin + 16, "<Q")
        if _bytes(file, begin, 4) == b"data":
            return StatedAudio("W64", begin + 24, _known(length, _UNKNOWN_64, besides=24))
        begin += max(24, length + -length % 8)
    return None


def _nist(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    begin = int(head[8:16])
    header = _bytes(file, 0, begin)
    stated = {name: int(value) for name, value in re.findall(rb"^(\w+) -i (\d+)", header, re.MULTILINE)}
    if b"shorten" in header or not stated.get(b"sample_count"):
        return None
    samples, channels = stated[b"sample_count"] * stated.get(b"sample_n_bytes", 1), stated.get(b"channel_count", 1)
    if size - begin == samples:  # the count of all channels together, which some wrote
        channels = 1
    return StatedAudio("NIST SPHERE", begin, samples * channels)


def _voc(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    (begin,) = struct.unpack("<H", head[20:22])
    first = begin
    while begin + 4 <= size:
        kind, low, high = _unpack(file, begin, "<BHB")
        length = low + (high << 16)
        if kind == 0:
            break
        if begin + 4 + length > size and kind in _VOC_SOUND and length != 0xFFFFFF:
            return StatedAudio("VOC", first, begin + 4 + length - first)
        begin += 4 + length
    return None


def _caf(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    begin = 8
    while begin + 12 <= size:
        name, length = struct.unpack(">4sq", _bytes(file, begin, 12))
        if name == b"data":  # its first four bytes count edits
            return StatedAudio("CAF", begin + 16, None if length <= 4 else length - 4, (begin + 4, ">q", 4))
        if length < 0:
            return None
        begin += 12 + length
    return None


def _avr(file: BinaryIO, head: bytes, size: int) -> StatedAudio:
    stereo, bits, frames = struct.unpack(">HH10xI", head[12:30])
    return StatedAudio("AVR", 128, frames * (2 if stereo else 1) * bits // 8)


def _wve(file: BinaryIO, head: bytes, size: int) -> StatedAudio:
    return StatedAudio("WVE", 32, struct.unpack(">I", head[18:22])[0])


def _mpc2k(file: BinaryIO, head: bytes, size: int) -> StatedAudio:
    stereo, frames = struct.unpack("<B8xI", head[21:34])
    return StatedAudio("MPC2K", 42, frames * 2 * (2 if stereo else 1))


def _mat4(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    begin = 0
    while begin + 20 <= size:
        order = "<" if _unpack(file, begin, "<I")[0] < 1000 else ">"
        kind, rows, columns, _, name = _unpack(file, begin, f"{order}5I")
        begin += 20 + name
        stated = StatedAudio("MAT4", begin, rows * columns * _MAT4_BYTES[kind // 10 % 10])
        if rows * columns > 1:
            return stated
        begin += stated.size or 0
    return None


def _mat5(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    order = "<" if _bytes(file, 126, 2) == b"IM" else ">"
    begin = 128
    while begin + 8 <= size:
        kind, length = _unpack(file, begin, f"{order}II")
        begin += 8
        if kind == 14 or kind >> 16:  # a matrix, whose parts follow, or a value within the eight bytes
            continue
        if begin + length > size:
            return StatedAudio("MAT5", begin, length)
        begin += length + -length % 8
    return None


def _ogg(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    """The last page, whose header states its length; an Ogg stream states no other."""
    begin = max(0, size - _OGG_TAIL)
    tail = _bytes(file, begin, _OGG_TAIL)
    at = tail.rfind(b"OggS\0")
    segments = tail[at + 26] if at + 26 < len(tail) else 255
    table = tail[at + 27 : at + 27 + segments]
    length = sum(table) if len(table) == segments else 255 * segments
    return StatedAudio("last Ogg page's", begin + at + 27 + segments, length) if at >= 0 else None


_CONTAINERS: tuple[tuple[bytes, Callable[[BinaryIO, bytes, int], StatedAudio | None]], ...] = (
    (rb"(RIFF|RIFX|RF64|BW64)....WAVE", _riff),
    (rb"FORM....(AIF[FC]|8SVX|16SV)", _iff),
    (rb"\.snd|dns\.", _au),
    (rb"riff\x2e\x91\xcf\x11", _w64),
    (rb"NIST_1A\n", _nist),
    (rb"Creative Voice File\x1a", _voc),
    (rb"caff", _caf),
    (rb"2BIT", _avr),
    (rb"ALawSoundFile\*\*\0", _wve),
    (rb"\x01\x04.{16}..[\0\x01]", _mpc2k),
    (rb".{20}samplerate\0", _mat4),
    (rb"MATLAB 5\.0 MAT-file", _mat5),
    (rb"OggS\0", _ogg),
)
