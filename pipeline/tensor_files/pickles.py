"""Reads the pickles inside torch's checkpoints, and runs nothing.

A pickle is a program: its operation GLOBAL imports any name and REDUCE calls it. So `pickle.Unpickler` is not used, but
an interpreter of the operations that `torch.save` writes (pickle protocols 2 to 4), in which a global is only a
name. `pickletools.genops` of the standard library only splits the bytes into operations.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from pipeline.errors import CheckpointError

ORDERED_DICT = "collections.OrderedDict"
COUNTER = "collections.Counter"
"""The schedule of a learning rate is saved with its milestones in a counter."""
REBUILD_TENSOR = "torch._utils._rebuild_tensor_v2"
REBUILD_PARAMETER = "torch._utils._rebuild_parameter"
STORAGE_TYPES: dict[str, np.dtype[Any]] = {
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.BFloat16Storage": np.dtype("<u2"),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
    "torch.ShortStorage": np.dtype("<i2"),
    "torch.CharStorage": np.dtype("i1"),
    "torch.ByteStorage": np.dtype("u1"),
    "torch.BoolStorage": np.dtype("u1"),
}
"""Torch's storage types and how their elements lie in the file (bfloat16 as its bits)."""

ALLOWED_GLOBALS = frozenset({ORDERED_DICT, COUNTER, REBUILD_TENSOR, REBUILD_PARAMETER, *STORAGE_TYPES})
MAX_OPERATIONS = 2_000_000
"""A pickle of a HiFi-GAN generator has 10 thousand operations; each takes at most some hundred bytes of memory."""

StorageReader = Callable[[str, str, int], NDArray[Any]]
"""(key, storage type, number of elements) -> `[elements]`, the elements of one storage."""


@dataclass(frozen=True)
class _Global:
    name: str


def read_pickle(file: BinaryIO, read_storage: StorageReader) -> Any:
    """The value of the pickle at the file's position, which is then after the pickle.

    Args:
        file: the bytes, in memory (`io.BytesIO`), so that a length in the pickle cannot reserve memory.
        read_storage: function that gives the elements of a tensor's storage.

    Returns:
        Numbers, strings, None, and arrays for tensors, in dicts (ordered ones too), lists and tuples.

    Raises:
        CheckpointError: if the pickle names a global or an operation beyond what tensors need, or is too long.
        ValueError, LookupError, TypeError: if the bytes are not a pickle.
    """
    machine = _Machine(read_storage)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if count == MAX_OPERATIONS:
            raise CheckpointError(f"its pickle has more than {MAX_OPERATIONS} operations")
        machine.step(opcode.name, argument)
    return machine.stack.pop()


class _Machine:
    """The stack machine of the pickle format; `pickletools` documents its operations."""

    def __init__(self, read_storage: StorageReader) -> None:
        self.read_storage = read_storage
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE" | "NONE":
                stack.append(argument)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "MARK":
                self.marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(self.pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self.pop(int(name[-1]))))
            case "APPEND":
                self.extend(self.pop(1))
            case "APPENDS":
                self.extend(self.pop_to_mark())
            case "SETITEM":
                self.set_items(self.pop(2))
            case "SETITEMS":
                self.set_items(self.pop_to_mark())
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                stack.append(_find_global(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                stack.append(_find_global(*self.pop(2)))
            case "BINPERSID":
                stack.append(self.find_storage(stack.pop()))
            case "REDUCE":
                stack.append(_call(*self.pop(2)))
            case "BUILD":  # the attributes of an ordered dict: a state dict's _metadata, which is not used
                stack.pop()
                _require(isinstance(stack[-1], dict), "its pickle sets attributes of something that is not a dict")
            case _:
                raise CheckpointError(f"its pickle uses {name} {str(argument)[:80]!r}, which tensors do not need")

    def pop(self, count: int) -> list[Any]:
        _require(len(self.stack) >= count, "its pickle is damaged")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def pop_to_mark(self) -> list[Any]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def extend(self, items: list[Any]) -> None:
        _require(isinstance(self.stack[-1], list), "its pickle appends to something that is not a list")
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        keys, values = items[::2], items[1::2]
        # Other keys are refused, because hashing nested tuples may take exponential time.
        _require(
            all(isinstance(key, str | int) for key in keys), "it holds a dict with keys that are not texts or numbers"
        )
        _require(isinstance(self.stack[-1], dict), "its pickle sets items of something that is not a dict")
        self.stack[-1].update(zip(keys, values, strict=True))

    def find_storage(self, reference: Any) -> NDArray[Any]:
        match reference:
            case ("storage", _Global(kind), str(key), str(), int(elements), *view) if kind in STORAGE_TYPES:
                _require(view in ([], [None]), "it holds a view of a storage, as only very old torch wrote")
                _require(elements >= 0, f"its storage {key[:40]!r} has {elements} elements")
                return self.read_storage(key, kind, elements)
        raise CheckpointError("its pickle refers to something other than a storage (a pickled module is code)")


def _find_global(module: Any, name: Any) -> _Global:
    found = _Global(f"{module}.{name}")
    if found.name not in ALLOWED_GLOBALS:
        raise CheckpointError(f"its pickle names {found.name[:200]!r}; only tensors and plain containers are read")
    return found


def _call(function: Any, arguments: Any) -> Any:
    match function, arguments:
        case _Global(name), () if name == ORDERED_DICT:
            return {}
        case _Global(name), (dict() as counts,) if name == COUNTER:
            return counts
        case _Global(name), (storage, offset, size, stride, *_) if name == REBUILD_TENSOR:
            return _tensor(storage, offset, size, stride)
        case _Global(name), (np.ndarray() as tensor, _, _) if name == REBUILD_PARAMETER:
            return tensor
    raise CheckpointError("its pickle makes a call that torch does not make to rebuild a tensor")


def _tensor(storage: Any, offset: Any, size: Any, stride: Any) -> NDArray[Any]:
    _require(isinstance(storage, np.ndarray) and storage.ndim == 1, "a tensor does not have a storage")
    for numbers in ((offset,), size, stride):
        _require(isinstance(numbers, tuple), "a tensor does not have a size or stride")
        _require(all(type(n) is int and n >= 0 for n in numbers), "a tensor has a bad offset, size or stride")
    _require(len(size) == len(stride) <= 8, f"a tensor has {len(size)} sizes and {len(stride)} strides")
    tensor: NDArray[Any]
    if 0 in size:
        tensor = storage[:0].reshape(size)
        return tensor
    # A view with more elements than its storage (stride 0) is refused: a few bytes would ask for any memory.
    elements, last = 1, offset
    for length, step in zip(size, stride, strict=True):
        elements, last = elements * length, last + (length - 1) * step
    _require(
        last < len(storage) and elements <= len(storage),
        f"a tensor of size {size} with stride {stride} at {offset} does not fit its storage of {len(storage)} elements",
    )
    step_bytes = [step * storage.itemsize for step in stride]
    tensor = as_strided(storage[offset:], shape=size, strides=step_bytes)
    return tensor


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise CheckpointError(what)
