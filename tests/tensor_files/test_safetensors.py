"""The reader of safetensors, against the format's own library where it is strict, and against files that lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.checkpoint_files import safetensors_bytes

from pipeline.errors import CheckpointError
from pipeline.tensor_files.safetensors import read_safetensors

Read = Callable[[bytes], Any]
TWO = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1.5], np.float32)}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(content: bytes) -> Any:
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        return read_safetensors(path)

    return read


def of(header: Any, elements: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + elements


def entry(kind: str = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": kind, "shape": list(shape), "data_offsets": list(offsets)}


def test_tensors_come_back_as_they_were_written(read: Read) -> None:
    found = read(safetensors_bytes(TWO | {"none": np.zeros((0, 3), np.float32), "scalar": np.array(2, np.float32)}))
    assert {name: values.tolist() for name, values in found.items()} == {
        "a": [[0, 1, 2], [3, 4, 5]], "b": [1.5], "none": [], "scalar": 2,
    }  # fmt: skip
    assert found["none"].shape == (0, 3)
    assert all(values.dtype == np.float32 for values in found.values())


def test_tensors_may_lie_in_another_order_than_they_are_named(read: Read) -> None:
    raw = np.array([1, 2], "<f4").tobytes()
    assert read(of({"x": entry(offsets=(4, 8)), "y": entry(offsets=(0, 4))}, raw))["x"].tolist() == [2]


@pytest.mark.parametrize(
    ("kind", "raw", "values"),
    [
        ("F64", np.array([-2.5], "<f8"), [-2.5]), ("F16", np.array([-2.5], "<f2"), [-2.5]),
        ("BF16", np.array([0x3F80, 0xC000], "<u2"), [1, -2]), ("I64", np.array([-3], "<i8"), [-3]),
        ("I8", np.array([-3], "i1"), [-3]), ("U8", np.array([200], "u1"), [200]),
        ("BOOL", np.array([1, 0], "u1"), [1, 0]),
    ],
)  # fmt: skip
def test_every_type_is_read(kind: str, raw: np.ndarray[Any, Any], values: list[float], read: Read) -> None:
    found = read(of({"x": entry(kind, (len(values),), (0, raw.nbytes))}, raw.tobytes()))["x"]
    assert found.tolist() == values
    assert found.dtype == (np.float32 if kind == "BF16" else raw.dtype)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "fewer than 8 bytes"),
        (b"\x01\x00\x00", "fewer than 8 bytes"),
        (struct.pack("<Q", 1 << 62) + b"{}", "does not fit"),
        (struct.pack("<Q", 3) + b"{}", "does not fit"),
        (of(b"{"), "not JSON"),
        (of(b"\xff\xff"), "not JSON"),
        (of(b"[" * 100_000), "not JSON"),
        (of([1]), "not a JSON object"),
        (of(b'{"a": 1, "a": 2}'), "occurs twice"),
        (of({"x": 3}), "does not have dtype"),
        (of({"x": entry() | {"more": 1}}, b"0000"), "does not have dtype"),
        (of({"x": entry("F8")}, b"0000"), "has the type 'F8'"),
        (of({"x": entry() | {"dtype": ["F32"]}}, b"0000"), "which melmill does not read"),
        (of({"x": entry(shape=(2,))}, b"0000"), "of shape \\[2\\] lies at bytes 0 to 4 of 4"),
        (of({"x": entry(offsets=(0, 8), shape=(2,))}, b"0000"), "bytes 0 to 8 of 4"),
        (of({"x": entry(shape=(-1,))}, b"0000"), "bad shape or offsets"),
        (of({"x": entry(shape=(1.0,))}, b"0000"), "bad shape or offsets"),
        (of({"x": entry(shape=(True,))}, b"0000"), "bad shape or offsets"),
        (of({"x": entry(shape=(1 << 50,))}, b"0000"), "bad shape or offsets"),
        (of({"x": entry(shape=(1 << 39,) * 8)}, b"0000"), "lies at bytes"),
        (of({"x": entry(shape=(1,) * 9)}, b"0000"), "bad shape or offsets"),
        (of({"x": entry(offsets=(4, 0))}, b"0000"), "bad offsets"),
        (of({"x": entry(offsets=(0,))}, b"0000"), "bad offsets"),
        (of({"x": entry(), "y": entry()}, b"0000"), "overlap"),
        (of({"x": entry(offsets=(0, 4)), "y": entry(offsets=(2, 6))}, b"000000"), "overlap"),
        (of({"x": entry(offsets=(4, 8))}, b"00000000"), "leave a gap"),
        (of({"x": entry()}, b"00000"), "1 of its bytes do not belong to a tensor"),
    ],
)  # fmt: skip
def test_a_file_that_breaks_the_format_is_refused(content: bytes, words: str, read: Read) -> None:
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: this checkpoint is refused: .*{words}"):
        read(content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(position=st.integers(0, 150), value=st.integers(0, 255), length=st.integers(0, 300))
def test_damage_is_an_error_of_ours_or_harmless(position: int, value: int, length: int, read: Read) -> None:
    content = bytearray(safetensors_bytes(TWO))
    content[position] = value
    try:
        found = read(bytes(content[: max(length, 1)]))
    except CheckpointError:
        return
    assert sum(values.nbytes for values in found.values()) <= len(content)
