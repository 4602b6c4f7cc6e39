"""Index arithmetic that knows how an index moves across the lanes of a vector.

An access with 16 lanes reads 16 elements whose indices differ. Most are the same in all
lanes, or grow by one from lane to lane; knowing which decides whether the access is one
scalar load, one vector load, or a gather.

    uniform      base                       stride 0
    affine       base + lane · stride
    irregular    vector<lanes x index>      anything else
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

from ix.mlir import arith, ir, vector

__all__ = ["Index", "IndexMath"]

Base = Any  # int | ir.Value of type index


@dataclass(frozen=True)
class Index:
    """One index of an access.

    base: an int, or a value of type index, the same in all lanes.
    stride: what each lane adds to its left neighbour's index.
    multiple: a number that divides base (0 stands for base = 0).
    lanes: vector<lanes x index> of an irregular index, whose base is unused.
    """

    base: Base
    stride: int = 0
    multiple: int = 1
    lanes: Any = None

    @property
    def uniform(self) -> bool:
        """Whether all lanes share one index."""
        return self.stride == 0 and self.lanes is None

    @property
    def known(self) -> int:
        """A number that divides base."""
        return self.base if isinstance(self.base, int) else self.multiple


class IndexMath:
    """Folding arithmetic on indices, emitted at the current insertion point.

    Args:
        lanes: Vector length of irregular indices.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self._memo: list[dict[Any, Any]] = [{}]

    def push(self) -> None:
        """Opens a scope: what is computed in a nested block is not visible outside."""
        self._memo.append({})

    def pop(self) -> None:
        """Closes the scope that `push` opened."""
        self._memo.pop()

    def value(self, base: Base) -> ir.Value:
        """A base as a value of type index."""
        if isinstance(base, int):
            return arith.constant(ir.IndexType.get(), base)
        return base

    def compute(self, kind: str, left: Base, right: Base) -> Base:
        """`left kind right` on uniform bases; kind: add sub mul div mod min max.

        div and mod take their operands as unsigned.
        """
        folded = _fold(kind, left, right)
        if folded is not None:
            return folded
        key = (kind, left, right)
        for scope in self._memo:
            if key in scope:
                return scope[key]
        op = _OPS[kind](self.value(left), self.value(right))
        self._memo[-1][key] = op
        return op

    def add(self, left: Index, right: Index) -> Index:
        """left + right."""
        if left.lanes is not None or right.lanes is not None:
            return self._irregular("add", left, right)
        base = self.compute("add", left.base, right.base)
        return Index(base, left.stride + right.stride, gcd(left.known, right.known))

    def multiply(self, index: Index, factor: Base) -> Index:
        """index · factor; factor is uniform."""
        if index.lanes is not None or (index.stride and not isinstance(factor, int)):
            return self._irregular("mul", index, Index(factor))
        base = self.compute("mul", index.base, factor)
        if not isinstance(factor, int):
            return Index(base)
        return Index(base, index.stride * factor, index.known * abs(factor))

    def divide(self, index: Index, divisor: Base) -> Index:
        """⌊index / divisor⌋; both at least 0."""
        if divisor == 1:
            return index
        if self._stays_within(index, divisor):
            return Index(self.compute("div", index.base, divisor))
        return self._irregular("div", index, Index(divisor))

    def remainder(self, index: Index, divisor: Base) -> Index:
        """index mod divisor; both at least 0."""
        if divisor == 1:
            return Index(0)
        if self._stays_within(index, divisor):
            base = self.compute("mod", index.base, divisor)
            known = gcd(index.known, divisor) if isinstance(divisor, int) else 1
            return Index(base, index.stride, known)
        return self._irregular("mod", index, Index(divisor))

    def delinearize(self, index: Index, sizes: Sequence[Base]) -> list[Index]:
        """The coordinates in a row-major space of these sizes."""
        result: list[Index] = []
        for size in reversed(sizes[1:]):
            result.append(self.remainder(index, size))
            index = self.divide(index, size)
        return [index, *reversed(result)] if sizes else []

    def linearize(self, indices: Sequence[Index], sizes: Sequence[Base]) -> Index:
        """The position in a row-major space of these sizes."""
        total = Index(0)
        for index, size in zip(indices, sizes, strict=True):
            total = self.add(self.multiply(total, size), index)
        return total

    def affine(self, expr: Any, dims: Sequence[Index]) -> Index:
        """The value of an affine expression of these dimensions."""
        if isinstance(expr, ir.AffineConstantExpr):
            return Index(expr.value)
        if isinstance(expr, ir.AffineDimExpr):
            return dims[expr.position]
        left = self.affine(expr.lhs, dims)
        right = self.affine(expr.rhs, dims)
        if isinstance(expr, ir.AffineAddExpr):
            return self.add(left, right)
        if isinstance(expr, ir.AffineMulExpr):
            if not right.uniform:
                left, right = right, left
            return self.multiply(left, right.base)
        if isinstance(expr, ir.AffineFloorDivExpr):
            return self.divide(left, right.base)
        assert isinstance(expr, ir.AffineModExpr), expr
        return self.remainder(left, right.base)

    def at_lane(self, index: Index, lane: Base) -> Base:
        """The index of one lane; the lane is an int or a value of type index."""
        if index.lanes is None:
            offset = self.compute("mul", lane, index.stride)
            return self.compute("add", index.base, offset)
        if isinstance(lane, int):
            return vector.extract(
                index.lanes, dynamic_position=[], static_position=[lane]
            )
        dynamic = ir.ShapedType.get_dynamic_size()
        return vector.extract(
            index.lanes, dynamic_position=[lane], static_position=[dynamic]
        )

    def vector_of(self, index: Index) -> ir.Value:
        """vector<lanes x index> of all lanes' indices."""
        if index.lanes is not None:
            return index.lanes
        kind = ir.VectorType.get([self.lanes], ir.IndexType.get())
        base = vector.broadcast(kind, self.value(index.base))
        if index.stride == 0:
            return base
        steps = vector.step(kind)
        if index.stride != 1:
            factor = vector.broadcast(kind, self.value(index.stride))
            steps = arith.muli(steps, factor)
        return arith.addi(base, steps)

    def _stays_within(self, index: Index, divisor: Base) -> bool:
        """Whether all lanes have one quotient by `divisor`."""
        if index.lanes is not None:
            return False
        if index.stride == 0:
            return True
        if not isinstance(divisor, int) or index.stride < 0:
            return False
        span = (self.lanes - 1) * index.stride + 1
        if isinstance(index.base, int):
            return index.base // divisor == (index.base + span - 1) // divisor
        # base = a · block and block divides the divisor: lanes that fit one block
        # never cross a multiple of the divisor.
        block = gcd(index.known, divisor)
        return span <= block

    def _irregular(self, kind: str, left: Index, right: Index) -> Index:
        if self.lanes == 1 or (left.uniform and right.uniform):
            return Index(self.compute(kind, left.base, right.base))
        op = _OPS[kind](self.vector_of(left), self.vector_of(right))
        return Index(0, lanes=op)


_OPS = {
    "add": arith.addi,
    "sub": arith.subi,
    "mul": arith.muli,
    "div": arith.divui,
    "mod": arith.remui,
    "min": arith.minsi,
    "max": arith.maxsi,
}


def _fold(kind: str, left: Base, right: Base) -> Base | None:
    """The result where it is known without an op, else None."""
    if isinstance(left, int) and isinstance(right, int):
        return _KNOWN[kind](left, right)
    if isinstance(right, int):
        if right == {"add": 0, "sub": 0, "mul": 1, "div": 1}.get(kind):
            return left
        if right == 0 and kind == "mul":
            return 0
        if right == 1 and kind == "mod":
            return 0
    if isinstance(left, int):
        if left == {"add": 0, "mul": 1}.get(kind):
            return right
        if left == 0 and kind in ("mul", "div", "mod"):
            return 0
    return None


_KNOWN: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "min": min,
    "max": max,
}
