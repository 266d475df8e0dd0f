"""Reads safetensors files: https://github.com/huggingface/safetensors, README, "Format".

A file holds eight bytes with the header's length, the header as JSON, then the tensors' elements. The format is short
enough to read it here, so that every byte of a hostile file is checked.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CheckpointError
from pipeline.tensor_files.files import MAX_FILE_BYTES, from_bfloat16

_TYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I16": np.dtype("<i2"), "I8": np.dtype("i1"),
    "U8": np.dtype("u1"), "BOOL": np.dtype("u1"),
}  # fmt: skip
_MOST_HEADER = 16 << 20  # a name, a shape and two numbers for each tensor; a generator has hundreds of tensors
_METADATA = "__metadata__"


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors in a safetensors file, by name. Reading them takes the file's size in memory.

    Returns:
        Arrays, little-endian; bfloat16 as float32. They share memory and cannot be written to.

    Raises:
        CheckpointError: if the file cannot be read, or breaks a rule of the format: sizes beyond the file, tensors that
            overlap or leave gaps, a name that occurs twice, types that the format does not have.
    """
    try:
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise CheckpointError(f"{path}: has {size} bytes; melmill reads checkpoints of up to {MAX_FILE_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    try:
        return _tensors(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: this checkpoint is refused: {error}") from error


def _tensors(content: bytes) -> dict[str, NDArray[Any]]:
    length = int.from_bytes(content[:8], "little")
    begin = 8 + length
    _require(len(content) >= 8, "it is not a safetensors file: it has fewer than 8 bytes")
    _require(
        length <= _MOST_HEADER and begin <= len(content),
        f"its header of {length} bytes does not fit: the file has {len(content)} bytes, a header up to {_MOST_HEADER}",
    )
    try:
        header = json.loads(content[8:begin], object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"its header is not JSON: {error}") from error
    _require(isinstance(header, dict), "its header is not a JSON object")
    header.pop(_METADATA, None)
    found, ends = {}, []
    for name, entry in header.items():
        kind, shape, (start, stop) = _entry(name, entry)
        _require(
            stop <= len(content) - begin and stop - start == math.prod(shape) * kind.itemsize,
            f"{name[:80]} of shape {shape} lies at bytes {start} to {stop} of {len(content) - begin}",
        )
        array = np.frombuffer(content, kind, math.prod(shape), begin + start).reshape(shape)
        if entry["dtype"] == "BF16":  # the upper half of a float32
            array = from_bfloat16(array)
        found[name] = array
        ends.append((start, stop))
    position = 0
    for start, stop in sorted(ends):
        _require(start == position, f"its tensors overlap or leave a gap at byte {min(start, position)}")
        position = stop
    _require(
        position == len(content) - begin, f"{len(content) - begin - position} of its bytes do not belong to a tensor"
    )
    return found


def _entry(name: str, entry: Any) -> tuple[np.dtype[Any], list[int], tuple[int, int]]:
    _require(
        isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"},
        f"{name[:80]} does not have dtype, shape and data_offsets",
    )
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    _require(
        isinstance(kind, str) and kind in _TYPES, f"{name[:80]} has the type {kind!r:.40}, which melmill does not read"
    )
    for numbers, most in ((shape, 8), (offsets, 2)):
        _require(
            isinstance(numbers, list)
            and len(numbers) <= most
            and all(type(number) is int and 0 <= number < 1 << 40 for number in numbers),
            f"{name[:80]} has a bad shape or offsets: {numbers!r:.80}",
        )
    _require(len(offsets) == 2 and offsets[0] <= offsets[1], f"{name[:80]} has bad offsets: {offsets}")
    return _TYPES[kind], shape, (offsets[0], offsets[1])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    _require(len(found) == len(pairs), "a name occurs twice in its header")
    return found


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise CheckpointError(what)
