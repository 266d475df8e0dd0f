"""Kaldi's binary matrices, read from their archive: FM and DM as they are, CM, CM2 and CM3 decompressed by frames.

Formats after kaldi/src/matrix/kaldi-matrix.cc (Matrix::Write: "FM " or "DM ", rows and columns each as the byte 4 and
an int32, the values row after row) and compressed-matrix.{h,cc} (CompressedMatrix::Write: "CM ", "CM2 " or "CM3 " and
the global header float min_value, float range, int32 rows, int32 columns; then for CM one header of four uint16 a
column and the bytes column after column, for CM2 uint16 and for CM3 uint8 row after row). All little-endian.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.pack.sources import SourceError

BINARY = b"\0B"
_PLAIN = {b"FM ": "<f4", b"DM ": "<f8"}
_COMPRESSED = {b"CM ": "u1", b"CM2 ": "<u2", b"CM3 ": "u1"}
_STEPS = {b"CM2 ": 65535, b"CM3 ": 255}
# Other contents of Kaldi's archives, by their tokens.
_OTHERS = {b"FV ": "a vector", b"DV ": "a vector", b"SM ": "a sparse matrix", b"SV ": "a sparse vector"}
_COLUMN_HEADER = 8  # bytes


@dataclass(frozen=True, slots=True)
class ArkPlace:
    """The place of a matrix.

    Args:
        path: path of the archive.
        offset: offset of the matrix's binary mark in the archive [bytes].
    """

    path: str
    offset: int


@dataclass(frozen=True)
class Header:
    """A matrix as its header describes it.

    Args:
        token: name of the format, as in the file.
        rows, columns: number of rows and of columns.
        low, range: least value of a compressed matrix, and difference between its greatest and its least value.
        values: offset of the first byte after the header [bytes from the file's start].
    """

    token: bytes
    rows: int
    columns: int
    low: float
    range: float
    values: int

    @property
    def end(self) -> int:
        """Offset of the first byte after the matrix [bytes from the file's start]."""
        item = np.dtype(_PLAIN.get(self.token) or _COMPRESSED[self.token]).itemsize
        headers = self.columns * _COLUMN_HEADER if self.token == b"CM " else 0
        return self.values + headers + self.rows * self.columns * item


def read_header(file: IO[bytes], size: int) -> Header:
    """The header of the matrix at the file's position.

    Args:
        file: archive, opened as a binary file.
        size: size of the file [bytes].

    Raises:
        SourceError: if there is no matrix of a known format, or the file ends before the matrix does.
    """
    begin = file.read(2 + 4)
    if not begin.startswith(BINARY):
        raise SourceError(f"it is not a binary Kaldi matrix: it begins with {begin!r}; convert text with copy-feats")
    token = begin[2 : begin.find(b" ", 2) + 1]
    file.seek(len(token) - 4, os.SEEK_CUR)  # to the byte after the token
    if token in _PLAIN:
        sizes = np.frombuffer(
            _exactly(file, 10), np.dtype([("a", "u1"), ("rows", "<i4"), ("b", "u1"), ("cols", "<i4")])
        )
        if sizes["a"] != 4 or sizes["b"] != 4:
            raise SourceError("its size is not in Kaldi's format")
        found = Header(token, int(sizes["rows"][0]), int(sizes["cols"][0]), 0.0, 0.0, file.tell())
    elif token in _COMPRESSED:
        low, span = np.frombuffer(_exactly(file, 8), "<f4").tolist()
        rows, columns = np.frombuffer(_exactly(file, 8), "<i4").tolist()
        found = Header(token, rows, columns, low, span, file.tell())
    else:
        raise SourceError(f"it is {_OTHERS.get(token, f'something that begins with {begin!r}')}, not a matrix")
    if found.rows < 0 or found.columns < 0:
        raise SourceError(f"its size is {found.rows} by {found.columns}")
    if found.end > size:
        raise SourceError(f"it needs {found.end - size} bytes more than the file has; it is cut off or damaged")
    return found


def _exactly(file: IO[bytes], count: int) -> bytes:
    content = file.read(count)
    if len(content) != count:
        raise SourceError("the file ends within the matrix; it is cut off")
    return content


@contextmanager
def open_ark(place: ArkPlace) -> Iterator[Any]:
    """The matrix at a place, `[rows, columns]`, to be read by slices of rows.

    Raises:
        SourceError: if the matrix cannot be read.
    """
    try:
        with open(place.path, "rb") as file:
            file.seek(place.offset)
            header = read_header(file, os.fstat(file.fileno()).st_size)
        if header.token in _PLAIN:
            yield _mapped(place.path, _PLAIN[header.token], header.values, (header.rows, header.columns))
        else:
            yield _Compressed(place.path, header)
    except (OSError, ValueError) as exc:
        raise SourceError(f"it cannot be read: {exc}") from exc


def _mapped(path: str, dtype: str, offset: int, shape: tuple[int, int]) -> NDArray[Any]:
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", offset, shape)


class _Compressed:
    """A compressed matrix `[rows, columns] float32`, decompressed as its rows are read."""

    dtype = np.dtype(np.float32)

    def __init__(self, path: str, header: Header) -> None:
        self.shape = (header.rows, header.columns)
        self._header = header
        stored = _COMPRESSED[header.token]
        if header.token != b"CM ":
            self._values = _mapped(path, stored, header.values, self.shape)
            return
        headers = _mapped(path, "<u2", header.values, (header.columns, 4))
        behind = header.values + header.columns * _COLUMN_HEADER
        self._values = _mapped(path, stored, behind, (header.columns, header.rows)).T
        # compressed-matrix.h, Uint16ToFloat: the values at 0, 64, 192 and 255.
        self._corners = (header.low + header.range * np.float32(1 / 65535) * headers).astype(np.float32)

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        stored = self._values[rows].astype(np.float32)
        if self._header.token != b"CM ":
            return self._header.low + stored * np.float32(self._header.range / _STEPS[self._header.token])
        p0, p25, p75, p100 = self._corners.T
        # compressed-matrix.h, CharToFloat: straight lines between the corners.
        values: NDArray[np.float32] = np.where(
            stored <= 64,
            p0 + (p25 - p0) * stored * np.float32(1 / 64),
            np.where(
                stored <= 192,
                p25 + (p75 - p25) * (stored - 64) * np.float32(1 / 128),
                p75 + (p100 - p75) * (stored - 192) * np.float32(1 / 63),
            ),
        )
        return values
