import gc
import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from support import no_deadline as no_deadline
from support.corpora import SPEC, tiny_vocoder
from support.hifigans import small_hifigan
from support.packs import pack_npy
from support.paths import PROMPTS
from support.terminals import DECIDES

from pipeline import redaction
from pipeline.config import JobConfig
from pipeline.dsp.mel import log_mel

_TESTS = Path(__file__).parent
LANES = {
    "extras": [
        "workshop/training",
        "quality",
        "vocoders/extras",
        "cluster/extras",
        "output/extras",
        "config/extras",
        "views/extras",
    ],
    "peers": ["peers"],
    "readers": ["readers"],
    "s3": ["s3"],
    "slurm": ["slurm"],
    "netns": ["netns"],
    "cuda": ["cuda"],
    "aarch64": ["aarch64"],
    "browser": ["browser"],
    "dist": ["dist"],
    "container": ["container"],
}
"""Lane, which is also the marker of its tests -> its folders. The folders of other lanes are not even imported."""


@cache
def _lane(path: Path) -> str | None:
    """The lane of a folder or file of the tests; None for `make test`."""
    folders = {each.relative_to(_TESTS).as_posix() for each in (path, *path.parents) if _TESTS in each.parents}
    return next((lane for lane, ours in LANES.items() if folders.intersection(ours)), None)


def pytest_configure(config: pytest.Config) -> None:
    """Warnings of the readers are no errors: they leave files open, and use what others call deprecated."""
    if config.getoption("-m") == "readers":
        config.addinivalue_line("filterwarnings", "ignore")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out every lane except the one that `-m` names."""
    chosen, lane = config.getoption("-m") or None, _lane(collection_path)
    if chosen not in (None, *LANES):
        raise pytest.UsageError(f"-m {chosen}: it takes one lane, {', '.join(LANES)}")
    of_another_lane = lane != chosen if collection_path.is_file() else lane not in (None, chosen)
    return of_another_lane or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its lane."""
    for item in items:
        if (lane := _lane(item.path)) is not None:
            item.add_marker(lane)


def pytest_collection_finish() -> None:
    """Take what is there now, half a million objects, out of the collection of garbage: each would walk over them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this test run's converted checkpoints and compiled code, kept apart from the user's.

    All of pytest-xdist's processes share it, as processes of one machine do. Tests of what is kept have their own.
    """
    base = tmp_path_factory.getbasetemp()  # of this process
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    folder.mkdir(exist_ok=True)
    os.environ["MELMILL_CACHE"] = str(folder)
    return folder


@pytest.fixture(autouse=True, scope="session")
def _of_no_terminal() -> Iterator[None]:
    """What this terminal is, or that a CI runs the tests, decides nothing: those that need a terminal say which."""
    with pytest.MonkeyPatch.context() as patch:
        for name in DECIDES:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def _nothing_synced() -> Iterator[None]:
    """No test loses power, so nothing waits for the disk: a third of the time of all tests. Processes that tests start
    still sync; tests of syncing, and of power that is lost, see each call.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # which fails for the same descriptors
        yield


@pytest.fixture(autouse=True)
def _nothing_concealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that one test has melmill conceal are not hidden in the next, which may look for them."""
    monkeypatch.setattr(redaction, "_concealed", set())


@pytest.fixture(scope="session")
def vocoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small HiFi-GAN with random weights: a real vocoder, a hundred times faster than V1; what it says is noise."""
    return tiny_vocoder(tmp_path_factory.mktemp("vocoder") / "tiny.onnx")


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Another vocoder: the tiny one with other weights."""
    return str(tiny_vocoder(tmp_path_factory.mktemp("other") / "other.onnx", seed=1))


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .onnx of a small random HiFi-GAN with odd kernels: 20 bands, hop 16."""
    return small_hifigan(tmp_path_factory.mktemp("small") / "small.onnx")


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
