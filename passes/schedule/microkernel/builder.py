"""Builder: index arithmetic, loops and vector memory ops at the insertion point.

Sizes and positions are Python ints as long as they are known: `add`, `mul` and the
others fold ints, a loop of one trip is its body, a loop of none is nothing. Code for
static shapes is so small by construction, not by a later pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from ix.mlir import arith, func, ir, memref, scf, vector

__all__ = ["Builder", "Index", "Lanes", "Vector", "VectorTarget"]

Index: TypeAlias = Any
"""A position or size in elements: an int, or a value of type index."""

Lanes: TypeAlias = Any
"""The live lanes of a vector, the first ones: a count (Index), or a mask of i1."""

Vector: TypeAlias = Any
"""A value of type vector<L x T>."""

SIGNED_LESS = arith.CmpIPredicate.slt


class VectorTarget(Protocol):
    """What the builders ask of a target; `ix.target.Target` answers it."""

    @property
    def registers(self) -> int: ...

    def lanes(self, bits: int) -> int: ...


class Builder:
    """Emits ops for vectors of one element type.

    Args:
        target: Supplies the number and width of vector registers.
        element: Type of the accumulators: f32 (default), f64 or i32.

    Attributes:
        lanes: Elements of a vector register.
        registers: Vector registers of the target.
        vector: The type vector<lanes x element>.
    """

    def __init__(self, target: VectorTarget, element: ir.Type | None = None) -> None:
        self.element = element or ir.F32Type.get()
        self.is_float = isinstance(self.element, ir.FloatType)
        self.lanes = target.lanes(self.element.width)
        self.registers = target.registers
        self.index_type = ir.IndexType.get()
        self.vector = ir.VectorType.get([self.lanes], self.element)
        self.mask_type = ir.VectorType.get([self.lanes], ir.IntegerType.get_signless(1))

    # Indices

    def index(self, value: Index) -> ir.Value:
        """The index as a value."""
        return arith.constant(self.index_type, value) if _known(value) else value

    def add(self, x: Index, y: Index) -> Index:
        if _known(x, y):
            return x + y
        if _known(x):
            x, y = y, x
        if _known(y) and y == 0:
            return x
        return arith.addi(x, self.index(y))

    def sub(self, x: Index, y: Index) -> Index:
        if _known(x, y):
            return x - y
        if _known(y):
            return self.add(x, -y)
        return arith.subi(self.index(x), y)

    def mul(self, x: Index, y: Index) -> Index:
        if _known(x, y):
            return x * y
        if _known(x):
            x, y = y, x
        if _known(y) and y in (0, 1):
            return x if y else 0
        return arith.muli(x, self.index(y))

    def floordiv(self, x: Index, y: Index) -> Index:
        """x // y for x ≥ 0 and y > 0."""
        if _known(x, y):
            return x // y
        if _known(y) and y == 1:
            return x
        return arith.divui(self.index(x), self.index(y))

    def ceildiv(self, x: Index, y: int) -> Index:
        """⌈x / y⌉ for x ≥ 0."""
        return self.floordiv(self.add(x, y - 1), y)

    def mod(self, x: Index, y: Index) -> Index:
        """x mod y for x ≥ 0 and y > 0."""
        if _known(x, y):
            return x % y
        if _known(y) and y == 1:
            return 0
        return arith.remui(self.index(x), self.index(y))

    def min(self, x: Index, y: Index) -> Index:
        if _known(x, y):
            return min(x, y)
        return arith.minsi(self.index(x), self.index(y))

    def max(self, x: Index, y: Index) -> Index:
        if _known(x, y):
            return max(x, y)
        return arith.maxsi(self.index(x), self.index(y))

    def less(self, x: Index, y: Index) -> bool | ir.Value:
        """x < y as a bool or an i1."""
        if _known(x, y):
            return bool(x < y)
        return arith.cmpi(SIGNED_LESS, self.index(x), self.index(y))

    # Control flow

    def loop(
        self,
        low: Index,
        high: Index,
        step: int,
        body: Callable[..., Sequence[Any] | None],
        carried: Sequence[Any] = (),
    ) -> list[Any]:
        """Runs body(i, *carried) for i = low, low + step … < high.

        Returns:
            What the last call returned, or `carried` where there was none.
        """
        if _known(low, high):
            trips = -(-(high - low) // step)
            if trips <= 0:
                return list(carried)
            if trips == 1:
                return list(body(low, *carried) or ())
        op = scf.ForOp(
            self.index(low), self.index(high), self.index(step), list(carried)
        )
        with ir.InsertionPoint(op.body):
            scf.YieldOp(list(body(op.induction_variable, *op.inner_iter_args) or ()))
        return list(op.results)

    def segments(
        self,
        low: Index,
        high: Index,
        size: Index,
        body: Callable[[Index, Index, Index], None],
        count: Index = None,
    ) -> None:
        """Cuts the flat range low … high where the quotient by `size` changes.

        Calls body(outer, inner low, inner high), so that what depends on `outer` alone
        is done once a segment. `count` is the number of values of `outer`, if known.
        """
        if count is not None and _known(count) and count == 1:
            body(0, low, high)
            return
        if _known(size) and size == 1:
            self.loop(low, high, 1, lambda i: body(i, 0, 1))
            return

        def segment(outer: Index) -> None:
            base = self.mul(outer, size)
            body(
                outer,
                self.max(self.sub(low, base), 0),
                self.min(self.sub(high, base), size),
            )

        last = self.floordiv(self.add(high, self.sub(size, 1)), size)
        self.loop(self.floordiv(low, size), last, 1, segment)

    def when(
        self,
        condition: bool | ir.Value,
        then: Callable[[], Any],
        otherwise: Callable[[], Any] | None = None,
    ) -> None:
        """Runs `then` where the condition holds, else `otherwise`."""
        if isinstance(condition, bool):
            chosen = then if condition else otherwise
            if chosen is not None:
                chosen()
            return
        op = scf.IfOp(condition, has_else=otherwise is not None)
        for block, branch in ((op.then_block, then), (op.else_block, otherwise)):
            if branch is not None:
                with ir.InsertionPoint(block):
                    branch()
                    scf.YieldOp([])

    def function(
        self, name: str, types: Sequence[ir.Type], body: Callable[..., None]
    ) -> Callable[..., None]:
        """Puts body(*arguments) into a private function, once a module.

        Memref arguments must be static and contiguous.

        Returns:
            What emits a call of it.
        """
        module = self._enclosing("builtin.module")
        block = module.regions[0].blocks[0]
        there = {
            op.attributes["sym_name"].value
            for op in block.operations
            if "sym_name" in op.attributes
        }
        if name not in there:
            with ir.InsertionPoint(block):
                op = func.FuncOp(name, (list(types), []), visibility="private")
                op.attributes["llvm.linkage"] = ir.Attribute.parse(
                    "#llvm.linkage<internal>"
                )
                with ir.InsertionPoint(op.add_entry_block()):
                    body(*op.arguments)
                    func.ReturnOp([])
        return lambda *values: func.call([], name, list(values)) and None

    def stack_buffer(self, *shape: int) -> ir.Value:
        """A 64-byte aligned memref in the function's stack frame, uninitialised."""
        function = self._enclosing("func.func")
        entry = function.regions[0].blocks[0]
        with ir.InsertionPoint.at_block_begin(entry):
            return memref.alloca(self.buffer_type(*shape), [], [], alignment=64)

    @staticmethod
    def _enclosing(name: str) -> Any:
        op = ir.InsertionPoint.current.block.owner
        while op.operation.name != name:
            op = op.operation.parent
        return op.operation

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

    def widen(self, value: Vector) -> Vector:
        """Converts a vector of a narrower float or signed integer to the element."""
        if value.type.element_type == self.element:
            return value
        if self.is_float:
            return arith.extf(self.vector, value)
        return arith.extsi(self.vector, value)

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

    def carve(
        self, buffer: ir.Value, shapes: Mapping[str, Sequence[int]]
    ) -> dict[str, ir.Value]:
        """Cuts a flat memref into row-major buffers, one behind the other."""
        result, offset = {}, 0
        for name, shape in shapes.items():
            strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
            layout = ir.StridedLayoutAttr.get(offset, strides)
            kind = ir.MemRefType.get(list(shape), buffer.type.element_type, layout)
            result[name] = memref.reinterpret_cast(
                kind, buffer, [], [], [], [offset], list(shape), strides
            )
            offset += math.prod(shape)
        return result

    def is_whole(self, lanes: Lanes) -> bool:
        """Whether every lane is known to be live."""
        return _known(lanes) and lanes >= self.lanes

    def mask(self, lanes: Lanes) -> ir.Value:
        """vector<lanes x i1> that is true in the first `lanes` lanes.

        A count may be below 0 or above the width.
        """
        if _known(lanes):
            count = min(max(lanes, 0), self.lanes)
            return vector.constant_mask(self.mask_type, [count])
        if isinstance(lanes.type, ir.VectorType):
            return lanes
        return vector.create_mask(self.mask_type, [lanes])

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


def _known(*values: Any) -> bool:
    return all(isinstance(value, int) for value in values)


def _zero(element: ir.Type) -> ir.Attribute:
    if isinstance(element, ir.FloatType):
        return ir.FloatAttr.get(element, 0.0)
    return ir.IntegerAttr.get(element, 0)
