"""A scatter as lines: rows[r] ∘= updates[p] for each p whose index is r, in order.

    scatter      a line along its axis, for each point of the other axes
    scatter_nd   a line over all index tuples, for each point of a slice

No update crosses from one line to another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ix.mlir import arith, ir
from ix.passes.gpu.kernel import GpuFrame
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel
from ix.passes.schedule.rules.scatter import Scatter
from ix.runtime.sizes import Size, product

__all__ = ["LinePoint", "ScatterLines"]


@dataclass(frozen=True)
class ScatterLines:
    """The lines of a scatter.

    scatter: What is scattered.
    sizes: Sizes of the axes that lines are counted along.
    rows, updates: Elements of a line, and updates of it.
    neighbours: How many lines lie side by side in memory.
    """

    scatter: Scatter
    sizes: tuple[Size, ...]
    rows: Size
    updates: Size
    neighbours: Size

    @staticmethod
    def of(kernel: Kernel) -> ScatterLines:
        """The lines of a kernel of family `scatter` or `scatter_nd`."""
        scatter = Scatter(kernel)
        shape, indices = scatter.shape, kernel.shape(scatter.indices)
        if not scatter.nd:
            axis = scatter.axis
            sizes = (*shape[:axis], *shape[axis + 1 :])
            beside = product(shape[axis + 1 :])
            return ScatterLines(scatter, sizes, shape[axis], indices[axis], beside)
        depth = indices[-1]
        assert isinstance(depth, int)
        sizes = shape[depth:]
        rows, updates = product(shape[:depth]), product(indices[:-1])
        return ScatterLines(scatter, tuple(sizes), rows, updates, product(sizes))


class LinePoint:
    """One line, or a vector of neighbouring ones.

    Args:
        lines: All of them.
        frame: Emits.
        at: The indices of the line along `lines.sizes`.
    """

    def __init__(self, lines: ScatterLines, frame: GpuFrame, at: list[Index]) -> None:
        self.lines, self.frame, self.at = lines, frame, at
        self.scatter = lines.scatter
        self.math = frame.math
        kernel = frame.kernel
        self.shape = self.scatter.shape
        self.tuples = kernel.shape(self.scatter.indices)

    def place(self, row: Any) -> list[Index]:
        """The indices of a row of the line in the result."""
        if not self.scatter.nd:
            return self._along(row)
        depth = len(self.shape) - len(self.at)
        return [*self._split(row, self.shape[:depth]), *self.at]

    def update(self, number: Any) -> list[Index]:
        """The indices of an update."""
        if not self.scatter.nd:
            return self._along(number)
        return [*self._split(number, self.tuples[:-1]), *self.at]

    def row(self, number: Any) -> tuple[Any, Any]:
        """Whether an update's index is valid, and the row that it names."""
        scatter = self.scatter
        if not scatter.nd:
            source = self._along(number)
            valid, index = scatter.position(self.frame, source, scatter.axis)
            return valid, self.math.value(index.base)
        at = self._split(number, self.tuples[:-1])
        depth = len(self.shape) - len(self.at)
        valid, row = None, Index(0)
        parts = []
        for k in range(depth):
            inside, index = scatter.position(self.frame, [*at, Index(k)], k)
            valid = inside if valid is None else arith.andi(valid, inside)
            parts.append(index)
        sizes = [self.frame.elemental.base(s) for s in self.shape[:depth]]
        if parts:
            row = self.math.linearize(parts, sizes)
        true = arith.constant(ir.IntegerType.get_signless(1), 1)
        return true if valid is None else valid, self.math.value(row.base)

    def has_updates(self) -> Any:
        """Whether the indices reach the line; None if they always do."""
        if self.scatter.nd:
            return None
        axis, found = self.scatter.axis, None
        reached = (*self.tuples[:axis], *self.tuples[axis + 1 :])
        for index, size, whole in zip(self.at, reached, self.lines.sizes, strict=True):
            if size == whole:
                continue
            limit = self.math.value(self.frame.elemental.base(size))
            below = arith.cmpi(
                arith.CmpIPredicate.ult, self.math.value(index.base), limit
            )
            found = below if found is None else arith.andi(found, below)
        return found

    def value(self, tensor: Any, at: list[Index], lanes: Lanes) -> Any:
        """An element of a tensor; not remembered: indices differ from turn to turn."""
        with self.frame.elemental.scope():
            return self.frame.elemental.vector_at(tensor, at, lanes)

    def _along(self, number: Any) -> list[Index]:
        axis = self.scatter.axis
        return [*self.at[:axis], Index(number), *self.at[axis:]]

    def _split(self, number: Any, sizes: Any) -> list[Index]:
        bases = [self.frame.elemental.base(s) for s in sizes]
        return self.math.delinearize(Index(number), bases) if bases else []
