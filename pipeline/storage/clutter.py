"""What systems, editors and file servers leave lying about in folders, known by its name."""

from __future__ import annotations

import re

_FOLDERS = re.compile(
    # macOS, in archives and on disks
    r"__MACOSX|\.AppleDouble|\.Spotlight-V100|\.Trashes|\.fseventsd|\.TemporaryItems"
    r"|\$RECYCLE\.BIN|System Volume Information"  # Windows
    r"|@eaDir|#recycle|@Recycle|\.@__thumb|\.snapshots?|~snapshot"  # Synology, QNAP, NetApp
    r"|\.Trash-\d+|lost\+found|\.stversions|\.stfolder|\.sync"  # Linux; Syncthing, Resilio
    r"|\.git|\.hg|\.svn|\.venv|\.cache|__pycache__|\.ipynb_checkpoints"  # what developers use
)
# Files of macOS (resource forks ._x, settings), Windows, KDE, editors (x~; vim: .x.swp; Emacs: #x#, .#x; LibreOffice:
# .~lock.x#) and NFS.
_FILES = re.compile(
    r"\._.*|\.DS_Store|\.localized|Icon\r|(?i:(eh)?thumbs\.db|desktop\.ini)|\.directory"
    r"|.*~|\..*\.sw[a-p]|#.*#|\.#.*|\.~lock\..*#|\.nfs[0-9a-f]{8,}",
    re.DOTALL,
)


def is_clutter_folder(name: str) -> bool:
    """Whether a folder of this name, and all that is in it, is clutter."""
    return _FOLDERS.fullmatch(name) is not None


def is_clutter_file(name: str) -> bool:
    """Whether a file of this name is clutter."""
    return _FILES.fullmatch(name) is not None


def is_clutter(path: str) -> bool:
    """Whether a file is clutter, by its path with forward slashes.

    >>> is_clutter("data/.DS_Store"), is_clutter("data/@eaDir/a.tar@SynoEAStream"), is_clutter("data/a.tar")
    (True, True, False)
    """
    *folders, name = path.split("/")
    return is_clutter_file(name) or any(map(is_clutter_folder, folders))
