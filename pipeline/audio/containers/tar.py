"""The container `tar`: one tar per shard, with pairs of audio and JSON, which is also a WebDataset shard."""

from __future__ import annotations

import contextlib
import os
import tarfile
from pathlib import Path
from typing import IO

from pipeline.audio.containers import Placement
from pipeline.audio.member_names import DistinctNames

_PIECE_BYTES = 1 << 20
_MODE = 0o444


class TarSink:
    """A `Sink` that writes a tar. Members have mtime 0, mode 0444 and no owner: equal audio gives equal bytes."""

    def __init__(self, folder: Path, base: str) -> None:
        self._name = f"{base}.tar"
        self._path = folder / "shard.tar"
        self._file: IO[bytes] | None = None
        self._size = 0
        self._names = DistinctNames()

    def add(self, name: str, extension: str, encoded: IO[bytes], sidecar: bytes | None) -> Placement:
        """See `Sink`."""
        name = self._names.distinct(name)
        member = f"{name}.{extension}"
        start = encoded.tell()
        size = encoded.seek(0, os.SEEK_END) - start
        encoded.seek(start)
        self._write(header(member, size))
        offset = self._size
        while piece := encoded.read(_PIECE_BYTES):
            self._write(piece)
        self._end_block()
        if sidecar is not None:
            self._write(header(f"{name}.json", len(sidecar)) + sidecar)
            self._end_block()
        return Placement(self._name, member, offset, size)

    def finish(self) -> list[tuple[str, Path]]:
        """See `Sink`."""
        if self._file is None:
            return []
        # Two blocks of zeros end a tar, and more of them fill its last record.
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self._size % tarfile.RECORDSIZE))
        self._file.close()
        return [(self._name, self._path)]

    def close(self) -> None:
        """See `Sink`."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # the disk may be full; `finish` raises the error
                self._file.close()

    def _write(self, content: bytes) -> None:
        if self._file is None:
            self._file = open(self._path, "wb", buffering=_PIECE_BYTES)  # noqa: SIM115
        self._file.write(content)
        self._size += len(content)

    def _end_block(self) -> None:
        self._write(bytes(-self._size % tarfile.BLOCKSIZE))


def header(name: str, size: int) -> bytes:
    """The header of a member: one block, after the blocks of a PAX header where the name or the size is too long.

    `tarfile` makes the same in five times the time.

    Args:
        name: name of the member.
        size: size of the member [bytes].
    """
    if len(name) > tarfile.LENGTH_NAME or size >= 8**11 or not name.isascii():
        return _made_by_tarfile(name, size)
    letters, digits = name.encode(), b"%011o" % size
    return b"".join(
        (
            letters,
            bytes(tarfile.LENGTH_NAME - len(letters)),
            _OWNER,
            digits,
            _TIME,
            b"%06o" % (_SUM + sum(letters) + sum(digits)),
            _REST,
        )
    )


def _made_by_tarfile(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.mode, member.size = _MODE, size
    return member.tobuf(tarfile.PAX_FORMAT)


# The parts of a header that are the same for all members (POSIX.1-1988, ustar): mode and owner lie between the name and
# the size [octal digits]; then come the time, and the sum of all bytes, in which the sum's own field counts as spaces.
_NOTHING = _made_by_tarfile("", 0)
_OWNER, _TIME, _REST = _NOTHING[100:124], _NOTHING[135:148], _NOTHING[154:]
_SUM = sum(_OWNER) + sum(_TIME) + sum(b" " * 8) + sum(_NOTHING[156:])
