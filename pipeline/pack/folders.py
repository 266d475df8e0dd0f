"""The files below a folder, without what machines leave lying about in it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pipeline.storage.clutter import is_clutter_file, is_clutter_folder


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
        for name in filter(is_clutter_folder, folders):  # often not readable
            inside = os.walk(os.path.join(here, name))
            left_out.extend(os.path.join(below, each) for below, _, names in inside for each in names)
        folders[:] = sorted(
            name
            for name in folders
            if not is_clutter_folder(name)
            and not (
                os.path.islink(os.path.join(here, name))
                and (real + os.sep).startswith(os.path.realpath(os.path.join(here, name)).rstrip(os.sep) + os.sep)
            )
        )
        for name in sorted(files):
            if is_clutter_file(name):
                left_out.append(os.path.join(here, name))
            else:
                yield os.path.relpath(os.path.join(here, name), folder)
