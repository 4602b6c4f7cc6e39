"""Builder: loops, vector arithmetic and vector memory ops at the insertion point."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeAlias

from ix.mlir import arith, ir, memref, vector
from ix.passes.schedule.microkernel.loops import Index, LoopBuilder, is_known
from ix.runtime.sizes import Size

__all__ = [
    "Builder",
    "Index",
    "Lanes",
    "Vector",
    "VectorTarget",
    "aligned_bytes",
]

Lanes: TypeAlias = Any
"""How many lanes of a vector are live, the first ones: 0 … width, an Index."""

Vector: TypeAlias = Any
"""A value of type vector<L x T>."""


class VectorTarget(Protocol):
    """What the builders ask of a target; `ix.target.Target` answers it."""

    @property
    def registers(self) -> int: ...

    def lanes(self, bits: int) -> int: ...


class Builder(LoopBuilder):
    """Emits ops for vectors of one element type.

    Args:
        target: Supplies the number and width of vector registers.
        element: Type of the accumulators: f32 (default), f64 or i32.
        scope: Opened around each nested block that is emitted, for callers that
            remember values.
        size: Turns a size that is known at run time only into a value.

    Attributes:
        lanes: Elements of a vector register.
        registers: Vector registers of the target.
        vector: The type vector<lanes x element>.
    """

    def __init__(
        self,
        target: VectorTarget,
        element: ir.Type | None = None,
        *,
        scope: Callable[[], AbstractContextManager[Any]] = nullcontext,
        size: Callable[[Size], Index] | None = None,
    ) -> None:
        super().__init__(scope, size)
        self.element = element or ir.F32Type.get()
        self.is_float = isinstance(self.element, ir.FloatType)
        self.lanes = target.lanes(self.element.width)
        self.registers = target.registers
        self.vector = ir.VectorType.get([self.lanes], self.element)
        self.mask_type = ir.VectorType.get([self.lanes], ir.IntegerType.get_signless(1))

    # Scalars and vectors

    def buffer_type(self, *shape: int) -> ir.MemRefType:
        return ir.MemRefType.get(list(shape), self.element)

    def scalar(self, value: float) -> ir.Value:
        """A constant of the element type."""
        return arith.constant(self.element, self._attribute(value))

    def splat(self, value: float) -> Vector:
        """A constant with `value` in every lane."""
        attribute = ir.DenseElementsAttr.get_splat(self.vector, self._attribute(value))
        return arith.constant(self.vector, attribute)

    def broadcast(self, scalar: ir.Value) -> Vector:
        return vector.broadcast(self.vector, scalar)

    def _attribute(self, value: float) -> ir.Attribute:
        if self.is_float:
            return ir.FloatAttr.get(self.element, value)
        return ir.IntegerAttr.get(self.element, int(value))

    def multiply_add(self, x: Vector, y: Vector, z: Vector) -> Vector:
        """x · y + z."""
        if self.is_float:
            return vector.fma(x, y, z)
        return arith.addi(arith.muli(x, y), z)

    def multiply(self, x: Vector, y: Vector) -> Vector:
        return arith.mulf(x, y) if self.is_float else arith.muli(x, y)

    def plus(self, x: Vector, y: Vector) -> Vector:
        return arith.addf(x, y) if self.is_float else arith.addi(x, y)

    def widen(self, value: ir.Value) -> Vector:
        """Converts a vector of a narrower float or signed integer to the element.

        A scalar is widened and put into every lane.
        """
        if not isinstance(value.type, ir.VectorType):
            return self.broadcast(self.widen_scalar(value))
        return self._extended(value, value.type.element_type, self.vector)

    def widen_scalar(self, value: ir.Value) -> ir.Value:
        """Converts a scalar of a narrower type to the element type."""
        return self._extended(value, value.type, self.element)

    def _extended(self, value: ir.Value, element: ir.Type, kind: ir.Type) -> ir.Value:
        if element == self.element:
            return value
        return arith.extf(kind, value) if self.is_float else arith.extsi(kind, value)

    def shuffle(self, x: Vector, y: Vector, pattern: Sequence[int]) -> Vector:
        """The lanes that `pattern` names: 0 … L−1 of x, L … 2L−1 of y."""
        return vector.shuffle(x, y, list(pattern))

    def across(
        self, value: Vector, combine: Callable[[Vector, Vector], Vector]
    ) -> Vector:
        """Combines all lanes; every lane of the result holds the outcome."""
        step = self.lanes // 2
        while step:
            swapped = self.shuffle(value, value, [i ^ step for i in range(self.lanes)])
            value = combine(value, swapped)
            step //= 2
        return value

    def first_lane(self, value: Vector) -> ir.Value:
        return vector.extract(value, dynamic_position=[], static_position=[0])

    def inverse_or_zero(self, value: Vector) -> Vector:
        """1 / value, and 0 where it is 0; NaN stays NaN."""
        zero = self.splat(0)
        empty = arith.cmpf(arith.CmpFPredicate.OEQ, value, zero)
        return arith.select(empty, zero, arith.divf(self.splat(1), value))

    # Memory

    def stack_buffer(self, *shape: int, element: ir.Type | None = None) -> ir.Value:
        """A 64-byte aligned memref in the function's stack frame, uninitialised."""
        function = self._enclosing("func.func")
        entry = function.regions[0].blocks[0]
        kind = ir.MemRefType.get(list(shape), element or self.element)
        with ir.InsertionPoint.at_block_begin(entry):
            return memref.alloca(kind, [], [], alignment=64)

    @staticmethod
    def _enclosing(name: str) -> Any:
        op = ir.InsertionPoint.current.block.owner
        while op.operation.name != name:
            op = op.operation.parent
        return op.operation

    def carve(
        self, scratch: ir.Value, shapes: Mapping[str, Sequence[int]]
    ) -> dict[str, ir.Value]:
        """Cuts memref<N x i8> into row-major buffers of elements, 64-byte aligned."""
        result, offset = {}, 0
        for name, shape in shapes.items():
            kind = self.buffer_type(*shape)
            result[name] = memref.view(kind, scratch, self.index(offset), [])
            offset += aligned_bytes(shape, self.element.width)
        return result

    def is_whole(self, lanes: Lanes) -> bool:
        """Whether every lane is known to be live."""
        return is_known(lanes) and lanes >= self.lanes

    def mask(self, lanes: Lanes) -> ir.Value:
        """vector<lanes x i1> that is true in the first `lanes` lanes.

        A count may be below 0 or above the width.
        """
        if is_known(lanes):
            count = min(max(lanes, 0), self.lanes)
            return vector.constant_mask(self.mask_type, [count])
        return vector.create_mask(self.mask_type, [lanes])

    def live(self, count: Index) -> Lanes:
        """The lanes of a vector in front of which `count` elements are left."""
        return self.max(self.min(count, self.lanes), 0)

    def load(self, buffer: ir.Value, *at: Index, lanes: Lanes = None) -> Vector:
        """Reads a vector along the last axis; dead lanes are 0 and not read.

        The vector has the buffer's element type.
        """
        kind = ir.VectorType.get([self.lanes], buffer.type.element_type)
        indices = [self.index(i) for i in at]
        if lanes is None or self.is_whole(lanes):
            return vector.load(kind, buffer, indices)
        zero = ir.DenseElementsAttr.get_splat(kind, _zero(kind.element_type))
        return vector.maskedload(
            kind, buffer, indices, self.mask(lanes), arith.constant(kind, zero)
        )

    def store(
        self, value: Vector, buffer: ir.Value, *at: Index, lanes: Lanes = None
    ) -> None:
        """Writes a vector along the last axis, its live lanes alone."""
        indices = [self.index(i) for i in at]
        if lanes is None or self.is_whole(lanes):
            vector.store(value, buffer, indices)
        else:
            vector.maskedstore(buffer, indices, self.mask(lanes), value)

    def load_scalar(self, buffer: ir.Value, *at: Index) -> ir.Value:
        return memref.load(buffer, [self.index(i) for i in at])

    def store_scalar(self, value: ir.Value, buffer: ir.Value, *at: Index) -> None:
        memref.store(value, buffer, [self.index(i) for i in at])

    def load_splat(self, buffer: ir.Value, *at: Index) -> Vector:
        """One element in every lane."""
        return self.broadcast(self.load_scalar(buffer, *at))


def aligned_bytes(shape: Sequence[int], bits: int) -> int:
    """Bytes of a buffer of elements of `bits` bits, a multiple of 64."""
    return -(-math.prod(shape) * bits // 8 // 64) * 64


def _zero(element: ir.Type) -> ir.Attribute:
    if isinstance(element, ir.FloatType):
        return ir.FloatAttr.get(element, 0.0)
    return ir.IntegerAttr.get(element, 0)
