"""NeMo: manifests of JSON lines beside links to the audio files.

    DEST/SPLIT_manifest.json
    DEST/audio/000123-1a2b3c4d/KEY.flac     a link, or with --audio a copy

Paths in a manifest are relative to it; NeMo takes one of 255 characters or more as it is, so those are absolute.

Rules: NeMo 3.0, `LazyNeMoIterator` and `get_full_path`.
"""

from __future__ import annotations

from pipeline.output.records import Row
from pipeline.views.export_format import Making
from pipeline.views.formats.json_lines import json_line
from pipeline.views.formats.needed_text import no_text
from pipeline.views.formats.nemo_entries import manifest_line
from pipeline.views.rows import ExportRow

_LONGEST_RELATIVE = 254


class NemoManifests:
    """See ExportFormat."""

    def __init__(self, making: Making) -> None:
        self._making = making

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat."""
        return no_text(row, self._making.options, "NeMo")

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        line = manifest_line(row, self._path(row.row))
        self._making.files.write(f"{row.split}_manifest.json", json_line(line))

    def finish(self) -> None:
        """See ExportFormat."""

    def _path(self, row: Row) -> str:
        name = self._making.audio.file(row, "audio")
        too_long = len(name) > _LONGEST_RELATIVE and "://" not in name
        return str(self._making.files.target / name) if too_long else name
