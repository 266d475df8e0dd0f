"""Writes a ragged store: the shards in order, each durable before the next one, then all other arrays."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import LocalStore, MemoryStore

from pipeline.melspec import MelSpec
from pipeline.storage.atomic import atomic_write, sync
from pipeline.stores.digests import digest_column
from pipeline.stores.root_attributes import ragged_attributes

SHARD_FRAMES = 65536
CHUNK_FRAMES = 1024
_COLUMN_ITEMS = 65536


class ShardWriter:
    """Cuts rows into shards of `SHARD_FRAMES` frames and writes each as the object that Zarr expects.

    Args:
        store: folder of the store.
        n_mels: number of values in a row.
        shards: number of shards that are already there.
        on_shard: callback that is given the number of shards whenever one more is durable.
    """

    def __init__(self, store: Path, n_mels: int, shards: int, on_shard: Callable[[int], None]) -> None:
        self._folder = store / "mel" / "c"
        self._buffer = np.empty((SHARD_FRAMES, n_mels), np.float32)
        self._filled = 0
        self._shards = shards
        self._on_shard = on_shard

    @property
    def rows(self) -> int:
        """Number of rows taken so far, with those of the shards that were already there."""
        return self._shards * SHARD_FRAMES + self._filled

    def append(self, rows: NDArray[np.float32]) -> None:
        """Adds rows `[frames, n_mels] float32`."""
        while len(rows):
            taken = rows[: SHARD_FRAMES - self._filled]
            self._buffer[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            rows = rows[len(taken) :]
            if self._filled == SHARD_FRAMES:
                self._write()
                self._on_shard(self._shards)

    def finish(self) -> None:
        """Writes the remaining rows."""
        if self._filled:
            self._write()

    def _write(self) -> None:
        folder = self._folder / str(self._shards)
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(folder / "0", _encode_shard(self._buffer[: self._filled]))
        self._shards, self._filled = self._shards + 1, 0


def _encode_shard(rows: NDArray[np.float32]) -> bytes:
    objects: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(objects), zarr_format=3)
    _create_mel(group, *rows.shape)[...] = rows
    return bytes(objects["mel/c/0/0"].to_bytes())


def _create_mel(group: zarr.Group, frames: int, n_mels: int) -> zarr.Array[Any]:
    return group.create_array(
        "mel",
        shape=(frames, n_mels),
        chunks=(CHUNK_FRAMES, n_mels),
        shards=(SHARD_FRAMES, n_mels),
        dtype="float32",
        fill_value=float("nan"),
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
        dimension_names=("frame", "mel"),
        config={"write_empty_chunks": True},
    )


def write_metadata(
    store: Path, spec: MelSpec, keys: list[str], frames: list[int], digests: list[bytes], metas: list[str]
) -> None:
    """Writes all of the store except its shards, durably. Parts that an interrupted attempt left are removed first.

    Args:
        store: folder of the store, which already has the shards.
        spec: mel contract of the store.
        keys, frames, digests: key, length [frames] and digest of each utterance, in the order of their rows.
        metas: metadata of each utterance, a JSON object or "". If all are "", the store gets no array `meta`.
    """
    for path in [*store.glob("*"), *store.glob("mel/*")]:
        if path.name not in ("mel", "c"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    group = zarr.create_group(LocalStore(store), zarr_format=3, attributes=ragged_attributes(spec))
    _create_mel(group, sum(frames), spec.n_mels)
    _write_column(group, "offsets", np.concatenate([[0], np.cumsum(frames, dtype=np.int64)]))
    _write_column(group, "keys", np.array(keys, np.dtypes.StringDType()))
    _write_column(group, "digests", digest_column(digests))
    if any(metas):
        _write_column(group, "meta", np.array(metas, np.dtypes.StringDType()))
    for path in store.rglob("*"):
        if path.is_dir() or "mel/c/" not in path.as_posix():
            sync(path)
    sync(store)


def _write_column(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    dtype: Any = str if values.dtype.kind == "T" else values.dtype
    chunks = (_COLUMN_ITEMS, *values.shape[1:])
    codecs = [ZstdCodec(level=1), Crc32cCodec()]
    config: Any = {"write_empty_chunks": True}
    array = group.create_array(name, shape=values.shape, chunks=chunks, dtype=dtype, compressors=codecs, config=config)
    array[...] = values


def write_durably(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, and on the disk when this returns."""
    with atomic_write(path, beside=path.with_name(path.name + ".new")) as file:
        file.write(content)
    sync(path.parent.parent)
