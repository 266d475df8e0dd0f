"""Files that are made once for a machine, below the cache folder: compiled code and transformed weights.

A file is named by a digest of all that its content depends on, so it never goes stale. It is believed only if nobody
else can have written it. Where a file cannot be kept or believed, one line says so, and its content stays in memory.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.kernels.target import compiler_versions
from pipeline.storage.cache_folder import cache_folder
from pipeline.storage.trusted_folder import TrustedFolder

logger = logging.getLogger(__name__)

_DAYS, _MOST_BYTES = 30, 4 * 2**30
"""Files go that were not used for that many days, and beyond that size those that were not used for longest."""


def folder() -> TrustedFolder:
    """The folder of these files: `kernels` in the cache folder.

    Raises:
        FileNotFoundError: if there is no cache folder, because no home folder is known.
    """
    return TrustedFolder(cache_folder() / "kernels")


def identity(*parts: object) -> str:
    """A digest of these parts, of the sources of the kernels, and of the libraries that kernels are made with.

    Args:
        parts: values whose `repr` says all that they are.
    """
    described = [repr(part) for part in parts]
    for each in described:
        # An object without a repr of its own has its address there; numpy leaves out the middle of a long array.
        assert " at 0x" not in each, each
        assert "..." not in each, each
    return hashlib.sha256(json.dumps([_sources(), *described]).encode()).hexdigest()[:40]


@functools.cache
def _sources() -> str:
    here = Path(__file__).parent
    paths = sorted(here.rglob("*.py"))
    assert paths, here
    digest = hashlib.sha256(repr((compiler_versions(), np.__version__)).encode())  # tables of constants are numpy's
    for path in paths:
        digest.update(f"{path.relative_to(here)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def kept(name: str, use: bool = True) -> IO[bytes] | None:
    """A file, to be read; None if it is not there or cannot be believed.

    Args:
        name: name of the file.
        use: whether it counts as used now.
    """
    try:
        return folder().open(name, use)
    except FileNotFoundError:
        return None
    except OSError as error:
        say(error)
        return None


def keep(name: str, content: Iterable[bytes | memoryview], replace: bool) -> bool:
    """Writes a file, and removes files that are not used any more.

    Args:
        name: name of the file.
        content: its content.
        replace: whether a file that has the name already is replaced.

    Returns:
        Whether a file of that name is there now.
    """
    try:
        place = folder()
        place.write(name, content, replace)
        place.sweep(_DAYS, _MOST_BYTES)
    except FileExistsError:
        return True
    except OSError as error:
        say(error)
        return False
    return True


def trial() -> str:
    """The reason why no file can be kept; "" if one can. One is written and removed."""
    name = f".trial-{os.getpid()}"
    try:
        folder().write(name, [b"trial"], replace=True)
        folder().remove(name)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def say(error: OSError) -> None:
    """Logs, once for each reason, why files are not kept."""
    try:
        place = str(folder().path)
    except FileNotFoundError as nowhere:
        place = str(nowhere.filename)
    _say_once(place, error.strerror or str(error))


@functools.cache
def _say_once(place: str, reason: str) -> None:
    logger.warning("%s cannot be used, so each process compiles its kernels itself: %s", place, reason)
