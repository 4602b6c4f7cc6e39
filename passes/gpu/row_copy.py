"""Copies rows of a tensor to shared memory, as f32, for the rules that share them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ix.mlir import arith, ir, memref, scf, vector
from ix.passes.gpu.kernel import GpuFrame
from ix.passes.gpu.reduce_threads import WARP
from ix.passes.schedule.body import widen
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel

__all__ = ["RowCopy"]


class RowCopy:
    """Emits copies by all threads of a block.

    Args:
        threads: Of a block.
    """

    def __init__(self, kernel: Kernel, frame: GpuFrame, threads: int) -> None:
        self.kernel, self.frame, self.math = kernel, frame, frame.math
        self.threads = threads
        self.f32 = ir.F32Type.get()

    def below(self, number: Any, limit: Any) -> Any:
        """number < limit as unsigned numbers, an i1."""
        return arith.cmpi(
            arith.CmpIPredicate.ult, self.math.value(number), self.math.value(limit)
        )

    def copy(
        self,
        source: Any,
        head: list[Index],
        first: Any,
        limit: Any,
        lines: int,
        columns: range,
        put: Callable[[Any, Any, Any], None],
    ) -> None:
        """source[head, first + line, columns[c]] → put(line, c, vector).

        Beyond the limit there are zeros. A warp copies 8 vectors of 4 lines: what
        shared memory takes without conflicts.
        """
        row = self.kernel.shape(source)[-1]
        width = 4 if isinstance(row, int) and row % 4 == 0 else 1
        across = 8 if width == 4 else WARP
        vectors = len(columns) // width
        math_ = self.math
        chunk = math_.compute("mod", self.frame.thread, across)
        line = math_.compute("div", self.frame.thread, across)
        step = self.threads // across
        for number in range(-(-lines // step)):
            row = math_.compute("add", line, number * step)
            for group in range(-(-vectors // across)):
                column = math_.compute("add", chunk, group * across)
                condition = None
                if (group + 1) * across > vectors:
                    condition = self.below(column, vectors)
                if lines % step:
                    inside = self.below(row, lines)
                    condition = (
                        inside if condition is None else arith.andi(condition, inside)
                    )
                self.guarded(
                    condition,
                    lambda r=row, c=column: put(
                        r,
                        math_.compute("mul", c, width),
                        self._read(
                            source, head, first, limit, r, (columns.start, c), width
                        ),
                    ),
                )

    def guarded(self, condition: Any, body: Callable[[], None]) -> None:
        """Emits `body` under a condition, an i1; always where that is None."""
        if condition is None:
            body()
            return
        branch = scf.IfOp(condition)
        with ir.InsertionPoint(branch.then_block), self.frame.elemental.scope():
            body()
            scf.YieldOp([])

    def _read(
        self,
        source: Any,
        head: list[Index],
        first: Any,
        limit: Any,
        line: Any,
        vector_: tuple[int, Any],
        width: int,
    ) -> Any:
        """A vector, or a scalar, of f32."""
        math_ = self.math
        at = math_.compute("add", first, line)
        inside = self.below(at, limit)
        last = math_.compute("max", math_.compute("sub", limit, 1), 0)
        row = Index(math_.compute("min", at, last))
        first_column, number = vector_
        start = math_.compute("mul", number, width)
        start = math_.compute("add", start, first_column)
        lanes = Lanes(width, width)
        where = [*head, row, Index(start, int(width > 1), width)]
        with self.frame.elemental.scope():
            value = widen(self.frame.elemental.value_at(source, where, lanes), width)
        value = self.as_f32(value)
        return arith.select(inside, value, widen(arith.constant(self.f32, 0.0), width))

    def as_f32(self, value: Any) -> Any:
        """A scalar or vector of floats, widened."""
        kind: Any = self.f32
        if isinstance(value.type, ir.VectorType):
            kind = ir.VectorType.get(value.type.shape, self.f32)
        return value if value.type == kind else arith.extf(kind, value)

    def put(self, tile: Any, line: Any, column: Any, value: Any) -> None:
        """Stores a scalar or a vector of 4 along a line."""
        at = [self.math.value(line), self.math.value(column)]
        if isinstance(value.type, ir.VectorType):
            vector.store(value, tile, at, alignment=16)
        else:
            memref.store(value, tile, at)

    def put_across(self, tile: Any, line: Any, column: Any, value: Any) -> None:
        """Across: a key's elements lie below each other."""
        lanes = [value]
        if isinstance(value.type, ir.VectorType):
            lanes = [
                vector.extract(value, dynamic_position=[], static_position=[n])
                for n in range(4)
            ]
        for number, lane in enumerate(lanes):
            row = self.math.compute("add", column, number)
            memref.store(lane, tile, [self.math.value(row), self.math.value(line)])
