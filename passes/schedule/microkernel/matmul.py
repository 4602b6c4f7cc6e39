"""Matmul: C[m, n] = finish(start + A[m, k] · B[k, n]) from register tiles.

B lies in column panels Bp[panel, k, 0:NR], packed at compile time or, for activations,
into scratch one panel at a time; or it is read as it lies.

    for a block of rows:                  # the rows of A stay in the level-2 cache
      for panel:                          # NR columns of B, all of k
        for a tile of rows:
          acc[r, v] = start(i + r, j + v)
          for k:                          # emit_register_tile
            acc[r, v] += broadcast(A[i + r, k]) · Bp[panel, k, v]
          finish(i + r, j + v, acc[r, v])

A work item is one panel of one block of rows. Items of one block are neighbours, so a
contiguous range of items keeps its rows of A in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ix.mlir import ir
from ix.passes.schedule.microkernel.builder import (
    Builder,
    Index,
    Lanes,
    Vector,
    VectorTarget,
    aligned_bytes,
)
from ix.passes.schedule.microkernel.register_tile import (
    TileShape,
    ceil_div,
    choose_tile,
    emit_register_tile,
    even_height,
)
from ix.passes.schedule.microkernel.right_operand import (
    RightOperand,
    pack_b,
    unpack_b,
)
from ix.passes.schedule.microkernel.small_m import emit_few_rows_tile, split_ways
from ix.runtime.sizes import Size, combine

__all__ = [
    "MatmulPlan",
    "emit_matmul",
    "pack_b",
    "plan_matmul",
    "unpack_b",
]

BLOCK_ROWS = 64
# A panel packed at run time is worth about 1.5 rows' work: amortise it.
REPACKED_BLOCK_ROWS = 512
# With fewer panels, a panel that is computed whole for few columns would be felt.
MASKED_PANELS = 8


@dataclass(frozen=True)
class MatmulPlan:
    """How a matmul is cut; `plan_matmul` makes one.

    Attributes:
        m, n, k: Sizes in elements.
        tile: Register tile.
        block_rows: Rows of a work item, a multiple of the tile's rows.
        lanes: Elements of a vector.
        element_bits: Bits of an accumulator.
        repacked: The kernel packs B itself, one panel at a time.
    """

    m: Size
    n: Size
    k: Size
    tile: TileShape
    block_rows: int
    lanes: int
    element_bits: int
    repacked: bool

    @property
    def panel_columns(self) -> int:
        """NR, the columns of a panel."""
        return self.tile.vectors * self.lanes

    @property
    def panels(self) -> Size:
        return ceil_div(self.n, self.panel_columns)

    @property
    def blocks(self) -> Size:
        return ceil_div(self.m, self.block_rows)

    @property
    def items(self) -> Size:
        """The number of work items."""
        return combine("mul", self.blocks, self.panels)

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the scratch that each thread needs: a panel, where repacked."""
        if not self.repacked:
            return 0
        shape = (self.packed_rows, self.panel_columns)
        return aligned_bytes(shape, self.element_bits)

    @property
    def packed_rows(self) -> int:
        """Rows of a panel in the scratch: k, rounded up to whole vectors."""
        assert isinstance(self.k, int), "a panel is packed for a known k only"
        return -(-self.k // self.lanes) * self.lanes


def plan_matmul(
    target: VectorTarget,
    m: Size,
    n: Size,
    k: Size,
    *,
    element_bits: int = 32,
    repacked: bool = False,
) -> MatmulPlan:
    """Picks the register tile and the work items of C[m, n] = A[m, k] · B[k, n].

    Args:
        target: Supplies the number and width of vector registers.
        m, n, k: Sizes in elements; k is an int where repacked.
        element_bits: Bits of an accumulator: 32 or 64.
        repacked: The kernel packs B itself, one panel at a time: worth it for
            activations where m is 32 or more.
    """
    tile = choose_tile(target)
    if isinstance(m, int):
        tile = TileShape(even_height(m, tile.rows), tile.vectors)
    block = REPACKED_BLOCK_ROWS if repacked else BLOCK_ROWS
    block = max(tile.rows, block // tile.rows * tile.rows)
    lanes = target.lanes(element_bits)
    return MatmulPlan(m, n, k, tile, block, lanes, element_bits, repacked)


def emit_matmul(
    b: Builder,
    plan: MatmulPlan,
    *,
    low: Index,
    high: Index,
    read_a: Callable[[Index, Index], ir.Value],
    finish: Callable[[Index, Index, Lanes, Vector], None],
    start: Callable[[Index, Index, Lanes], ir.Value | None] | None = None,
    packed_b: ir.Value | None = None,
    read_b: Callable[[Index, Index, Lanes], ir.Value] | None = None,
    read_b_transposed: Callable[[Index, Index, Lanes], ir.Value] | None = None,
    scratch: ir.Value | None = None,
    rolled_finish: bool = False,
) -> None:
    """Emits the work items low … high of a matmul.

    What callbacks return may be of a narrower type than the builder's element, and a
    scalar in place of a vector of equal lanes; dead lanes may hold anything.

    Args:
        plan: From `plan_matmul`.
        low, high: Range of work items, within 0 … plan.items.
        read_a: read_a(i, k) is the scalar A[i, k].
        finish: finish(i, j, lanes, vector) applies the epilogue to C[i, j : j + lanes]
            and stores it.
        start: start(i, j, lanes) is what the accumulators begin with; 0 where None.
        packed_b: B as `pack_b` made it, memref<panels x k x NR x T>.
        read_b: read_b(k, j, lanes) is the vector B[k, j : j + lanes].
        read_b_transposed: read_b_transposed(j, k, lanes) is the vector
            B[k : k + lanes, j], where B lies by columns; plan with repacked=True.
        scratch: memref<N x i8>, N ≥ plan.scratch_bytes, one for each thread; None
            where the plan is not repacked.
        rolled_finish: Calls `finish` once a vector of a row, in a loop over a copy of
            the tile in memory, and not once for each row: half the code for 2 to 7 %
            of the time where the epilogue is long.
    """
    shape = (b.size(plan.m), b.size(plan.n), b.size(plan.k))
    right = RightOperand(
        b, plan, *shape[1:], packed_b, read_b, read_b_transposed, scratch
    )
    kernel = _Kernel(b, plan, shape[0], shape[2], right, read_a, finish, start, None)
    if rolled_finish:
        kernel.tile_copy = b.stack_buffer(plan.tile.rows, plan.panel_columns)
    panels = b.size(plan.panels)
    split_tail = right.has_tail and isinstance(panels, int) and panels < MASKED_PANELS

    def block(index: Index, first: Index, last: Index) -> None:
        row = b.mul(index, plan.block_rows)
        end = b.min(b.add(row, plan.block_rows), shape[0])
        if not split_tail:
            b.loop(first, last, 1, lambda p: kernel.panel(p, row, end, right.has_tail))
            return
        whole = panels - 1
        b.loop(first, b.min(last, whole), 1, lambda p: kernel.panel(p, row, end, False))
        b.when(b.less(whole, last), lambda: kernel.panel(whole, row, end, True))

    b.segments(low, high, panels, block, b.size(plan.blocks))


@dataclass
class _Kernel:
    """The callbacks of `emit_matmul`, and what they emit together."""

    b: Builder
    plan: MatmulPlan
    m: Index
    k: Index
    right: RightOperand
    read_a: Callable[[Index, Index], ir.Value]
    finish: Callable[[Index, Index, Lanes, Vector], None]
    start: Callable[[Index, Index, Lanes], ir.Value | None] | None
    tile_copy: ir.Value | None

    def panel(self, panel: Index, row: Index, end: Index, masked: bool) -> None:
        """Computes the rows row … end of one panel."""
        b, height = self.b, self.plan.tile.rows
        self.right.prepare(panel)
        live = self.right.live(panel, masked)
        tiles = b.floordiv(b.sub(end, row), height)
        after = b.add(row, b.mul(tiles, height))
        b.loop(row, after, height, lambda i: self.tile(i, height, panel, live))
        if isinstance(self.m, int):
            if rest := self.m % height:
                b.when(b.less(after, end), lambda: self.tile(after, rest, panel, live))
            return
        left = b.sub(end, after)
        for bit in reversed(range((height - 1).bit_length())):
            rows = 1 << bit
            # The higher bits of what is left are the rows that went before.
            at = b.add(after, b.mul(b.floordiv(left, 2 * rows), 2 * rows))
            there = b.less(0, b.mod(b.floordiv(left, rows), 2))
            b.when(there, lambda rows=rows, at=at: self.tile(at, rows, panel, live))

    def tile(
        self, i: Index, rows: int, panel: Index, live: list[tuple[Index, Lanes]]
    ) -> None:
        """Computes one register tile of `rows` rows."""
        b, vectors = self.b, len(live)
        initial = None
        if self.start is not None:
            given = [
                [self.start(b.add(i, r), j, lanes) for j, lanes in live]
                for r in range(rows)
            ]
            zero = b.splat(0)
            initial = [
                [zero if v is None else b.widen(v) for v in row] for row in given
            ]
        emit = (
            emit_few_rows_tile if split_ways(rows, vectors) > 1 else emit_register_tile
        )
        acc = emit(
            b,
            rows=rows,
            vectors=vectors,
            depth=self.k,
            left=lambda r, k: b.widen_scalar(self.read_a(b.add(i, r), k)),
            right=lambda k, v: self.right.read(panel, k, v, live),
            initial=initial,
        )
        if self.tile_copy is None:
            for r in range(rows):
                for (j, lanes), value in zip(live, acc[r], strict=True):
                    self.finish(b.add(i, r), j, lanes, value)
            return
        self.finish_rolled(i, rows, live, acc, self.tile_copy)

    def finish_rolled(
        self,
        i: Index,
        rows: int,
        live: list[tuple[Index, Lanes]],
        acc: list[list[Vector]],
        copy: ir.Value,
    ) -> None:
        b = self.b
        for r in range(rows):
            for v, value in enumerate(acc[r]):
                b.store(value, copy, r, v * b.lanes)

        def row(r: Index) -> None:
            for v, (j, lanes) in enumerate(live):
                self.finish(b.add(i, r), j, lanes, b.load(copy, r, v * b.lanes))

        b.loop(0, rows, 1, row)
