"""Matmul on matrix tiles; `tile_product` says how they multiply float32.

B is split into bfloat16 parts and packed at compile time, A into scratch:

    for a block of rows:
      for a cut of k:
        split A[rows, cut]                          # stays in the level-2 cache
        for panel:                                  # 32 columns of B
          for 32 rows:
            acc += Σ over p + q ≤ 2 of Ap · Bq      # four tiles of 16 x 16
      finish(acc)

A work item is one panel of one block of rows. A range of them splits each block once:
ranges are made long for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ix.mlir import ir, memref, vector
from ix.passes.schedule.microkernel.amx import TILE_BYTES, TILE_DEPTH, TILE_ROWS
from ix.passes.schedule.microkernel.builder import Builder, Index, Lanes, Vector
from ix.passes.schedule.microkernel.register_tile import (
    TileShape,
    ceil_div,
    live_lanes,
)
from ix.passes.schedule.microkernel.tile_product import (
    PAIR_ROWS,
    PANEL_COLUMNS,
    PARTS,
    TileProduct,
    read_chunk,
)
from ix.runtime.sizes import Size, combine

__all__ = ["TileMatmulPlan", "emit_tile_matmul", "plan_tile_matmul"]

BLOCK_ROWS = 128
CUT_CHUNKS = 32
"""Depth of a cut in tiles: with it, the parts of a block take 786 KB."""
CUT_PANELS = 16
"""Panels whose sums are in scratch between cuts: with 128 rows, 262 KB."""

SPLIT_NS = 0.3
"""Time to cut an element of A into parts."""


@dataclass(frozen=True)
class TileMatmulPlan:
    """How a matmul is cut; `plan_tile_matmul` makes one.

    Attributes:
        m, n, k: Sizes in elements.
        parts_a, parts_b: bfloat16 parts of an element of A and of B.
        block_rows: Rows of a work item, a multiple of 32.
        cut: Tiles along k whose parts of A are in scratch at a time.
    """

    m: Size
    n: int
    k: int
    parts_a: int
    parts_b: int
    block_rows: int
    cut: int

    @property
    def panels(self) -> int:
        return -(-self.n // PANEL_COLUMNS)

    @property
    def chunks(self) -> int:
        """Tiles along k."""
        return -(-self.k // TILE_DEPTH)

    @property
    def blocks(self) -> Size:
        return ceil_div(self.m, self.block_rows)

    @property
    def items(self) -> Size:
        """The number of work items."""
        return combine("mul", self.blocks, self.panels)

    @property
    def split_ns(self) -> float:
        """A guess of the time to split the rows of a block."""
        return self.block_rows * self.k * SPLIT_NS

    @property
    def is_cut(self) -> bool:
        """Whether sums leave the tiles between one cut of k and the next."""
        return self.cut < self.chunks

    @property
    def packed_shape(self) -> tuple[int, ...]:
        """B's: panel, chunk, part, half of the panel, pair of rows, 2 · column."""
        return (self.panels, self.chunks, self.parts_b, 2, TILE_ROWS, TILE_DEPTH)

    @property
    def split_shape(self) -> tuple[int, ...]:
        """The scratch of A: tile of rows, chunk, part, row, column."""
        tiles = self.block_rows // TILE_ROWS
        return (tiles, self.cut, self.parts_a, TILE_ROWS, TILE_DEPTH)

    @property
    def sums_shape(self) -> tuple[int, ...]:
        """The scratch of the sums: panel, row, column."""
        if self.is_cut:
            return (min(CUT_PANELS, self.panels), self.block_rows, PANEL_COLUMNS)
        return (1, PAIR_ROWS, PANEL_COLUMNS)

    @property
    def split_bytes(self) -> int:
        return self.block_rows // TILE_ROWS * self.cut * self.parts_a * TILE_BYTES

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the scratch that each thread needs."""
        panels, rows, columns = self.sums_shape
        return self.split_bytes + panels * rows * columns * 4


def plan_tile_matmul(
    m: Size, most_rows: int, n: int, k: int, *, a: str, b: str
) -> TileMatmulPlan:
    """Picks the work items of C[m, n] = A[m, k] · B[k, n].

    Args:
        m, n, k: Sizes in elements.
        most_rows: The upper bound of m.
        a, b: Element types of A and B, of those in PARTS.
    """
    chunks = -(-k // TILE_DEPTH)
    cuts = -(-chunks // CUT_CHUNKS)
    pairs = -(-most_rows // PAIR_ROWS)
    blocks = -(-pairs * PAIR_ROWS // BLOCK_ROWS)
    rows = -(-pairs // blocks) * PAIR_ROWS
    return TileMatmulPlan(m, n, k, PARTS[a], PARTS[b], rows, -(-chunks // cuts))


def emit_tile_matmul(
    b: Builder,
    plan: TileMatmulPlan,
    *,
    low: Index,
    high: Index,
    read_a: Callable[[Index, Index], ir.Value],
    read_row: Callable[[Index, Index, Lanes], ir.Value],
    finish: Callable[[Index, Index, Lanes, Vector], None],
    packed_b: ir.Value,
    scratch: ir.Value,
) -> None:
    """Emits the work items low … high of a matmul.

    What callbacks return may be of a narrower type than float32, and a scalar in place
    of a vector of equal lanes; dead lanes may hold anything.

    Args:
        plan: From `plan_tile_matmul`.
        low, high: Range of work items, within 0 … plan.items.
        read_a: read_a(i, k) is the scalar A[i, k].
        read_row: read_row(i, k, lanes) is the vector A[i, k : k + lanes].
        finish: finish(i, j, lanes, vector) applies the epilogue to C[i, j : j + lanes]
            and stores it.
        packed_b: memref<plan.packed_shape x i16>, see `packing.tile_panels`.
        scratch: memref<N x i8>, N ≥ plan.scratch_bytes, one for each thread.
    """
    kernel = _Kernel(b, plan, read_a, read_row, finish, packed_b, scratch)
    kernel.product.tiles.configure()
    b.segments(low, high, plan.panels, kernel.block, b.size(plan.blocks))
    kernel.product.tiles.release()


class _Kernel:
    """The callbacks of `emit_tile_matmul`, and what they emit together."""

    def __init__(
        self,
        b: Builder,
        plan: TileMatmulPlan,
        read_a: Callable[[Index, Index], ir.Value],
        read_row: Callable[[Index, Index, Lanes], ir.Value],
        finish: Callable[[Index, Index, Lanes, Vector], None],
        packed_b: ir.Value,
        scratch: ir.Value,
    ) -> None:
        self.b, self.plan = b, plan
        self.product = TileProduct(b, plan.parts_a, plan.parts_b, packed_b)
        self.read_a, self.read_row, self.finish = read_a, read_row, finish
        self.m = b.size(plan.m)
        bfloat16 = ir.BF16Type.get()
        split = ir.MemRefType.get(list(plan.split_shape), bfloat16)
        sums = b.buffer_type(*plan.sums_shape)
        self.split_a = memref.view(split, scratch, b.index(0), [])
        self.sums = memref.view(sums, scratch, b.index(plan.split_bytes), [])

    def block(self, index: Index, first: Index, last: Index) -> None:
        """Computes the panels first … last of a block of rows."""
        b, plan = self.b, self.plan
        row = b.mul(index, plan.block_rows)
        end = b.min(b.add(row, plan.block_rows), self.m)

        def some(start: Index) -> None:
            self.cuts(row, end, start, b.min(b.add(start, CUT_PANELS), last))

        if plan.is_cut:
            b.loop(first, last, CUT_PANELS, some)
        else:
            self.cuts(row, end, first, last)

    def cuts(self, row: Index, end: Index, first: Index, last: Index) -> None:
        """Computes panels, one cut of k after the other."""
        b, plan = self.b, self.plan

        def cut(chunk: Index) -> None:
            count = b.min(plan.cut, b.sub(plan.chunks, chunk))
            self.split(row, end, chunk, count)
            b.loop(
                first,
                last,
                1,
                lambda p: self.panel(p, b.sub(p, first), row, end, chunk, count),
            )

        b.loop(0, plan.chunks, plan.cut, cut)

    # A's parts.

    def split(self, row: Index, end: Index, chunk: Index, count: Index) -> None:
        """Writes the parts of A[row : end] along a cut of k into the scratch."""
        b, plan = self.b, self.plan
        tail = plan.k % TILE_DEPTH
        rows = b.mul(b.ceildiv(b.sub(end, row), TILE_ROWS), TILE_ROWS)
        whole = b.min(count, b.sub(plan.k // TILE_DEPTH, chunk))

        def each(r: Index) -> None:
            # Tiles are whole: rows behind the last one are copies of it.
            i = b.min(b.add(row, r), b.sub(end, 1))

            def one(c: Index, lanes: int) -> None:
                self.split_one(i, r, b.add(chunk, c), c, lanes)

            b.loop(0, whole, 1, lambda c: one(c, TILE_DEPTH))
            if tail:
                b.when(b.less(whole, count), lambda: one(whole, tail))

        b.loop(0, rows, 1, each)

    def split_one(self, i: Index, r: Index, chunk: Index, c: Index, lanes: int) -> None:
        """Splits the part of row i that lies in one tile."""
        b = self.b
        k = b.mul(chunk, TILE_DEPTH)
        halves = read_chunk(
            b, lanes, lambda first, live: self.read_row(i, b.add(k, first), live)
        )
        tile, inside = b.floordiv(r, TILE_ROWS), b.mod(r, TILE_ROWS)
        for part, value in enumerate(self.product.split(halves)):
            at = [tile, c, part, inside, 0]
            vector.store(value, self.split_a, [b.index(x) for x in at])

    # Products.

    def panel(
        self,
        panel: Index,
        number: Index,
        row: Index,
        end: Index,
        chunk: Index,
        count: Index,
    ) -> None:
        """Adds one cut's products to a block's sums in one panel."""
        b = self.b
        tiles = b.ceildiv(b.sub(end, row), TILE_ROWS)
        pairs = b.floordiv(tiles, 2)

        def rows(tile: Index, height: int) -> None:
            self.rows(panel, number, row, end, tile, height, chunk, count)

        b.loop(0, b.mul(pairs, 2), 2, lambda tile: rows(tile, 2))
        b.when(b.less(b.mul(pairs, 2), tiles), lambda: rows(b.mul(pairs, 2), 1))

    def rows(
        self,
        panel: Index,
        number: Index,
        row: Index,
        end: Index,
        tile: Index,
        height: int,
        chunk: Index,
        count: Index,
    ) -> None:
        """Adds one cut's products to the sums of one or two tiles of rows."""
        b, plan, product = self.b, self.plan, self.product
        first = b.mul(tile, TILE_ROWS) if plan.is_cut else 0
        sums = self._sums_at(number, first)
        b.when(
            b.less(0, chunk),
            lambda: product.load(height, sums),
            lambda: product.clear(height),
        )
        chunk_bytes = plan.parts_a * TILE_BYTES
        base = product.tiles.base(self.split_a)
        left = [
            b.add(base, b.mul(b.add(tile, t), plan.cut * chunk_bytes))
            for t in range(height)
        ]
        right = product.right(panel, chunk)

        def step(c: Index) -> None:
            product.multiply(
                [b.add(x, b.mul(c, chunk_bytes)) for x in left],
                b.add(right, b.mul(c, product.step_bytes)),
                part_bytes=TILE_BYTES,
                row_bytes=TILE_BYTES // TILE_ROWS,
            )

        b.loop(0, count, 1, step)
        product.store(height, sums)

        def finish() -> None:
            i = b.add(row, b.mul(tile, TILE_ROWS))
            self.finish_rows(panel, number, i, end, first, height)

        more = b.less(b.add(chunk, count), plan.chunks)
        b.when(more, lambda: None, finish)

    def _sums_at(self, number: Index, first: Index) -> Index:
        """The address of the sums of a panel, from row `first` on."""
        b, plan = self.b, self.plan
        base = self.product.tiles.base(self.sums)
        if not plan.is_cut:
            return base
        place = b.add(b.mul(number, plan.block_rows), first)
        return b.add(base, b.mul(place, PANEL_COLUMNS * 4))

    # Results.

    def finish_rows(
        self,
        panel: Index,
        number: Index,
        i: Index,
        end: Index,
        first: Index,
        height: int,
    ) -> None:
        """Finishes the sums of one or two tiles of rows, at `first` in `sums`."""
        b, plan = self.b, self.plan
        where = number if plan.is_cut else 0
        live = live_lanes(
            b, plan.n, b.mul(panel, PANEL_COLUMNS), TileShape(TILE_ROWS, 2)
        )
        rows = b.min(height * TILE_ROWS, b.sub(end, i))

        def read(r: Index, v: int) -> Vector:
            return b.load(self.sums, where, b.add(first, r), v * b.lanes)

        def again() -> None:
            def row(r: Index) -> None:
                for v in range(2):
                    value = self.with_fma(panel, v, b.add(i, r))
                    b.store(value, self.sums, where, b.add(first, r), v * b.lanes)

            b.loop(0, rows, 1, row)

        b.when(self.product.any_nan(rows, read), again)

        def each(r: Index) -> None:
            for v, (j, lanes) in enumerate(live):
                self.finish(b.add(i, r), j, lanes, read(r, v))

        b.loop(0, rows, 1, each)

    def with_fma(self, panel: Index, half: int, i: Index) -> Vector:
        """Half a row of a panel as any processor computes it, slowly."""
        b = self.b

        def step(k: Index, acc: Vector) -> list[Vector]:
            chunk, inside = b.floordiv(k, TILE_DEPTH), b.mod(k, TILE_DEPTH)
            value = self.product.weights(panel, chunk, inside, half)
            x = b.broadcast(b.widen_scalar(self.read_a(i, k)))
            return [b.multiply_add(x, value, acc)]

        return b.loop(0, self.plan.k, 1, step, [b.splat(0)])[0]
