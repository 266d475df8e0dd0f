"""Whether an Ogg file is whole: its pages are walked, since no header states how many there are.

Format after RFC 3533, 6: the header of a page, its flags (2: the stream begins, 4: it ends) and its table of segments.
"""

from __future__ import annotations

import mmap
import os
from typing import BinaryIO

_PAGE = b"OggS\0"
_HEADER = 27  # bytes of a page before its table of segments
_BEGINS, _ENDS = 2, 4


def ogg_fault(file: BinaryIO) -> str | None:
    """Text that says what libsndfile would not read of an Ogg file; None if it is whole, or not Ogg.

    It is cut off if its last page is, or if that page does not end its stream, as every encoder has it. Of streams one
    after another, libsndfile reads the first one.

    Args:
        file: file of audio; its position moves.

    Raises:
        OSError: if the file cannot be read.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(len(_PAGE)) != _PAGE:
        return None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _fault(content, size)


def _fault(content: mmap.mmap, size: int) -> str | None:
    at = flags = 0
    under_way = False
    while at >= 0:
        page, table = at, content[at + _HEADER : at + _HEADER + content[at + 26]] if at + _HEADER <= size else b""
        begin = at + _HEADER + len(table)
        if at + _HEADER > size or len(table) < content[at + 26] or begin + sum(table) > size:
            return (
                f"it is cut off: the last Ogg page, at byte {at}, states {sum(table)} bytes, and the file holds "
                f"{max(0, size - begin)}; copy or record it again"
            )
        flags = content[at + 5]
        if flags & _BEGINS and under_way:
            return (
                f"it holds several Ogg streams, one after another, the second one at byte {at}; only the first one "
                "would be read; ffmpeg -i IN OUT.flac makes one of them"
            )
        under_way |= not flags & _BEGINS
        at = begin + sum(table)
        if content[at : at + len(_PAGE)] != _PAGE:
            at = content.find(_PAGE, at)
    if flags & _ENDS:
        return None
    return (
        f"it is cut off: the last Ogg page, at byte {page}, does not end its stream; copy or record it again, or take "
        "what is there with ffmpeg -i IN OUT.flac"
    )
