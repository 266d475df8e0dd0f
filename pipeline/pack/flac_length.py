"""The length of a FLAC file: of one that states none, as encoders leave it that write into a pipe, and of others.

Format after RFC 9639: STREAMINFO (8.2), whose number of samples is 0 if it is unknown; the header of a frame (9.1) with
the number of its first sample, or of the frame where all blocks are equally long; CRC-8 and CRC-16 (9.1.8, 9.3).
"""

from __future__ import annotations

import functools
import mmap
import os
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.pack.sources import SourceError

_TAG_BYTES = 128  # of ID3v1, which some programs append
_FIXED_BLOCKS = {1: 192, **{code: 144 << code for code in range(2, 6)}, **{code: 1 << code for code in range(8, 16)}}
_STREAM = b"fLaC\0\0\0\x22"  # where a stream begins: STREAMINFO, of 34 bytes, comes first
_UNREADABLE = "it is FLAC that states no length, and its last frame is incomplete; it is cut off or damaged"


def stated_length(file: BinaryIO) -> dict[int, bytes]:
    """What to put into the header of a FLAC file that states no length, so that it states the one it has.

    The length is that of the last frame's end. The frame's checksum tells that it is the last one, and whole.

    Args:
        file: file of audio; its position moves.

    Returns:
        Bytes by their offset in the file; empty if it is not FLAC, or states its length.

    Raises:
        SourceError: if the last frame is not whole.
        OSError: if the file cannot be read.
    """
    begin = _stream(file)
    file.seek(begin)
    head = file.read(42)
    if len(head) < 42 or not head.startswith(b"fLaC") or int.from_bytes(head[21:26]) & 0xFFFFFFFFF:
        return {}
    samples = _samples(file, head)
    return {begin + 21: ((head[21] & 0xF0) << 32 | samples).to_bytes(5)}


def flac_fault(file: BinaryIO) -> str | None:
    """Text that says that a FLAC file holds more or less than it states; None if it does not, or is not FLAC.

    libsndfile reads as many samples as are stated, of the first stream in the file.

    Args:
        file: file of audio; its position moves.

    Raises:
        OSError: if the file cannot be read.
    """
    begin = _stream(file)
    file.seek(begin)
    head = file.read(42)
    stated = int.from_bytes(head[21:26]) & 0xFFFFFFFFF
    if len(head) < 42 or not head.startswith(b"fLaC"):
        return None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if (second := content.find(_STREAM, begin + len(_STREAM))) >= 0:
            return (
                f"it holds several FLAC streams, one after another, the second one at byte {second}; only the first "
                "one would be read; split the file there"
            )
        there = _last_sample(content, begin, head) if stated else 0
    if there in (0, stated):  # where no frame is found, libsndfile says why
        return None
    if there < stated:
        return f"it is cut off: it states {stated} samples, and its last frame ends after {there}; copy it again"
    return (
        f"its FLAC header states {stated} samples, and its last frame ends after {there}; the rest would not be read; "
        "ffmpeg -i IN OUT.flac reads it all"
    )


def _last_sample(content: mmap.mmap, begin: int, head: bytes) -> int:
    """Number of the sample after the last frame that another one precedes, as its number tells; 0 if there is none.

    Audio and what follows it may look like the header of a frame, of which the checksum has eight bits. But then the
    frame before hardly ends where it begins, or the stated number.
    """
    stated, followers = int.from_bytes(head[21:26]) & 0xFFFFFFFFF, deque[tuple[int, int]](maxlen=64)
    for _, first, end in _frames(content, int.from_bytes(head[10:12]), begin + 42):
        if end == stated or (first == 0 and not followers):
            return end
        if (found := next((last for start, last in followers if start == end), None)) is not None:
            return found
        followers.append((first, end))
    return 0


def _stream(file: BinaryIO) -> int:
    """Offset of the FLAC stream, which may follow a tag of ID3v2."""
    file.seek(0)
    head = file.read(10)
    if not head.startswith(b"ID3") or len(head) < 10:
        return 0
    size = sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:10])))
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _samples(file: BinaryIO, head: bytes) -> int:
    largest_block, largest_frame = int.from_bytes(head[10:12]), int.from_bytes(head[15:18])
    channels, bits = (head[20] >> 1 & 7) + 1, ((head[20] & 1) << 4 | head[21] >> 4) + 1
    if largest_frame == 0:  # unknown; a frame that is not compressed, with its headers
        largest_frame = largest_block * channels * (bits + 1) // 8 + 64
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _TAG_BYTES))
    if file.read(3) == b"TAG":
        end -= _TAG_BYTES
    begin = max(0, end - largest_frame)
    file.seek(begin)
    tail = file.read(end - begin)
    for frame, _, samples in _frames(tail, largest_block):
        if _crc(tail[frame:-2], 0x8005, 16) == int.from_bytes(tail[-2:]):
            return samples
    raise SourceError(_UNREADABLE)


def _frames(content: bytes | mmap.mmap, block: int, begin: int = 0) -> Iterator[tuple[int, int, int]]:
    """Offset of each frame's header, the last one first, and the numbers of its first sample and the one after it."""
    at = len(content)
    while (at := content.rfind(b"\xff", begin, at)) >= 0:
        head = content[at : at + 16]
        if len(head) > 6 and head[1] in (0xF8, 0xF9) and not head[3] & 1:
            number, length = _number(head[4:11])
            code, place = head[2] >> 4, 4 + length
            extra = {6: 1, 7: 2}.get(code, 0)
            samples = int.from_bytes(head[place : place + extra]) + 1 if extra else _FIXED_BLOCKS.get(code, 0)
            place += extra + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
            if length and samples and head[place : place + 1] == _crc(head[:place], 0x07, 8).to_bytes():
                first = number if head[1] == 0xF9 else number * block
                yield at, first, first + samples


def _number(coded: bytes) -> tuple[int, int]:
    """A number coded as UTF-8 codes characters, of up to 36 bits, and its number of bytes; 0 bytes if it is not one."""
    if coded[0] < 0x80:
        return coded[0], 1
    length = 8 - (coded[0] ^ 0xFF).bit_length()
    if not 2 <= length <= len(coded) or any(byte >> 6 != 2 for byte in coded[1:length]):
        return 0, 0
    number = coded[0] & (0x7F >> length)
    for byte in coded[1:length]:
        number = number << 6 | byte & 0x3F
    return number, length


def _crc(content: bytes, polynomial: int, width: int) -> int:
    """The remainder of the bytes, the highest bit first, that begins with 0."""
    table = _table(polynomial, width)
    remainder, mask = 0, (1 << width) - 1
    for byte in content:
        remainder = (remainder << 8 & mask) ^ table[remainder >> width - 8 ^ byte]
    return remainder


@functools.cache
def _table(polynomial: int, width: int) -> list[int]:
    return [_shifted(byte << width - 8, polynomial, width) for byte in range(256)]


def _shifted(remainder: int, polynomial: int, width: int) -> int:
    for _ in range(8):
        remainder = remainder << 1 ^ (polynomial if remainder >> width - 1 & 1 else 0)
    return remainder & ((1 << width) - 1)
