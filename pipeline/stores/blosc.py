"""Blosc, decoded only where its header and the bytes agree.

numcodecs takes a Blosc buffer's length from the header inside it and reads that far, past the end of a chunk that was
cut off: the values are then whatever lay in memory. The codecs here check first. They stand under a name of their own,
so that nothing changes for other users of zarr in the process.
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
    """A Blosc buffer's content.

    Raises:
        ValueError: if the header tells of another length than the buffer has, or of over `MAX_DECODED_BYTES`.
        RuntimeError: if it does not decode.
    """
    decoded, _, encoded = (int.from_bytes(chunk[at : at + 4], "little") for at in (4, 8, 12))
    if len(chunk) < _HEADER_BYTES or encoded != len(chunk):
        raise ValueError(f"a Blosc buffer of {len(chunk)} bytes says that it has {encoded}")
    if decoded > MAX_DECODED_BYTES:
        raise ValueError(f"a Blosc buffer says that it holds {decoded} bytes, over {MAX_DECODED_BYTES}")
    return bytes(numcodecs.blosc.decompress(chunk))


@dataclass(frozen=True)
class _CheckedV3(BytesBytesCodec):
    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:  # decoding needs no settings, they are in the header
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
    """A metadata document in which every Blosc codec, nested ones too, is the checked one."""
    if isinstance(document, Mapping):
        if str(document.get("name")).removeprefix("numcodecs.") == "blosc":
            return {"name": NAME, "configuration": {}}
        if document.get("id") == "blosc":
            return {"id": NAME}
        return {key: with_checked_blosc(value) for key, value in document.items()}
    return [with_checked_blosc(value) for value in document] if isinstance(document, list) else document
