"""Matmul on matrix tiles: float32 from products of bfloat16, to float32's precision.

A float32 has 24 bits and a bfloat16 has 8, so x = x0 + x1 + x2 exactly, where x0 is x
rounded to bfloat16, x1 is what is left of x, rounded, and x2 is the rest. Of the nine
products of two such sums, three are below 2⁻²⁴ |x| |y| and are left out:

    x · y ≈ Σ over p + q ≤ 2 of xp · yq                 sums in float32

A float16 needs two parts, a bfloat16 one. B is split and packed at compile time, A into
scratch, a block of rows at a time:

    for a block of rows:
      for a cut of k:
        split A[rows, cut]                          # stays in the level-2 cache
        for panel:                                  # 32 columns of B
          for 32 rows:
            acc += Σ over p + q ≤ 2 of Ap · Bq      # four tiles of 16 x 16
      finish(acc)

A work item is one panel of one block of rows. A range of them splits each block once:
ranges are made long for it.

Tiles know no values below 2⁻¹²⁶ (they are taken for 0), and make NaN of products that
contain infinities and parts of 0. So 32 rows whose sum is not finite are computed once
more with fma, from A itself and from the sum of B's parts, which is B.

Source: Henry, Tang, Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype
For Higher-Precision Computations", ARITH 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ix.mlir import arith, ir, memref, vector
from ix.passes.schedule.microkernel.amx import (
    TILE_BYTES,
    TILE_DEPTH,
    TILE_ROWS,
    Tiles,
    from_bfloat16,
    to_bfloat16,
)
from ix.passes.schedule.microkernel.builder import Builder, Index, Lanes, Vector
from ix.passes.schedule.microkernel.register_tile import (
    TileShape,
    ceil_div,
    live_lanes,
)
from ix.runtime.sizes import Size, combine

__all__ = ["PARTS", "TileMatmulPlan", "emit_tile_matmul", "plan_tile_matmul"]

PARTS = {"f32": 3, "f16": 2, "bf16": 1}
"""How many bfloat16 a value of a type is the sum of."""

PANEL_COLUMNS = 32
PAIR_ROWS = 2 * TILE_ROWS
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

    @property
    def products(self) -> list[tuple[int, int]]:
        """The parts of A and B to multiply, neighbours sharing one."""
        order: list[tuple[int, int]] = []
        for p in range(self.parts_a):
            kept = [q for q in range(self.parts_b) if p + q <= 2]
            shared = order[-1][1] if order else None
            next_shared = max(min(self.parts_b - 1, 1 - p), 0)
            kept.sort(key=lambda q, s=shared, n=next_shared: (q != s, q == n))
            order += [(p, q) for q in kept]
        return order


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
    kernel.tiles.configure()
    b.segments(low, high, plan.panels, kernel.block, b.size(plan.blocks))
    kernel.tiles.release()


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
        self.b, self.plan, self.tiles = b, plan, Tiles(b)
        self.read_a, self.read_row, self.finish = read_a, read_row, finish
        self.packed_b = packed_b
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
        b, plan = self.b, self.plan
        k = b.mul(chunk, TILE_DEPTH)
        halves = []
        for first in (0, b.lanes):
            live = min(max(lanes - first, 0), b.lanes)
            value = b.splat(0)
            if live:
                value = b.widen(self.read_row(i, b.add(k, first), live))
            if 0 < live < b.lanes:
                value = arith.select(b.mask(live), value, b.splat(0))
            halves.append(value)
        at = [b.floordiv(r, TILE_ROWS), c, 0, b.mod(r, TILE_ROWS), 0]
        for part in range(plan.parts_a):
            rounded = to_bfloat16(*halves)
            at[2] = part
            vector.store(rounded, self.split_a, [b.index(x) for x in at])
            if part + 1 < plan.parts_a:
                halves = [
                    arith.subf(x, y)
                    for x, y in zip(halves, from_bfloat16(rounded), strict=True)
                ]

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
        b, plan, tiles = self.b, self.plan, self.tiles
        first = b.mul(tile, TILE_ROWS) if plan.is_cut else 0
        sums = self._sums_at(number, first)
        registers = [(t, h) for t in range(height) for h in range(2)]

        def each(action: Callable[..., None]) -> None:
            for t, h in registers:
                offset = t * TILE_ROWS * PANEL_COLUMNS * 4 + h * TILE_ROWS * 4
                action(2 * t + h, b.add(sums, offset), PANEL_COLUMNS * 4)

        def clear() -> None:
            for t, h in registers:
                tiles.zero(2 * t + h)

        b.when(b.less(0, chunk), lambda: each(tiles.load), clear)
        left = [
            b.add(
                tiles.base(self.split_a),
                b.mul(b.add(tile, t), plan.cut * plan.parts_a * TILE_BYTES),
            )
            for t in range(height)
        ]
        depth_bytes = plan.parts_b * 2 * TILE_BYTES
        place = b.add(b.mul(panel, plan.chunks), chunk)
        right = b.add(tiles.base(self.packed_b), b.mul(place, depth_bytes))

        def step(c: Index) -> None:
            lefts = [b.add(x, b.mul(c, plan.parts_a * TILE_BYTES)) for x in left]
            self.multiply(lefts, b.add(right, b.mul(c, depth_bytes)))

        b.loop(0, count, 1, step)
        each(tiles.store)

        def finish() -> None:
            i = b.add(row, b.mul(tile, TILE_ROWS))
            self.finish_rows(panel, number, i, end, first, height)

        more = b.less(b.add(chunk, count), plan.chunks)
        b.when(more, lambda: None, finish)

    def _sums_at(self, number: Index, first: Index) -> Index:
        """The address of the sums of a panel, from row `first` on."""
        b, plan = self.b, self.plan
        base = self.tiles.base(self.sums)
        if not plan.is_cut:
            return base
        place = b.add(b.mul(number, plan.block_rows), first)
        return b.add(base, b.mul(place, PANEL_COLUMNS * 4))

    def multiply(self, left: list[Index], right: Index) -> None:
        """Adds the products of all parts in one step along k to tiles 0 … 3."""
        b, tiles = self.b, self.tiles
        loaded: dict[int, int] = {}

        def need(tile: int, part: int, address: Index) -> None:
            if loaded.get(tile) != part:
                tiles.load(tile, address)
                loaded[tile] = part

        for p, q in self.plan.products:
            for t, address in enumerate(left):
                need(4 + t, p, b.add(address, p * TILE_BYTES))
            for h in range(2):
                need(6 + h, q, b.add(right, (2 * q + h) * TILE_BYTES))
            for t in range(len(left)):
                for h in range(2):
                    tiles.multiply_add(2 * t + h, 4 + t, 6 + h)

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

        def check(r: Index, *found: Vector) -> list[Vector]:
            zero = b.splat(0)
            return [vector.fma(read(r, v), zero, x) for v, x in enumerate(found)]

        found = b.loop(0, rows, 1, check, [b.splat(0)] * 2)
        total = b.plus(*found)
        is_nan = arith.cmpf(arith.CmpFPredicate.UNO, total, total)
        any_nan = vector.reduction(
            ir.IntegerType.get_signless(1), vector.CombiningKind.OR, is_nan
        )

        def again() -> None:
            def row(r: Index) -> None:
                for v in range(2):
                    value = self.with_fma(panel, v, b.add(i, r))
                    b.store(value, self.sums, where, b.add(first, r), v * b.lanes)

            b.loop(0, rows, 1, row)

        b.when(any_nan, again)

        def each(r: Index) -> None:
            for v, (j, lanes) in enumerate(live):
                self.finish(b.add(i, r), j, lanes, read(r, v))

        b.loop(0, rows, 1, each)

    def with_fma(self, panel: Index, half: int, i: Index) -> Vector:
        """Half a row of a panel as any processor computes it, slowly."""
        b, plan = self.b, self.plan
        word = ir.IntegerType.get_signless(32)
        words = ir.VectorType.get([TILE_ROWS], word)
        shorts = ir.VectorType.get([TILE_DEPTH], ir.IntegerType.get_signless(16))

        def splat(value: Any) -> ir.Value:
            return vector.broadcast(words, arith.index_cast(word, b.index(value)))

        def step(k: Index, acc: Vector) -> list[Vector]:
            chunk, inside = b.floordiv(k, TILE_DEPTH), b.mod(k, TILE_DEPTH)
            pair, odd = b.floordiv(inside, 2), b.mod(inside, 2)
            down, up = splat(b.mul(odd, 16)), splat(16)
            value = b.splat(0)
            for part in reversed(range(plan.parts_b)):
                at = [panel, chunk, part, half, pair, 0]
                packed = vector.load(shorts, self.packed_b, [b.index(x) for x in at])
                bits = arith.shrui(vector.bitcast(words, packed), down)
                value = b.plus(vector.bitcast(b.vector, arith.shli(bits, up)), value)
            x = b.broadcast(b.widen_scalar(self.read_a(i, k)))
            return [b.multiply_add(x, value, acc)]

        return b.loop(0, plan.k, 1, step, [b.splat(0)])[0]
