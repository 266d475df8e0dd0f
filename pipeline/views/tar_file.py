"""Tars of an export, whose members are copied from the output or written as text."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path

from pipeline.audio.containers.tar import header


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a tar. Its members have mtime 0, mode 0444 and no owner: equal members give equal bytes.

    Args:
        path: file to write.
        members: name and content of each member.
    """
    with open(path, "wb") as file:
        for name, content in members:
            file.write(header(name, len(content)))
            file.write(content)
            file.write(bytes(-len(content) % tarfile.BLOCKSIZE))
        file.write(bytes(2 * tarfile.BLOCKSIZE))
        file.write(bytes(-file.tell() % tarfile.RECORDSIZE))
