"""LoopBuilder: index arithmetic and control flow at the insertion point.

Sizes and positions are Python ints as long as they are known: `add`, `mul` and the
others fold ints, a loop of one trip is its body, a loop of none is nothing. Code for
static shapes is so small by construction, not by a later pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

from ix.mlir import arith, ir, scf
from ix.runtime.sizes import Size

__all__ = ["Index", "LoopBuilder", "is_known"]

Index: TypeAlias = Any
"""A position or size in elements: an int, or a value of type index."""


class LoopBuilder:
    """Emits index arithmetic, loops and branches.

    Args:
        scope: Opened around each nested block that is emitted, for callers that
            remember values.
        size: Turns a size that is known at run time only into a value.
    """

    def __init__(
        self,
        scope: Callable[[], AbstractContextManager[Any]],
        size: Callable[[Size], Index] | None,
    ) -> None:
        self.scope = scope
        self._size = size
        self.index_type = ir.IndexType.get()

    def index(self, value: Index) -> ir.Value:
        """The index as a value."""
        return arith.constant(self.index_type, value) if is_known(value) else value

    def size(self, size: Size) -> Index:
        """A size as an int, or as a value where only the run knows it."""
        if isinstance(size, int):
            return size
        assert self._size is not None, f"{size} needs a builder that knows sizes"
        return self._size(size)

    def add(self, x: Index, y: Index) -> Index:
        if is_known(x, y):
            return x + y
        if is_known(x):
            x, y = y, x
        if is_known(y) and y == 0:
            return x
        return arith.addi(x, self.index(y))

    def sub(self, x: Index, y: Index) -> Index:
        if is_known(x, y):
            return x - y
        if is_known(y):
            return self.add(x, -y)
        return arith.subi(self.index(x), y)

    def mul(self, x: Index, y: Index) -> Index:
        if is_known(x, y):
            return x * y
        if is_known(x):
            x, y = y, x
        if is_known(y) and y in (0, 1):
            return x if y else 0
        return arith.muli(x, self.index(y))

    def floordiv(self, x: Index, y: Index) -> Index:
        """x // y for x ≥ 0 and y > 0."""
        if is_known(x, y):
            return x // y
        if is_known(y) and y == 1:
            return x
        return arith.divui(self.index(x), self.index(y))

    def ceildiv(self, x: Index, y: int) -> Index:
        """⌈x / y⌉ for x ≥ 0."""
        return self.floordiv(self.add(x, y - 1), y)

    def mod(self, x: Index, y: Index) -> Index:
        """x mod y for x ≥ 0 and y > 0."""
        if is_known(x, y):
            return x % y
        if is_known(y) and y == 1:
            return 0
        return arith.remui(self.index(x), self.index(y))

    def min(self, x: Index, y: Index) -> Index:
        if is_known(x, y):
            return min(x, y)
        return arith.minsi(self.index(x), self.index(y))

    def max(self, x: Index, y: Index) -> Index:
        if is_known(x, y):
            return max(x, y)
        return arith.maxsi(self.index(x), self.index(y))

    def less(self, x: Index, y: Index) -> bool | ir.Value:
        """x < y as a bool or an i1."""
        if is_known(x, y):
            return bool(x < y)
        return arith.cmpi(arith.CmpIPredicate.slt, self.index(x), self.index(y))

    def choose(self, condition: bool | ir.Value, x: Index, y: Index) -> Index:
        """x where the condition holds, else y."""
        if isinstance(condition, bool):
            return x if condition else y
        return arith.select(condition, self.index(x), self.index(y))

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
        if is_known(low, high):
            trips = -(-(high - low) // step)
            if trips <= 0:
                return list(carried)
            if trips == 1:
                return list(body(low, *carried) or ())
        op = scf.ForOp(
            self.index(low), self.index(high), self.index(step), list(carried)
        )
        with ir.InsertionPoint(op.body), self.scope():
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
        if count is not None and is_known(count) and count == 1:
            body(0, low, high)
            return
        if is_known(size) and size == 1:
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
                with ir.InsertionPoint(block), self.scope():
                    branch()
                    scf.YieldOp([])


def is_known(*values: Any) -> bool:
    return all(isinstance(value, int) for value in values)
