"""Products of float32 on matrix tiles of bfloat16, to float32's precision.

A float32 has 24 bits and a bfloat16 has 8, so x = x0 + x1 + x2 exactly, where x0 is x
rounded to bfloat16, x1 is what is left of x, rounded, and x2 is the rest. Of the nine
products of two such sums, three are below 2⁻²⁴ |x| |y| and are left out:

    x · y ≈ Σ over p + q ≤ 2 of xp · yq                 sums in float32

A float16 needs two parts, a bfloat16 one.

Tiles know no values below 2⁻¹²⁶ (they are taken for 0), and make NaN of products that
contain infinities and parts of 0. So sums that are not finite are computed once more
with fma, from A itself and from the sum of B's parts, which is B.

Source: Henry, Tang, Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype
For Higher-Precision Computations", ARITH 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ix.mlir import arith, ir, vector
from ix.passes.schedule.microkernel.amx import (
    TILE_BYTES,
    TILE_DEPTH,
    TILE_ROWS,
    Tiles,
    from_bfloat16,
    to_bfloat16,
)
from ix.passes.schedule.microkernel.builder import Builder, Index, Lanes, Vector

__all__ = [
    "PAIR_ROWS",
    "PANEL_COLUMNS",
    "PARTS",
    "TileProduct",
    "part_products",
    "read_chunk",
]

PARTS = {"f32": 3, "f16": 2, "bf16": 1}
"""How many bfloat16 a value of a type is the sum of."""

PANEL_COLUMNS = 2 * TILE_ROWS
PAIR_ROWS = 2 * TILE_ROWS

SUM_ROW_BYTES = PANEL_COLUMNS * 4

MOST_QUIET = 2
"""Steps of so few products are over within a microsecond, without any store."""


def part_products(parts_a: int, parts_b: int) -> list[tuple[int, int]]:
    """The parts of A and B to multiply, in an order in which neighbours share one."""
    order: list[tuple[int, int]] = []
    for p in range(parts_a):
        kept = [q for q in range(parts_b) if p + q <= 2]
        shared = order[-1][1] if order else None
        next_shared = max(min(parts_b - 1, 1 - p), 0)
        kept.sort(key=lambda q, s=shared, n=next_shared: (q != s, q == n))
        order += [(p, q) for q in kept]
    return order


def read_chunk(
    b: Builder, lanes: int, read: Callable[[int, Lanes], ir.Value]
) -> list[Vector]:
    """`lanes` float32 as two vectors, zeros behind them.

    Args:
        read: read(first, lanes) is a vector of which so many lanes are live; others may
            hold anything.
    """
    halves = []
    for first in (0, b.lanes):
        live = min(max(lanes - first, 0), b.lanes)
        value = b.widen(read(first, live)) if live else b.splat(0)
        if 0 < live < b.lanes:
            value = arith.select(b.mask(live), value, b.splat(0))
        halves.append(value)
    return halves


class TileProduct:
    """Emits sums of 16 or 32 rows by 32 columns; tiles 0 … 3 hold them.

    Args:
        parts_a, parts_b: bfloat16 parts of an element of A and of B.
        packed_b: memref<panels x steps x parts_b x 2 x 16 x 32 x i16>, see
            `packing.tile_panels`; a step is 32 elements along k.
    """

    def __init__(
        self, b: Builder, parts_a: int, parts_b: int, packed_b: ir.Value
    ) -> None:
        self.b, self.tiles = b, Tiles(b)
        self.parts_a, self.parts_b = parts_a, parts_b
        self.packed_b = packed_b

    def split(self, halves: list[Vector]) -> Iterator[Vector]:
        """The parts of 32 elements of A, each a vector<32xbf16>."""
        for part in range(self.parts_a):
            rounded = to_bfloat16(*halves)
            yield rounded
            if part + 1 < self.parts_a:
                halves = [
                    arith.subf(x, y)
                    for x, y in zip(halves, from_bfloat16(rounded), strict=True)
                ]

    # Products.

    @property
    def step_bytes(self) -> int:
        """Bytes of packed B from one step to the next."""
        return self.parts_b * 2 * TILE_BYTES

    def right(self, panel: Index, step: Index) -> Index:
        """The address of a step of a panel of B."""
        steps = self.packed_b.type.shape[1]
        place = self.b.add(self.b.mul(panel, steps), step)
        return self.b.add(
            self.tiles.base(self.packed_b), self.b.mul(place, self.step_bytes)
        )

    def clear(self, height: int) -> None:
        """Sets the sums of `height` tiles of rows to 0."""
        for tile in range(2 * height):
            self.tiles.zero(tile)

    def load(self, height: int, sums: Index) -> None:
        """Reads the sums of `height` tiles of rows of 32 float32."""
        self._each(height, sums, self.tiles.load)

    def store(self, height: int, sums: Index) -> None:
        """Writes them."""
        self._each(height, sums, self.tiles.store)

    def _each(self, height: int, sums: Index, action: Callable[..., None]) -> None:
        for t in range(height):
            for h in range(2):
                offset = t * TILE_ROWS * SUM_ROW_BYTES + h * TILE_ROWS * 4
                action(2 * t + h, self.b.add(sums, offset), SUM_ROW_BYTES)

    def multiply(
        self,
        left: list[Index],
        right: Index,
        sums: Index,
        *,
        part_bytes: int,
        row_bytes: int,
        between: Callable[[int], None] = lambda n: None,
    ) -> None:
        """Adds the products of one step.

        A tile store that follows a microsecond without one takes a quarter of a
        microsecond on Sapphire Rapids (32 rows by 8 steps: 1.35 us, and 1.09 us with a
        store in each step). So each step makes one, to where the sums go in the end.

        Args:
            left: The address of the first part of each tile of rows.
            right: The address of the step in B.
            sums: Where `store` puts the sums; holds nothing that is needed.
            part_bytes: From one part of A to the next.
            row_bytes: From one row of A to the next.
            between: between(n) emits other work behind product n of
                `part_products`: vectors are idle while tiles multiply, but only work
                that lies close is found in time.
        """
        b, tiles = self.b, self.tiles
        loaded: dict[int, int] = {}

        def need(tile: int, part: int, address: Index, stride: int) -> None:
            if loaded.get(tile) != part:
                tiles.load(tile, address, stride)
                loaded[tile] = part

        products = part_products(self.parts_a, self.parts_b)
        for number, (p, q) in enumerate(products):
            for t, address in enumerate(left):
                need(4 + t, p, b.add(address, p * part_bytes), row_bytes)
                for h in range(2):
                    panel = b.add(right, (2 * q + h) * TILE_BYTES)
                    need(6 + h, q, panel, TILE_ROWS * 4)
                    tiles.multiply_add(2 * t + h, 4 + t, 6 + h)
            between(number)
        if len(products) > MOST_QUIET:
            tiles.store(7, sums, 0)

    # What tiles get wrong.

    def any_nan(
        self,
        rows: Index,
        read: Callable[[Index, int], Vector],
        counts: Callable[[Index], ir.Value] | None = None,
    ) -> ir.Value:
        """Whether a sum is infinite or NaN, an i1.

        Args:
            read: read(row, half) is half a row of sums.
            counts: counts(row), an i1, says which rows to look at; all if None.
        """
        b = self.b

        def check(r: Index, *found: Vector) -> list[Vector]:
            zero = b.splat(0)
            new = [vector.fma(read(r, h), zero, x) for h, x in enumerate(found)]
            if counts is None:
                return new
            looked = counts(r)
            return [arith.select(looked, x, y) for x, y in zip(new, found, strict=True)]

        total = b.plus(*b.loop(0, rows, 1, check, [b.splat(0)] * 2))
        is_nan = arith.cmpf(arith.CmpFPredicate.UNO, total, total)
        return vector.reduction(
            ir.IntegerType.get_signless(1), vector.CombiningKind.OR, is_nan
        )

    def weights(self, panel: Index, step: Index, inside: Index, half: int) -> Vector:
        """Half a row of B, the sum of its parts: row `inside` of a step."""
        b = self.b
        word = ir.IntegerType.get_signless(32)
        words = ir.VectorType.get([TILE_ROWS], word)
        shorts = ir.VectorType.get([TILE_DEPTH], ir.IntegerType.get_signless(16))

        def splat(value: Any) -> ir.Value:
            return vector.broadcast(words, arith.index_cast(word, b.index(value)))

        pair, odd = b.floordiv(inside, 2), b.mod(inside, 2)
        down, up = splat(b.mul(odd, 16)), splat(16)
        value = b.splat(0)
        for part in reversed(range(self.parts_b)):
            at = [panel, step, part, half, pair, 0]
            packed = vector.load(shorts, self.packed_b, [b.index(x) for x in at])
            bits = arith.shrui(vector.bitcast(words, packed), down)
            value = b.plus(vector.bitcast(b.vector, arith.shli(bits, up)), value)
        return value
