"""The small corpus in every layout that is read, with checksums on every chunk."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numcodecs
import numpy as np
import zarr
from numpy.typing import NDArray
from support.corpora import SPEC
from support.packs import pack_npy
from zarr.codecs import Crc32cCodec, ZstdCodec

from pipeline.pack import writer

CHUNK = 16
"""Frames of a chunk, or an inner chunk of a shard."""
SHARD = 64
"""Frames of a shard."""
ITEMS = 2
"""Items of a padded store in one chunk."""

Mels = Mapping[str, NDArray[np.float32]]


def load_mels(folder: Path) -> dict[str, NDArray[np.float32]]:
    """`[n_mels, frames] float32` by key, as pack names and orders them."""
    return {path.stem: np.load(path) for path in sorted(folder.glob("*.npy"))}


def ragged(path: Path, folder: Path) -> None:
    """As pack writes it, but in small shards of small chunks."""
    with patch.multiple(writer, SHARD_FRAMES=2 * SHARD, CHUNK_FRAMES=CHUNK):
        pack_npy(str(folder), str(path), SPEC, workers=1)


def grouped(path: Path, folder: Path, zarr_format: int = 3, shards: bool = False) -> None:
    """One array `[n_mels, frames]` an utterance."""
    group = _group(path, zarr_format)
    for key, mel in load_mels(folder).items():
        more = {"shards": (len(mel), SHARD)} if shards else {}
        _array(group, key, mel, (len(mel), CHUNK), ("mel", "frame"), **more)


def padded(path: Path, folder: Path, zarr_format: int = 3, shards: bool = False) -> None:
    """One array `[items, n_mels, frames]`, lengths and keys."""
    group = _group(path, zarr_format)
    mels = load_mels(folder)
    width, longest = SPEC.n_mels, max(mel.shape[1] for mel in mels.values())
    values = np.zeros((len(mels), width, longest), np.float32)
    for item, mel in enumerate(mels.values()):
        values[item, :, : mel.shape[1]] = mel
    more = {"shards": (2 * ITEMS, width, SHARD)} if shards else {}
    _array(group, "mel", values, (ITEMS, width, CHUNK), ("item", "mel", "frame"), **more)
    lengths = np.array([mel.shape[1] for mel in mels.values()], np.int32)
    _array(group, "lengths", lengths, lengths.shape, ("item",))
    _array(group, "keys", np.array(list(mels), np.dtypes.StringDType()), lengths.shape, ("item",))


def _group(path: Path, zarr_format: int) -> zarr.Group:
    attributes = {"melmill": {"mel": SPEC.to_dict()}}
    return zarr.open_group(str(path), mode="w", zarr_format=zarr_format, attributes=attributes)  # type: ignore[arg-type]


def _array(
    group: zarr.Group, name: str, values: NDArray[Any], chunks: tuple[int, ...], names: tuple[str, ...], **more: Any
) -> None:
    if group.metadata.zarr_format == 3:
        more |= {"compressors": [ZstdCodec(level=1), Crc32cCodec()], "dimension_names": names}
    else:  # one compressor alone: that which checks
        more |= {"compressors": numcodecs.CRC32(), "attributes": {"_ARRAY_DIMENSIONS": list(names)}}
    dtype: Any = str if values.dtype.kind == "T" else values.dtype
    array = group.create_array(name, shape=values.shape, chunks=chunks, dtype=dtype, **more)
    array[...] = values


def consolidated(path: Path, folder: Path) -> None:
    """With all metadata in one document too, as Zarr v2 has it."""
    grouped(path, folder, zarr_format=2)
    zarr.consolidate_metadata(str(path), zarr_format=2)


MAKERS: dict[str, Callable[[Path, Path], None]] = {
    "ragged": ragged,
    "grouped": grouped,
    "grouped, sharded": lambda path, folder: grouped(path, folder, shards=True),
    "grouped, Zarr v2": lambda path, folder: grouped(path, folder, zarr_format=2),
    "grouped, consolidated": consolidated,
    "padded": padded,
    "padded, sharded": lambda path, folder: padded(path, folder, shards=True),
    "padded, Zarr v2": lambda path, folder: padded(path, folder, zarr_format=2),
}
