"""A corpus small enough to be converted hundreds of times, and what a run without faults makes of it."""

import functools
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.corpora import SPEC, digests
from support.faults.invariant import Reference
from support.faults.places import ON_S3, ObjectPath, Place
from support.packs import pack_npy

from pipeline.config import JobConfig
from pipeline.jobs.run import run
from pipeline.stores import open_store

UTTERANCES = 12
SHARD_SECONDS = 1.0
FEW = 4
FEW_SHARD_SECONDS = 0.6


@pytest.fixture(autouse=True, scope="session")
def _object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The server that the outputs lie in, if they are to lie in one; clients find it in the environment."""
    if not ON_S3:
        yield
        return
    from support.s3_server import KEY, SECRET, serving

    with serving(tmp_path_factory.mktemp("seaweedfs") / "server") as server:
        os.environ |= {"AWS_ENDPOINT_URL": server.endpoint, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        yield


@pytest.fixture(scope="session")
def new_place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Gives a folder for outputs that nobody has used, as often as it is called."""
    if ON_S3:
        return lambda: ObjectPath(f"s3://corpus/{uuid.uuid4().hex}")
    return lambda: tmp_path_factory.mktemp("outputs")


@pytest.fixture
def outputs(tmp_path: Path, new_place: Callable[[], Place]) -> Place:
    """A folder for the outputs of a test."""
    return new_place() if ON_S3 else tmp_path


@pytest.fixture(scope="session")
def small_mels(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pieces of real speech of 25 to 47 frames as .npy."""
    folder = tmp_path_factory.mktemp("small-mels")
    store = open_store(str(packed))
    for index, utterance in enumerate(list(store.catalogue())[:UTTERANCES]):
        np.save(folder / f"piece-{index:02d}.npy", store.read(utterance, 20, 45 + 2 * index))
    return folder


@pytest.fixture(scope="session")
def small_store(small_mels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those as a ragged store, four shards of a second and more. Not to be changed: copy it."""
    path = tmp_path_factory.mktemp("small-store") / "mels.zarr"
    pack_npy(str(small_mels), str(path), SPEC, workers=1)
    return path


@pytest.fixture(scope="session")
def few_store(small_mels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four of them, of which shards of 0.6 s are two: for faults at every single operation of a run."""
    folder = tmp_path_factory.mktemp("few")
    (folder / "mels").mkdir()
    for path in sorted(small_mels.iterdir())[:FEW]:
        shutil.copy(path, folder / "mels")
    pack_npy(str(folder / "mels"), str(folder / "mels.zarr"), SPEC, workers=1)
    return folder / "mels.zarr"


def small_job_of(store: Path, vocoder: Path, out: Place, **settings: Any) -> JobConfig:
    """A job in this process; keywords like `output__codec="wav"`."""
    values: dict[str, dict[str, Any]] = {
        "input": {"store": str(store)},
        "vocoder": {"name": str(vocoder)},
        "output": {"url": str(out), "shard_seconds": SHARD_SECONDS},
        "cluster": {"kind": "synchronous"},
    }
    for name, value in settings.items():
        section, key = name.split("__")
        values.setdefault(section, {})[key] = value
    return JobConfig.build(values)


@pytest.fixture
def small_job(small_store: Path, vocoder_path: Path, outputs: Place) -> Callable[..., JobConfig]:
    """A job on the small store with the tiny vocoder; see `small_job_of`."""
    return functools.partial(small_job_of, small_store, vocoder_path, outputs / "audio")


@pytest.fixture(scope="session")
def reference(small_store: Path, vocoder_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """What a run of the small job without faults gives."""
    out = tmp_path_factory.mktemp("reference") / "audio"
    run(small_job_of(small_store, vocoder_path, out))
    return Reference(digests(out))


@pytest.fixture
def fast_path(tmp_path: Path, new_place: Callable[[], Place]) -> Iterator[Place]:
    """Like `outputs`, in memory where that can be had: a run of the few spends half its time on fsync."""
    memory = Path("/dev/shm")
    if ON_S3:
        yield new_place()
        return
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="melmill-faults-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def few_job(small_job: Callable[..., JobConfig], few_store: Path) -> Callable[..., JobConfig]:
    """A job on the few utterances, otherwise the small one."""

    def build(**settings: Any) -> JobConfig:
        few = {"input__store": str(few_store), "output__shard_seconds": FEW_SHARD_SECONDS}
        return small_job(**{**few, **settings})

    return build


@pytest.fixture(scope="session")
def few_reference(reference: Reference) -> Reference:
    """What a run of the few without faults gives: the same, since samples do not depend on the corpus."""
    return Reference(dict(sorted(reference.digests.items())[:FEW]))
