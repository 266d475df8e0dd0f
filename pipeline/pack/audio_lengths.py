"""The length that a container of audio states in its header, by which a file that was cut off is known.

libsndfile reads what is there and says nothing of what is missing. Formats after its sources (src/wav.c, rf64.c,
aiff.c, au.c, w64.c, nist.c, voc.c, caf.c, svx.c, avr.c, wve.c, mat4.c, mat5.c, mpc2k.c). IRCAM, PAF, PVF, XI and SD2
state no length of their audio. HTK and SDS do, and libsndfile itself refuses less. FLAC, MP3 and Ogg have modules of
their own.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

# Sizes that programs write where they cannot seek back to the header, such as into a pipe: 0, the largest number less
# what the header takes (ffmpeg, LAME), 2 GiB less a page or the header and less a part of a frame (SoX, espeak,
# arecord), 0x7F000000 (SoX: AIFF).
_UNKNOWN_32 = (range(0x7EFFFF00, 0x7F000011), range(0x7FFFE000, 0x80000001), range(0xFFFFFF00, 1 << 32))
_UNKNOWN_64 = (range(0x7FFFFFFFFFFFF000, 1 << 64),)
_VOC_SOUND, _VOC_KINDS = (1, 2, 9), 9  # types of blocks that hold samples; number of types
_VOC_MISCOUNTED = 16  # SoX counts 8 bytes too few
_MAT4_BYTES = (8, 4, 4, 2, 2, 1)  # bytes of a value by the digit for its precision

ChunkAt = Callable[[BinaryIO, int], tuple[bytes, int]]
"""A function that gives the name of the chunk at an offset, and the offset after it. It raises `ValueError` or
`struct.error` if no chunk is there."""


@dataclass(frozen=True, slots=True)
class StatedAudio:
    """The audio of a file as its header describes it.

    Args:
        container: name of the container.
        begin: offset of the first byte of audio.
        size: size of the audio [bytes]; None if the header leaves it open.
        field: place of an open size in the header: its offset, its format as in `struct`, and the number of bytes that
            it counts beside the audio; None if libsndfile needs no size there.
        chunk_at: function that reads the chunks of such a file; None if it has none.
    """

    container: str
    begin: int
    size: int | None
    field: tuple[int, str, int] | None = None
    chunk_at: ChunkAt | None = None


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


def _unpack(file: BinaryIO, offset: int, form: str) -> tuple[Any, ...]:
    file.seek(offset)
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _known(size: int, unknown: tuple[range, ...], besides: int = 0) -> int | None:
    """A size as it is stated, less what it counts beside the audio; None if it leaves the size open."""
    open_size = size <= besides or any(size - besides in each for each in unknown)
    return None if open_size else size - besides


def _chunk(file: BinaryIO, at: int, form: str, counted: int = 0, aligned: int = 2) -> tuple[bytes, int]:
    """A chunk: a header with a name of letters and a size, then the content.

    Args:
        file: file of audio.
        at: offset of the chunk.
        form: format of the header, as in `struct`.
        counted: number of bytes of the header that the size includes.
        aligned: number of bytes that the sizes of chunks are filled up to a multiple of.
    """
    name, length = _unpack(file, at, form)
    if not name[:4].isascii() or not name[:4].decode().isprintable() or length < counted:
        raise ValueError(f"no chunk begins at byte {at}")
    return name, at + struct.calcsize(form) - counted + length + -length % aligned


def _chunks(file: BinaryIO, begin: int, size: int, chunk_at: ChunkAt) -> Iterator[tuple[bytes, int]]:
    """Name and offset of each chunk."""
    while begin < size:
        name, end = chunk_at(file, begin)
        yield name, begin
        begin = end


def _riff(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    order = ">" if head.startswith(b"RIFX") else "<"
    container = "RF64" if head[:4] in (b"RF64", b"BW64") else "WAV"
    place, chunk_at = 0, partial(_chunk, form=f"{order}4sI")
    for name, at in _chunks(file, 12, size, chunk_at):
        if name == b"ds64":
            place = at + 16
        elif name == b"data":
            (length,) = _unpack(file, at + 4, f"{order}I")
            if place and length == 0xFFFFFFFF:
                (large,) = _unpack(file, place, "<Q")
                return StatedAudio(container, at + 8, _known(large, _UNKNOWN_64), (place, "<Q", 0), chunk_at)
            return StatedAudio(container, at + 8, _known(length, _UNKNOWN_32), (at + 4, f"{order}I", 0), chunk_at)
    return None


def _iff(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    container, besides = ("AIFF", 8) if head[8:11] == b"AIF" else ("8SVX", 0)
    chunk_at = partial(_chunk, form=">4sI")
    for name, at in _chunks(file, 12, size, chunk_at):
        if name in (b"SSND", b"BODY"):
            known = _known(_unpack(file, at + 4, ">I")[0], _UNKNOWN_32, besides)
            return StatedAudio(container, at + 8 + besides, known, (at + 4, ">I", besides), chunk_at)
    return None


def _au(file: BinaryIO, head: bytes, size: int) -> StatedAudio:
    order = ">" if head.startswith(b".snd") else "<"
    begin, length = struct.unpack(f"{order}II", head[4:12])
    return StatedAudio("AU", begin, _known(length, _UNKNOWN_32), (8, f"{order}I", 0))


def _w64(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    chunk_at = partial(_chunk, form="<16sQ", counted=24, aligned=8)
    begin = 40
    while begin + 24 <= size:
        name, length = _unpack(file, begin, "<16sQ")
        if name.startswith(b"data"):
            return StatedAudio("W64", begin + 24, _known(length, _UNKNOWN_64, besides=24), None, chunk_at)
        begin += max(24, length + -length % 8)
    return None


def _nist(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    begin = int(head[8:16])
    (header,) = _unpack(file, 0, f"{begin}s")
    stated = {name: int(value) for name, value in re.findall(rb"^(\w+) -i (\d+)", header, re.MULTILINE)}
    if b"shorten" in header or not stated.get(b"sample_count"):
        return None
    samples, channels = stated[b"sample_count"] * stated.get(b"sample_n_bytes", 1), stated.get(b"channel_count", 1)
    if size - begin == samples:  # the count of all channels together, which some wrote
        channels = 1
    return StatedAudio("NIST SPHERE", begin, samples * channels)


def _voc(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    """The first block that holds samples, and the terminator after it, without which libsndfile does not read it."""
    (begin,) = struct.unpack("<H", head[20:22])
    kind = 0
    while kind not in _VOC_SOUND:
        kind, low, high = _unpack(file, begin, "<BHB")
        begin += 4 + (0 if kind in _VOC_SOUND else low + (high << 16))
    length = low + (high << 16)
    if length in (0, 0xFFFFFF):
        return None
    follows = size - begin - length
    if follows > 0 and follows % (1 << 24) <= _VOC_MISCOUNTED:  # libsndfile writes what a field of 24 bits can hold
        length += follows
    elif follows > 0 and _unpack(file, begin + length, "B")[0] == 0:
        length += 1
    return StatedAudio("VOC", begin, length, None, _voc_block)


def _voc_block(file: BinaryIO, at: int) -> tuple[bytes, int]:
    """A block without samples. libsndfile would read those of a second block with its header among them."""
    (kind,) = _unpack(file, at, "B")
    if kind == 0:
        return b"end", at + 1
    low, high = _unpack(file, at + 1, "<HB")
    if kind > _VOC_KINDS or kind in _VOC_SOUND:
        raise ValueError(f"no block begins at byte {at}")
    return b"block", at + 4 + low + (high << 16)


def _caf(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    begin = 8
    while begin + 12 <= size:
        name, length = _unpack(file, begin, ">4sq")
        if name == b"data":  # its first four bytes count edits
            known, chunk_at = None if length <= 4 else length - 4, partial(_chunk, form=">4sq", aligned=1)
            return StatedAudio("CAF", begin + 16, known, (begin + 4, ">q", 4), chunk_at)
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
    """The first matrix of more than one value."""
    begin = 0
    while begin < size:
        kind, rows, columns, name = _mat4_header(file, begin)
        if rows * columns > 1:
            length = rows * columns * _MAT4_BYTES[kind // 10 % 10]
            return StatedAudio("MAT4", begin + 20 + name, length, None, _mat4_matrix)
        _, begin = _mat4_matrix(file, begin)
    return None


def _mat4_header(file: BinaryIO, at: int) -> tuple[int, int, int, int]:
    """Type, rows, columns and length of the name of a matrix."""
    order = "<" if _unpack(file, at, "<I")[0] < 1000 else ">"
    kind, rows, columns, _, name = _unpack(file, at, f"{order}5I")
    if kind >= 5000 or not 0 < name <= 64:
        raise ValueError(f"no matrix begins at byte {at}")
    return kind, rows, columns, name


def _mat4_matrix(file: BinaryIO, at: int) -> tuple[bytes, int]:
    kind, rows, columns, name = _mat4_header(file, at)
    return b"matrix", at + 20 + name + rows * columns * _MAT4_BYTES[kind // 10 % 10]


def _mat5(file: BinaryIO, head: bytes, size: int) -> StatedAudio | None:
    """The largest part of a matrix."""
    element = partial(_mat5_element, order="<" if _unpack(file, 126, "2s")[0] == b"IM" else ">")
    found, begin = StatedAudio("MAT5", 0, 0), 128
    while begin < size:
        try:
            name, end = element(file, begin)
        except (struct.error, ValueError):
            break
        if name == b"values" and end - begin - 8 > (found.size or 0):
            found = StatedAudio("MAT5", begin + 8, end - begin - 8, None, element)
        begin = end + (begin - end) % 8
    return found if found.size else None


def _mat5_element(file: BinaryIO, at: int, order: str) -> tuple[bytes, int]:
    """A part of a matrix; of a matrix, whose parts follow, and of a value within the eight bytes, these bytes."""
    kind, length = _unpack(file, at, f"{order}II")
    if not 0 < kind & 0xFFFF <= 19 or kind >> 16 > 4:
        raise ValueError(f"no element begins at byte {at}")
    return (b"header", at + 8) if kind == 14 or kind >> 16 else (b"values", at + 8 + length)


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
)
