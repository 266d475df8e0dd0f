"""Protobuf messages: each is read once, into its fields, and what is asked for is found among them.

A message is a sequence of fields, each with a number, a wire type and a value
(https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

Field = tuple[int, int | float | memoryview]
"""The number of a field and its value: a whole number, 32 bits as a float, or all that has a length as its bytes."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_MOST_VARINT = 10  # bytes of a 64-bit number


def integers(message: Sequence[Field], number: int) -> tuple[int, ...]:
    """The whole numbers in the fields of that number, each in a field of its own, or packed into one."""
    found: list[int] = []
    for each, value in message:
        if each == number and isinstance(value, int):
            found.append(value)
        elif each == number and isinstance(value, memoryview):
            position = 0
            while position < len(value):
                one, position = _varint(value, position)
                found.append(_signed(one))
    return tuple(found)


def messages(message: Sequence[Field], number: int) -> list[memoryview]:
    """The inner messages, or texts, in the fields of that number."""
    return [value for found, value in message if found == number and isinstance(value, memoryview)]


def joined(message: Sequence[Field], number: int) -> memoryview:
    """The one inner message of that number. Several are merged, which for protobuf is the same as joining them."""
    parts = messages(message, number)
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def text(message: Sequence[Field], number: int) -> str:
    """The text in the last field of that number; "" if there is none."""
    texts = messages(message, number)
    return str(texts[-1], "utf-8") if texts else ""


def fields(message: memoryview) -> tuple[Field, ...]:
    """The fields of a message: numbers as signed 64 bits, all that has a length as its bytes, 32 bits as a float.

    Raises:
        ValueError: if it is not a message, or a damaged one.
    """
    return tuple(_fields(message))


def _fields(message: memoryview) -> Iterator[Field]:
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield number, _signed(value)
            continue
        if wire_type == _BYTES:
            length, position = _varint(message, position)
        elif wire_type in _FIXED_BYTES:
            length = _FIXED_BYTES[wire_type]
        else:
            raise ValueError(f"field {number} has the wire type {wire_type}")
        if number == 0 or position + length > len(message):
            raise ValueError(f"field {number} of {length} bytes ends beyond its message")
        if wire_type == _BYTES:
            yield number, message[position : position + length]
        elif wire_type == _FIXED32:  # no number of 64 bits is of interest here
            yield number, float(struct.unpack_from("<f", message, position)[0])
        position += length


def _signed(value: int) -> int:
    """A number of 64 bits, of which the highest is the sign."""
    return value - (value >> 63 << 64)


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and the position after it."""
    if position < len(message) and (only := message[position]) < 0x80:
        return only, position + 1
    value = 0
    for count, byte in enumerate(message[position : position + _MOST_VARINT]):
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value & (1 << 64) - 1, position + count + 1
    raise ValueError("a number has no end")
