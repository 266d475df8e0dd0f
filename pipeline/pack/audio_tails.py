"""What follows the audio in a file: chunks, tags and padding; or more audio, of which the header says nothing.

libsndfile reads as much as the header states, and says nothing of what follows; in some formats it reads all that
follows as audio. So the end of the audio is found here.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from pipeline.pack.audio_lengths import ChunkAt, StatedAudio

# Chunks that programs write after the audio of RIFF, AIFF and W64. Only they are looked for where no size tells where
# the audio ends.
_NAMES = (
    b"LIST", b"list", b"id3 ", b"ID3 ", b"bext", b"cue ", b"smpl", b"inst", b"iXML", b"_PMX", b"fact", b"PEAK", b"JUNK",
    b"junk", b"PAD ", b"FLLR", b"axml", b"chna", b"acid", b"afsp", b"plst", b"cart", b"NAME", b"AUTH", b"(c) ", b"ANNO",
    b"MARK", b"COMT", b"APPL", b"INST", b"CHAN",
)  # fmt: skip
_SEARCHED = 4 << 20  # number of bytes at the end of a file in which they are looked for
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"3DI")
_TAG_BYTES = 128  # of ID3v1
_LEFTOVER = 1024  # largest number of bytes that programs leave behind the audio without a meaning
_BLOCK = 1 << 20
_BY_SOX = ("WAV", "RF64", "W64", "AIFF", "8SVX", "AU", "NIST SPHERE", "AVR", "WVE", "MAT5")


def audio_end(file: BinaryIO, stated: StatedAudio, size: int) -> tuple[int, str | None]:
    """Offset after the last byte of audio, and a text that says what follows, if that may be audio too.

    Args:
        file: file of audio; its position moves.
        stated: audio as the header describes it.
        size: size of the file [bytes].

    Raises:
        OSError: if the file cannot be read.
    """
    if stated.size is None:
        return _open_end(file, stated, size), None
    end = stated.begin + stated.size
    if end >= size:
        return size, None
    starts = {end, end + end % 2}  # some programs leave out the byte that fills a chunk up
    afters = [_after_chunks(file, start, size, stated.chunk_at) for start in starts]
    if any(_is_leftover(file, after, size, stated.size) for after in afters):
        return end + (end % 2 if stated.chunk_at else 0), None
    way_out = "sox --ignore-length IN OUT.wav reads it all" if stated.container in _BY_SOX else "convert it again"
    return end, (
        f"its {stated.container} header states {stated.size} bytes of audio, and {size - end} bytes follow, of which "
        f"{size - max(afters)} are no chunk, tag or padding; if they are audio, {way_out}"
    )


def _open_end(file: BinaryIO, stated: StatedAudio, size: int) -> int:
    """Where the audio ends if the header leaves it open: before the chunks and the tag at the file's end."""
    if _content(file, size - _TAG_BYTES, 3) == b"TAG":
        size -= _TAG_BYTES
    if stated.chunk_at is None:
        return size
    if _after_chunks(file, stated.begin, size, stated.chunk_at) in (size, size + 1):
        return stated.begin
    begin = max(stated.begin, size - _SEARCHED)
    tail = _content(file, begin, size - begin)
    wrong: set[int] = set()
    for at in sorted(begin + place for name in _NAMES for place in _places(tail, name)):
        passed = set[int]()
        if _after_chunks(file, at, size, stated.chunk_at, passed, wrong) in (size, size + 1):
            return at
        wrong |= passed
    return size


def _places(content: bytes, name: bytes) -> list[int]:
    found, at = [], -1
    while (at := content.find(name, at + 1)) >= 0:
        found.append(at)
    return found


def _after_chunks(
    file: BinaryIO,
    at: int,
    size: int,
    chunk_at: ChunkAt | None,
    passed: set[int] | None = None,
    wrong: set[int] | frozenset[int] = frozenset(),
) -> int:
    """Offset after the chunks that begin at an offset. The last one may be cut off if its name is known.

    Args:
        file: file of audio.
        at: offset of the first chunk.
        size: size of the file [bytes].
        chunk_at: function that reads a chunk.
        passed: set that gets the offsets of the chunks.
        wrong: offsets at which no chunks begin that fill the file.
    """
    while chunk_at is not None and at < size and at not in wrong:
        if passed is not None:
            passed.add(at)
        try:
            name, end = chunk_at(file, at)
        except (struct.error, ValueError):
            return at
        if end > size + 1:
            return size if name[:4] in _NAMES else at
        at = end
    return at


def _is_leftover(file: BinaryIO, begin: int, end: int, audio: int) -> bool:
    """Whether bytes after the audio are a tag, padding, or too few to be audio."""
    if end - begin <= min(_LEFTOVER, audio // 8) or _content(file, begin, 16).startswith(_TAGS):
        return True
    if end - begin > _TAG_BYTES and _content(file, end - _TAG_BYTES, 3) == b"TAG":
        end -= _TAG_BYTES
    filler = _content(file, begin, 1)
    return all(
        block.count(filler) == len(block)
        for block in (_content(file, at, min(_BLOCK, end - at)) for at in range(begin, end, _BLOCK))
    )


def _content(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(max(0, offset))
    return file.read(count)
