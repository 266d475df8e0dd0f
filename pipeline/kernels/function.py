"""A function of compiled code under construction: loops, branches, calls, constants."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from pipeline.kernels.constants import constant
from pipeline.kernels.emitter import ADDRESS, F32, F64, I1, I32, I64, NOTHING, Emitter
from pipeline.kernels.pointer import Pointer
from pipeline.kernels.values import Floats, Ints, Truth

_ELEMENTS = {"float32": F32, "float64": F64, "int32": I32, "int64": I64}


class Function(Emitter):
    """A function `name(arguments)` that returns nothing, under construction.

    Args:
        module: the module that it becomes part of.
        name: its name.
        arguments: names of the arguments. "*x" is a pointer to float32 and "*x:float64" one to another type; other
            names are 64-bit numbers.
        lanes: number of lanes of the vectors that its pointers load.

    Attributes:
        arguments: the arguments, in order.
        definition: the function in LLVM's terms.
    """

    def __init__(self, module: ir.Module, name: str, arguments: str, lanes: int) -> None:
        words = arguments.split()
        kind = ir.FunctionType(NOTHING, [ADDRESS if word[0] == "*" else I64 for word in words])
        self.definition = ir.Function(module, kind, name)
        super().__init__(module, ir.IRBuilder(self.definition.append_basic_block()), lanes)
        self.arguments = [self._argument(word, value) for word, value in zip(words, self.definition.args, strict=True)]

    def _argument(self, word: str, value: Any) -> Any:
        if word[0] != "*":
            return Ints(self, value, I64, 1)
        _, _, element = word.partition(":")
        return Pointer(self, value, _ELEMENTS[element or "float32"])

    def end(self) -> Function:
        """Ends the function, which takes no more code."""
        self.b.ret_void()
        return self

    def call(self, function: Function, *arguments: Pointer | Ints | int) -> None:
        """Calls another function of the module."""
        given = [ir.Constant(I64, each) if isinstance(each, int) else each.ir for each in arguments]
        self.b.call(function.definition, given)

    # ---- values

    def floats(self, value: float | Sequence[float], lanes: int | None = None, element: ir.Type = F32) -> Floats:
        """A constant in all lanes, or one for each lane."""
        count = self.lanes if lanes is None else lanes
        return Floats(self, constant(element, count, value), element, count)

    def whole(self, value: int) -> Ints:
        """A single 64-bit constant."""
        return Ints(self, ir.Constant(I64, value), I64, 1)

    def table(self, values: NDArray[Any]) -> Pointer:
        """An array of constants that is kept with the code, `float32`, `float64`, `int32` or `int64`."""
        element, flat = _ELEMENTS[values.dtype.name], np.ascontiguousarray(values).reshape(-1)
        name = f"table_{hashlib.sha256(values.dtype.name.encode() + flat.tobytes()).hexdigest()[:16]}"
        kept = self.module.globals.get(name)
        if kept is None:
            kept = ir.GlobalVariable(self.module, ir.ArrayType(element, len(flat)), name)
            kept.global_constant, kept.linkage, kept.align = True, "private", 64
            kept.initializer = ir.Constant(kept.value_type, flat.tolist())
        return Pointer(self, kept, element)

    def scratch(self, count: int, element: ir.Type = F32) -> Pointer:
        """Room for `count` numbers on the stack, aligned to 64 bytes; a few kilobytes at most."""
        with self.b.goto_entry_block():
            room = self.b.alloca(ir.ArrayType(element, count))
            room.align = 64
        return Pointer(self, room, element)

    # ---- the way through the code

    @contextmanager
    def loop(
        self, stop: Ints | int, step: int = 1, start: Ints | int = 0, perhaps_none: bool = False
    ) -> Iterator[Ints]:
        """`for i in range(start, stop, step)`; see `carrying`."""
        with self.carrying([], stop, step, start, perhaps_none) as turn:
            yield turn.index

    @contextmanager
    def carrying(
        self,
        values: Sequence[Any],
        stop: Ints | int,
        step: int = 1,
        start: Ints | int = 0,
        perhaps_none: bool = False,
    ) -> Iterator[Turn]:
        """A loop that carries values in registers from turn to turn; see `Turn`.

        It takes a turn at least: the condition is tested at the end. With `perhaps_none` it is tested before, too.
        """
        first, last = self._int(start), self._int(stop)
        before, body, end = self.b.block, *(self.definition.append_basic_block() for _ in range(2))
        if perhaps_none:
            self.b.cbranch(self.b.icmp_signed("<", first, last), body, end)
        else:
            self.b.branch(body)
        self.b.position_at_end(body)
        index = self.b.phi(I64)
        index.add_incoming(first, before)
        carried = [self.b.phi(value.ir.type) for value in values]
        for phi, value in zip(carried, values, strict=True):
            phi.add_incoming(value.ir, before)
        turn = Turn(Ints(self, index, I64, 1), [v._of(phi) for v, phi in zip(values, carried, strict=True)])
        yield turn
        following = self.b.add(index, ir.Constant(I64, step))
        index.add_incoming(following, self.b.block)
        for phi, value in zip(carried, turn.values, strict=True):
            phi.add_incoming(value.ir, self.b.block)
        self.b.cbranch(self.b.icmp_signed("<", following, last), body, end)
        after = self.b.block
        self.b.position_at_end(end)
        if perhaps_none:
            turn.values = [self._either(v, before, w, after) for v, w in zip(values, turn.values, strict=True)]

    def _either(self, value: Any, before: Any, other: Any, after: Any) -> Any:
        """The one value if the code came from the one block, the other from the other."""
        phi = self.b.phi(value.ir.type)
        phi.add_incoming(value.ir, before)
        phi.add_incoming(other.ir, after)
        return value._of(phi)

    @contextmanager
    def when(self, truth: Truth) -> Iterator[None]:
        """What follows is done only where the single comparison holds."""
        assert truth.ir.type == I1
        with self.b.if_then(truth.ir):
            yield

    def _int(self, value: Ints | int) -> Any:
        return ir.Constant(I64, value) if isinstance(value, int) else value.ir


class Turn:
    """One turn of a loop.

    Attributes:
        index: the loop's number in this turn.
        values: the carried values: at the beginning of a turn those that it begins with; assign those that the next
            turn begins with. After the loop, those of the last turn.
    """

    def __init__(self, index: Ints, values: list[Any]) -> None:
        self.index, self.values = index, values
