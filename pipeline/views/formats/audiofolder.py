"""audiofolder: audio files with a metadata.jsonl, as Hugging Face's datasets read them.

    SPLIT/metadata.jsonl          one object a line: file_name, relative to this file, and all columns
    SPLIT/000123-1a2b3c4d/KEY.flac

Rules: datasets 5.2.0, packaged_modules/folder_based_builder. Every line has every field, so that the schema, which is
inferred from the first megabytes, is that of all of them.
"""

from __future__ import annotations

import json

from pipeline.errors import ConfigError
from pipeline.views.columns import columns
from pipeline.views.export_format import Making
from pipeline.views.rows import ExportRow

_TAKEN = ("file_name", "audio", "label")


class AudioFolder:
    """See ExportFormat."""

    def __init__(self, making: Making) -> None:
        self._making = making
        if making.audio.by_url:
            raise ConfigError(
                f"--to audiofolder needs files beside its metadata.jsonl, and {making.source.url} is in an object "
                "store. Pass --audio to copy the audio, or choose --to huggingface"
            )

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat: it can say everything."""
        return None

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        name = self._making.audio.file(row.row, row.split).removeprefix(f"{row.split}/")
        line = {"file_name": name, **columns(row, self._making.types, _TAKEN)}
        self._making.files.write(f"{row.split}/metadata.jsonl", json.dumps(line) + "\n")

    def finish(self) -> None:
        """See ExportFormat."""
