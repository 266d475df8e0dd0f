"""Opens audio files. One that holds more or less than its header states says so; one that states none is read whole."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import soundfile

from pipeline.pack.audio_lengths import missing_audio, stated_audio
from pipeline.pack.audio_tails import audio_end
from pipeline.pack.flac_length import flac_fault, stated_length
from pipeline.pack.mp3_length import PrefixedFile, completed_mp3
from pipeline.pack.ogg_length import ogg_fault
from pipeline.pack.sources import SourceError

# Formats of audio that libsndfile does not read, by what their content begins with.
_UNREAD: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "MPEG-4 (.m4a, .mp4)"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (0, b"\x30\x26\xb2\x75", "Windows Media (.wma)"),
    (0, b"#!AMR", "AMR"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"ajkg", "Shorten"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (28, b"Speex  ", "Speex"),
    (28, b"\x7fFLAC", "FLAC in Ogg"),
)
_NO_AUDIO: tuple[tuple[bytes, str], ...] = (
    (b"\0\5\x16\7", "it is a resource fork of macOS, not audio; take the file of this name without ._"),
    (b"version https://git-lfs", "it is a pointer of Git LFS, not audio; get the audio with git lfs pull"),
    (b"<", "it is a text such as HTML or XML, not audio; get the file again"),
)


def unread(kind: str) -> str:
    """Text that says that audio of this kind is not read, and what to do."""
    return f"it is {kind}, which melmill does not read; convert it, such as with ffmpeg -i IN OUT.flac"


@dataclass(frozen=True)
class AudioFile:
    """An audio file that is open.

    Args:
        sound: the file, at its first sample.
        cut: text that says which part of its audio is missing, or would not be read; None if all is read.
    """

    sound: soundfile.SoundFile
    cut: str | None


@contextlib.contextmanager
def open_audio(path: str) -> Iterator[AudioFile]:
    """Opens an audio file in any format that libsndfile reads.

    A size or length that the header leaves open, as it is written into a pipe or before the end of a recording, is
    taken from the file. What follows the audio, such as tags, is not read as audio.

    Args:
        path: path of the file.

    Raises:
        SourceError: if the file is not audio that is read, or states no length and ends within a frame.
        OSError, soundfile.SoundFileError: if the file cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        completed, cut = _completed(file, size)
        with _sound(path, completed, cut) as sound:
            yield AudioFile(sound, cut)


def _completed(file: BinaryIO, size: int) -> tuple[_Completed | PrefixedFile | None, str | None]:
    """The file as libsndfile reads it right, None for as it is; and which part of its audio is not read."""
    stated = stated_audio(file)
    if stated is None:
        if header := stated_length(file):
            cut = flac_fault(file)
            return _Completed(file, header, size), cut
        completed, cut = completed_mp3(file)
        return completed, cut or flac_fault(file) or ogg_fault(file)
    end, more = audio_end(file, stated, size)
    header = {}
    if stated.size is None and stated.field is not None:
        offset, form, besides = stated.field
        with contextlib.suppress(struct.error):  # more than the field can hold
            header = {offset: struct.pack(form, end - stated.begin + besides)}
    return _Completed(file, header, end) if header or end < size else None, missing_audio(stated, size) or more


def _sound(path: str, completed: _Completed | PrefixedFile | None, cut: str | None) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(completed or path)
    except soundfile.LibsndfileError:
        if cut is not None:
            raise SourceError(cut) from None
        with open(path, "rb") as file:
            head = file.read(64)
        for offset, magic, kind in _UNREAD:
            if head.startswith(magic, offset):
                raise SourceError(unread(kind)) from None
        for magic, words in _NO_AUDIO:
            if head.startswith(magic):
                raise SourceError(words) from None
        raise


class _Completed:
    """A file with other bytes in its header, and without what follows its audio, as libsndfile reads it.

    Args:
        file: file, opened for reading.
        header: bytes by their offset in the file.
        end: number of bytes that are read.
    """

    def __init__(self, file: BinaryIO, header: Mapping[int, bytes], end: int) -> None:
        self._file = file
        self._header = header
        self._end = end
        self.tell = file.tell
        file.seek(0)

    def __repr__(self) -> str:
        return repr(self._file.name)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset + self._end if whence == os.SEEK_END else offset, whence % 2)

    def readinto(self, buffer: Any) -> int:
        begin = self._file.tell()
        content = bytearray(self._file.read(max(0, min(len(buffer), self._end - begin))))
        for offset, value in self._header.items():
            for place, byte in enumerate(value, offset - begin):
                if 0 <= place < len(content):
                    content[place] = byte
        buffer[: len(content)] = content
        return len(content)
