"""What is written for the page to read: JSON for index.html, and the .js files that it loads on demand.

A page that is opened from the disk may load scripts that lie beside it, and nothing else. So a file of rows or mels is
a script that calls `melmill` with its own name and with base64, in which no text of a corpus can be code.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import zlib
from typing import Any

_LEVEL = 6
_HARMFUL = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
"""Characters that end a script or a string of JavaScript, or cannot be encoded."""


def plain_json(value: Any) -> str:
    """A value as JSON. Dataclasses become objects.

    Raises:
        ValueError: if a number is not finite.
    """
    return json.dumps(value, default=_fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def json_in_html(value: Any) -> bytes:
    """A value as JSON that can stand in a script element of a page in UTF-8.

    >>> json_in_html({"key": "</script>"})
    b'{"key":"\\\\u003c/script\\\\u003e"}'
    """
    return _HARMFUL.sub(lambda found: f"\\u{ord(found[0]):04x}", plain_json(value)).encode()


def script_file(name: str, content: bytes) -> bytes:
    """A file that gives the page some bytes.

    Args:
        name: name of the file in the report, with forward slashes.
        content: the bytes.
    """
    return f'melmill("{name}","{base64.b64encode(zlib.compress(content, _LEVEL)).decode()}")\n'.encode()


def _fields(value: object) -> dict[str, Any]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} is no JSON")
