"""What the vocoder tests share: a real mel, and a small random generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.paths import REFERENCE

from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.onnx_vocoder import OnnxVocoder


@pytest.fixture
def mel() -> NDArray[np.float32]:
    """A real mel, [80, 246]."""
    with np.load(REFERENCE / "fr_CA_f_June__queue-youarenext.npz") as arrays:
        found: NDArray[np.float32] = arrays["mel"]
    return found


@pytest.fixture
def small(small_model: Path) -> OnnxVocoder:
    return OnnxVocoder(OnnxModel(small_model))
