"""One Parquet file of an export, written row by row in groups, so that memory stays bounded."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from pipeline.output.arrow_columns import arrow_type, column
from pipeline.planning.fields import FieldType
from pipeline.views.files import ExportFiles

_GROUP_ROWS = 16_384


class TableFile:
    """A table. Its file is whole when it is closed.

    Args:
        files: files of the export.
        name: name of the file.
        types: name of each column -> its type.
    """

    def __init__(self, files: ExportFiles, name: str, types: Mapping[str, FieldType]) -> None:
        import pyarrow
        import pyarrow.parquet

        self._schema = pyarrow.schema([(each, arrow_type(known)) for each, known in types.items()])
        self._open = contextlib.ExitStack()
        path = self._open.enter_context(files.made(name, ""))
        self._table = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[Mapping[str, Any]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Take the next row, with all columns."""
        self._waiting.append(row)
        if len(self._waiting) >= _GROUP_ROWS:
            self._write()

    def close(self) -> None:
        """Write what is left."""
        self._write()
        self._table.close()
        self._open.close()

    def _write(self) -> None:
        import pyarrow

        arrays = [column([row[field.name] for row in self._waiting], field.type) for field in self._schema]
        self._table.write_table(pyarrow.table(arrays, schema=self._schema))
        self._waiting = []
