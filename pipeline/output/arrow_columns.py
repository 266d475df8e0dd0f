"""Values as columns of Arrow, each of the type that `planning.fields` gives its field. Imports pyarrow when used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def arrow_type(known: Any) -> Any:
    """The type of Arrow for the type of a field."""
    import pyarrow

    match known:
        case {"list": inner}:
            return pyarrow.list_(arrow_type(inner))
        case {"object": inner}:
            return arrow_struct(inner)
        case _:
            plain = {"integer": pyarrow.int64, "number": pyarrow.float64, "boolean": pyarrow.bool_}
            return plain.get(known, pyarrow.string)()


def arrow_struct(fields: Mapping[str, Any]) -> Any:
    """A struct of Arrow with these fields: name -> type of the field."""
    import pyarrow

    return pyarrow.struct([(name, arrow_type(known)) for name, known in fields.items()])


def column(values: list[Any], kind: Any) -> Any:
    """The values as a column. A value that does not have the column's type becomes text, or null if it cannot.

    Args:
        values: plain JSON values, or bytes.
        kind: type of the column, of Arrow.
    """
    import pyarrow

    try:
        return pyarrow.array(values, kind)
    except (pyarrow.ArrowException, UnicodeEncodeError, OverflowError, TypeError):
        return pyarrow.array([_fitted(value, kind) for value in values], kind)


def _fitted(value: Any, kind: Any) -> Any:
    import pyarrow

    types = pyarrow.types
    if types.is_struct(kind):
        known = value if isinstance(value, dict) else {}
        return {each.name: _fitted(known.get(each.name), each.type) for each in kind}
    if types.is_list(kind):
        return [_fitted(each, kind.value_type) for each in value] if isinstance(value, list) else None
    if types.is_string(kind) and value is not None:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return text.encode("utf-8", "replace").decode()
    try:
        return pyarrow.scalar(value, kind).as_py()
    except (pyarrow.ArrowException, OverflowError, TypeError):
        return None
