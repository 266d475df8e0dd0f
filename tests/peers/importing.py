"""Imports a checkpoint as `melmill vocoder import` does, and decodes with what came of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from pipeline.torch_file import read_torch_file
from pipeline.vocoders import Vocoder, load_vocoder
from pipeline.vocoders.checkpoints.families import Settings, recognize
from pipeline.vocoders.windows import decode_windows


def imported(checkpoint: Path, config: Path) -> Vocoder:
    content = read_torch_file(checkpoint)
    state = content.get("generator", content)
    text = config.read_text()
    values = json.loads(text) if config.suffix == ".json" else yaml.safe_load(text)
    family = recognize(state, str(checkpoint))
    model = family.build(state, Settings(values, config.name), None, "0" * 64).SerializeToString(deterministic=True)
    # A name of its own: load_vocoder knows a path that it has loaded.
    path = checkpoint.with_name(f"{family.name}-{hashlib.sha256(model).hexdigest()[:16]}.onnx")
    path.write_bytes(model)
    return load_vocoder(str(path), threads=2)


class WithHalo:
    """A vocoder that claims another halo."""

    def __init__(self, vocoder: Vocoder, left: int, right: int) -> None:
        self.name, self.spec, self.samples, self.decode = vocoder.name, vocoder.spec, vocoder.samples, vocoder.decode
        self.halo = vocoder.halo[0] + left, vocoder.halo[1] + right


def window_error(vocoder: Vocoder, mel: NDArray[np.float32], window: int, left: int = 0, right: int = 0) -> float:
    """Largest difference of the windows' samples from those of the whole, relative to the peak, with a halo of some
    frames more."""
    whole = vocoder.decode(mel)
    claimed = WithHalo(vocoder, left, right)
    pieces = decode_windows(claimed, lambda start, stop: mel[:, start:stop], mel.shape[1], window)
    return float(np.abs(np.concatenate(list(pieces)) - whole).max() / np.abs(whole).max())
