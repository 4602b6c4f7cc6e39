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
from typing import Any

import numpy as np
import numpy.typing as npt

from ix.mlir import arith, ir
from ix.passes.schedule.microkernel.builder import Builder, Index, Lanes, Vector
from ix.passes.schedule.microkernel.register_tile import (
    TileShape,
    choose_tile,
    emit_register_tile,
    even_height,
    live_lanes,
)
from ix.passes.schedule.microkernel.small_m import emit_few_rows_tile, split_ways

__all__ = [
    "MatmulPlan",
    "emit_matmul",
    "emit_pack_panel",
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
        m, n, k: Sizes in elements: ints, or values of type index.
        tile: Register tile.
        block_rows: Rows of a work item, a multiple of the tile's rows.
        lanes: Elements of a vector.
    """

    m: Index
    n: Index
    k: Index
    tile: TileShape
    block_rows: int
    lanes: int

    @property
    def panel_columns(self) -> int:
        """NR, the columns of a panel."""
        return self.tile.vectors * self.lanes

    def panels(self, b: Builder) -> Index:
        return b.ceildiv(self.n, self.panel_columns)

    def blocks(self, b: Builder) -> Index:
        return b.ceildiv(self.m, self.block_rows)

    def items(self, b: Builder) -> Index:
        """The number of work items: an int where m and n are."""
        return b.mul(self.blocks(b), self.panels(b))


def plan_matmul(
    b: Builder, m: Index, n: Index, k: Index, *, repacked: bool = False
) -> MatmulPlan:
    """Picks the register tile and the work items of C[m, n] = A[m, k] · B[k, n].

    Args:
        m, n, k: Sizes in elements; each may be a value of type index.
        repacked: B is packed by the kernel itself (`panel_scratch`).
    """
    tile = choose_tile(b.lanes, b.registers)
    if isinstance(m, int):
        tile = TileShape(even_height(m, tile.rows), tile.vectors)
    block = REPACKED_BLOCK_ROWS if repacked else BLOCK_ROWS
    block = max(tile.rows, block // tile.rows * tile.rows)
    return MatmulPlan(m, n, k, tile, block, b.lanes)


def pack_b(array: npt.NDArray[Any], panel_columns: int) -> npt.NDArray[Any]:
    """Packs B[..., k, n] into panels [..., ⌈n / NR⌉, k, NR], padded with zeros."""
    *batch, k, n = array.shape
    panels = -(-n // panel_columns)
    wide = np.zeros((*batch, k, panels * panel_columns), array.dtype)
    wide[..., :n] = array
    split = wide.reshape(*batch, k, panels, panel_columns)
    return np.ascontiguousarray(np.moveaxis(split, -2, -3))


def unpack_b(packed: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """The inverse of `pack_b`: panels [..., p, k, NR] → B[..., k, n]."""
    *batch, panels, k, columns = packed.shape
    joined = np.moveaxis(packed, -3, -2).reshape(*batch, k, panels * columns)
    return np.ascontiguousarray(joined[..., :n])


def emit_pack_panel(
    b: Builder,
    plan: MatmulPlan,
    panel: Index,
    read_b: Callable[[Index, Index, Lanes], Vector],
    panel_scratch: ir.Value,
) -> None:
    """Copies one panel of B into panel_scratch[k, NR]; columns beyond n become 0."""
    live = _live(b, plan, panel, masked=True)

    def row(k: Index) -> None:
        for v, (j, lanes) in enumerate(live):
            b.store(b.widen(read_b(k, j, lanes)), panel_scratch, k, v * b.lanes)

    b.loop(0, plan.k, 1, row)


def emit_matmul(
    b: Builder,
    plan: MatmulPlan,
    *,
    low: Index,
    high: Index,
    read_a: Callable[[Index, Index], ir.Value],
    finish: Callable[[Index, Index, Lanes, Vector], None],
    start: Callable[[Index, Index, Lanes], Vector | None] | None = None,
    packed_b: ir.Value | None = None,
    read_b: Callable[[Index, Index, Lanes], Vector] | None = None,
    panel_scratch: ir.Value | None = None,
    rolled_finish: bool = False,
) -> None:
    """Emits the work items low … high of a matmul.

    Args:
        plan: From `plan_matmul`.
        low, high: Range of work items, within 0 … plan.items(b).
        read_a: read_a(i, k) is the scalar A[i, k], of the builder's element type.
        finish: finish(i, j, lanes, vector) applies the epilogue to C[i, j : j + lanes]
            and stores it; `lanes` is the builder's width, fewer, or a mask.
        start: start(i, j, lanes) is what the accumulators begin with; 0 where None.
        packed_b: B as `pack_b` made it, memref<panels x k x NR x T>; a narrower T is
            widened.
        read_b: read_b(k, j, lanes) is the vector B[k, j : j + lanes]; dead lanes may
            hold anything.
        panel_scratch: memref<k x NR x element> into which the kernel packs each panel
            that `read_b` gives; plan with repacked=True.
        rolled_finish: Calls `finish` once a vector of a row, in a loop over a copy of
            the tile in memory, and not once for each row: half the code for 2 to 7 %
            of the time where the epilogue is long.
    """
    kernel = _Kernel(
        b, plan, read_a, finish, start, packed_b, read_b, panel_scratch, None
    )
    if rolled_finish:
        kernel.tile_copy = b.stack_buffer(plan.tile.rows, plan.panel_columns)
    panels = plan.panels(b)
    split_tail = _has_tail(plan) and isinstance(panels, int) and panels < MASKED_PANELS

    def block(index: Index, first: Index, last: Index) -> None:
        row = b.mul(index, plan.block_rows)
        end = b.min(b.add(row, plan.block_rows), plan.m)
        if not split_tail:
            masked = _has_tail(plan)
            b.loop(first, last, 1, lambda p: kernel.panel(p, row, end, masked))
            return
        whole = panels - 1
        b.loop(first, b.min(last, whole), 1, lambda p: kernel.panel(p, row, end, False))
        b.when(b.less(whole, last), lambda: kernel.panel(whole, row, end, True))

    b.segments(low, high, panels, block, plan.blocks(b))


@dataclass
class _Kernel:
    """The callbacks of `emit_matmul`, and what they emit together."""

    b: Builder
    plan: MatmulPlan
    read_a: Callable[[Index, Index], ir.Value]
    finish: Callable[[Index, Index, Lanes, Vector], None]
    start: Callable[[Index, Index, Lanes], Vector | None] | None
    packed_b: ir.Value | None
    read_b: Callable[[Index, Index, Lanes], Vector] | None
    panel_scratch: ir.Value | None
    tile_copy: ir.Value | None

    def panel(self, panel: Index, row: Index, end: Index, masked: bool) -> None:
        """Computes the rows row … end of one panel."""
        b, height = self.b, self.plan.tile.rows
        if self.read_b is not None and self.panel_scratch is not None:
            emit_pack_panel(b, self.plan, panel, self.read_b, self.panel_scratch)
        live = _live(b, self.plan, panel, masked)
        tiles = b.floordiv(b.sub(end, row), height)
        after = b.add(row, b.mul(tiles, height))
        b.loop(row, after, height, lambda i: self.tile(i, height, panel, live))
        if isinstance(self.plan.m, int):
            if rest := self.plan.m % height:
                b.when(b.less(after, end), lambda: self.tile(after, rest, panel, live))
            return
        left = b.index(b.sub(end, after))
        for bit in reversed(range((height - 1).bit_length())):
            rows = 1 << bit
            there = arith.cmpi(
                arith.CmpIPredicate.ne, arith.andi(left, b.index(rows)), b.index(0)
            )
            # The higher bits of what is left are the rows that went before.
            done = arith.andi(left, b.index(height_mask(height) & -(2 * rows)))
            at = b.add(after, done)
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
            initial = [[zero if v is None else v for v in row] for row in given]
        emit = (
            emit_few_rows_tile if split_ways(rows, vectors) > 1 else emit_register_tile
        )
        acc = emit(
            b,
            rows=rows,
            vectors=vectors,
            depth=self.plan.k,
            left=lambda r, k: self.read_a(b.add(i, r), k),
            right=lambda k, v: self.right(panel, k, v, live),
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

    def right(
        self, panel: Index, k: Index, v: int, live: list[tuple[Index, Lanes]]
    ) -> Vector:
        b = self.b
        if self.packed_b is not None:
            return b.widen(b.load(self.packed_b, panel, k, v * b.lanes))
        if self.panel_scratch is not None:
            return b.load(self.panel_scratch, k, v * b.lanes)
        assert self.read_b is not None, "emit_matmul needs packed_b or read_b"
        j, lanes = live[v]
        return b.widen(self.read_b(k, j, lanes))


def height_mask(height: int) -> int:
    """All bits that a number of rows below `height` can have."""
    return (1 << (height - 1).bit_length()) - 1


def _has_tail(plan: MatmulPlan) -> bool:
    return not isinstance(plan.n, int) or plan.n % plan.panel_columns != 0


def _live(
    b: Builder, plan: MatmulPlan, panel: Index, masked: bool
) -> list[tuple[Index, Lanes]]:
    """First column and live lanes of the panel's vectors; all of them if not masked."""
    column = b.mul(panel, plan.panel_columns)
    if masked:
        return live_lanes(b, plan.n, column, plan.tile)
    return [(b.add(column, v * b.lanes), b.lanes) for v in range(plan.tile.vectors)]
