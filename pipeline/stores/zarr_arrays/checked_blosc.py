"""Blosc codecs that decode a buffer only if its header states its true length.

numcodecs takes the length of a Blosc buffer from the header inside it and reads that far, even past the end of a chunk
that was cut off: the values are then whatever memory holds there. The codecs here check the length first. They have a
name of their own, so that nothing changes for other users of zarr in the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numcodecs.abc  # type: ignore[import-untyped]
import numcodecs.blosc  # type: ignore[import-untyped]
import numcodecs.registry  # type: ignore[import-untyped]
import zarr.registry
from zarr.abc.codec import BytesBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer

NAME = "melmill.blosc"
MAX_DECODED_BYTES = 1 << 30
_HEADER_BYTES = 16  # c-blosc README_CHUNK_FORMAT: versions, flags, typesize, then nbytes, blocksize, cbytes


def decompress(chunk: bytes) -> bytes:
    """The decoded content of a Blosc buffer.

    Raises:
        ValueError: if the header states another length than the buffer has, or more than `MAX_DECODED_BYTES`.
        RuntimeError: if the buffer does not decode.
    """
    decoded, _, encoded = (int.from_bytes(chunk[at : at + 4], "little") for at in (4, 8, 12))
    if len(chunk) < _HEADER_BYTES or encoded != len(chunk):
        raise ValueError(f"the header of a Blosc buffer of {len(chunk)} bytes states {encoded} bytes")
    if decoded > MAX_DECODED_BYTES:
        raise ValueError(f"the header of a Blosc buffer states {decoded} decoded bytes, more than {MAX_DECODED_BYTES}")
    return bytes(numcodecs.blosc.decompress(chunk))


@dataclass(frozen=True)
class _CheckedV3(BytesBytesCodec):
    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:  # the header has all settings that decoding needs
        return cls()

    def to_dict(self) -> dict[str, Any]:
        return {"name": NAME, "configuration": {}}

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        decoded = await asyncio.to_thread(decompress, chunk_bytes.to_bytes())
        return chunk_spec.prototype.buffer.from_bytes(decoded)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        raise NotImplementedError


class _CheckedV2(numcodecs.abc.Codec):  # type: ignore[misc]
    codec_id = NAME

    def encode(self, buf: Any) -> Any:
        raise NotImplementedError

    def decode(self, buf: Any, out: Any = None) -> bytes:
        return decompress(bytes(memoryview(buf).cast("B")))


zarr.registry.register_codec(NAME, _CheckedV3)
numcodecs.registry.register_codec(_CheckedV2)


def with_checked_blosc(document: Any) -> Any:
    """The metadata document with every Blosc codec, also a nested one, replaced by the checked one."""
    if isinstance(document, Mapping):
        if str(document.get("name")).removeprefix("numcodecs.") == "blosc":
            return {"name": NAME, "configuration": {}}
        if document.get("id") == "blosc":
            return {"id": NAME}
        return {key: with_checked_blosc(value) for key, value in document.items()}
    return [with_checked_blosc(value) for value in document] if isinstance(document, list) else document
