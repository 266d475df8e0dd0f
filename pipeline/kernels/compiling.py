"""From LLVM IR to functions that Python calls."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping

import llvmlite.binding as llvm
from llvmlite import ir

from pipeline.kernels.emitter import ADDRESS
from pipeline.kernels.emulated_fma import emulate
from pipeline.kernels.target import Target

Signatures = Mapping[str, str]
"""For each function, a letter for each of its arguments: "p" a pointer, "i" a 64-bit number."""

_KINDS = {"p": ctypes.c_void_p, "i": ctypes.c_int64}


def signatures(module: ir.Module) -> Signatures:
    """The signatures of the functions that a module defines for Python."""
    return {
        each.name: "".join("p" if argument.type == ADDRESS else "i" for argument in each.args)
        for each in module.functions
        if each.blocks and each.linkage != "internal"
    }


def object_code(module: ir.Module, target: Target) -> bytes:
    """The module compiled for a target, which need not be this machine's, as an object file."""
    if target.slow:
        emulate(module)
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    code: bytes = _machine(target).emit_object(parsed)
    return code


class Library:
    """Compiled functions: `library[name](...)` calls one with addresses and numbers.

    Args:
        code: what `object_code` gave, on a machine that has the target's instructions.
        named: the signatures of its functions.
        target: the target that it was compiled for.

    Raises:
        OSError: if this system lets no process run code that it made itself; see `target.available`.
    """

    def __init__(self, code: bytes, named: Signatures, target: Target) -> None:
        llvm.check_jit_execution()  # LLVM does not look whether memory became executable, and a call would crash
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(target))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self._functions = {name: self._function(name, letters) for name, letters in named.items()}

    def _function(self, name: str, letters: str) -> Callable[..., None]:
        kind = ctypes.CFUNCTYPE(None, *(_KINDS[letter] for letter in letters))
        function = kind(self._engine.get_function_address(name))
        setattr(function, "engine", self._engine)  # noqa: B010 - its code lives as long as the function does
        return function

    def __getitem__(self, name: str) -> Callable[..., None]:
        return self._functions[name]


def _machine(target: Target) -> llvm.TargetMachine:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="jitdefault", jit=True
    )
