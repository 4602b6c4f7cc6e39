"""A product of two inputs, its loops sorted by what reads them.

    result[batch, rows, columns] += Σ over depth of left[…] · right[…]

`batch` loops read both inputs, `rows` the left one, `columns` the right one, and the
result does not have `depth`. The last axis of the result is a column, so that
neighbouring threads write neighbouring elements; for that the inputs may change sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ix.mlir import ir
from ix.passes.gpu.kernel import GpuFrame
from ix.passes.schedule.elemental import Elemental
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel
from ix.passes.schedule.rules.row import iteration_space
from ix.passes.schedule.structure import kind_of, reduction_axes
from ix.runtime.sizes import Size, bounds, product

__all__ = ["Product", "ProductPlan", "Side"]


@dataclass(frozen=True)
class Side:
    """One input: its value, its map, the loops that only it gives the result."""

    value: Any
    map: Any
    loops: tuple[int, ...]
    extension: Any
    """The op that widens its elements, or None."""

    @property
    def reads(self) -> set[int]:
        """The loops that it is read along."""
        return {p for r in self.map.results for p in _positions(r)}

    def along_depth(self, depth: Sequence[int]) -> bool:
        """Whether memory is contiguous along the depth, and not along the loops."""
        last = _positions(self.map.results[-1]) if len(self.map.results) else set()
        if self.loops and self.loops[-1] in last:
            return False
        return bool(depth) and depth[-1] in last


def _positions(expr: Any) -> set[int]:
    if isinstance(expr, ir.AffineDimExpr):
        return {expr.position}
    if isinstance(expr, ir.AffineConstantExpr):
        return set()
    return _positions(expr.lhs) | _positions(expr.rhs)


@dataclass(frozen=True)
class Product:
    """result[batch, rows, columns] += Σ over depth of left · right."""

    anchor: Any
    sizes: tuple[Size, ...]
    batch: tuple[int, ...]
    depth: tuple[int, ...]
    left: Side
    right: Side
    out: tuple[int | None, ...]

    @property
    def rows(self) -> tuple[int, ...]:
        return self.left.loops

    @property
    def columns(self) -> tuple[int, ...]:
        return self.right.loops

    @property
    def windows(self) -> bool:
        """Whether an input is read at sums of loops, as a convolution reads."""
        maps = (self.left.map, self.right.map)
        return any(len(_positions(r)) > 1 for m in maps for r in m.results)

    def size(self, loops: Sequence[int]) -> Size:
        return product([self.sizes[loop] for loop in loops])

    def coordinates(
        self, elemental: Elemental, loops: Sequence[int], index: Index
    ) -> dict[int, Index]:
        """The index of each loop at a position in the space of all of them."""
        if len(loops) == 1:
            return {loops[0]: index}
        sizes = [elemental.base(self.sizes[loop]) for loop in loops]
        parts = elemental.math.delinearize(index, sizes)
        return dict(zip(loops, parts, strict=True))

    @staticmethod
    def of(kernel: Kernel) -> Product | None:
        """The product of a contraction; None where it may be empty."""
        anchors = [op for op in kernel.ops if kind_of(op) == "contraction"]
        if kernel.family != "contraction" or len(anchors) != 1:
            return None
        (anchor,) = anchors
        sizes = iteration_space(anchor, kernel)
        depth = tuple(reduction_axes(anchor))
        least = min((bounds(sizes[d], kernel.ranges)[0] for d in depth), default=1)
        if not kernel.needs(least > 0, "may-be-empty"):
            return None
        maps = [m.value for m in anchor.indexing_maps]
        out = tuple(
            e.position if isinstance(e, ir.AffineDimExpr) else None
            for e in maps[-1].results
        )
        order = [loop for loop in out if loop is not None]
        read = [
            {p for r in m.results for p in _positions(r)}.difference(depth)
            for m in maps[:2]
        ]
        batch = tuple(x for x in order if x in read[0] and x in read[1])
        sides = []
        for number in range(2):
            loops = tuple(
                x
                for x in order
                if x not in batch
                and (x in read[number] or (not number and x not in read[1]))
            )
            sides.append(
                Side(
                    anchor.inputs[number],
                    maps[number],
                    loops,
                    _extension(anchor, number),
                )
            )
        left, right = sides
        if order and order[-1] in left.loops:
            left, right = right, left
        return Product(anchor, sizes, batch, depth, left, right, out)


def _extension(anchor: Any, number: int) -> Any:
    """The op of the body that widens an input's elements, or None."""
    argument = anchor.operation.regions[0].blocks[0].arguments[number]
    (use,) = list(argument.uses)
    op = use.owner.opview
    return op if op.operation.name.startswith("arith.ext") else None


@dataclass(frozen=True)
class ProductPlan:
    """How a rule cuts a product into blocks, and what a block does.

    Blocks are counted along columns first, then rows, then the batch.

    product: What is computed.
    family: The rule's name.
    blocks, threads: The grid, and threads of a block.
    rows, columns: Of the result, for a block.
    lanes: Elements of the vectors that a thread loads and stores.
    flops: Arithmetic of one launch at the upper bounds.
    emit: Emits the code of one thread.
    scratch_bytes: Global memory that all blocks together need beside the buffers.
    """

    product: Product
    family: str
    blocks: Size
    threads: int
    rows: int
    columns: int
    lanes: int
    flops: int
    emit: Callable[[GpuFrame], None]
    scratch_bytes: int = 0
