"""Matmul on matrix tiles; `tile_product` says how they multiply float32.

B is split into bfloat16 parts and packed at compile time, A into scratch:

    for a block of rows:
      for a cut of k:
        split A[rows, cut]                          # stays in the level-2 cache
        for panel:                                  # 32 columns of B
          for 32 rows:
            acc += Σ over p + q ≤ 2 of Ap · Bq      # four tiles of 16 x 16
      finish(acc)

`finish` works on vectors while the tiles multiply: the rows of one panel are finished
between the products of the next 32 rows.

A work item is one panel of one block of rows. A range of them splits each block once:
ranges are made long for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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
    part_products,
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
        """The scratch of the sums: panel, row, column.

        Where k is not cut: what is computed, what is finished meanwhile.
        """
        if self.is_cut:
            return (min(CUT_PANELS, self.panels), self.block_rows, PANEL_COLUMNS)
        return (2, PAIR_ROWS, PANEL_COLUMNS)

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


@dataclass(frozen=True)
class _Strip:
    """A block of rows along a cut of k: rows `row` … `end`, panels from `first` on,
    `count` tiles along k from `chunk` on."""

    row: Index
    end: Index
    first: Index
    chunk: Index
    count: Index


@dataclass(frozen=True)
class _Sums:
    """Sums in the scratch: `rows` rows of a panel from row `first` of C on, which lie
    at [where, below] of the scratch."""

    panel: Index
    first: Index
    rows: Index
    where: Index
    below: Index


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
        self.read_a, self.read_row, self.finish_vector = read_a, read_row, finish
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
            strip = _Strip(row, end, first, chunk, count)
            b.loop(first, last, 1, lambda panel: self.panel(strip, panel))

        b.loop(0, plan.chunks, plan.cut, cut)
        strip = _Strip(row, end, first, 0, 0)
        count = b.mul(b.sub(last, first), self.pairs(strip))

        def finish() -> None:
            self.finish(self.pair(strip, b.sub(count, 1)))

        b.when(b.less(0, count), finish)

    # A's parts.

    def split(self, row: Index, end: Index, chunk: Index, count: Index) -> None:
        """Writes the parts of A[row : end] along a cut of k into the scratch."""
        b, plan = self.b, self.plan
        tail = plan.k % TILE_DEPTH
        tiles = b.ceildiv(b.sub(end, row), TILE_ROWS)
        whole = b.min(count, b.sub(plan.k // TILE_DEPTH, chunk))

        def each(tile: Index) -> None:
            first = b.add(row, b.mul(tile, TILE_ROWS))

            def one(c: Index, lanes: int) -> None:
                def line(r: Index) -> None:
                    # Tiles are whole: rows behind the last one are copies of it.
                    i = b.min(b.add(first, r), b.sub(end, 1))
                    self.split_one(i, tile, r, b.add(chunk, c), c, lanes)

                b.loop(0, TILE_ROWS, 1, line)

            b.loop(0, whole, 1, lambda c: one(c, TILE_DEPTH))
            if tail:
                b.when(b.less(whole, count), lambda: one(whole, tail))

        b.loop(0, tiles, 1, each)

    def split_one(
        self, i: Index, tile: Index, inside: Index, chunk: Index, c: Index, lanes: int
    ) -> None:
        """Splits the part of row i that lies in one tile."""
        b = self.b
        k = b.mul(chunk, TILE_DEPTH)
        halves = read_chunk(
            b, lanes, lambda first, live: self.read_row(i, b.add(k, first), live)
        )
        for part, value in enumerate(self.product.split(halves)):
            at = [tile, c, part, inside, 0]
            vector.store(value, self.split_a, [b.index(x) for x in at])

    # Products.

    def pairs(self, strip: _Strip) -> Index:
        """How many times there are 32 rows, or begin more than 16."""
        rows = self.b.sub(strip.end, strip.row)
        return self.b.floordiv(self.b.ceildiv(rows, TILE_ROWS), 2)

    def pair(self, strip: _Strip, number: Index) -> _Sums:
        """The sums of 32 rows: those of all panels are numbered one after the other."""
        b, pairs = self.b, self.pairs(strip)
        panel = b.add(strip.first, b.floordiv(number, pairs))
        return self.sums_of(strip, panel, b.mul(b.mod(number, pairs), 2), 2, number)

    def sums_of(
        self, strip: _Strip, panel: Index, tile: Index, height: int, number: Index
    ) -> _Sums:
        """The sums of one or two tiles of rows in a panel; tile: of the block."""
        b, plan = self.b, self.plan
        below = b.mul(tile, TILE_ROWS)
        first = b.add(strip.row, below)
        rows = b.min(height * TILE_ROWS, b.sub(strip.end, first))
        if plan.is_cut:
            return _Sums(panel, first, rows, b.sub(panel, strip.first), below)
        return _Sums(panel, first, rows, b.mod(number, 2), 0)

    def panel(self, strip: _Strip, panel: Index) -> None:
        """Adds one cut's products to a block's sums in one panel."""
        b, plan = self.b, self.plan
        tiles = b.ceildiv(b.sub(strip.end, strip.row), TILE_ROWS)
        pairs = self.pairs(strip)
        before = b.mul(b.sub(panel, strip.first), pairs)
        is_last = b.less(plan.chunks - 1, b.add(strip.chunk, strip.count))

        def two(tile: Index) -> None:
            number = b.add(before, b.floordiv(tile, 2))
            waiting = self.pair(strip, b.max(b.sub(number, 1), 0))
            rows = b.choose(is_last, b.choose(b.less(0, number), waiting.rows, 0), 0)
            waiting = replace(waiting, rows=rows)
            sums = self.sums_of(strip, panel, tile, 2, number)
            self.multiply(strip, tile, 2, sums, waiting)
            b.when(is_last, lambda: self.check(sums))

        def one(tile: Index) -> None:
            sums = self.sums_of(strip, panel, tile, 1, b.add(before, pairs))
            self.multiply(strip, tile, 1, sums, None)

            def finish() -> None:
                self.check(sums)
                self.finish(sums)

            b.when(is_last, finish)

        whole = b.mul(pairs, 2)
        b.loop(0, whole, 2, two)
        b.when(b.less(whole, tiles), lambda: one(whole))

    def multiply(
        self,
        strip: _Strip,
        tile: Index,
        height: int,
        sums: _Sums,
        waiting: _Sums | None,
    ) -> None:
        """Adds one cut's products to the sums of one or two tiles of rows.

        Args:
            waiting: Sums to finish meanwhile, as far as that takes no longer.
        """
        b, plan, product = self.b, self.plan, self.product
        into = self.address(sums)
        b.when(
            b.less(0, strip.chunk),
            lambda: product.load(height, into),
            lambda: product.clear(height),
        )
        chunk_bytes = plan.parts_a * TILE_BYTES
        base = product.tiles.base(self.split_a)
        left = [
            b.add(base, b.mul(b.add(tile, t), plan.cut * chunk_bytes))
            for t in range(height)
        ]
        right = product.right(sums.panel, strip.chunk)
        rows_of_step = len(part_products(plan.parts_a, plan.parts_b))
        finish_row = None if waiting is None else self.row_finisher(waiting)

        def step(c: Index) -> None:
            def between(number: int) -> None:
                if waiting is None or finish_row is None:
                    return
                r = b.add(b.mul(c, rows_of_step), number)
                b.when(b.less(r, waiting.rows), lambda: finish_row(r))

            product.multiply(
                [b.add(x, b.mul(c, chunk_bytes)) for x in left],
                b.add(right, b.mul(c, product.step_bytes)),
                into,
                part_bytes=TILE_BYTES,
                row_bytes=TILE_BYTES // TILE_ROWS,
                between=between,
            )

        b.loop(0, strip.count, 1, step)
        product.store(height, into)
        finished = b.mul(strip.count, rows_of_step)
        all_finished = isinstance(finished, int) and finished >= PAIR_ROWS
        if waiting is not None and not all_finished:
            self.finish(waiting, finished)

    def address(self, sums: _Sums) -> Index:
        b = self.b
        place = b.add(b.mul(sums.where, self.plan.sums_shape[1]), sums.below)
        return b.add(
            self.product.tiles.base(self.sums), b.mul(place, PANEL_COLUMNS * 4)
        )

    # Results.

    def read(self, sums: _Sums, r: Index, v: int) -> Vector:
        b = self.b
        return b.load(self.sums, sums.where, b.add(sums.below, r), v * b.lanes)

    def check(self, sums: _Sums) -> None:
        """Computes sums once more that tiles get wrong."""
        b = self.b

        def row(r: Index) -> None:
            for v in range(2):
                value = self.with_fma(sums.panel, v, b.add(sums.first, r))
                at = (sums.where, b.add(sums.below, r), v * b.lanes)
                b.store(value, self.sums, *at)

        any_nan = self.product.any_nan(sums.rows, lambda r, v: self.read(sums, r, v))
        b.when(any_nan, lambda: b.loop(0, sums.rows, 1, row))

    def row_finisher(self, sums: _Sums) -> Callable[[Index], None]:
        """What finishes a row, by its number."""
        b, plan = self.b, self.plan
        column = b.mul(sums.panel, PANEL_COLUMNS)
        live = live_lanes(b, plan.n, column, TileShape(TILE_ROWS, 2))

        def finish(r: Index) -> None:
            for v, (j, lanes) in enumerate(live):
                value = self.read(sums, r, v)
                self.finish_vector(b.add(sums.first, r), j, lanes, value)

        return finish

    def finish(self, sums: _Sums, start: Index = 0) -> None:
        """Finishes rows, from row `start` of them on."""
        self.b.loop(start, sums.rows, 1, self.row_finisher(sums))

    def with_fma(self, panel: Index, half: int, i: Index) -> Vector:
        """Half a row of a panel as any processor computes it, slowly."""
        b = self.b

        def step(k: Index, acc: Vector) -> list[Vector]:
            chunk, inside = b.floordiv(k, TILE_DEPTH), b.mod(k, TILE_DEPTH)
            value = self.product.weights(panel, chunk, inside, half)
            x = b.broadcast(b.widen_scalar(self.read_a(i, k)))
            return [b.multiply_add(x, value, acc)]

        return b.loop(0, self.plan.k, 1, step, [b.splat(0)])[0]
