import contextlib
import itertools
from collections.abc import Callable, Iterator

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.storage.objects import ObjectStorage

_places = itertools.count()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], ObjectStorage]]:
    """Opens one empty folder, as often as it is called, as a bucket of Google's that lies in memory."""
    folder = f"/bucket/{next(_places)}"
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url, **options: (MemoryFileSystem(), folder))
    yield lambda: ObjectStorage("gs://bucket/audio", {})
    with contextlib.suppress(FileNotFoundError):
        MemoryFileSystem().rm(folder, recursive=True)
