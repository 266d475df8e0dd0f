"""Reads the files that `torch.save` writes, without torch and without running what they hold.

Two formats, both as in `torch/serialization.py` of PyTorch 2: the legacy one (`_legacy_save`: the pickles of a magic
number, a protocol version, system facts, the value and the storages' keys; then each storage as an int64 count and its
raw elements) and, since PyTorch 1.6, a zip archive (`_save`: NAME/data.pkl, NAME/data/KEY, NAME/byteorder).
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CheckpointError
from pipeline.tensor_files.pickles import STORAGE_TYPES, read_pickle

# torch/serialization.py
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001
MAX_FILE_BYTES = 2 << 30
"""The largest checkpoint that is read [bytes]."""


def read_torch_file(path: Path, max_bytes: int = MAX_FILE_BYTES) -> Any:
    """The value that `torch.save` wrote to a file. Reading it takes about twice the file's size in memory.

    Args:
        path: the file, with any name.
        max_bytes: size of the largest file that is read [bytes].

    Returns:
        Numbers, strings, None and arrays (little-endian, bfloat16 as float32), in dicts, lists and tuples. Tensors that
        share a storage share memory.

    Raises:
        CheckpointError: if the file cannot be read, is of another kind or damaged, or holds more than tensors, numbers
            and texts in plain containers. Nothing in it has run.
    """
    try:
        if not path.is_file():
            raise CheckpointError(f"{path}: there is no such file")
        if (size := path.stat().st_size) > max_bytes:
            raise CheckpointError(f"{path}: has {size} bytes; melmill reads files of up to {max_bytes}")
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    try:
        return _read_zip(content) if content.startswith(b"PK\x03\x04") else _read_legacy(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: this checkpoint is refused: {error}") from error
    except Exception as error:  # damage may raise anything; the caller needs to know only that
        raise CheckpointError(
            f"{path}: it is not a torch checkpoint, or it is damaged ({type(error).__name__})"
        ) from error


def _read_legacy(content: bytes) -> Any:
    file = io.BytesIO(content)
    if read_pickle(file, _no_storage) != _MAGIC_NUMBER:
        raise CheckpointError("it does not begin with torch's magic number")
    if (version := read_pickle(file, _no_storage)) != _PROTOCOL_VERSION:
        raise CheckpointError(f"its protocol version is {version!r:.40}, not {_PROTOCOL_VERSION}")
    if read_pickle(file, _no_storage)["little_endian"] is not True:
        raise CheckpointError("it was written on a big-endian machine")
    storages = _LegacyStorages(limit=len(content))
    value = read_pickle(file, storages.get)
    storages.fill(content, file, read_pickle(file, _no_storage))
    return value


class _LegacyStorages:
    """Storages that the pickle names before their elements come. Tensors are views of arrays that are filled later."""

    def __init__(self, limit: int) -> None:
        self.left = limit
        self.arrays: dict[str, tuple[str, NDArray[Any]]] = {}

    def get(self, key: str, kind: str, elements: int) -> NDArray[Any]:
        if key not in self.arrays:
            self.left -= elements * STORAGE_TYPES[kind].itemsize
            if self.left < 0:
                raise CheckpointError(f"its storage {key[:40]!r} of {elements} elements does not fit the file")
            self.arrays[key] = kind, np.zeros(elements, _decode(b"", kind).dtype)
        known, array = self.arrays[key]
        if (known, len(array)) != (kind, elements):
            raise CheckpointError(f"its storage {key[:40]!r} is described in two ways")
        return array

    def fill(self, content: bytes, file: io.BytesIO, keys: Any) -> None:
        if not isinstance(keys, list) or sorted(keys) != sorted(self.arrays):
            raise CheckpointError(
                "its list of storages is not that which its tensors use; the file may be damaged: save it again"
            )
        for key in keys:
            kind, array = self.arrays[key]
            count = int.from_bytes(file.read(8), "little")
            raw = file.read(array.size * STORAGE_TYPES[kind].itemsize)
            if count != array.size or len(raw) != array.size * STORAGE_TYPES[kind].itemsize:
                raise CheckpointError(
                    f"its storage {key[:40]!r} should have {array.size} elements; the file is cut off"
                )
            array[:] = _decode(raw, kind)


def _read_zip(content: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(entry.filename.endswith("/constants.pkl") or "/code/" in entry.filename for entry in entries):
            raise CheckpointError(
                "it is a TorchScript archive (torch.jit.save), a program, which melmill does not run; save its tensors "
                "with torch.save(dict(torch.jit.load(IN).state_dict()), OUT), or torch.save(mel, OUT) for a mel"
            )
        # Torch does not compress, so no more is read than the file holds.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise CheckpointError("its zip archive is compressed, which torch never does")
        if sum(entry.file_size for entry in entries) > len(content):
            raise CheckpointError("its zip archive claims to hold more than the file")
        pickles = [entry.filename for entry in entries if entry.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError(f"its zip archive should hold one NAME/data.pkl; it holds {len(pickles)}")
        if len({entry.filename for entry in entries}) != len(entries):
            raise CheckpointError("its zip archive holds a name more than once")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise CheckpointError("it was written on a big-endian machine")
        arrays: dict[str, tuple[str, NDArray[Any]]] = {}

        def get(key: str, kind: str, elements: int) -> NDArray[Any]:
            if key not in arrays:
                arrays[key] = kind, _decode(archive.read(f"{folder}data/{key}"), kind)
            found, array = arrays[key]
            if (found, len(array)) != (kind, elements):
                raise CheckpointError(f"its storage {key[:40]!r} has {len(array)} elements, its tensor says {elements}")
            return array

        return read_pickle(io.BytesIO(archive.read(pickles[0])), get)


def from_bfloat16(bits: NDArray[Any]) -> NDArray[np.float32]:
    """Numbers from the bits of bfloat16, `[...] uint16`: the upper half of a float32."""
    return (bits.astype("<u4") << np.uint32(16)).view("<f4")


def _decode(raw: bytes, kind: str) -> NDArray[Any]:
    array: NDArray[Any] = np.frombuffer(raw, STORAGE_TYPES[kind])
    if kind == "torch.BoolStorage":
        return array.astype(np.bool_)
    if kind == "torch.BFloat16Storage":
        return from_bfloat16(array)
    return array


def _no_storage(key: str, kind: str, elements: int) -> NDArray[Any]:
    raise CheckpointError(f"its storage {key[:40]!r} is named where a storage does not belong")
