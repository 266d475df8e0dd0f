"""The fields of all utterances' metadata, one type for each, known before the first shard is written. Pure.

Readers of tables infer types from the first rows that they see, and lose or refuse what differs later. So every row has
every field, always with the same type. A field keeps its type if every utterance has it with that type. Any other field
is text: "" where it is missing, and JSON where it is a number, a list or an object.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.wording import counted

FieldType = str | Mapping[str, Any]
"""`text`, `integer`, `number`, `boolean`, `{"list": FieldType}` or `{"object": {name: FieldType}}`."""

MAX_FIELDS = 1000
"""Fields beyond this number are passed through as they are."""
_INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Fields:
    """The fields of a corpus.

    Args:
        types: name of each field -> its type, sorted by name, so that the order of fields is that of every run.
        notes: sentences about the fields that became text, with the number of rows.
    """

    types: Mapping[str, FieldType]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Fields:
        """The fields of all utterances' metadata. Takes one row at a time and keeps none.

        >>> Fields.of([{"speaker": 3, "gain": 0.5}, {"speaker": "s0", "gain": 1}]).types
        {'gain': 'number', 'speaker': 'text'}
        >>> Fields.of([{"speaker": 3}, {"speaker": "s0"}, {"speaker": "s1"}]).notes
        ('speaker is a number in 1 row and text in 2: it becomes text',)
        """
        found: dict[str, _Field] = {}
        count, beyond = 0, False
        for row in rows:
            count += 1
            for name, value in row.items():
                if name not in found:
                    if beyond := len(found) >= MAX_FIELDS or beyond:
                        continue
                    found[name] = _Field()
                found[name].add(value)
        settled = {name: found[name].settled(count) for name in sorted(found)}
        notes = [note for name, known in settled.items() for note in found[name].notes(name, known, count)]
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
            found = {name: type_of(value[name]) for name in sorted(value)}
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


class _Field:
    """What the rows so far have in one field."""

    def __init__(self) -> None:
        self._type: FieldType | None = None
        self._typed = 0
        self._kinds: Counter[str] = Counter()
        self._inside: dict[str, Counter[str]] = {}  # kinds by place: "[]" for the items of a list, ".b" for a name, ...

    def add(self, value: Any) -> None:
        """Takes the value that a row has."""
        if (found := type_of(value)) is not None:
            self._type = found if self._type is None else _merged(self._type, found)
            self._typed += 1
        if not _is_missing(value):
            self._kinds[_kind(value)] += 1
        if isinstance(value, list | dict):
            for place, each in _places("", value):
                if (known := self._inside.get(place)) is None and len(self._inside) < MAX_FIELDS:
                    known = self._inside[place] = Counter()
                if known is not None and not _is_missing(each):
                    known[_kind(each)] += 1

    def settled(self, rows: int) -> FieldType:
        """The field's type in this number of rows."""
        return "text" if self._type is None or self._typed < rows else self._type

    def notes(self, name: str, settled: FieldType, rows: int) -> Iterator[str]:
        """Why the field, or what is in it, became text."""
        yield from _note(name, settled, self._kinds, rows)
        if settled != "text":
            for place, known in _places_of_type("", settled):
                if kinds := self._inside.get(place):
                    yield from _note(f"{name}{place}", known, kinds, kinds.total(), "value")


def _places(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """All that is in a list or an object, each with its place."""
    inside = (
        ((f"{place}[]", each) for each in value)
        if isinstance(value, list)
        else ((f"{place}.{name}", each) for name, each in value.items())
    )
    for at, each in inside:
        yield at, each
        if isinstance(each, list | dict):
            yield from _places(at, each)


def _places_of_type(place: str, known: FieldType) -> Iterator[tuple[str, FieldType]]:
    """All types in a type, each with its place as in `_places`."""
    match known:
        case {"list": each}:
            inside = {f"{place}[]": each}
        case {"object": dict() as named}:
            inside = {f"{place}.{name}": each for name, each in named.items()}
        case _:
            inside = {}
    for at, each in inside.items():
        yield at, each
        yield from _places_of_type(at, each)


def _note(name: str, settled: FieldType, kinds: Counter[str], rows: int, unit: str = "row") -> Iterator[str]:
    """Why a field became text; nothing if it is text anyway, or did not become text."""
    if settled != "text" or set(kinds) == {"text"}:
        return
    if not kinds:
        yield f"{name} has no value in {counted(rows, 'row')}: it becomes text"
        return
    parts = [
        f"{kind} in {count if at else counted(count, unit)}" for at, (kind, count) in enumerate(sorted(kinds.items()))
    ]
    if missing := rows - kinds.total():
        parts.append(f"missing in {missing}")
    elif len(parts) == 1 and not (kind := next(iter(kinds))).startswith("an empty"):
        beyond = f"a number in {counted(rows, unit)}, some beyond 64 bits"
        parts = [beyond if kind == "a number" else f"{kind} of several shapes in {counted(rows, unit)}"]
    yield f"{name} is {', '.join(parts[:-1])}{' and ' if len(parts) > 1 else ''}{parts[-1]}: it becomes text"


def _kind(value: Any) -> str:
    match value:
        case str():
            return "text"
        case bool():
            return "true or false"
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "an object" if value else "an empty object"
        case _:
            return "a number"


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _is_known(found: FieldType | None) -> bool:
    return found is not None


def _converted(value: Any, known: FieldType) -> Any:
    """A value as its field's type. A value that has another type, since the store was changed meanwhile, stays."""
    match known:
        case "text" if _is_missing(value):
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
