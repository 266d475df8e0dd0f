"""Opens audio files: one that is cut off says so, and one that states no length is read to its end."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import soundfile

from pipeline.pack.audio_lengths import missing_audio, stated_audio
from pipeline.pack.flac_length import stated_length
from pipeline.pack.mp3_length import PrefixedFile, completed_mp3
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
        cut: text that says how much of its audio is missing; None if it is all there.
    """

    sound: soundfile.SoundFile
    cut: str | None


@contextlib.contextmanager
def open_audio(path: str) -> Iterator[AudioFile]:
    """Opens an audio file in any format that libsndfile reads.

    A size or length that the header leaves open, as it is written into a pipe or before the end of a recording, is
    taken from the file.

    Args:
        path: path of the file.

    Raises:
        SourceError: if the file is not audio that is read, or states no length and ends within a frame.
        OSError, soundfile.SoundFileError: if the file cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        stated = stated_audio(file)
        header = stated_length(file)
        if stated is not None and stated.size is None and stated.field is not None:
            offset, form, besides = stated.field
            with contextlib.suppress(struct.error):  # more than the field can hold
                header = {offset: struct.pack(form, size - stated.begin + besides)}
        cut = None if stated is None else missing_audio(stated, size)
        whole = _Completed(file, header) if header else completed_mp3(file) if stated is None else None
        with _sound(path, whole, cut) as sound:
            yield AudioFile(sound, cut)


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
    """A file with other bytes in its header, as libsndfile reads it.

    Args:
        file: file, opened for reading.
        header: bytes by their offset in the file.
    """

    def __init__(self, file: BinaryIO, header: Mapping[int, bytes]) -> None:
        self._file = file
        self._header = header
        self.seek, self.tell = file.seek, file.tell
        file.seek(0)

    def readinto(self, buffer: Any) -> int:
        begin = self._file.tell()
        content = bytearray(self._file.read(len(buffer)))
        for offset, value in self._header.items():
            for place, byte in enumerate(value, offset - begin):
                if 0 <= place < len(content):
                    content[place] = byte
        buffer[: len(content)] = content
        return len(content)
