"""audiofolder: audio files with a metadata.jsonl and a card, as Hugging Face's datasets read them.

    README.md                          the card, for `load_dataset(DEST)`
    SPLIT/metadata.jsonl               one object a line: file_name, relative to this file, and all columns; or
    SPLIT/metadata.parquet             the same as a table, where a text of it looks like a time
    SPLIT/000123-1a2b3c4d/KEY.flac     links, or with --audio copies

Rules: datasets 5.2.0, packaged_modules/folder_based_builder: in metadata.jsonl it takes text that looks like a time for
a time, and fails where a later text of the field does not; and it takes a field whose name ends with `_file_name` for
audio.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping

from pipeline.errors import ConfigError
from pipeline.planning.fields import FieldType
from pipeline.views.card import features_of
from pipeline.views.columns import column_types, columns
from pipeline.views.data_set_card import DataSetCard
from pipeline.views.export_format import Making
from pipeline.views.rows import ExportRow
from pipeline.views.table_file import TableFile

_LINES, _TABLE = "metadata.jsonl", "metadata.parquet"
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?![^ T])")
_TAKEN = ("file_name", "file_names", "audio", "label")


class AudioFolder:
    """See ExportFormat."""

    def __init__(self, making: Making) -> None:
        self._making = making
        self._card = DataSetCard(making)
        self._splits: dict[str, None] = {}
        self._looks_like_time = False
        if making.audio.by_url:
            raise ConfigError(
                f"--to audiofolder needs files beside its metadata.jsonl, and {making.source.url} is in an object "
                "store. Pass --audio to copy the audio, or choose --to huggingface"
            )
        if names := [name for name in making.types if name.endswith(("_file_name", "_file_names"))]:
            raise ConfigError(
                f"--to audiofolder: its readers take the field {names[0]} for the name of an audio file. Rename it: "
                f"--map {names[0]}=NAME"
            )

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat: it can say everything."""
        return None

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        name = self._making.audio.file(row.row, row.split).removeprefix(f"{row.split}/")
        told = columns(row, self._making, _TAKEN)
        self._looks_like_time = self._looks_like_time or any(map(_looks_like_time, told.values()))
        self._making.files.write(f"{row.split}/{_LINES}", json.dumps({"file_name": name, **told}) + "\n")
        self._card.add(row)
        self._splits[row.split] = None

    def finish(self) -> None:
        """See ExportFormat."""
        types = column_types(self._making, _TAKEN)
        if self._looks_like_time:
            self._make_tables({"file_name": "text", **types})
        features = features_of(types, {"audio": self._card.sample_rate})
        self._card.write({split: f"{split}/**" for split in self._splits}, features)

    def _make_tables(self, types: Mapping[str, FieldType]) -> None:
        """Turn the lists into tables."""
        if importlib.util.find_spec("pyarrow") is None:
            raise ConfigError(
                "--to audiofolder: some metadata looks like times, so the list must be a table, and pyarrow is not "
                "installed: pip install 'melmill[export]'"
            )
        for split in self._splits:
            table = TableFile(self._making.files, f"{split}/{_TABLE}", types)
            with self._making.files.taken_back(f"{split}/{_LINES}") as lines:
                for line in lines:
                    table.add(json.loads(line))
            table.close()


def _looks_like_time(value: object) -> bool:
    """Whether pyarrow may take a value for a time (26.0.1, ISO 8601)."""
    return isinstance(value, str) and _TIME.match(value) is not None
