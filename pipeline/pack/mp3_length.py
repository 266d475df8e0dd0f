"""The length of MP3 files. Where it is not stated, libsndfile only estimates it, by the bitrate of the first frame.

All frames are counted. A number that is not stated is stated in a frame before the first, as encoders do (the Xing
header); files that have more frames than they state are told, since libsndfile does not read those.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

# ISO/IEC 11172-3, 2.4.2.3, and 13818-3, 2.4.2.3: layer III [kbit/s], by the index in a frame's header.
_BITRATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = (44100, 48000, 32000)
_MPEG_1, _RESERVED, _LAYER_3, _MONO = 3, 1, 1, 3
_ID3_BYTES = 10
_FIRST_WITHIN = 1 << 16  # where the first frame is looked for [bytes]
_TAGS = (b"Xing", b"Info", b"VBRI")  # the frame that states the number of frames has one of these in it
_HAS_FRAMES = 1  # flag of the Xing header
_MISCOUNTED = (
    2  # number of frames by which encoders miscount: they count the frame of the number, or leave out the last
)


def completed_mp3(file: BinaryIO) -> tuple[PrefixedFile | None, str | None]:
    """An MP3 file with its number of frames stated, and a text that says what libsndfile would not read of it.

    The first is None if the file states the number itself, or is no MP3; the second if all is read.

    Args:
        file: the file, which stays open; its position moves.

    Raises:
        OSError: if the file cannot be read.
    """
    start = _after_id3(file)
    size = file.seek(0, os.SEEK_END)
    if start is None or size <= start:
        return None, None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        first = _first_frame(content, start)
        if first is None:
            return None, None
        stated = _stated_frames(content[first : first + _frame_bytes(content, first)])
        frames = sum(1 for _ in _frames(content, first))
        if stated is None:
            return PrefixedFile(_xing_frame(content[first : first + 4], frames), file, first), None
    if not stated or frames - 1 - stated <= _MISCOUNTED:
        return None, None
    return None, (
        f"its MP3 header states {stated} frames of audio, and the file holds {frames - 1}, perhaps since files were "
        "joined; the others would not be read; ffmpeg -i IN OUT.flac reads them all"
    )


def _stated_frames(frame: bytes) -> int | None:
    """The number of frames that the first frame states; 0 if it is another one of that kind, None if it is audio."""
    for tag in _TAGS:
        if (at := frame.find(tag)) >= 0:
            if tag == b"VBRI":
                return int.from_bytes(frame[at + 14 : at + 18])
            return int.from_bytes(frame[at + 8 : at + 12]) if frame[at + 7] & _HAS_FRAMES else 0
    return None


def _frames(content: mmap.mmap, at: int) -> Iterator[int]:
    """Offset of each frame; what lies between frames, such as the tags of files that were joined, is passed over."""
    while True:
        while more := _frame_bytes(content, at):
            yield at
            at += more
        if content[at : at + 3] == b"ID3":
            at += _ID3_BYTES + _synchsafe(content[at + 6 : at + _ID3_BYTES])
        found = _first_frame(content, at)
        if found is None:
            return
        at = found


class PrefixedFile:
    """The end of a file with other bytes before it, as libsndfile reads it.

    Args:
        prefix: the bytes.
        file: file, opened for reading.
        begin: offset in the file at which its end begins.
    """

    def __init__(self, prefix: bytes, file: BinaryIO, begin: int) -> None:
        self._prefix = prefix
        self._file = file
        self._begin = begin
        self._size = len(prefix) + file.seek(0, os.SEEK_END) - begin
        self._at = 0

    def __repr__(self) -> str:
        return repr(self._file.name)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of a file."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """As of a file."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As of a file."""
        content = self._prefix[self._at : self._at + len(buffer)]
        if len(content) < len(buffer):
            self._file.seek(self._begin + max(0, self._at - len(self._prefix)))
            content += self._file.read(len(buffer) - len(content))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def _after_id3(file: BinaryIO) -> int | None:
    """Offset after an ID3 tag, 0 if there is none; None if the file does not begin as an MP3 does."""
    file.seek(0)
    head = file.read(_ID3_BYTES)
    if head[:3] == b"ID3" and len(head) == _ID3_BYTES:
        return _ID3_BYTES + _synchsafe(head[6:])
    return 0 if head[:1] == b"\xff" else None


def _synchsafe(size: bytes) -> int:
    """The size of an ID3 tag, which has seven bits in each byte."""
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(size)))


def _first_frame(content: mmap.mmap, start: int) -> int | None:
    """Offset of the first frame: a header at whose end another begins."""
    at = content.find(b"\xff", start, start + _FIRST_WITHIN)
    while at >= 0:
        size = _frame_bytes(content, at)
        if size and _frame_bytes(content, at + size):
            return at
        at = content.find(b"\xff", at + 1, start + _FIRST_WITHIN)
    return None


def _frame_bytes(content: mmap.mmap | bytes, at: int) -> int:
    """Size of the frame of layer III whose header is at an offset; 0 if none is there."""
    header = int.from_bytes(content[at : at + 4], "big")
    version, layer, index, rate = header >> 19 & 3, header >> 17 & 3, header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == _RESERVED or layer != _LAYER_3 or index in (0, 15) or rate == 3:
        return 0
    bitrate = (_BITRATES_1 if version == _MPEG_1 else _BITRATES_2)[index]
    halvings = {3: 0, 2: 1, 0: 2}[version]  # MPEG 1, 2 and 2.5
    bytes_per_kbit = (144 if version == _MPEG_1 else 72) * 1000
    return bytes_per_kbit * bitrate // (_RATES[rate] >> halvings) + (header >> 9 & 1)


def _xing_frame(header: bytes, frames: int) -> bytes:
    """A frame of silence that states the number of frames; Gabriel Bouvigne, "MP3 Info Tag", 1999.

    Args:
        header: header of the first frame, whose format it gets, with the highest bitrate.
        frames: number of the frames that follow.
    """
    head = bytes([header[0], header[1] | 1, (header[2] & 0x0F) | 0xE0, header[3]])  # no CRC
    mpeg_1, mono = header[1] >> 3 & 3 == _MPEG_1, header[3] >> 6 == _MONO
    side = bytes((17 if mono else 32) if mpeg_1 else (9 if mono else 17))
    told = head + side + b"Xing" + _HAS_FRAMES.to_bytes(4, "big") + frames.to_bytes(4, "big")
    return told.ljust(_frame_bytes(head, 0), b"\0")
