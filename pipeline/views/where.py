"""Chooses utterances by an expression of SQL, which DuckDB parses and evaluates over a typed table.

DuckDB, since it has both: a parser of expressions in a language that people know, and typed tables that it reads from
Arrow without a copy. pyarrow evaluates expressions and has no parser for them. An expression is no statement, so it
changes nothing; files, settings and Python's variables are out of its reach.

The table has a column for each field of the manifest and of the metadata, and `meta` with all of the latter. What was
not measured is NULL in it. So no comparison with it is true.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.output.arrow_columns import arrow_struct, arrow_type, column
from pipeline.output.common_fields import COMMON_FIELDS, common_fields
from pipeline.output.records import Row
from pipeline.planning.fields import FieldType, unified
from pipeline.views.columns import OWN_TYPES
from pipeline.views.rows import unknown_name

_BATCH_ROWS = 16_384
_NUMBER = "melmill: number of the row"
_UNKNOWN = re.compile(r'Referenced column "(.+?)" (?:not found|was not found)|(?:Could not find key|field) "(.+?)"')
_KIND = re.compile(r"^\w+ Error: ")
"""How DuckDB begins what it says: `Parser Error: `, `Binder Error: `."""
_PLACES: Mapping[str, FieldType] = {"shard": "text", "member": "text", "offset": "integer", "bytes": "integer"}


def check_installed(where: str) -> None:
    """Raises ConfigError if what evaluates expressions is not installed."""
    for library in ("duckdb", "pyarrow"):
        if importlib.util.find_spec(library) is None:
            raise ConfigError(f"--where {where}: {library} is not installed: pip install 'melmill[export]'")


class Where:
    """An expression, ready to choose rows.

    Args:
        expression: SQL expression, as it stands after WHERE.
        types: name of each field of the metadata -> its type.

    Raises:
        ConfigError: if it cannot be parsed, or names a field that is not there.
    """

    def __init__(self, expression: str, types: Mapping[str, FieldType]) -> None:
        check_installed(expression)
        import duckdb

        self._expression = expression
        self._types = types
        self._flat = _flat_names(types)
        self._duckdb = duckdb
        settings: dict[str, Any] = {"enable_external_access": False, "python_enable_replacements": False, "threads": 1}
        self._connection = duckdb.connect(":memory:", config=settings)
        self._connection.execute("SET lock_configuration = true")
        self._numbers_of(self._table([]))

    def chosen(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows that it is true for, in order.

        Raises:
            ConfigError: if it cannot be evaluated for a row, as text that is no number compared with a number.
        """
        rows = iter(rows)
        while batch := list(itertools.islice(rows, _BATCH_ROWS)):
            yield from (batch[number] for number in sorted(self._numbers_of(self._table(batch))))

    def _numbers_of(self, table: Any) -> list[int]:
        try:
            found = self._duckdb.from_arrow(table, connection=self._connection).filter(self._expression)
            return [number for (number,) in found.project(f'"{_NUMBER}"').fetchall()]
        except self._duckdb.Error as error:
            raise self._explained(error) from error

    def _table(self, rows: list[Row]) -> Any:
        import pyarrow

        metas = [unified(row.meta, self._types) for row in rows]
        commons = [common_fields(row.meta) for row in rows]
        kept = {name: self._types[name] for name in self._flat.values()}
        own = {**OWN_TYPES, **_PLACES}
        columns = {_NUMBER: pyarrow.array(range(len(rows)), pyarrow.int64())}
        for name, known in own.items():
            told = commons if name in COMMON_FIELDS else map(vars, rows)
            columns[name] = column([each[name] for each in told], arrow_type(known))
        for name, field in self._flat.items():
            if name.lower() not in own:
                columns[name] = column([meta.get(field) for meta in metas], arrow_type(kept[field]))
        if kept:
            columns["meta"] = column(metas, arrow_struct(kept))
        return pyarrow.table(columns)

    def _explained(self, error: Exception) -> ConfigError:
        said = _KIND.sub("", str(error).split("\n")[0])
        own = (*OWN_TYPES, *_PLACES)
        names = [*own, *(name for name in self._flat if name.lower() not in own)]
        if (match := _UNKNOWN.search(said)) is not None:
            return unknown_name(f"--where {self._expression}", match[1] or match[2], names)
        return ConfigError(
            f"--where {self._expression}: {said}. It must be one expression of SQL, such as duration > 1 and "
            f"speaker = 'anna', of {', '.join(names)}"
        )


def _flat_names(types: Mapping[str, FieldType]) -> dict[str, str]:
    """Name of a column -> field of the metadata. SQL ignores case: of fields that differ in case alone, one counts."""
    found: dict[str, str] = {}
    for name in types:
        if name.lower() not in (each.lower() for each in found) and name != "meta":
            found[name] = name
    return found
