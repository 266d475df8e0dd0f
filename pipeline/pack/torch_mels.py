"""Mels that `torch.save` wrote, read without torch and without running code from the files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CheckpointError
from pipeline.melspec import MelSpec
from pipeline.pack.matrices import MAX_WHOLE_BYTES, Axis, matrix_corpus, mel_name
from pipeline.pack.sources import Corpus, SourceError, list_sources
from pipeline.tensor_files import read_torch_file

TORCH_EXTENSIONS = frozenset({"pt", "pth"})


def torch_corpus(folder: str, spec: MelSpec, axis: Axis = "auto") -> Corpus:
    """The .pt and .pth mels below a folder: each file holds a tensor, or a dict in which one tensor is the mel.

    Args:
        folder: folder with one mel per file.
        spec: mel contract that the mels have.
        axis: axis of a mel that comes first, as in `matrix_corpus`.

    Raises:
        ConfigError, StorageError: as `list_sources` and `matrix_corpus`.
    """
    return matrix_corpus(list_sources(folder, TORCH_EXTENSIONS, ".pt and .pth"), _open, spec, "torch", axis)


@contextmanager
def _open(path: str) -> Iterator[NDArray[Any]]:
    try:
        value = read_torch_file(Path(path), MAX_WHOLE_BYTES)
    except CheckpointError as exc:
        raise SourceError(str(exc)) from exc
    mel = _mel_of(value) if isinstance(value, dict) else value
    if not isinstance(mel, np.ndarray):
        raise SourceError(f"it holds {type(mel).__name__}; a mel must be a tensor")
    yield mel


def _mel_of(value: dict[Any, Any]) -> Any:
    tensors = {name: each for name, each in value.items() if isinstance(each, np.ndarray)}
    return tensors[mel_name(tensors, "tensor", [f"{name} {list(each.shape)}" for name, each in tensors.items()])]
