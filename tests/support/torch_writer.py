"""Writes torch's two file formats without torch, after torch/serialization.py.

Stand-ins take the place of torch's classes and functions, under torch's names: pickle writes names only. They are in
`sys.modules` inside of `torch_names`.
"""

from __future__ import annotations

import collections
import contextlib
import io
import pickle
import sys
import types
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

KINDS = {
    "Double": "<f8", "Float": "<f4", "Half": "<f2", "BFloat16": "<u2", "Long": "<i8", "Int": "<i4", "Short": "<i2",
    "Char": "i1", "Byte": "u1", "Bool": "u1",
}  # fmt: skip


@contextlib.contextmanager
def torch_names() -> Iterator[types.SimpleNamespace]:
    """Stand-ins for torch's names while pickles are written."""
    package, inner = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def named(name: str, module: types.ModuleType) -> Any:
        def function(*arguments: Any) -> None: ...

        function.__module__, function.__name__, function.__qualname__ = module.__name__, name, name
        setattr(module, name, function)
        return function

    for kind in KINDS:
        named(f"{kind}Storage", package)
    for name in ("load", "device"):
        named(name, package)
    for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
        named(name, inner)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", package)
        patch.setitem(sys.modules, "torch._utils", inner)
        yield types.SimpleNamespace(package=package, inner=inner)


class Storage:
    def __init__(self, kind: str, key: str, elements: NDArray[Any], count: int | None = None) -> None:
        self.kind, self.key, self.elements = kind, key, elements
        self.count = len(elements) if count is None else count


class Tensor:
    def __init__(self, storage: Any, offset: Any, size: Any, stride: Any, parameter: bool = False) -> None:
        self.arguments: Any = storage, offset, size, stride, False, collections.OrderedDict()
        self.parameter = parameter


def tensor(array: NDArray[Any], kind: str = "Float", key: str = "0", **how: Any) -> Tensor:
    array = np.ascontiguousarray(array)
    stride = tuple(step // array.itemsize for step in array.strides)
    return Tensor(Storage(kind, key, array.ravel()), 0, array.shape, stride, **how)


class Call:
    """A call that the pickle makes when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def pickled(value: Any, legacy: bool, protocol: int = 2) -> tuple[bytes, dict[str, Storage]]:
    package, inner = sys.modules["torch"], sys.modules["torch._utils"]
    storages: dict[str, Storage] = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, found: Any) -> Any:
            if not isinstance(found, Storage):
                return None
            storages[found.key] = found
            reference = ("storage", getattr(package, f"{found.kind}Storage"), found.key, "cuda:0", found.count)
            return (*reference, None) if legacy else reference

        def reducer_override(self, found: Any) -> Any:
            if not isinstance(found, Tensor):
                return NotImplemented
            if found.parameter:
                plain = Tensor(*found.arguments[:4])
                return inner._rebuild_parameter, (plain, True, collections.OrderedDict())
            return inner._rebuild_tensor_v2, found.arguments

    file = io.BytesIO()
    Pickler(file, protocol).dump(value)
    return file.getvalue(), storages


def legacy_file(value: Any, little_endian: bool = True, magic: int = 0x1950A86A20F9469CFC6C, **how: Any) -> bytes:
    content, storages = pickled(value, legacy=True, **how)
    head = (magic, 1001, {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {"int": 4}})
    parts = [pickle.dumps(part, 2) for part in head]
    parts += [content, pickle.dumps(sorted(storages), 2)]
    for key in sorted(storages):
        elements = storages[key].elements
        parts += [len(elements).to_bytes(8, "little"), elements.astype(KINDS[storages[key].kind]).tobytes()]
    return b"".join(parts)


def zip_file(value: Any, compression: int = zipfile.ZIP_STORED, byteorder: bytes = b"little", **how: Any) -> bytes:
    content, storages = pickled(value, legacy=False, **how)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", byteorder)
        for key, storage in storages.items():
            archive.writestr(f"archive/data/{key}", storage.elements.astype(KINDS[storage.kind]).tobytes())
    return file.getvalue()
