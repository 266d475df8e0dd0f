import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline.config import JobConfig
from pipeline.dsp.mel import log_mel
from pipeline.melspec import PRESETS
from pipeline.stores.pack import pack_npy
from pipeline.vocoders.checkpoints.hifigan import build_hifigan
from pipeline.vocoders.checkpoints.hifigan_layers import HifiganConfig, generator

PROMPTS = Path(__file__).parent / "data" / "prompts"
SPEC = PRESETS["hifigan-22k"]

TINY = HifiganConfig(
    resblock="2", upsample_rates=(8, 8, 4), upsample_kernel_sizes=(16, 16, 8), upsample_initial_channel=16,
    resblock_kernel_sizes=(3,), resblock_dilation_sizes=((1, 2),), num_mels=80, sampling_rate=22050, n_fft=1024,
    hop_size=256, win_size=1024, fmin=0.0, fmax=8000.0,
)  # fmt: skip


@pytest.fixture(autouse=True, scope="session")
def _cache_of_models(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Converted checkpoints of the test run, kept apart from the user's."""
    os.environ["MELMILL_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def vocoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small HiFi-GAN with random weights: a real vocoder, a hundred times faster than V1; what it says is noise."""
    return tiny_vocoder(tmp_path_factory.mktemp("vocoder") / "tiny.onnx")


def tiny_vocoder(path: Path, seed: int = 0, config: HifiganConfig = TINY) -> Path:
    rng = np.random.default_rng(seed)
    state = {}
    for layer in generator(config).layers():
        state[f"{layer.name}.weight"] = rng.normal(0, 0.05, layer.weight_shape).astype(np.float32)
        state[f"{layer.name}.bias"] = rng.normal(0, 0.05, layer.outputs).astype(np.float32)
    path.write_bytes(build_hifigan(state, config, "0" * 64).SerializeToString(deterministic=True))
    return path


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


def without_run(row: dict[str, Any]) -> dict[str, Any]:
    """A manifest row without what names the machine's folders."""
    return {**row, "source": {key: value for key, value in row["source"].items() if key != "store"}}
