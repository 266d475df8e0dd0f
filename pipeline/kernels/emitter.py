"""Where the code of a function goes to: LLVM's builder, and calls of LLVM's own functions."""

from __future__ import annotations

from typing import Any

from llvmlite import ir


class _BFloat16(ir.Type):  # type: ignore[misc]  # llvmlite has no types
    """bfloat16, the upper half of a float32, for which llvmlite has no class."""

    def _to_string(self) -> str:
        return "bfloat"


I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
F32, F64 = ir.FloatType(), ir.DoubleType()
BF16 = _BFloat16()
ADDRESS, NOTHING = ir.PointerType(), ir.VoidType()


class Emitter:
    """The end of the code of a function under construction.

    Attributes:
        module: the module that the function is in.
        b: LLVM's builder, for what has no method.
        lanes: number of lanes of the vectors that the function's pointers load.
    """

    def __init__(self, module: ir.Module, b: ir.IRBuilder, lanes: int) -> None:
        self.module, self.b, self.lanes = module, b, lanes

    def intrinsic(self, name: str, *arguments: Any) -> Any:
        """LLVM's intrinsic of that name, for arguments of one type, such as llvm.fma."""
        kind = arguments[0].type
        inner = kind.element if isinstance(kind, ir.VectorType) else kind
        suffix = {F32: "f32", F64: "f64", I32: "i32", I64: "i64"}[inner]
        full = f"{name}.v{kind.count}{suffix}" if isinstance(kind, ir.VectorType) else f"{name}.{suffix}"
        return self.foreign(full, kind, *arguments)

    def foreign(self, name: str, result: ir.Type, *arguments: Any) -> Any:
        """A call of a function that is declared, not defined: of an intrinsic by its whole name."""
        declared = self.module.globals.get(name)
        if declared is None:
            declared = ir.Function(self.module, ir.FunctionType(result, [each.type for each in arguments]), name)
        return self.b.call(declared, arguments)
