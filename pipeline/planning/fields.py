"""The fields of all utterances' metadata, one type for each, known before the first shard is written. Pure.

Readers of tables infer types from the first rows that they see, and lose or refuse what differs later. So every row has
every field, always with the same type. A field keeps its type if every utterance has it with that type. Any other field
is text: "" where it is missing, and JSON where it is a number, a list or an object.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FieldType = str | Mapping[str, Any]
"""`text`, `integer`, `number`, `boolean`, `{"list": FieldType}` or `{"object": {name: FieldType}}`."""

MAX_FIELDS = 1000
"""Fields beyond this number are passed through as they are."""
_INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Fields:
    """The fields of a corpus.

    Args:
        types: name of each field -> its type.
        notes: sentences about the fields that became text, with the number of rows.
    """

    types: Mapping[str, FieldType]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Fields:
        """The fields of all utterances' metadata. Takes one row at a time and keeps none.

        >>> Fields.of([{"speaker": 3, "gain": 0.5}, {"speaker": "s0", "gain": 1}]).types
        {'speaker': 'text', 'gain': 'number'}
        >>> Fields.of([{"speaker": 3}, {"speaker": "s0"}, {"speaker": "s1"}]).notes
        ('speaker is a number in 1 rows and text in 2: it becomes text',)
        """
        types: dict[str, FieldType | None] = {}
        kinds: dict[str, Counter[str]] = {}
        count, beyond = 0, False
        for row in rows:
            count += 1
            for name, value in row.items():
                if name not in types:
                    if beyond := len(types) >= MAX_FIELDS or beyond:
                        continue
                    types[name], kinds[name] = None, Counter()
                if (found := type_of(value)) is not None:
                    known = types[name]
                    types[name] = found if known is None else _merged(known, found)
                    kinds[name][_kind(value)] += 1
        settled = {name: _settled(known, count - kinds[name].total()) for name, known in types.items()}
        notes = [
            note for name, known in types.items() if (note := _note(name, known, settled[name], kinds[name], count))
        ]
        if beyond:
            notes.append(f"the metadata has more than {MAX_FIELDS} fields: the others are written as they are")
        return cls(settled, tuple(notes))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values, for job.json."""
        return {"fields": dict(self.types), "notes": list(self.notes)}


def type_of(value: Any) -> FieldType | None:
    """The type of a value; None for null, NaN, infinity, and lists and objects without any value."""
    match value:
        case str():
            return "text"
        case bool():
            return "boolean"
        case int():
            return "integer" if value in _INTEGERS else "text"
        case float():
            return "number" if math.isfinite(value) else None
        case list():
            return _list_type(value)
        case dict():
            found = {name: type_of(each) for name, each in value.items()}
            return ({"object": found} if all(map(_is_known, found.values())) else "text") if found else None
        case _:
            return None


def unified(meta: Mapping[str, Any], types: Mapping[str, FieldType]) -> dict[str, Any]:
    """An utterance's metadata with every field of the corpus, each of the corpus's type.

    >>> unified({"speaker": 3}, {"speaker": "text", "text": "text"})
    {'speaker': '3', 'text': ''}
    """
    others = {name: value for name, value in meta.items() if name not in types}
    return {name: _converted(meta.get(name), known) for name, known in types.items()} | others


def _list_type(values: list[Any]) -> FieldType | None:
    if not values:
        return None
    found: FieldType | None = type_of(values[0])
    for value in values[1:]:
        other = type_of(value)
        found = None if found is None or other is None else _merged(found, other)
    return {"list": found} if found is not None else "text"


def _merged(one: FieldType, other: FieldType) -> FieldType:
    """The type of a field that has both types."""
    if one == other:
        return one
    match one, other:
        case ("integer", "number") | ("number", "integer"):
            return "number"
        case {"list": mine}, {"list": theirs}:
            return {"list": _merged(mine, theirs)}
        case {"object": dict() as mine}, {"object": dict() as theirs} if mine.keys() == theirs.keys():
            return {"object": {name: _merged(mine[name], theirs[name]) for name in mine}}
        case _:
            return "text"


def _settled(known: FieldType | None, missing: int) -> FieldType:
    return "text" if known is None or missing else known


def _note(name: str, known: FieldType | None, settled: FieldType, kinds: Counter[str], rows: int) -> str | None:
    """Why a field became text; None if it is text anyway, or did not become text."""
    if settled != "text" or known is None or set(kinds) == {"text"}:
        return None
    parts = [f"{kind} in {count}{' rows' if not at else ''}" for at, (kind, count) in enumerate(sorted(kinds.items()))]
    if missing := rows - kinds.total():
        parts.append(f"missing in {missing}")
    elif len(parts) == 1:
        (kind,) = kinds
        beyond = f"a number in {rows} rows, some beyond 64 bits"
        parts = [beyond if kind == "a number" else f"{kind} of several shapes in {rows} rows"]
    return f"{name} is {', '.join(parts[:-1])}{' and ' if len(parts) > 1 else ''}{parts[-1]}: it becomes text"


def _kind(value: Any) -> str:
    match value:
        case str():
            return "text"
        case bool():
            return "true or false"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "a number"


def _is_known(found: FieldType | None) -> bool:
    return found is not None


def _converted(value: Any, known: FieldType) -> Any:
    """A value as its field's type. A value that has another type, since the store was changed meanwhile, stays."""
    match known:
        case "text" if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return ""
        case "text":
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        case "number" if isinstance(value, int):
            return float(value)
        case {"list": inner} if isinstance(value, list):
            return [_converted(each, inner) for each in value]
        case {"object": dict() as inner} if isinstance(value, dict):
            return {name: _converted(value.get(name), each) for name, each in inner.items()}
        case _:
            return value
