"""Stores for the reading tests, made by zarr itself as people make them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline.melspec import MelSpec, preset

N_MELS = 20
SPEC: MelSpec = dataclasses.replace(preset("hifigan-22k"), n_mels=N_MELS)
LENGTHS = {"a": 37, "b/c": 64, "ünï": 5, "d": 101}
Mels = dict[str, NDArray[np.float32]]


def random_mel(frames: int, seed: int = 0) -> NDArray[np.float32]:
    """`[N_MELS, frames] float32` with values that float16 holds exactly."""
    values = np.random.default_rng(seed).uniform(-11, 1, (N_MELS, frames))
    return values.astype(np.float16).astype(np.float32)


def some_mels() -> Mels:
    return {key: random_mel(frames, seed) for seed, (key, frames) in enumerate(LENGTHS.items())}


def open_group(url: str | Path, zarr_format: int) -> zarr.Group:
    return zarr.open_group(str(url), mode="w", zarr_format=zarr_format)  # type: ignore[arg-type]


def make_grouped(
    url: str | Path,
    mels: Mapping[str, NDArray[Any]],
    zarr_format: int = 3,
    frames_first: bool = False,
    dtype: str = "float32",
    names: tuple[str, str] | None = None,
    chunk: int = 16,
    shards: bool = False,
    **options: Any,
) -> None:
    group = open_group(url, zarr_format)
    for key, mel in mels.items():
        values = (mel.T if frames_first else mel).astype(dtype)
        width = values.shape[1] if frames_first else values.shape[0]
        chunks = (chunk, width) if frames_first else (width, chunk)
        more = dict(options)
        if shards:
            more["shards"] = tuple(4 * size if size == chunk else size for size in chunks)
        if names and zarr_format == 3:
            more["dimension_names"] = names
        array = group.create_array(key, shape=values.shape, chunks=chunks, dtype=dtype, **more)
        array[...] = values
        if names and zarr_format == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = list(names)


def make_padded(
    url: str | Path,
    mels: Mapping[str, NDArray[Any]],
    zarr_format: int = 3,
    frames_first: bool = False,
    dtype: str = "float32",
    shards: bool = False,
    lengths: list[int] | None = None,
    keys: list[str] | None = None,
    names: tuple[str, str, str] | None = None,
    longest: int | None = None,
    **options: Any,
) -> None:
    group = open_group(url, zarr_format)
    longest = longest or max(mel.shape[1] for mel in mels.values())
    values = np.zeros((len(mels), next(iter(mels.values())).shape[0], longest), dtype)
    for item, mel in enumerate(mels.values()):
        values[item, :, : mel.shape[1]] = mel
    values = values.transpose(0, 2, 1) if frames_first else values
    chunks = (2, 16, values.shape[2]) if frames_first else (2, values.shape[1], 16)
    more = dict(options)
    if shards:
        more["shards"] = tuple(4 * size if size in (2, 16) else size for size in chunks)
    if names and zarr_format == 3:
        more["dimension_names"] = names
    array = group.create_array("mel", shape=values.shape, chunks=chunks, dtype=dtype, **more)
    array[...] = values
    if names and zarr_format == 2:
        array.attrs["_ARRAY_DIMENSIONS"] = list(names)
    column = np.array(lengths if lengths is not None else [mel.shape[1] for mel in mels.values()], np.int32)
    group.create_array("lengths", data=column)
    named = group.create_array("keys", shape=(len(mels),), dtype=str)
    named[...] = np.array(keys if keys is not None else list(mels), np.dtypes.StringDType())


def make_ragged(
    url: str | Path,
    mels: Mapping[str, NDArray[Any]],
    zarr_format: int = 3,
    dtype: str = "float32",
    shards: bool = False,
    keys: list[str] | None = None,
    offsets: list[int] | None = None,
    meta: list[str] | None = None,
    attributes: dict[str, Any] | None = None,
    **options: Any,
) -> zarr.Array[Any]:
    group = open_group(url, zarr_format)
    ours: dict[str, Any] = {"layout": "ragged", "version": 1, "mel": SPEC.to_dict()}
    group.attrs["melmill"] = ours if attributes is None else attributes
    rows = np.concatenate([mel.T for mel in mels.values()]).astype(dtype)
    more: dict[str, Any] = dict(options)
    if shards:
        more["shards"] = (64, N_MELS)
    array: zarr.Array[Any] = group.create_array(
        "mel", shape=rows.shape, chunks=(16, N_MELS), dtype=dtype, fill_value=np.nan, **more
    )
    array[...] = rows
    bounds = np.cumsum([0] + [mel.shape[1] for mel in mels.values()])
    group.create_array("offsets", data=np.array(offsets if offsets is not None else bounds, np.int64))
    named = group.create_array("keys", shape=(len(mels),), dtype=str)
    named[...] = np.array(keys if keys is not None else list(mels), np.dtypes.StringDType())
    digests = np.arange(16 * len(mels)).astype(np.uint8).reshape(-1, 16) + 1
    group.create_array("digests", data=digests, config={"write_empty_chunks": True})
    if meta is not None:
        told = group.create_array("meta", shape=(len(mels),), dtype=str)
        told[...] = np.array(meta, np.dtypes.StringDType())
    return array


MAKERS: dict[str, Callable[..., Any]] = {"ragged": make_ragged, "grouped": make_grouped, "padded": make_padded}
