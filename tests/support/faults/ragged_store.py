"""Small ragged stores, written and changed at once, without the processes that packing takes."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from support.corpora import SPEC

from pipeline.stores.digests import MelDigest, digest_column

Mels = Mapping[str, NDArray[np.float32]]
"""Key -> mel, `[n_mels, frames] float32`."""


def digest_of(mel: NDArray[np.float32]) -> bytes:
    """The digest that a ragged store keeps of a mel."""
    digest = MelDigest()
    digest.push(mel.T)
    return digest.finish()


def write_store(path: Path, mels: Mels, chunk_frames: int = 64) -> Path:
    """A ragged store of these mels in place of what is there."""
    shutil.rmtree(path, ignore_errors=True)
    attributes = {"melmill": {"layout": "ragged", "version": 1, "mel": SPEC.to_dict()}}
    group = zarr.create_group(str(path), attributes=attributes)
    rows = np.concatenate([mel.T for mel in mels.values()])
    group.create_array("mel", data=rows, chunks=(chunk_frames, SPEC.n_mels), fill_value=np.nan)
    group.create_array("offsets", data=np.cumsum([0, *(mel.shape[1] for mel in mels.values())], dtype=np.int64))
    keys = group.create_array("keys", shape=(len(mels),), dtype=str)
    keys[:] = np.array(list(mels), np.dtypes.StringDType())
    group.create_array("digests", data=digest_column([digest_of(mel) for mel in mels.values()]))
    return path


def lose_chunk(store: Path, index: int) -> None:
    """Delete a chunk of the mels."""
    (store / "mel" / "c" / str(index) / "0").unlink()
