"""Where models built from checkpoints are kept, so that a checkpoint is converted once on each machine."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.storage.atomic import atomic_write


def cached(name: str, build: Callable[[], bytes]) -> Path:
    """The file of that name in the cache folder, built now if it is not there.

    The folder is `$MELMILL_CACHE`, else `$XDG_CACHE_HOME/melmill`, else `~/.cache/melmill`. If neither of the last two
    can be written (a container without a home), a temporary folder takes their place, which is removed when this
    process ends. Several processes may build the same file at once: each writes its own and moves it into place whole.

    Args:
        name: name of the file, with a digest of all that the content depends on.
        build: function that makes the content.

    Raises:
        ConfigError: if `$MELMILL_CACHE` is set and cannot be written.
    """
    if chosen := os.environ.get("MELMILL_CACHE"):
        try:
            return _kept(Path(chosen).absolute(), name, build)
        except OSError as error:
            raise ConfigError(f"MELMILL_CACHE: {chosen} cannot be used as the folder for models: {error}") from error
    try:
        return _kept(_default_folder(), name, build)
    except (OSError, RuntimeError):  # RuntimeError: no home folder is known
        return _kept(Path(_temporary_folder().name), name, build)


def _default_folder() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # A relative path must be ignored: XDG Base Directory Specification 0.8.
    return (base if base.is_absolute() else Path.home() / ".cache") / "melmill"


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
