"""Where models built from checkpoints are kept, so that a checkpoint is converted once on each machine."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.storage.atomic import atomic_write
from pipeline.storage.cache_folder import cache_folder, chosen_folder


def cached(name: str, build: Callable[[], bytes]) -> Path:
    """The file of that name in the cache folder, built now if it is not there.

    If the folder is not `$MELMILL_CACHE` and cannot be written (a container without a home), a temporary folder takes
    its place, which is removed when this process ends. Several processes may build the same file at once: each writes
    its own and moves it into place whole.

    Args:
        name: name of the file, with a digest of all that the content depends on.
        build: function that makes the content.

    Raises:
        ConfigError: if `$MELMILL_CACHE` is set and cannot be written.
    """
    try:
        return _kept(cache_folder(), name, build)
    except OSError as error:
        if chosen := chosen_folder():
            raise ConfigError(f"MELMILL_CACHE: {chosen} cannot be used as the folder for models: {error}") from error
        return _kept(Path(_temporary_folder().name), name, build)


@functools.cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="melmill-")


def _kept(folder: Path, name: str, build: Callable[[], bytes]) -> Path:
    path = folder / name
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(build())
    return path
