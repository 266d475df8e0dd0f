"""Files of JSON lines, plain and gzipped."""

from __future__ import annotations

import json
import zlib
from typing import Any

from pipeline.views.files import ExportFiles

_GZIP = 16 + zlib.MAX_WBITS


def json_line(entry: Any) -> bytes:
    """An entry as a line. Text is UTF-8; what Unicode does not allow stays an escape of JSON."""
    return (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


class GzipLines:
    """Gzipped files of JSON lines in an export. They have no time in them: equal lines give equal bytes.

    Args:
        files: files of the export.
    """

    def __init__(self, files: ExportFiles) -> None:
        self._files = files
        self._open: dict[str, Any] = {}

    def write(self, name: str, entry: Any) -> None:
        """Write the next line of a file."""
        if name not in self._open:
            self._open[name] = zlib.compressobj(wbits=_GZIP)
        self._files.write(name, self._open[name].compress(json_line(entry)))

    def finish(self) -> None:
        """Write what is left of all files."""
        for name, compressor in self._open.items():
            self._files.write(name, compressor.flush())


def gzipped(lines: bytes) -> bytes:
    """The content of a gzipped file."""
    compressor = zlib.compressobj(wbits=_GZIP)
    return compressor.compress(lines) + compressor.flush()
