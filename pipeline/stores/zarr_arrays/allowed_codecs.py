"""The codecs that may decode a Zarr array: an allow-list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.errors import StoreError

# Pure transformations of bytes and numbers. Left out on purpose: `pickle`, which runs code when it is read; `json2` and
# `msgpack2`, which build objects; and all codecs that numcodecs has only with extra libraries.
ALLOWED_CODECS = frozenset((
    "bytes", "transpose", "sharding_indexed", "vlen-utf8", "crc32c", "crc32", "adler32", "fletcher32", "gzip", "zlib",
    "bz2", "lzma", "lz4", "zstd", "blosc", "shuffle", "delta", "fixedscaleoffset", "bitround", "quantize", "astype",
))  # fmt: skip


def check_codec(path: str, codec: Any) -> None:
    """Refuses a codec that is not on the list, also inside a sharding codec.

    Args:
        path: path of the array, for messages.
        codec: entry of the metadata document that describes the codec.

    Raises:
        StoreError: naming the array and the codec.
    """
    if isinstance(codec, str):
        codec = {"name": codec}
    if not isinstance(codec, Mapping):
        raise StoreError(f"array {path}: {codec!r} is not a valid codec")
    name = str(codec.get("name", codec.get("id"))).removeprefix("numcodecs.")
    if name not in ALLOWED_CODECS:
        raise StoreError(
            f"array {path}: codec {name!r} is refused, since decoding it may run code or is not known to be safe; "
            "rewrite the array with zstd or blosc"
        )
    configuration = codec.get("configuration", codec)
    if not isinstance(configuration, Mapping):
        raise StoreError(f"array {path}: the configuration of codec {name!r} is not valid")
    for key in ("dtype", "astype", "encode_dtype", "decode_dtype"):
        if key in configuration and np.dtype(configuration[key]).kind not in "fiu":
            raise StoreError(
                f"array {path}: codec {name!r} converts values to {configuration[key]!r}; only numbers are allowed"
            )
    for key in ("codecs", "index_codecs"):
        for inner in configuration.get(key, []):
            check_codec(path, inner)
