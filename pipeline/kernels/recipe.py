"""Kernels as recipes: what is compiled, by name and parameters, once for a machine."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from llvmlite import ir

from pipeline.kernels.cache import folder, identity, keep, kept
from pipeline.kernels.compiling import Library, Signatures, object_code, signatures
from pipeline.kernels.target import Target

_lock = threading.Lock()
_loaded: dict[str, Library] = {}


class Recipe(Protocol):
    """What a library is made from: a frozen dataclass whose `repr` says all that its code depends on."""

    def emit(self, module: ir.Module, target: Target) -> None:
        """Adds its functions to a module."""
        ...


def library(recipe: Recipe, target: Target) -> Library:
    """The compiled functions of a recipe: one library in a process, compiled once for a machine.

    Args:
        recipe: what is compiled.
        target: what it is compiled for; this machine must be able to run it.
    """
    kind = type(recipe)
    name = f"code-{identity(kind.__module__, kind.__qualname__, recipe, target)}"
    with _lock:
        if name not in _loaded:
            code = _read(name)
            if code is None:
                code = _made(recipe, target)
                keep(name, [_file(KeptCode(repr(recipe), target.name), *code)], replace=True)  # it may be damaged
            _loaded[name] = Library(*code, target)
        return _loaded[name]


@dataclass(frozen=True)
class KeptCode:
    """What a file of compiled code says of itself.

    Args:
        recipe: what was compiled: the recipe's `repr`.
        target: what it was compiled for: the target's name.
    """

    recipe: str
    target: str


def kept_code() -> list[KeptCode]:
    """The code that is kept on this machine; that which was used last first."""
    found = []
    for each in folder().held():
        if each.name.startswith("code-") and (file := kept(each.name, use=False)):
            with file:
                head = file.read().split(b"\n", 2)
            with contextlib.suppress(ValueError, LookupError, TypeError):  # it may be damaged
                found.append(KeptCode(**json.loads(head[1])["code"]))
    return found


def _made(recipe: Recipe, target: Target) -> tuple[bytes, Signatures]:
    module = ir.Module()
    module.triple = target.triple
    with _no_garbage():
        recipe.emit(module, target)
        return object_code(module, target), signatures(module)


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """A time in which Python looks for no garbage: of the hundred thousand objects of a module, all are needed."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# A file is a line with the digest of what follows, a line with the signatures, and the code.


def _file(code_of: KeptCode, code: bytes, named: Signatures) -> bytes:
    content = json.dumps({"code": dataclasses.asdict(code_of), "signatures": dict(named)}).encode() + b"\n" + code
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def _read(name: str) -> tuple[bytes, Signatures] | None:
    """What a file holds; None if it is not there, or damaged."""
    file = kept(name)
    if file is None:
        return None
    with file:
        digest, _, content = file.read().partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        return None
    head, _, code = content.partition(b"\n")
    return code, json.loads(head)["signatures"]
