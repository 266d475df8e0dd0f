"""parquet: tables of all fields, as pandas, polars, DuckDB and Hugging Face read them; with --audio, audio in them.

    data/SPLIT-00000.parquet   the rows of one or more shards
    README.md                  the card, for `load_dataset(DEST)`

Columns are those of the manifest and of the metadata, all tables of one schema. With --audio, `audio` is before them:
the bytes of the file and its name, a struct that Hugging Face's datasets decode (5.2.0, features/audio.py). Else
`file`, `offset` and `bytes` come last: where the audio is, relative to the export or as a URL.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from pipeline.output.arrow_columns import arrow_type, column
from pipeline.planning.fields import FieldType
from pipeline.views.card import features_of
from pipeline.views.columns import column_types, columns
from pipeline.views.data_set_card import DataSetCard
from pipeline.views.export_format import Making
from pipeline.views.rows import ExportRow

_MOST_ROWS = 32_768
_MOST_BYTES = 256 << 20
"""A table is closed at the end of the shard with which it has as many rows, or bytes of audio."""
_GROUP_BYTES = 32 << 20
"""Size of a group of rows, by its audio: a reader has one of them in memory."""
_TAKEN = ("audio", "file", "offset", "bytes")
_PLACE: dict[str, FieldType] = {"file": "text", "offset": "integer", "bytes": "integer"}


class Parquet:
    """See ExportFormat."""

    def __init__(self, making: Making) -> None:
        self._making = making
        self._audio = making.options.audio
        self._types = column_types(making, _TAKEN)
        self._card = DataSetCard(making)
        self._waiting: dict[str, list[ExportRow]] = {}
        self._tables: dict[str, int] = {}

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat: it can say everything."""
        return None

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        waiting = self._waiting.setdefault(row.split, [])
        if waiting and waiting[-1].row.shard != row.row.shard and self._is_full(waiting):
            self._write(row.split)
        self._card.add(row)
        self._waiting.setdefault(row.split, []).append(row)

    def finish(self) -> None:
        """See ExportFormat."""
        for split in list(self._waiting):
            self._write(split)
        places = {} if self._audio else _PLACE
        audio = {"audio": self._card.sample_rate} if self._audio else {}
        data_files = {split: f"data/{split}-*.parquet" for split in self._tables}
        self._card.write(data_files, features_of({**self._types, **places}, audio))

    def _is_full(self, waiting: list[ExportRow]) -> bool:
        size = sum(each.row.bytes for each in waiting) if self._audio else 0
        return len(waiting) >= _MOST_ROWS or size >= _MOST_BYTES

    def _write(self, split: str) -> None:
        import pyarrow.parquet

        rows = self._waiting.pop(split)
        number = self._tables.get(split, 0)
        self._tables[split] = number + 1
        plain = [self._plain(row) for row in rows]
        name, made_of = f"data/{split}-{number:05d}.parquet", self._digest(plain)
        if self._making.files.take_over(name, made_of):
            return
        schema = self._schema()
        with (
            self._making.files.made(name, made_of) as path,
            pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer,
        ):
            for start, stop in self._groups(rows):
                values = plain[start:stop]
                if self._audio:
                    values = [self._with_audio(*each) for each in zip(values, rows[start:stop], strict=True)]
                arrays = [column([each[field.name] for each in values], field.type) for field in schema]
                writer.write_table(pyarrow.table(arrays, schema=schema))

    def _plain(self, row: ExportRow) -> dict[str, Any]:
        """A row without the bytes of its audio."""
        told = columns(row, self._making, _TAKEN)
        if self._audio:
            return {"audio": {"path": row.row.member.rpartition("/")[2]}, **told}
        place = {"file": self._making.audio.path(row.row.object_name), "offset": row.row.offset, "bytes": row.row.bytes}
        return told | place

    def _with_audio(self, plain: dict[str, Any], row: ExportRow) -> dict[str, Any]:
        return {**plain, "audio": {**plain["audio"], "bytes": self._making.audio.content(row.row)}}

    def _groups(self, rows: list[ExportRow]) -> Iterator[tuple[int, int]]:
        start = size = 0
        for at, row in enumerate(rows):
            size += row.row.bytes if self._audio else 0
            if size >= _GROUP_BYTES:
                yield start, at + 1
                start, size = at + 1, 0
        if start < len(rows):
            yield start, len(rows)

    def _digest(self, plain: list[dict[str, Any]]) -> str:
        found = hashlib.blake2b(json.dumps(self._types).encode(), digest_size=16)
        for each in plain:
            found.update(json.dumps(each).encode() + b"\n")
        return found.hexdigest()

    def _schema(self) -> Any:
        import pyarrow

        fields = [(name, arrow_type(known)) for name, known in self._types.items()]
        if self._audio:
            audio = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
            fields = [("audio", audio), *fields]
        else:
            fields += [(name, arrow_type(known)) for name, known in _PLACE.items()]
        return pyarrow.schema(fields)
