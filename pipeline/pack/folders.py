"""The files below a folder, without what machines leave lying about in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

_CLUTTER_FOLDERS = frozenset(
    {
        # macOS, in archives and on disks
        *("__MACOSX", ".AppleDouble", ".Spotlight-V100", ".Trashes", ".fseventsd", ".TemporaryItems"),
        *("$RECYCLE.BIN", "System Volume Information"),  # Windows
        *("@eaDir", "#recycle", "@Recycle", ".@__thumb"),  # Synology, QNAP
        *(".ipynb_checkpoints", "lost+found"),
    }
)
# Files of macOS (resource forks ._x, settings), Windows, KDE, editors (x~; vim: .x.swp; Emacs: #x#, .#x; LibreOffice:
# .~lock.x#) and NFS.
_CLUTTER = re.compile(
    r"\._.*|\.DS_Store|\.localized|Icon\r|(?i:(eh)?thumbs\.db|desktop\.ini)|\.directory"
    r"|.*~|\..*\.sw[a-p]|#.*#|\.#.*|\.~lock\..*#|\.nfs[0-9a-f]{8,}",
    re.DOTALL,
)


def walk(folder: str, clutter: list[str] | None = None) -> Iterator[str]:
    """Paths of all files below the folder. A link to a folder above itself is not followed.

    What systems, editors and file servers leave lying about is left out.

    Args:
        folder: the folder.
        clutter: list that the paths of what is left out are added to.

    Raises:
        OSError: if a folder cannot be listed.
    """

    def fail(error: OSError) -> None:
        raise error

    left_out: list[str] = [] if clutter is None else clutter
    for here, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        real = os.path.realpath(here)
        for name in _CLUTTER_FOLDERS.intersection(folders):  # often not readable
            inside = os.walk(os.path.join(here, name))
            left_out.extend(os.path.join(below, each) for below, _, names in inside for each in names)
        folders[:] = sorted(
            name
            for name in folders
            if name not in _CLUTTER_FOLDERS
            and not (
                os.path.islink(os.path.join(here, name))
                and (real + os.sep).startswith(os.path.realpath(os.path.join(here, name)).rstrip(os.sep) + os.sep)
            )
        )
        for name in sorted(files):
            if _CLUTTER.fullmatch(name):
                left_out.append(os.path.join(here, name))
            else:
                yield os.path.relpath(os.path.join(here, name), folder)
