"""One Zarr array's metadata, versions 2 and 3 alike, checked before anything is read with it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.errors import StoreError

# Pure transformations of bytes and numbers. Not here on purpose: `pickle`, which runs code on read; `json2` and
# `msgpack2`, which build objects; and all that numcodecs only has with extra libraries.
ALLOWED_CODECS = frozenset((
    "bytes", "transpose", "sharding_indexed", "vlen-utf8", "crc32c", "crc32", "adler32", "fletcher32", "gzip", "zlib",
    "bz2", "lzma", "lz4", "zstd", "blosc", "shuffle", "delta", "fixedscaleoffset", "bitround", "quantize", "astype",
))  # fmt: skip
MAX_CHUNK_BYTES = 1 << 30
MAX_INNER_CHUNKS = 1 << 22
MAX_CHUNKS = 1 << 26
"""Chunks of one array: what is noted of each takes memory. A million hours of mel in chunks of a minute have fewer."""

Kind = Literal["float", "int", "string", "other"]


@dataclass(frozen=True)
class ArrayMetadata:
    """One array of a store, as its metadata describes it.

    Args:
        path: below the store's root, with "/".
        zarr_format: 2 or 3.
        document: the metadata document itself (v3 `zarr.json`, v2 `.zarray`), without attributes.
        shape: of the array.
        chunks: shape of what is decoded at once: the chunk, or the inner chunk of a shard.
        shards: shape of a shard, if the array is sharded.
        kind: of its elements: "float", "int" (signed or not), "string" or "other".
        dtype: for people, as the document calls it.
        itemsize: of an element [bytes]; 8 for strings of any length.
        names: of the dimensions, None where an axis has none.
        attributes: the user's own.
    """

    path: str
    zarr_format: Literal[2, 3]
    document: Mapping[str, Any]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    kind: Kind
    dtype: str
    itemsize: int
    names: tuple[str | None, ...]
    attributes: Mapping[str, Any]

    @property
    def chunk_bytes(self) -> int:
        """Size of one decoded chunk, or inner chunk of a shard [bytes]."""
        return math.prod(self.chunks) * self.itemsize

    @property
    def objects(self) -> tuple[int, ...]:
        """Shape of what one stored object holds: the shard, or the chunk."""
        return self.shards or self.chunks

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks (inner chunks of shards) along each axis."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))

    @property
    def too_many_chunks(self) -> str | None:
        """In words, what is wrong with an array of more chunks than can be looked at one by one; else None."""
        if (count := math.prod(self.grid)) > MAX_CHUNKS:
            return f"{list(self.shape)} has {count} chunks, more than {MAX_CHUNKS}"
        if (count := math.prod(self.objects) // math.prod(self.chunks)) > MAX_INNER_CHUNKS:
            return f"has {count} inner chunks in a shard, more than {MAX_INNER_CHUNKS}"
        return None

    def object_name(self, coordinates: Sequence[int]) -> str:
        """Path below the store's root of the object at these coordinates in the grid of stored objects."""
        prefix, separator = self._key_encoding()
        return f"{self.path}/{prefix}{separator.join(map(str, coordinates))}"

    def object_coordinates(self, name: str) -> tuple[int, ...] | None:
        """The inverse of `object_name`, for a name below the array's own path; None if it names no object."""
        prefix, separator = self._key_encoding()
        parts = name.removeprefix(prefix).split(separator) if name.startswith(prefix) else []
        if len(parts) != len(self.shape) or not all(part.isascii() and part.isdigit() for part in parts):
            return None
        return tuple(map(int, parts))

    def chunk_name(self, coordinates: Sequence[int]) -> str:
        """What a chunk is called in messages: its object, and for an inner chunk its coordinates in the array."""
        if self.shards is None:
            return f"chunk {self.object_name(coordinates)}"
        shard = [i * c // s for i, c, s in zip(coordinates, self.chunks, self.shards, strict=True)]
        return f"inner chunk ({', '.join(map(str, coordinates))}) of shard {self.object_name(shard)}"

    def _key_encoding(self) -> tuple[str, str]:
        if self.zarr_format == 2:
            return "", str(self.document.get("dimension_separator", "."))
        encoding = self.document.get("chunk_key_encoding", {})
        configuration = encoding.get("configuration", {})
        if encoding.get("name") == "v2":
            return "", str(configuration.get("separator", "."))
        separator = str(configuration.get("separator", "/"))
        return f"c{separator}", separator

    def check_codecs(self) -> None:
        """Refuses codecs that are not on the list, and chunks that are too large or too many; called before any read.

        Raises:
            StoreError: naming the array and what is wrong with it.
        """
        try:
            codecs = _codecs(self)
            for codec in codecs:
                _check_codec(self.path, codec)
        except (KeyError, TypeError, ValueError, RecursionError) as exc:
            what = f"its codecs cannot be understood ({type(exc).__name__}: {exc})"
            raise StoreError(f"array {self.path}: {what}") from exc
        within = self.objects if self.shards is not None and len(codecs) > 1 else self.chunks
        if (size := math.prod(within) * self.itemsize) > MAX_CHUNK_BYTES:
            raise StoreError(
                f"array {self.path}: a chunk of {'x'.join(map(str, within))} takes {size / 2**30:.1f} GiB, "
                f"more than {MAX_CHUNK_BYTES / 2**30:.0f} GiB; rewrite the array with smaller chunks"
            )
        if self.too_many_chunks:
            raise StoreError(f"array {self.path} {self.too_many_chunks}; rewrite the array with larger chunks")


@dataclass(frozen=True)
class UnreadableArray:
    """An array whose metadata is not there or cannot be understood.

    Args:
        path: below the store's root, with "/".
        reason: what is wrong, in words.
    """

    path: str
    reason: str


def parse_array(path: str, raw: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> ArrayMetadata:
    """The metadata of the array at `path`.

    Args:
        path: below the store's root.
        raw: v3 `zarr.json` or v2 `.zarray`.
        attributes: v2 `.zattrs`.

    Raises:
        StoreError: if it is no metadata of an array on a regular grid.
    """
    try:
        array = _parse_v3(path, raw) if raw["zarr_format"] == 3 else _parse_v2(path, raw, attributes or {})
        array.object_name([0] * len(array.shape))  # its objects can be named
        return array
    except StoreError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise StoreError(f"array {path}: its Zarr metadata cannot be understood ({type(exc).__name__}: {exc})") from exc


def parse_json(content: bytes, name: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        StoreError: if it is none.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise StoreError(f"{name} is no valid JSON ({type(exc).__name__}: {exc})") from exc
    if not isinstance(value, dict):
        raise StoreError(f"{name} holds {type(value).__name__}, not a JSON object")
    return value


def _parse_v3(path: str, raw: Mapping[str, Any]) -> ArrayMetadata:
    shape = _sizes(raw["shape"], least=0)
    grid = raw["chunk_grid"]
    if grid["name"] != "regular" or raw.get("storage_transformers"):
        raise StoreError(f"array {path}: only regular chunk grids without storage transformers can be read")
    chunks, shards = _sizes(grid["configuration"]["chunk_shape"], least=1), None
    for codec in raw["codecs"]:
        if isinstance(codec, Mapping) and codec.get("name") == "sharding_indexed":
            shards, chunks = chunks, _sizes(codec["configuration"]["chunk_shape"], least=1)
    if len(chunks) != len(shape) or (shards and len(shards) != len(shape)):
        raise ValueError("its chunks have another number of dimensions than the array")
    if shards and any(s % c for s, c in zip(shards, chunks, strict=True)):
        raise ValueError("its shards are not whole numbers of inner chunks")
    kind, dtype, itemsize = _element_v3(raw["data_type"])
    names = raw.get("dimension_names") or [None] * len(shape)
    return ArrayMetadata(
        path=path,
        zarr_format=3,
        document={name: value for name, value in raw.items() if name != "attributes"},
        shape=shape,
        chunks=chunks,
        shards=shards,
        kind=kind,
        dtype=dtype,
        itemsize=itemsize,
        names=_names(names, shape),
        attributes=dict(raw.get("attributes") or {}),
    )


def _parse_v2(path: str, raw: Mapping[str, Any], attributes: Mapping[str, Any]) -> ArrayMetadata:
    shape, chunks = _sizes(raw["shape"], least=0), _sizes(raw["chunks"], least=1)
    if len(chunks) != len(shape):
        raise ValueError("its chunks have another number of dimensions than the array")
    kind: Kind = "other"
    dtype, itemsize = str(raw["dtype"]), 8
    if dtype == "|O":
        filters = [item.get("id") for item in raw.get("filters") or []]
        kind = "string" if "vlen-utf8" in filters else "other"
    elif isinstance(raw["dtype"], str):
        parsed = np.dtype(raw["dtype"])
        kind, itemsize = _kind_of(parsed), parsed.itemsize
        dtype = dtype if kind == "other" else parsed.name
    names = attributes.get("_ARRAY_DIMENSIONS") or [None] * len(shape)
    return ArrayMetadata(
        path=path,
        zarr_format=2,
        document=dict(raw),
        shape=shape,
        chunks=chunks,
        shards=None,
        kind=kind,
        dtype=dtype,
        itemsize=itemsize,
        names=_names(names, shape),
        attributes={name: value for name, value in attributes.items() if name != "_ARRAY_DIMENSIONS"},
    )


def _element_v3(data_type: Any) -> tuple[Kind, str, int]:
    if data_type in ("string", "variable_length_utf8"):
        return "string", "string", 8
    if isinstance(data_type, Mapping):
        name = str(data_type.get("name"))
        length = data_type.get("configuration", {}).get("length_bytes", 8)
        return ("string" if name == "fixed_length_utf32" else "other"), name, int(length)
    if data_type in ("float16", "float32", "float64") or str(data_type).lstrip("u").startswith("int"):
        parsed = np.dtype(data_type)
        return _kind_of(parsed), parsed.name, parsed.itemsize
    return "other", str(data_type), 8


def _kind_of(dtype: np.dtype[Any]) -> Kind:
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return "float"
    kinds: dict[str, Kind] = {"i": "int", "u": "int", "U": "string", "S": "string"}
    return kinds.get(dtype.kind, "other")


def _sizes(values: Any, least: int) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(value) is int and least <= value < 2**63 for value in values):
        raise ValueError(f"a shape is {values!r}; it must be a list of whole numbers from {least} to 2**63")
    return tuple(values)


def _names(names: Any, shape: tuple[int, ...]) -> tuple[str | None, ...]:
    if not isinstance(names, list) or len(names) != len(shape):
        raise ValueError(f"its dimensions are named {names!r}; it has {len(shape)}")
    return tuple(None if name is None else str(name) for name in names)


def _codecs(array: ArrayMetadata) -> list[Any]:
    if array.zarr_format == 3:
        return list(array.document["codecs"])
    found = [*(array.document.get("filters") or []), array.document.get("compressor")]
    return [codec for codec in found if codec is not None]


def _check_codec(path: str, codec: Any) -> None:
    if isinstance(codec, str):
        codec = {"name": codec}
    if not isinstance(codec, Mapping):
        raise StoreError(f"array {path}: {codec!r} is no codec")
    name = str(codec.get("name", codec.get("id"))).removeprefix("numcodecs.")
    if name not in ALLOWED_CODECS:
        raise StoreError(
            f"array {path}: codec {name!r} is refused, since reading it may run code or is not known to be safe; "
            "rewrite the array with zstd or blosc"
        )
    configuration = codec.get("configuration", codec)
    if not isinstance(configuration, Mapping):
        raise StoreError(f"array {path}: codec {name!r} has no valid configuration")
    for key in ("dtype", "astype", "encode_dtype", "decode_dtype"):
        if key in configuration and np.dtype(configuration[key]).kind not in "fiu":
            raise StoreError(f"array {path}: codec {name!r} turns values into {configuration[key]!r}; only numbers may")
    for key in ("codecs", "index_codecs"):
        for inner in configuration.get(key, []):
            _check_codec(path, inner)
