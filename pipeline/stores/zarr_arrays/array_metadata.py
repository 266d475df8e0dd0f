"""Metadata of one Zarr array of version 2 or 3, checked before any value is read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.errors import StoreError
from pipeline.stores.zarr_arrays.allowed_codecs import check_codec

MAX_CHUNK_BYTES = 1 << 30
MAX_INNER_CHUNKS = 1 << 22
MAX_CHUNKS = 1 << 26
"""Largest number of chunks in one array, since each takes memory. A million hours in chunks of a minute have fewer."""

ElementKind = Literal["float", "int", "string", "other"]


@dataclass(frozen=True)
class ArrayMetadata:
    """One array of a store, as its metadata describes it.

    Args:
        path: path of the array below the store's root, with "/".
        zarr_format: version of Zarr, 2 or 3.
        document: metadata document itself (v3 `zarr.json`, v2 `.zarray`), without attributes.
        shape: shape of the array.
        chunks: shape of what is decoded at once: the chunk, or the inner chunk of a shard.
        shards: shape of a shard, if the array is sharded.
        kind: kind of the elements: "float", "int" (signed or not), "string" or "other".
        dtype: name of the data type in the document, for people.
        itemsize: size of an element [bytes]; 8 for strings of any length.
        names: names of the dimensions, None for an axis without a name.
        attributes: attributes that the user gave the array.
    """

    path: str
    zarr_format: Literal[2, 3]
    document: Mapping[str, Any]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    kind: ElementKind
    dtype: str
    itemsize: int
    names: tuple[str | None, ...]
    attributes: Mapping[str, Any]

    @property
    def chunk_bytes(self) -> int:
        """Size of one decoded chunk, or inner chunk of a shard [bytes]."""
        return math.prod(self.chunks) * self.itemsize

    @property
    def object_shape(self) -> tuple[int, ...]:
        """Shape of the part that one stored object holds: the shard, or the chunk."""
        return self.shards or self.chunks

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks (inner chunks of shards) along each axis."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))

    @property
    def too_many_chunks(self) -> str | None:
        """What is wrong with an array that has too many chunks to examine each of them, for messages; else None."""
        if (count := math.prod(self.grid)) > MAX_CHUNKS:
            return f"{list(self.shape)} has {count} chunks, more than {MAX_CHUNKS}"
        if (count := math.prod(self.object_shape) // math.prod(self.chunks)) > MAX_INNER_CHUNKS:
            return f"has {count} inner chunks in a shard, more than {MAX_INNER_CHUNKS}"
        return None

    def object_name(self, coordinates: Sequence[int]) -> str:
        """Path of an object below the store's root, by its coordinates in the grid of stored objects."""
        prefix, separator = self._key_encoding()
        return f"{self.path}/{prefix}{separator.join(map(str, coordinates))}"

    def object_coordinates(self, name: str) -> tuple[int, ...] | None:
        """Coordinates of an object, by its path below the array; None if no object has this path."""
        prefix, separator = self._key_encoding()
        parts = name.removeprefix(prefix).split(separator) if name.startswith(prefix) else []
        if len(parts) != len(self.shape) or not all(part.isascii() and part.isdigit() for part in parts):
            return None
        return tuple(map(int, parts))

    def chunk_name(self, coordinates: Sequence[int]) -> str:
        """Name of a chunk in messages: its object, and for an inner chunk also its coordinates in the array."""
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
        """Refuses codecs that are not on the list, and chunks that are too large or too many. Call it before any read.

        Raises:
            StoreError: naming the array and what is wrong with it.
        """
        try:
            codecs = _codecs(self)
            for codec in codecs:
                check_codec(self.path, codec)
        except (KeyError, TypeError, ValueError, RecursionError) as exc:
            what = f"its codecs cannot be understood ({type(exc).__name__}: {exc})"
            raise StoreError(f"array {self.path}: {what}") from exc
        within = self.object_shape if self.shards is not None and len(codecs) > 1 else self.chunks
        if (size := math.prod(within) * self.itemsize) > MAX_CHUNK_BYTES:
            raise StoreError(
                f"array {self.path}: a chunk of {'x'.join(map(str, within))} takes {size / 2**30:.2f} GiB of memory; "
                f"at most {MAX_CHUNK_BYTES / 2**30:.0f} GiB is allowed; rewrite the array with smaller chunks"
            )
        if self.too_many_chunks:
            raise StoreError(f"array {self.path} {self.too_many_chunks}; rewrite the array with larger chunks")


@dataclass(frozen=True)
class UnreadableArray:
    """An array whose metadata is not there or cannot be understood.

    Args:
        path: path of the array below the store's root, with "/".
        reason: text that says what is wrong.
    """

    path: str
    reason: str


def parse_array(path: str, raw: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> ArrayMetadata:
    """The metadata of the array at `path`.

    Args:
        path: path of the array below the store's root.
        raw: content of `zarr.json` (v3) or `.zarray` (v2).
        attributes: content of `.zattrs` (v2).

    Raises:
        StoreError: if the metadata is not valid, or not that of an array on a regular grid.
    """
    try:
        array = _parse_v3(path, raw) if raw["zarr_format"] == 3 else _parse_v2(path, raw, attributes or {})
        array.object_name([0] * len(array.shape))  # fails if its objects cannot be named
        return array
    except StoreError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise StoreError(f"array {path}: its Zarr metadata cannot be understood ({type(exc).__name__}: {exc})") from exc


def parse_json(content: bytes, name: str) -> dict[str, Any]:
    """The JSON object in a document.

    Args:
        content: bytes of the document.
        name: name of the document, for messages.

    Raises:
        StoreError: if the document is not a valid JSON object.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise StoreError(f"{name} is not valid JSON ({type(exc).__name__}: {exc})") from exc
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
        raise ValueError("its chunks do not have as many dimensions as the array")
    if shards and any(s % c for s, c in zip(shards, chunks, strict=True)):
        raise ValueError("its shards do not hold a whole number of inner chunks along each axis")
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
        raise ValueError("its chunks do not have as many dimensions as the array")
    kind: ElementKind = "other"
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


def _element_v3(data_type: Any) -> tuple[ElementKind, str, int]:
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


def _kind_of(dtype: np.dtype[Any]) -> ElementKind:
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return "float"
    kinds: dict[str, ElementKind] = {"i": "int", "u": "int", "U": "string", "S": "string"}
    return kinds.get(dtype.kind, "other")


def _sizes(values: Any, least: int) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(value) is int and least <= value < 2**63 for value in values):
        raise ValueError(f"a shape is {values!r}; it must be a list of whole numbers from {least} to 2**63")
    return tuple(values)


def _names(names: Any, shape: tuple[int, ...]) -> tuple[str | None, ...]:
    if not isinstance(names, list) or len(names) != len(shape):
        raise ValueError(f"its dimension names are {names!r}; it has {len(shape)} dimensions")
    return tuple(None if name is None else str(name) for name in names)


def _codecs(array: ArrayMetadata) -> list[Any]:
    if array.zarr_format == 3:
        return list(array.document["codecs"])
    found = [*(array.document.get("filters") or []), array.document.get("compressor")]
    return [codec for codec in found if codec is not None]
