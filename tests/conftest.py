import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from corpora import PROMPTS, SPEC, tiny_vocoder
from hypothesis import settings

from pipeline import errors
from pipeline.config import JobConfig
from pipeline.dsp.mel import log_mel
from pipeline.stores.pack import pack_npy

settings.register_profile("melmill", deadline=None)  # a busy machine is no failure
settings.load_profile("melmill")


@pytest.fixture(autouse=True, scope="session")
def _cache_of_models(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Converted checkpoints of the test run, kept apart from the user's."""
    os.environ["MELMILL_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _nothing_concealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that one test has melmill conceal are not hidden in the next, which may look for them."""
    monkeypatch.setattr(errors, "_concealed", set())


@pytest.fixture(scope="session")
def vocoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small HiFi-GAN with random weights: a real vocoder, a hundred times faster than V1; what it says is noise."""
    return tiny_vocoder(tmp_path_factory.mktemp("vocoder") / "tiny.onnx")


@pytest.fixture(scope="session")
def mels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of .npy mels of the 24 prompts, the audio taken as if it were at the mels' rate."""
    folder = tmp_path_factory.mktemp("mels")
    for path in sorted(PROMPTS.glob("*/*.flac")):
        target = folder / path.relative_to(PROMPTS).with_suffix(".npy")
        target.parent.mkdir(exist_ok=True)
        np.save(target, log_mel(soundfile.read(path, dtype="float32")[0], SPEC))
    return folder


@pytest.fixture(scope="session")
def packed(mels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prompts' mels as a ragged store. Not to be changed: see `store`."""
    path = tmp_path_factory.mktemp("store") / "mels.zarr"
    pack_npy(str(mels), str(path), SPEC, workers=1)
    return path


@pytest.fixture
def store(packed: Path, tmp_path: Path) -> Path:
    """A copy of the prompts' store that a test may damage."""
    return Path(shutil.copytree(packed, tmp_path / "mels.zarr"))


@pytest.fixture
def job(store: Path, vocoder_path: Path, tmp_path: Path) -> Callable[..., JobConfig]:
    """A job on the prompts' store with the tiny vocoder, in this process; keywords like `output__codec="wav"`."""

    def build(**settings: Any) -> JobConfig:
        values: dict[str, dict[str, Any]] = {
            "input": {"store": str(store)},
            "vocoder": {"name": str(vocoder_path)},
            "output": {"url": str(tmp_path / "audio"), "shard_seconds": 10},
            "cluster": {"kind": "synchronous"},
        }
        for name, value in settings.items():
            section, key = name.split("__")
            values.setdefault(section, {})[key] = value
        return JobConfig.build(values)

    return build
