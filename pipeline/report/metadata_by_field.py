"""The metadata of all rows by field: how many have it, with which values and types. Memory does not grow with rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.report.coded_column import CodedColumn
from pipeline.report.page_data.figures import MetadataField, MetadataShown

_MOST_FIELDS = 200
_MOST_VALUES = 1000
"""Number of different values of a field that are counted."""
_EXAMPLES = 5
_LONGEST = 100
"""Number of characters of an example."""
_TYPES = {str: "text", bool: "boolean", int: "integer", float: "number", list: "list", dict: "object"}


class MetadataByField:
    """Takes the metadata of one row after the other."""

    def __init__(self) -> None:
        self._fields: dict[str, _Field] = {}
        self._left_out: set[str] = set()
        self._rows = 0

    def add(self, meta: Mapping[str, Any]) -> None:
        """Take the metadata of the next row."""
        for name, value in meta.items():
            if value is None or value == "":
                continue
            field = self._fields.get(name)
            if field is None:
                if len(self._fields) >= _MOST_FIELDS:
                    self._left_out.add(name[:_LONGEST]) if len(self._left_out) < _MOST_VALUES else None
                    continue
                field = self._fields[name] = _Field()
            field.add(self._rows, value)
        self._rows += 1

    def names(self) -> list[str]:
        """Names of the fields, sorted."""
        return sorted(self._fields)

    def is_number(self, name: str) -> bool:
        """Whether all values of a field are numbers."""
        return self._fields[name].kinds <= {int, float}

    def categories(self) -> Iterator[tuple[str, CodedColumn]]:
        """The fields with so few different values that all are counted, each with its column, sorted by name."""
        for name in self.names():
            column = self._fields[name].column
            if column is not None:
                column.skip_to(self._rows)
                yield name, column

    def shown(self, described: Mapping[str, Any]) -> MetadataShown:
        """What the page shows of it.

        Args:
            described: what job.json says of the metadata: its fields with their types, and notes.
        """
        types, notes = described.get("fields"), described.get("notes")
        types = types if isinstance(types, dict) else {}
        notes = [str(note) for note in notes] if isinstance(notes, list) else []
        fields = tuple(self._fields[name].shown(name, types.get(name), notes) for name in self.names())
        return MetadataShown(self._rows, fields, len(self._left_out), tuple(notes))


class _Field:
    def __init__(self) -> None:
        self._present = 0
        self._types: dict[type, int] = {}
        self._first: list[str] = []
        self.column: CodedColumn | None = CodedColumn(_MOST_VALUES)

    @property
    def kinds(self) -> set[type]:
        return set(self._types)

    def add(self, row: int, value: Any) -> None:
        self._present += 1
        kind = type(value)
        self._types[kind] = self._types.get(kind, 0) + 1
        if self.column is None:
            return
        text = value if kind is str else json.dumps(value, ensure_ascii=False)
        if len(self._first) < _EXAMPLES and text not in self._first:
            self._first.append(text)
        self.column.skip_to(row)
        self.column.add(text)
        if not self.column.all_kept:
            self.column = None

    def shown(self, name: str, type_: Any, notes: Sequence[str]) -> MetadataField:
        examples, values = self._first, None
        if self.column is not None:
            known = self.column.values
            codes = self.column.codes()
            often = np.argsort(-np.bincount(codes[codes >= 0], minlength=len(known)), kind="stable")
            examples, values = [known[code] for code in often[:_EXAMPLES].tolist()], len(known)
        types = {_TYPES.get(kind, kind.__name__): count for kind, count in self._types.items()}
        return MetadataField(
            name,
            type_ if isinstance(type_, str) or type_ is None else json.dumps(type_),
            self._present,
            values,
            tuple(map(shortened, examples)),
            types if len(types) > 1 else None,
            next((note for note in notes if note.startswith(f"{name} ")), ""),
        )


def shortened(text: str, longest: int = _LONGEST) -> str:
    """A text, cut where it is too long to be shown.

    >>> shortened("a long text", 6)
    'a lon…'
    """
    return text if len(text) <= longest else text[: longest - 1] + "…"
