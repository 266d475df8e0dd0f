"""The folder where this machine keeps what can be made again: converted models, compiled code, transformed weights."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def chosen_folder() -> Path | None:
    """The folder that `$MELMILL_CACHE` names; None if it is not set."""
    chosen = os.environ.get("MELMILL_CACHE")
    return Path(chosen).absolute() if chosen else None


def cache_folder() -> Path:
    """`$MELMILL_CACHE`, else `$XDG_CACHE_HOME/melmill`, else `~/.cache/melmill`. It need not be there.

    Raises:
        FileNotFoundError: if none of them is set and no home folder is known.
    """
    if chosen := chosen_folder():
        return chosen
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # a relative path must be ignored: XDG Base Directory Specification 0.8
        return base / "melmill"
    try:
        return Path.home() / ".cache" / "melmill"
    except RuntimeError as error:
        raise FileNotFoundError(errno.ENOENT, "no home folder is known", "~/.cache/melmill") from error
