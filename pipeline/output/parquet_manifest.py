"""manifest.parquet: the rows of manifest.jsonl as columns, written in groups of rows so that memory stays bounded.

The columns are the fields of a row, in their order; `source` and `meta` are structs. Fields of `meta` have the types
that `planning.fields` found for the whole corpus: what is text in manifest.jsonl since its types differ is text here.
A corpus without metadata has no column `meta`: Parquet has no struct without fields.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pipeline.errors import ConfigError
from pipeline.output.arrow_columns import arrow_struct, column

GROUP_ROWS = 65_536
"""Smallest number of rows in a group; the last one may have fewer. A group of usual rows takes 30 MB of memory."""

_TEXTS = ("key", "text", "speaker", "language", "shard", "member", "subtype", "pcm_sha256", "mel_origin")
_WHOLE = ("offset", "bytes", "sample_rate", "num_samples", "clipped", "over_full_scale")
_FIELDS = (
    "key", "text", "speaker", "language", "shard", "member", "offset", "bytes", "sample_rate", "num_samples",
    "duration", "subtype", "pcm_sha256", "peak", "rms_dbfs", "clipped", "mel_distance", "mel_distance_relative",
    "source", "meta", "over_full_scale", "gain_db", "loudness",
)  # fmt: skip


def check_installed() -> None:
    """Raises ConfigError if pyarrow, which writes Parquet, is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigError("output.manifest: pyarrow is not installed: pip install 'melmill[parquet]'")


class ParquetManifest:
    """Writes a manifest.parquet, shard by shard. Use it as a context; the file is whole when it ends well.

    Args:
        path: the file.
        fields: name of each field of the metadata -> its type, as `planning.fields` gives it.
        rows_are_numbers: whether `source.row` is a number, as in ragged and padded stores; else it is text.
        more: which of `published_rows.OPTIONAL_FIELDS` the rows have.

    Raises:
        ConfigError: if pyarrow is not installed.
    """

    def __init__(self, path: Path, fields: Mapping[str, Any], rows_are_numbers: bool, more: Sequence[str] = ()) -> None:
        check_installed()
        import pyarrow
        import pyarrow.parquet

        self._arrow = pyarrow
        self._schema = self._schema_of(fields, rows_are_numbers, more)
        self._batches: list[Any] = []
        self._rows = 0
        self._file = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self._write_group()
        finally:
            with contextlib.nullcontext() if kind is None else contextlib.suppress(Exception):
                self._file.close()

    def add(self, lines: bytes) -> None:
        """Write the rows of the next shard.

        Args:
            lines: the rows as lines of manifest.jsonl.
        """
        rows = [json.loads(line) for line in lines.splitlines()]
        columns = [column([row.get(each.name) for row in rows], each.type) for each in self._schema]
        self._batches.append(self._arrow.RecordBatch.from_arrays(columns, schema=self._schema))
        self._rows += len(rows)
        if self._rows >= GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        if self._rows:
            table = self._arrow.Table.from_batches(self._batches, schema=self._schema)
            self._file.write_table(table, row_group_size=self._rows)
        self._batches, self._rows = [], 0

    def _schema_of(self, fields: Mapping[str, Any], rows_are_numbers: bool, more: Sequence[str]) -> Any:
        arrow = self._arrow
        source = arrow.struct(
            [
                ("store", arrow.string()),
                ("row", arrow.int64() if rows_are_numbers else arrow.string()),
                ("digest", arrow.string()),
            ]
        )
        structs = {"source": source, "meta": arrow_struct(fields)}
        kinds: dict[str, Callable[[], Any]] = dict.fromkeys(_TEXTS, arrow.string) | dict.fromkeys(_WHOLE, arrow.int64)
        return arrow.schema(
            [
                (name, structs[name] if name in structs else kinds.get(name, arrow.float64)())
                for name in (*_FIELDS, *more)
                if name != "meta" or fields
            ]
        )
