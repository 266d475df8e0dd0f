"""Blocks of frames, one in each lane: `[blocks, rows, LANES]`, a row for each band or bin.

The number of lanes is the same for every target; where vectors are shorter, a value is several of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.buffers import aligned

LANES = 16
"""Number of frames in a block: of float32 in the longest vectors that processors have."""


def blocks_of(frames: int) -> int:
    """Number of blocks that hold a number of frames."""
    return -(-frames // LANES)


def to_blocks(rows: NDArray[np.float32], before: int = 0) -> NDArray[np.float32]:
    """Rows `[rows, frames] float32` as blocks; zeros in `before` frames in front, and after the last frame."""
    count, frames = rows.shape
    blocks = aligned((blocks_of(before + frames), count, LANES))
    padded = np.pad(rows, ((0, 0), (before, len(blocks) * LANES - before - frames)))
    blocks[:] = padded.reshape(count, len(blocks), LANES).transpose(1, 0, 2)
    return blocks


def from_blocks(blocks: NDArray[np.float32], frames: int, before: int = 0) -> NDArray[np.float32]:
    """The inverse of `to_blocks`: `[rows, frames] float32`."""
    return blocks.transpose(1, 0, 2).reshape(blocks.shape[1], -1)[:, before : before + frames]
