"""Addresses in compiled code: `x[i]` loads a vector, `x[i] = v` stores one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from llvmlite import ir

from pipeline.kernels.emitter import ADDRESS, BF16, F32, F64, I32, I64, NOTHING, Emitter
from pipeline.kernels.values import Floats, Ints, vector_type


@dataclass(frozen=True, eq=False)
class Pointer:
    """An address of numbers of one type, counted in such numbers."""

    f: Emitter
    ir: Any
    element: ir.Type

    def __add__(self, offset: Ints | int) -> Pointer:
        return replace(self, ir=self.f.b.gep(self.ir, [self._index(offset)], source_etype=self.element))

    def __getitem__(self, offset: Ints | int) -> Any:
        """The vector that begins there, of as many lanes as the function works with."""
        return self.read(offset, self.f.lanes)

    def __setitem__(self, offset: Ints | int, values: Floats | Ints) -> None:
        assert values.element == self.element, (values.element, self.element)
        self.f.b.store(values.ir, (self + offset).ir, align=_bytes(self.element))

    def read(self, offset: Ints | int, lanes: int) -> Any:
        """The `lanes` numbers that begin there."""
        kind = Floats if self.element in (F32, F64) else Ints
        value = self.f.b.load((self + offset).ir, typ=vector_type(self.element, lanes), align=_bytes(self.element))
        return kind(self.f, value, self.element, lanes)

    def one(self, offset: Ints | int) -> Any:
        """The single number there."""
        return self.read(offset, 1)

    def spread(self, offset: Ints | int) -> Any:
        """The single number there, in all lanes."""
        return self.one(offset).in_lanes(self.f.lanes)

    def prefetch(self, offset: Ints | int) -> None:
        """Asks the processor to bring the line of the cache that holds the number there to its second level."""
        keep_in_second_level, data = 2, 1
        name, kinds = "llvm.prefetch.p0", [ADDRESS, I32, I32, I32]
        declared = self.f.module.globals.get(name)
        if declared is None:
            declared = ir.Function(self.f.module, ir.FunctionType(NOTHING, kinds), name)
        self.f.b.call(declared, [(self + offset).ir, *(ir.Constant(I32, n) for n in (0, keep_in_second_level, data))])

    def of(self, element: ir.Type) -> Pointer:
        """The same address of numbers of another type."""
        return replace(self, element=element)

    def _index(self, offset: Ints | int) -> Any:
        return ir.Constant(I64, offset) if isinstance(offset, int) else offset.ir


def _bytes(element: ir.Type) -> int:
    return 8 if element in (F64, I64) else 4 if element in (F32, I32) else 2 if element == BF16 else 1
